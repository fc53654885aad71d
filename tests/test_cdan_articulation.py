"""How a mouth speaks: what phonetics knows of each class, read from the tracks and from the picture."""

import functools
import shutil

import numpy as np
import numpy.typing as npt
import pytest
import torch
from scipy.signal import periodogram

from engine.cdan.network import LipSeal
from engine.cdan.training import articulation, moods, phones
from engine.cdan.training.articulation import CHANNELS, GESTURES, Tracks, tracks
from engine.cdan.training.composition import Mouth, compose, table
from engine.cdan.training.lips import GAP
from engine.cdan.training.phones import BILABIAL, CONSONANTS, PAUSE, VOWELS, Phone
from engine.cdan.training.sheet import SENTENCES, speak
from engine.face.coefficients import FACE
from engine.les import AXES, EMOTIONS, Les
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.portrait.landmarks import find_faces
from engine.renderer import CpuRenderer
from engine.tracks import rest
from engine.units import FPS

Floats = npt.NDArray[np.float32]
START_S = 0.5


def said(*names: str, each_s: float = 0.1, loud: float = 0.56) -> Tracks:
    """Phones of equal length between half a second of rest on both sides."""
    return spoken_for([(name, each_s) for name in names], loud)


def spoken_for(row: list[tuple[str, float]], loud: float = 0.56) -> Tracks:
    """Phones of given seconds, likewise."""
    spoken, at = [Phone(PAUSE, 0.0, START_S)], START_S
    for name, length in row:
        spoken.append(Phone(name, at, at + length))
        at += length
    spoken.append(Phone(PAUSE, at, at + 0.5))
    hops = round(100 * (at + 0.5)) // 4 * 4
    loudness = np.zeros(hops, np.float32)
    loudness[round(100 * START_S) : round(100 * at)] = loud
    return tracks(spoken, loudness)


def course(moves: Tracks, name: str) -> Floats:
    return moves.speech[:, FACE.index(name if name in FACE else f"{name}Left")]


def peak(moves: Tracks, name: str) -> float:
    return float(course(moves, name).max())


def at(moves: Tracks, name: str, second: float) -> float:
    """Of a channel, or of the seal; linear between the frames' middles."""
    values = moves.seal if name == "seal" else course(moves, name)
    return float(np.interp(second, (np.arange(len(values)) + 0.5) / FPS, values))


class TestEveryPhone:
    def test_has_a_gesture_of_known_channels(self) -> None:
        assert GESTURES.keys() == set(phones.PHONES)
        assert {c for row in GESTURES.values() for g in row for c in g.targets} <= set(CHANNELS)

    @pytest.mark.parametrize("phone", phones.PHONES)
    def test_moves_within_the_coefficients_range(self, phone: str) -> None:
        moves = said("aa", phone, "iy", loud=1.0)
        assert 0 <= moves.speech.min() and moves.speech.max() <= 1

    def test_heard_is_the_one_at_the_frames_middle(self) -> None:
        assert phones.PHONES[said("aa", "m", "iy").phone[int(0.62 * FPS)]] == "m"


class TestClosures:
    @pytest.mark.parametrize("phone", sorted(BILABIAL))
    @pytest.mark.parametrize("length", [0.03, 0.06, 0.1])
    @pytest.mark.parametrize("offset", [0.0, 0.01, 0.02, 0.03])
    def test_are_complete_however_short_and_wherever_the_frames_fall(
        self, phone: str, length: float, offset: float
    ) -> None:
        moves = spoken_for([("aa", 0.1 + offset), (phone, length), ("aa", 0.1)])
        assert moves.seal.max() == 1

    @pytest.mark.parametrize("phone", sorted(set(CONSONANTS) - BILABIAL))
    def test_are_the_bilabials_alone(self, phone: str) -> None:
        assert said("aa", phone, "aa").seal.max() == 0

    def test_take_their_time_between_long_vowels(self) -> None:
        """Shut at the phone's start, not yet 50 ms before it, open again 80 ms after the release."""
        moves = spoken_for([("aa", 0.2), ("b", 0.1), ("aa", 0.2)])
        assert at(moves, "seal", 0.70) > 0.95
        assert 0.05 < at(moves, "seal", 0.66) < 0.8
        assert at(moves, "seal", 0.60) == 0
        assert at(moves, "seal", 0.78) > 0.8 and at(moves, "seal", 0.88) == 0

    def test_leave_short_neighbours_open(self) -> None:
        moves = said("m", "ih", "b", "n", "m", each_s=0.06)
        assert at(moves, "seal", START_S + 1.5 * 0.06) < 0.7
        assert at(moves, "seal", START_S + 3.5 * 0.06) < 0.7

    def test_an_m_at_the_end_stays_shut_into_the_rest(self) -> None:
        moves = said("aa", "m")
        shut = moves.seal[moves.activity > 0][int(0.15 * FPS) + 2 :]
        assert shut.min() > 0.5
        assert at(said("aa", "p"), "seal", 0.74) < 0.1  # a p is released


