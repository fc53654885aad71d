"""The judge is judged: figures of known tracks, regions of known axes, and a short real run from voice to landmarks."""

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt
import pytest

from engine.cdan.constants import SEAL_HALF
from engine.face import LES_TO_FACE
from engine.face.coefficients import FACE
from engine.les import AXES, Les
from engine.units import CHUNK, FPS, SAMPLE_RATE

pytest.importorskip("engine.evaluation.material", exc_type=ImportError)  # needs the extra `train`

from engine.cdan.training import texts
from engine.cdan.training.export import load
from engine.cdan.training.phones import BILABIAL, PAUSE, Phone
from engine.cdan.training.voices import Flite, Utterance
from engine.evaluation import material, measures, misses, readings, sealing, speaking
from engine.evaluation.axes import LEVELS, Rise, response, rise
from engine.evaluation.drivers import AvatarDriver, LinearDriver, LoudnessJaw, NetworkDriver
from engine.evaluation.judges import ModelJudge, PictureJudge, Watched
from engine.evaluation.speaking import Spoken
from engine.evaluation.stillness import listen
from engine.evaluation.subject import Condition, Subject
from engine.evaluation.tables import CLEAN, Row, cell, closed, consonants
from engine.evaluation.units import ACTS_ON, SIGHTS, number, region
from engine.portrait import default_photo, prepare

Floats = npt.NDArray[np.float32]
JAW = FACE.index("jawOpen")
PHONE_S = 0.12
NAMES = (PAUSE, "aa", "p", "aa", "t", "iy", "m", "uw", "k", "ae", "b", "ow", "n", "ay", PAUSE, PAUSE, PAUSE)
APERTURE = {"aa": 0.2, "ae": 0.2, "ay": 0.2, "iy": 0.1, "uw": 0.08, "ow": 0.12, "t": 0.08, "k": 0.09, "n": 0.07}


def utterance(names: Sequence[str] = NAMES) -> Utterance:
    phones = tuple(Phone(name, i * PHONE_S, (i + 1) * PHONE_S) for i, name in enumerate(names))
    return Utterance(np.zeros(round(len(names) * PHONE_S * SAMPLE_RATE), np.float32), SAMPLE_RATE, phones)


def spoken(shift_s: float = 0.0, said: Utterance | None = None) -> Spoken:
    """Lips that do exactly what the phones ask for, or do it later; shut for p b m, 0.01 at rest."""
    said = said or utterance()
    frames = int(said.phones[-1].end_s * FPS)
    fine = (np.arange(frames * 40) + 0.5) / (40 * FPS) - shift_s
    asked = np.array([APERTURE.get(_at(said, t), 0.0) for t in fine]).reshape(frames, 40).mean(1)
    wide = np.array([0.9 if _at(said, t) == "iy" else 0.7 if _at(said, t) in ("uw", "ow") else 0.8 for t in fine])
    return Spoken(said, "x", asked + 0.01, wide.reshape(frames, 40).mean(1), 0.01, 0.8)


def _at(said: Utterance, t: float) -> str:
    return next((phone.name for phone in said.phones if phone.start_s <= t < phone.end_s), PAUSE)


class TestFigures:
    def test_auc_counts_pairs(self) -> None:
        assert measures.auc([2.0, 3.0], [0.0, 1.0]) == 1
        assert measures.auc([0.0], [1.0, 2.0]) == 0
        assert measures.auc([1.0], [1.0]) == 0.5
        assert measures.auc([0.0, 2.0], [1.0]) == 0.5
        assert np.isnan(measures.auc([], [1.0]))

    def test_interval_draws_sentences_not_samples(self) -> None:
        alike = [(i, float(i % 2)) for i in range(20) for _ in range(50)]  # 20 sentences, each sure of itself
        apart = [(i, float(j % 2)) for i in range(20) for j in range(50)]
        wide, narrow = (measures.bootstrapped(samples, lambda some: float(np.mean(some))) for samples in (alike, apart))
        assert wide.value == narrow.value == 0.5
        assert wide.high - wide.low > 0.3
        assert narrow.high - narrow.low < 0.01

    def test_peak_lies_between_samples(self) -> None:
        lags = np.arange(-5.0, 6.0)
        assert measures.peak(lags, -((lags - 1.3) ** 2)) == pytest.approx(1.3)

    def test_spikes_are_what_one_frame_does_alone(self) -> None:
        ramp = np.linspace(0, 1, 20)
        assert measures.spikes(ramp, np.ones(20, bool)) == 0
        ramp[10] += 0.3
        assert measures.spikes(ramp, np.ones(20, bool)) > 0.05

    def test_a_still_track_has_no_rank_and_no_line(self) -> None:
        x, still = np.linspace(0, 1, 5), np.zeros(5)
        assert measures.rank_correlation(x, still) == measures.linearity(x, still) == 0
        assert measures.rank_correlation(x, x**3) == pytest.approx(1)
        assert measures.linearity(x, x**3) < 0.95