class TestContacts:
    @pytest.mark.parametrize("phone", ["f", "v"])
    @pytest.mark.parametrize("vowel", ["aa", "uw", "iy"])
    def test_lower_lip_meets_the_teeth(self, phone: str, vowel: str) -> None:
        moves = said(vowel, phone, vowel)
        middle = START_S + 0.15
        assert at(moves, "lipBite", middle) > 0.2 and at(moves, "jawOpen", middle) < 0.13

    @pytest.mark.parametrize("phone", sorted(set(phones.PHONES) - {"f", "v"}))
    def test_no_other_phone_bites_the_lip(self, phone: str) -> None:
        assert peak(said("aa", phone, "aa"), "lipBite") == 0

    def test_tongue_shows_for_th_only(self) -> None:
        shown = {phone for phone in phones.PHONES if peak(said("aa", phone, "aa"), "tongueOut") > 0}
        assert shown == {"th", "dh"}

    def test_contacts_are_made_in_fast_and_quiet_speech_too(self) -> None:
        quiet = spoken_for([("aa", 0.06), ("f", 0.05)] * 4, loud=0.1)
        assert peak(quiet, "lipBite") > 0.8 * peak(said("aa", "f", "aa"), "lipBite")


class TestRounding:
    def test_starts_two_phones_ahead(self) -> None:
        moves, spread = said("iy", "t", "w", "uw"), said("iy", "t", "s", "iy")
        assert at(moves, "mouthPucker", START_S + 0.15) > 0.1
        assert at(moves, "mouthPucker", START_S + 0.25) > 0.7
        assert peak(spread, "mouthPucker") < 0.02

    def test_rises_slower_than_the_jaw(self) -> None:
        moves = said("s", "s", "ao")
        target = {name: peak(moves, name) for name in ("mouthFunnel", "jawOpen")}
        early = {name: at(moves, name, START_S + 0.17) / value for name, value in target.items()}
        assert early["mouthFunnel"] > 0.1 + early["jawOpen"]

    def test_tells_rounded_vowels_from_spread_ones(self) -> None:
        for rounded in ("uw", "ow", "ao"):
            assert peak(said("t", rounded, "t"), "mouthFunnel") > 0.1 > peak(said("t", "iy", "t"), "mouthFunnel")
        assert peak(said("t", "iy", "t"), "mouthStretch") > 0.25


class TestJaw:
    def test_order_of_vowels(self) -> None:
        heights = [peak(said("t", vowel, "t", each_s=0.15), "jawOpen") for vowel in ("aa", "eh", "ih", "iy", "uw")]
        assert heights == sorted(heights, reverse=True)

    def test_hisses_close_it_and_back_consonants_do_not(self) -> None:
        middle = START_S + 0.15
        hiss, tip, back = (at(said("aa", phone, "aa"), "jawOpen", middle) for phone in ("s", "t", "k"))
        assert hiss < tip < back

    def test_tongue_consonants_leave_lips_to_their_neighbours(self) -> None:
        rounded, spread = (at(said(v, "k", v), "mouthPucker", START_S + 0.15) for v in ("uw", "iy"))
        assert rounded > 0.6 and spread == 0


class TestEffort:
    def test_loud_opens_wider_by_the_jaw_above_all(self) -> None:
        loud, quiet = said("aa", loud=1.0), said("aa", loud=0.2)
        assert peak(loud, "jawOpen") > 1.2 * peak(quiet, "jawOpen")
        assert peak(loud, "jawOpen") / peak(quiet, "jawOpen") > peak(loud, "mouthLowerDown") / peak(
            quiet, "mouthLowerDown"
        )

    def test_haste_moves_less(self) -> None:
        slow, fast = said(*["aa", "t"] * 6, each_s=0.12), said(*["aa", "t"] * 6, each_s=0.05)
        assert peak(slow, "jawOpen") > 1.15 * peak(fast, "jawOpen")

    def test_a_stressed_vowel_reaches_further_than_the_same_unstressed(self) -> None:
        """Its length counts beyond what a longer phone reaches anyway: the targets' own size differs."""
        row = [Phone("eh", 0.3 * i, 0.3 * i + (0.2 if i == 2 else 0.1)) for i in range(5)]
        stress = articulation._stress(row, np.full(160, 0.5, np.float32))
        assert stress[2] > 1.1 and stress[0] == stress[4] == 1

    def test_a_reduced_vowel_gives_way_to_its_neighbours(self) -> None:
        def carried(vowel: str) -> float:
            return at(said("w", vowel, "w", each_s=0.08), "mouthPucker", START_S + 0.12)

        assert carried("ax") > carried("ih") > 0


class TestRest:
    def test_is_exactly_zero(self) -> None:
        moves = said("aa", "m", "iy")
        assert moves.speech[: int(0.4 * FPS)].max() == 0 and moves.speech[int(0.95 * FPS) :].max() == 0
        assert moves.activity[0] == moves.activity[-1] == 0 and at(moves, "seal", 0.3) == 0

    def test_does_not_come_in_a_short_pause(self) -> None:
        moves = said("aa", PAUSE, "aa")
        assert moves.activity[int(START_S * FPS) : int(0.8 * FPS)].min() > 0.9

    def test_nothing_jumps(self) -> None:
        """The jaw covers its range in three frames or more, lips round in as many; in a row of every phone."""
        moves = said(*sorted(VOWELS), *sorted(CONSONANTS), each_s=0.08)
        assert np.abs(np.diff(course(moves, "jawOpen"))).max() < 0.22
        assert np.abs(np.diff(course(moves, "mouthPucker"))).max() < 0.33


@pytest.mark.skipif(not shutil.which("flite"), reason="flite speaks the sentences")
class TestSentences:
    """Real phone times: every closure of a sentence shuts the lips, no other consonant does."""

    SHUT = 0.02

    @pytest.mark.parametrize("text", SENTENCES.values())
    @pytest.mark.parametrize("emotion", ["", "anger", "surprise"])
    def test_only_closures_shut_the_lips(self, text: str, emotion: str) -> None:
        scene = speak(text, Les.of(emotion={emotion: 0.8} if emotion else {}))
        gap = scene.faces[:, : len(FACE)] @ GAP
        middles = (np.arange(len(gap)) + 0.5) / FPS
        for phone in scene.said.phones:
            inside = (middles >= phone.start_s) & (middles <= phone.end_s)
            if phone.name in BILABIAL:
                assert gap[inside].min(initial=gap.max()) < self.SHUT or not inside.any(), phone
            elif phone.name in CONSONANTS:
                middle = 0.5 * (phone.start_s + phone.end_s)
                assert np.interp(middle, middles, gap) > 1.5 * self.SHUT, phone

    def test_lips_do_not_flutter(self) -> None:
        """People's lips move at syllables' rates: hardly anything happens over 8 Hz."""
        spectra = []
        for text in SENTENCES.values():
            gap = speak(text, Les()).faces[:, : len(FACE)] @ GAP
            hertz, power = periodogram(gap, FPS, window="hann", nfft=512)
            spectra.append(power * len(gap))
        assert np.sum(spectra, axis=0)[hertz > 8].sum() < 0.03 * np.sum(spectra)


def face(emotion: dict[str, float], mouth: Mouth) -> Floats:
    les = torch.tensor([[emotion.get(axis, 0.0) for axis in AXES]])
    return np.asarray(compose(les, mouth, table(), LipSeal())[0].numpy())


def mouth(seal: float = 0.0, activity: float = 1.0, **spoken: float) -> Mouth:
    speech = torch.tensor([[spoken.get(name, 0.0) for name in FACE]])
    return Mouth(speech, torch.tensor([seal]), torch.tensor([activity]))