class TestReadings:
    def test_lengths_do_not_change_with_size_place_and_lean(self) -> None:
        points = np.random.default_rng(0).normal(size=(478, 2)) * 10
        points[list(readings.PUPILS)] = [(-40, 0), (40, 0)]
        points[[33, 263]] = [(-60, 0), (60, 0)]
        points[[13, 14]] = [(0, 80), (0, 96)]
        turn = np.array([[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]])
        moved = points @ turn.T * 1.7 + (30, -12)
        assert readings.aperture(points) == pytest.approx(0.2)
        for of in (readings.aperture, readings.width, readings.corners, readings.lids):
            assert of(moved) == pytest.approx(float(of(points)))

    def test_lips_that_overlap_are_shut(self) -> None:
        points = np.zeros((478, 2))
        points[list(readings.PUPILS)] = [(-40, 0), (40, 0)]
        points[[33, 263]] = [(-60, 0), (60, 0)]
        points[[13, 14]] = [(0, 90), (0, 88)]
        assert readings.aperture(points) == 0


class TestSpeaking:
    def test_perfect_lips_are_told_apart(self) -> None:
        found = speaking.gather([spoken(), spoken()])
        assert speaking.separation(found, speaking.OTHERS, BILABIAL, "opened").value == 1
        assert speaking.separation(found, speaking.SPREAD, speaking.ROUNDED, "width").value == 1
        assert speaking.shut(found, BILABIAL, "least").value == 1
        assert speaking.shut(found, speaking.STOPS, "aperture").value == 0

    def test_blind_lips_are_not(self) -> None:
        one = spoken()
        random = np.random.default_rng(0)
        blind = [
            Spoken(one.said, "x", random.uniform(0, 0.2, len(one.aperture)), one.width * 0, 0.01, 0.8)
            for _ in range(60)
        ]
        figure = speaking.separation(speaking.gather(blind), speaking.OTHERS, BILABIAL, "opened")
        assert figure.low < 0.5 < figure.high
        assert figure.n == 3 * 60

    @pytest.mark.parametrize("shift_ms", [-60, 0, 30, 80])
    def test_lag_finds_a_shift(self, shift_ms: int) -> None:
        pause = utterance((PAUSE,) * 4 + NAMES)
        assert speaking.lag_ms([spoken(shift_ms / 1000, pause)]).value == pytest.approx(shift_ms, abs=6)

    def test_rest_is_counted_from_the_last_phone(self) -> None:
        still, late = spoken(), spoken(0.2)
        assert speaking.rest_ms([still], 50).value <= 40
        assert speaking.rest_ms([late], 50).value == pytest.approx(200, abs=40)
        assert speaking.rest_ms([still, still, late], 100).value == pytest.approx(200, abs=40)

    def test_a_closure_between_frames_counts_within_the_phone(self) -> None:
        one = spoken()
        p = one.said.phones[2]
        frame = int(p.start_s * FPS) + 1  # shut in one frame of the phone alone
        one.aperture[:] = 0.2
        one.aperture[frame] = 0.0
        by_name = {moment.name: moment for moment in speaking.moments(one)}
        assert by_name["p"].least < 0.05 < by_name["t"].least

    def test_a_false_closure_is_counted_where_it_lies(self) -> None:
        names = (PAUSE, "aa", "n", "aa", "t", "p", "aa", "k", "aa", PAUSE, PAUSE)
        ours, told = spoken(said=utterance(names)), spoken(said=utterance(names))
        for i in (2, 4):  # n, far from the p, and t, right before it
            phone = ours.said.phones[i]
            ours.aperture[int(phone.start_s * FPS) : int(phone.end_s * FPS) + 1] = 0.0
        asked = {CLEAN: Condition([ours.said], Les())}
        both = [Subject("", LinearDriver(), ModelJudge(), asked, _seen={CLEAN: [one]}) for one in (ours, told)]
        away = {m.name: s for m, s in misses.stops(both[0], CLEAN)}
        assert away == pytest.approx({"n": 2.5 * PHONE_S, "t": 0.5 * PHONE_S, "k": 1.5 * PHONE_S})
        row = misses.misses_table(both[0], both[1], [CLEAN]).splitlines()[-1]
        assert row.split(" | ")[1:5] == ["2 of 3", "0 of 3", "0 of 0", "2 of 3"]