class TestComposition:
    SILENT = mouth(activity=0.0)

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_in_silence_the_table_alone_counts(self, emotion: str) -> None:
        units = dict(EMOTIONS[emotion])
        expected = sum(level * table()[AXES.index(axis)] for axis, level in units.items())
        np.testing.assert_allclose(face(units, self.SILENT), torch.as_tensor(expected).clamp(0, 1), atol=1e-6)

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_lips_shut_over_every_emotion(self, emotion: str) -> None:
        shut = face(dict(EMOTIONS[emotion]), mouth(seal=1.0, jawOpen=0.2, mouthUpperUpLeft=0.2))
        assert shut[FACE.index("mouthClose")] >= shut[FACE.index("jawOpen")] - 1e-6
        assert all(shut[FACE.index(name)] == 0 for name in ("mouthLowerDownLeft", "mouthLowerDownRight"))

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_brows_and_lids_are_free_while_speaking(self, emotion: str) -> None:
        upper = [i for i, name in enumerate(FACE) if name.startswith(("brow", "eye"))]
        units = dict(EMOTIONS[emotion])
        speaking = face(units, mouth(seal=0.5, jawOpen=0.4, mouthPucker=0.5))
        assert np.array_equal(speaking[upper], face(units, self.SILENT)[upper])

    def test_mouth_units_yield_and_corners_stay(self) -> None:
        assert face({"AU24": 1.0}, mouth())[FACE.index("mouthPressLeft")] < 0.2
        assert face({"AU19": 1.0}, mouth())[FACE.index("tongueOut")] < 0.2
        assert face({"AU15": 1.0}, mouth())[FACE.index("mouthFrownLeft")] == pytest.approx(1)

    def test_rounding_takes_from_a_smile_and_a_smile_from_rounding(self) -> None:
        rounded = face({"AU12": 1.0}, mouth(mouthPucker=0.6))
        assert rounded[FACE.index("mouthSmileLeft")] < 0.75
        assert rounded[FACE.index("mouthPucker")] < 0.5

    def test_speech_opens_a_smile(self) -> None:
        lip = FACE.index("mouthUpperUpLeft")
        assert face({"AU12": 1.0}, mouth(jawOpen=0.3))[lip] > face({}, mouth(jawOpen=0.3))[lip] + 0.1

    def test_the_jaws_range_follows_arousal(self) -> None:
        jaw, lips, offset = FACE.index("jawOpen"), mouth(jawOpen=0.4), mouth()

        def range_of(emotion: str) -> float:
            units = dict(EMOTIONS[emotion])
            return float(face(units, lips)[jaw] - face(units, offset)[jaw])

        assert range_of("sadness") < 0.9 * 0.4 < 0.4 < range_of("anger")
        assert range_of("surprise") > 1.1 * 0.4 and range_of("happiness") > 1.05 * 0.4


class TestMoods:
    def test_are_levels_that_move_and_rest(self) -> None:
        courses = moods.courses(64, 256, torch.Generator().manual_seed(0))
        assert courses.shape == (64, 256, len(AXES))
        assert courses.min() >= 0 and courses.max() <= 1
        resting = (courses.amax(dim=(1, 2)) == 0).float().mean()
        assert 0.1 < resting < 0.5
        assert (courses.diff(dim=1).abs().amax(dim=(1, 2)) > 0).float().mean() > 0.3


@functools.cache
def portrait(who: str) -> Portrait:
    return prepare(default_photo(who))


@functools.cache
def renderer() -> CpuRenderer:
    return CpuRenderer(512)


def lips(who: str, moves: Tracks, second: float, emotion: str | None = None) -> tuple[float, float]:
    """Aperture and width in inter-ocular distances, as the landmarks see them in the picture of a moment."""
    frame = int(second * FPS)
    spoken = Mouth(*(torch.from_numpy(x[frame : frame + 1]) for x in (moves.speech, moves.seal, moves.activity)))
    coefficients = rest()
    coefficients[: len(FACE)] = face(dict(EMOTIONS[emotion]) if emotion else {}, spoken)
    points = find_faces(renderer().render(portrait(who), coefficients))[0].points
    unit = np.linalg.norm(points[468, :2] - points[473, :2])
    return float((points[14, 1] - points[13, 1]) / unit), float(np.linalg.norm(points[61, :2] - points[291, :2]) / unit)


@pytest.mark.parametrize("who", default_names())
class TestPicture:
    MIDDLE = START_S + 0.15
    SHUT = 0.03

    @pytest.mark.parametrize("emotion", [None, "anger", "disgust", "happiness", "surprise"])
    def test_lips_are_shut_for_m(self, who: str, emotion: str | None) -> None:
        assert lips(who, said("aa", "m", "aa"), self.MIDDLE, emotion)[0] < self.SHUT

    @pytest.mark.parametrize("phone", ["k", "n", "t", "s", "sh", "f", "w", "iy", "uw"])
    def test_they_are_not_for_others(self, who: str, phone: str) -> None:
        assert lips(who, said("iy", phone, "iy"), self.MIDDLE)[0] > 1.3 * self.SHUT

    def test_rounded_is_narrower_than_spread(self, who: str) -> None:
        width = {v: lips(who, said("t", v, "t", each_s=0.1), self.MIDDLE)[1] for v in ("uw", "ow", "iy", "aa")}
        assert max(width["uw"], width["ow"]) < 0.93 * width["aa"] < 0.98 * width["iy"]

    def test_a_closure_does_not_widen_the_mouth(self, who: str) -> None:
        at_rest = lips(who, said("ax"), 0.1)[1]
        assert lips(who, said("ax", "m", "ax"), self.MIDDLE)[1] < 1.05 * at_rest