class TestRivals:
    def test_jaw_follows_loudness_and_the_noise_floor_does_not_open_it(self) -> None:
        random = np.random.default_rng(0)
        burst = np.repeat([0.0, 1.0, 0.0, 1.0, 0.0], SAMPLE_RATE // 2)
        sound = (0.001 + 0.1 * burst) * random.normal(size=len(burst))
        jaw = LoudnessJaw(0.5).drive([Utterance(sound.astype(np.float32), SAMPLE_RATE, ())], Les())[0][:, JAW]
        loud = burst[::CHUNK][: len(jaw)] > 0
        assert jaw[loud].mean() > 0.35
        assert np.delete(jaw[~loud], np.s_[12:15]).mean() < 0.1

    def test_jaw_hears_one_frame_ahead_and_no_more(self) -> None:
        sound = np.random.default_rng(0).normal(size=20 * CHUNK).astype(np.float32) * np.float32(0.1)
        sound[: 5 * CHUNK] = 0
        other = sound.copy()
        other[11 * CHUNK :] = 0
        a, b = LoudnessJaw().envelope(sound), LoudnessJaw().envelope(other)
        assert np.array_equal(a[:10], b[:10])
        assert a[10] != b[10]

    def test_linear_path_is_the_table(self) -> None:
        (face,) = LinearDriver().drive([utterance()], Les.of(units={"AU12": 0.5}))
        assert np.allclose(face, 0.5 * LES_TO_FACE[AXES.index("AU12")])


class TestAxes:
    def test_every_axis_has_a_region_and_a_sign(self) -> None:
        assert set(SIGHTS) == set(AXES)
        assert {number(axis)[0] for axis in AXES} == set(ACTS_ON)
        assert number("AUL12") == ("12", "L")

    def test_one_sided_axis_has_its_own_side_only(self) -> None:
        names = {name for name, own in zip(FACE, region("AUR12"), strict=True) if own}
        assert "mouthSmileRight" in names and "mouthSmileLeft" not in names

    def test_leak_is_the_share_outside(self) -> None:
        face = np.zeros((len(LEVELS), 3, len(FACE)), np.float32)
        face[:, :, FACE.index("browInnerUp")] = LEVELS[:, None] * 0.9
        face[:, :, JAW] = LEVELS[:, None] * 0.1
        found = response(face, "AU1")
        assert found.rank == pytest.approx(1) and found.line == pytest.approx(1)
        assert found.leak == pytest.approx(0.1, abs=1e-6)

    def test_a_bent_response_is_no_line(self) -> None:
        face = np.zeros((len(LEVELS), 1, len(FACE)), np.float32)
        face[:, 0, JAW] = LEVELS**4
        assert response(face, "AU26").line < 0.95

    def test_what_does_not_move_does_not_rise(self) -> None:
        still = np.zeros((5, len(FACE)), np.float32)
        assert not rise(ModelJudge(), still, "AU12").seen
        smile = np.linspace(0, 1, 5)[:, None] * LES_TO_FACE[AXES.index("AU12")]
        assert rise(ModelJudge(), smile.astype(np.float32), "AU12").seen

    def test_a_rise_within_the_error_is_not_seen(self) -> None:
        up = np.linspace(0, 0.01, 5).astype(np.float32)
        assert Rise(up, 0.003).seen and not Rise(up, 0.004).seen


class TestTables:
    def test_targets_are_marked(self) -> None:
        row = Row("x", CLEAN, closed, least=0.9)
        assert cell(measures.Figure(0.95), row, True).endswith("✓")
        assert cell(measures.Figure(0.85), row, True).endswith("✗")
        assert cell(measures.Figure(0.85), row, False) == "0.850"


class TestNoises:
    def test_noise_stands_at_the_ratio_asked_for(self) -> None:
        sound = np.random.default_rng(0).normal(size=SAMPLE_RATE).astype(np.float32) * np.float32(0.1)
        (heard,) = material.noisy([Utterance(sound, SAMPLE_RATE, ())], 10)
        assert 20 * np.log10(sound.std() / (heard.samples - sound).std()) == pytest.approx(10, abs=0.5)

    def test_backgrounds_have_their_level(self) -> None:
        sounds = material.backgrounds()
        for name, sound in sounds.items():
            wanted = float(name.split(",")[-1].removesuffix(" dBFS")) if "dBFS" in name else -np.inf
            assert 20 * np.log10(sound.std() + 1e-12) == pytest.approx(wanted, abs=0.2) or not sound.any()
            assert np.abs(sound).max() <= 1


class Counting(PictureJudge):
    """Counts the pictures that are looked at."""

    looked = 0

    def _look(self, portrait: str, faces: Floats, steps: npt.NDArray[np.int32]) -> Watched:
        self.looked += len(faces)
        return super()._look(portrait, faces, steps)


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Counting]:
    pytest.importorskip("mediapipe")
    with Counting(tmp_path_factory.mktemp("readings")) as judge:
        yield judge


class TestWhole:
    """From the voice of flite through the shipped graph and the renderer to MediaPipe."""

    def test_lips_are_read_off_the_picture(self, judge: Counting) -> None:
        asked = {CLEAN: Condition([material.placed(Flite("rms").speak("Bob may map a poppy.", _random()))], Les())}
        ours = Subject("CDAN", NetworkDriver(), judge, asked)
        assert consonants(ours, CLEAN).n >= 5
        assert closed(ours, CLEAN).value >= 0.8
        model = Subject("CDAN", NetworkDriver(), ModelJudge(), asked)
        pair = [s.spoken(CLEAN)[0] for s in (ours, model)]
        assert measures.correlation(pair[0].aperture, pair[1].aperture) > 0.9
        jaw = Subject("jaw", LoudnessJaw(0.3), ModelJudge(), asked)
        assert closed(jaw, CLEAN).value < 0.5

    def test_what_was_seen_is_not_looked_at_again(self, judge: Counting) -> None:
        before, faces = judge.looked, np.zeros((3, 69), np.float32)
        faces[:, -1] = 1
        first, second = judge.watch("anna", faces), judge.watch("anna", faces)
        assert judge.looked == before + 3
        assert np.array_equal(first.points, second.points)

    def test_silence_is_still(self, judge: Counting) -> None:
        found = listen(NetworkDriver(), judge, np.zeros(SAMPLE_RATE, np.float32))
        assert found.spread < 1e-6 and found.still == 1
        assert found.mean < 0.03

    def test_network_is_driven_as_the_avatar_drives_it(self) -> None:
        said = [utterance()]
        said[0].samples[:] = np.random.default_rng(1).normal(size=len(said[0].samples)) * 0.1
        les = Les.of(emotion={"happiness": 0.5})
        avatar = AvatarDriver(prepare(default_photo("anna"))).drive(said, les)[0]
        (alone,) = NetworkDriver().drive(said, les)
        moved = ("eye", "brow")  # what the head's own motion adds to
        same = [i for i, name in enumerate(FACE) if not name.startswith(moved)]
        assert len(avatar) == len(alone)
        assert np.allclose(avatar[:, same], alone[:, same], atol=1e-4)


class TestSealing:
    def test_tells_what_the_stream_does_and_a_higher_half_shuts_less(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts, "sentences", lambda _: (text for text in material.TEXTS if len(text) < 90))
        spoken, net = sealing.said({"slt": 2}), load()
        context = sealing.contexts(net, spoken)
        low, ours, high = (sealing.figures(net, context, spoken, half) for half in (0.01, SEAL_HALF, 0.99))
        served = Subject("", NetworkDriver(), ModelJudge(), {CLEAN: Condition(spoken, Les())})
        assert float(ours[0]) == pytest.approx(consonants(served, CLEAN).value, abs=0.01)
        assert float(ours[2]) == pytest.approx(closed(served, CLEAN).value, abs=0.01)
        assert float(low[2]) >= float(ours[2]) > float(high[2])
        assert float(low[3]) > float(high[3])


def _random() -> np.random.Generator:
    return np.random.default_rng(3)
