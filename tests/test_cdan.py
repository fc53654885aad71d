"""CDAN keeps its promises: causal, chunked equals offline, linear and still in silence, shipped as it stands here."""

import itertools
from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from engine.audio.mel import BANDS, BINS, FLOOR, WINDOW, mel_filters
from engine.cdan import CDAN_GRAPH, CDAN_WEIGHTS, Cdan, Floats, StreamState, cpu
from engine.cdan.constants import (
    ACTIVITY_HIGH,
    ACTIVITY_LOW,
    CONTRAST_HOPS,
    FINE_BINS,
    FINE_FIRST,
    FINE_WINDOW,
    PAST,
    RISE,
    SEAL_HALF,
    Config,
)
from engine.cdan.network import Cdan as Net
from engine.cdan.network import LipSeal, State, pressed, ramp
from engine.cdan.spectra import Spectra, masked, noise_floor
from engine.cdan.training.export import load, write_graph
from engine.face import load as load_head
from engine.face.coefficients import FACE
from engine.face.les_map import LES_TO_FACE
from engine.les import AXES, EMOTIONS, Les
from engine.runtime import OpenVinoNetwork
from engine.units import CHUNK, FPS, HOP, HOPS_PER_FRAME, SAMPLE_RATE
from server.talk import talk

UNITS, COEFFICIENTS = len(AXES), len(FACE)
SIZES = [[1], [2], [4], [8], [13], [1, 7, 3, 16]]


def speech_like(seconds: float, seed: int = 0) -> Floats:
    """Bursts of a buzz with moving formants between pauses: not speech, but it opens the gate and moves every part."""
    random = np.random.default_rng(seed)
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    phase = 2 * np.pi * np.cumsum(120 + 30 * np.sin(2 * np.pi * 0.7 * t)) / SAMPLE_RATE
    first, second = 500 + 300 * np.sin(2 * np.pi * 2.3 * t), 1500 + 600 * np.sin(2 * np.pi * 1.7 * t)
    sound = np.zeros(len(t))
    for k in range(1, 30):
        sound += np.sin(k * phase) / (1 + np.minimum(abs(k * 120 - first), abs(k * 120 - second)) / 200)
    syllables = np.clip(3 * np.sin(2 * np.pi * 3.1 * t), 0, 1) * (np.sin(2 * np.pi * 0.4 * t) > -0.6)
    return np.asarray(0.05 * sound * syllables + 1e-4 * random.normal(size=len(t)), np.float32)


def stack(seconds: float, batch: int = 1) -> Tensor:
    whole = int(seconds * FPS) * CHUNK
    return torch.from_numpy(np.stack([speech_like(seconds, seed)[:whole] for seed in range(batch)]))


def ahead(frames: int, batch: int = 1) -> Tensor:
    return torch.full((batch,), frames, dtype=torch.int32)


def in_chunks(net: Net, pcm: Tensor, les: Tensor, look_ahead: Tensor, sizes: list[int]) -> tuple[Tensor, State]:
    """Coefficients of steps of `sizes` frames, repeated until the sound is over, and the last state."""
    state, at = net.init_state(len(pcm)), 0
    out: list[Tensor] = []
    for size in itertools.cycle(sizes):
        if at >= les.shape[1]:
            return torch.cat(out, dim=1), state
        said, state = net.step(pcm[:, at * CHUNK : (at + size) * CHUNK], les[:, at : at + size], look_ahead, state)
        out.append(said.coefficients)
        at += size
    raise AssertionError("unreachable")


@pytest.fixture(scope="module")
def shipped() -> Net:
    return load()


@pytest.fixture(scope="module")
def exact() -> Net:
    """The shipped weights in double precision."""
    return load().double()


@pytest.fixture(scope="module")
def served() -> Cdan:
    return Cdan()


class TestStreamingEqualsOffline:
    SECONDS = 5.2 * Config().window / FPS  # past five windows of attention

    @torch.inference_mode()
    @pytest.mark.parametrize("sizes", SIZES, ids=str)
    def test_any_chunking(self, exact: Net, sizes: list[int]) -> None:
        pcm = stack(self.SECONDS, batch=2).double()
        les = torch.rand(
            2, pcm.shape[1] // CHUNK, UNITS, dtype=torch.float64, generator=torch.Generator().manual_seed(1)
        )
        offline = exact(pcm, les, ahead(1, 2)).coefficients
        chunked, _ = in_chunks(exact, pcm, les, ahead(1, 2), sizes)
        assert chunked.shape == offline.shape == (2, pcm.shape[1] // CHUNK, COEFFICIENTS)
        assert offline.std() > 0.01
        torch.testing.assert_close(chunked, offline, rtol=0, atol=1e-12)

    @torch.inference_mode()
    def test_state_forgets_what_left_every_window(self, exact: Net) -> None:
        """Two pasts, one present: when the noise floor has met in a pause and the whole context has passed, the states
        agree again."""
        pause, context = torch.zeros(1, 4 * FPS * CHUNK), Config().layers * (Config().window + 1) + 12
        present = torch.cat([pause, stack(context / FPS + 1)], dim=1).double()
        states = []
        for past in (torch.zeros(1, 10 * CHUNK, dtype=torch.float64), stack(0.4).double()):
            pcm = torch.cat([past, present], dim=1)
            les = torch.zeros(1, pcm.shape[1] // CHUNK, UNITS, dtype=torch.float64)
            states.append(in_chunks(exact, pcm, les, ahead(0), [16])[1])
        for one, other in zip(*states, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-10)


class TestCausality:
    @torch.inference_mode()
    @pytest.mark.parametrize("look_ahead", [0, 1, 2])
    def test_the_future_changes_nothing_before_it(self, exact: Net, look_ahead: int) -> None:
        """A later sound leaves earlier outputs bit-identical. The output after chunk n belongs to chunk n - look_ahead,
        so frame k is free of every chunk after k + look_ahead."""
        frames, change = 80, 40
        pcm = stack(frames / FPS).double()
        other = pcm.clone()
        other[:, change * CHUNK :] += 0.1 * torch.randn(other[:, change * CHUNK :].shape, dtype=torch.float64)
        les = torch.zeros(1, frames, UNITS, dtype=torch.float64)
        before, after = (exact(x, les, ahead(look_ahead)).coefficients for x in (pcm, other))
        assert torch.equal(before[:, :change], after[:, :change])
        assert not torch.equal(before[:, change:], after[:, change:])

    @torch.inference_mode()
    def test_emotion_has_no_memory(self, exact: Net) -> None:
        """The vector given with a step is the one shown in its output, whatever came before."""
        pcm = stack(2).double()
        les = torch.zeros(1, 50, UNITS, dtype=torch.float64)
        pulse = les.clone()
        pulse[:, 25, AXES.index("AU12")] = 1
        calm, smiling = (exact(pcm, x, ahead(1)).coefficients for x in (les, pulse))
        changed = (calm != smiling).any(dim=2)[0]
        assert changed.nonzero().flatten().tolist() == [25]


class TestBatch:
    @torch.inference_mode()
    def test_streams_do_not_meet(self, exact: Net) -> None:
        pcm, frames = stack(2, batch=3).double(), 50
        les = torch.rand(3, frames, UNITS, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        mixed = torch.tensor([0, 1, 2], dtype=torch.int32)
        together = exact(pcm, les, mixed).coefficients
        for i in range(3):
            alone = exact(pcm[i : i + 1], les[i : i + 1], mixed[i : i + 1]).coefficients
            torch.testing.assert_close(together[i : i + 1], alone, rtol=0, atol=1e-12)

    def test_served_streams_do_not_meet(self, served: Cdan) -> None:
        sounds = [speech_like(1.2, seed).reshape(-1, CHUNK) for seed in range(3)]
        les = np.random.default_rng(0).random((3, UNITS), np.float32)
        alone = [run(served, s, les[i : i + 1], i) for i, s in enumerate(sounds)]
        states = [served.open() for _ in sounds]
        for n in range(len(sounds[0])):
            heard = served.step(np.stack([s[n] for s in sounds]), les, [0, 1, 2], states)
            states = heard.states
            np.testing.assert_allclose(heard.coefficients, [a[n] for a in alone], atol=2e-5)


def run(served: Cdan, chunks: Floats, les: Floats, look_ahead: int = 1) -> list[Floats]:
    """Coefficients of one stream under a constant emotion [1, 41]."""
    state: StreamState = served.open()
    out = []
    for chunk in chunks:
        heard = served.step(chunk[None], les, [look_ahead], [state])
        state = heard.states[0]
        out.append(heard.coefficients[0])
    return out


def in_noise(sound: Floats, snr_db: float = 10) -> Floats:
    """White noise for that sound."""
    noise = np.random.default_rng(1).normal(size=len(sound)) * sound.std() * 10 ** (-snr_db / 20)
    return np.asarray(noise, np.float32)


class TestThirdOpinion:
    """It is heard where noise masks consonants, and nowhere else."""

    @torch.inference_mode()
    def shares(self, net: Net, sound: Floats) -> Floats:
        mel = net.spectra.step(torch.from_numpy(sound)[None], torch.zeros(1, PAST))[0].mel
        return masked(mel, torch.zeros(1, CONTRAST_HOPS - HOPS_PER_FRAME))[0][0].numpy()

    def test_noise_is_told_by_how_high_speech_stands_over_it(self, shipped: Net) -> None:
        sound = talk(20).ravel()
        assert self.shares(shipped, sound).max() == 0
        told = [self.shares(shipped, sound + in_noise(sound, snr)).mean() for snr in (40, 25, 10)]
        assert told[0] < 0.1 and told[0] < told[1] < told[2] and told[2] > 0.7

    @torch.inference_mode()
    def test_in_quiet_nothing_depends_on_it(self) -> None:
        with_it, without = load(), load()
        torch.nn.init.zeros_(without.noise_glance.opinion.weight)
        torch.nn.init.zeros_(without.noise_glance.opinion.bias)
        sound = talk(10).ravel()
        les = torch.zeros(1, len(sound) // CHUNK, UNITS)

        def logits(net: Net, heard: Floats) -> Tensor:
            said: Tensor = net(torch.from_numpy(heard)[None], les, ahead(1)).seal_logit[0]
            return said

        speaks = with_it(torch.from_numpy(sound)[None], les, ahead(1)).prosody[0, :, 0] > 0
        assert torch.equal(logits(with_it, sound)[speaks], logits(without, sound)[speaks])
        noisy = sound + in_noise(sound)
        assert float((logits(with_it, noisy) - logits(without, noisy))[speaks].abs().mean()) > 0.1


class TestWhatShips:
    @torch.inference_mode()
    def test_graph_equals_torch_over_ten_minutes(self, shipped: Net) -> None:
        """Torch in steps of ten seconds, the graph in steps of one chunk, both from the same start."""
        graph = Cdan(OpenVinoNetwork(CDAN_GRAPH))
        minute = stack(60)
        pcm = torch.cat([minute * gain for gain in (1.0, 0.1, 3.0, 0.3, 1.0, 0.03, 1.0, 0.5, 0.0, 1.0)], dim=1)
        frames = pcm.shape[1] // CHUNK
        les = torch.rand(1, frames, UNITS, generator=torch.Generator().manual_seed(3))
        offline, _ = in_chunks(shipped, pcm, les, ahead(1), [10 * FPS])
        state, given = graph.open(), []
        for chunk, levels in zip(pcm.reshape(-1, 1, CHUNK).numpy(), les[0, :, None].numpy(), strict=True):
            heard = graph.step(chunk, levels, [1], [state])
            state = heard.states[0]
            given.append(heard.coefficients[0])
        assert offline.std() > 0.01 and len(given) == 600 * FPS
        np.testing.assert_allclose(np.stack(given), offline[0].numpy(), atol=1e-4)

    def test_its_steps_are_the_graphs(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Matrices as they are, every look-ahead, units at work."""
        monkeypatch.setattr(cpu, "LARGE", 1 << 40)
        graph, ours = Cdan(OpenVinoNetwork(CDAN_GRAPH)), Cdan(cpu.CpuNetwork(CDAN_WEIGHTS))
        sound, les = speech_like(4), np.random.default_rng(7).random((1, UNITS), np.float32)
        sound[len(sound) // 2 :] += in_noise(sound[len(sound) // 2 :])
        sound = sound.reshape(-1, CHUNK)
        for look_ahead in range(3):
            np.testing.assert_allclose(
                run(ours, sound, les, look_ahead), run(graph, sound, les, look_ahead), rtol=0, atol=1e-4
            )

    def test_eight_bits_say_what_the_graph_says(self, served: Cdan) -> None:
        """Over a minute of speech, half of it in noise. A picture shows no difference of 0.01."""
        sound, les = talk(60).copy(), np.zeros((1, UNITS), np.float32)
        sound[len(sound) // 2 :] += 0.01 * np.random.default_rng(0).standard_normal(CHUNK).astype(np.float32)
        exact, eight = (np.array(run(net, sound, les)) for net in (Cdan(OpenVinoNetwork(CDAN_GRAPH)), served))
        differs = np.abs(exact - eight)[:, exact.std(axis=0) > 0.01]
        assert differs.shape[1] > 10 and np.quantile(differs, 0.999) < 0.01 and differs.mean() < 0.001

    def test_graph_equals_a_fresh_export(self, shipped: Net, tmp_path: Path) -> None:
        write_graph(shipped, tmp_path / "fresh.onnx")
        kept, fresh = (Cdan(OpenVinoNetwork(graph)) for graph in (CDAN_GRAPH, tmp_path / "fresh.onnx"))
        les = np.random.default_rng(5).random((1, UNITS), np.float32)
        chunks = speech_like(3).reshape(-1, CHUNK)
        np.testing.assert_array_equal(run(kept, chunks, les), run(fresh, chunks, les))

    def test_sizes_stay_within_what_was_promised(self) -> None:
        state = OpenVinoNetwork(CDAN_GRAPH).signature.inputs[3:]
        assert [spec.name for spec in state] == [f"{field}_in" for field in State._fields]
        assert sum(4 * np.prod([n or 1 for n in spec.shape]) for spec in state) < 256 * 1024
        assert CDAN_WEIGHTS.stat().st_size < 12e6


class TestSilence:
    LOOK_AHEADS = pytest.mark.parametrize("look_ahead", [0, 1, 2])

    @LOOK_AHEADS
    def test_rest_is_exactly_still(self, served: Cdan, look_ahead: int) -> None:
        silence = np.zeros((4 * FPS, CHUNK), np.float32)
        assert np.abs(run(served, silence, np.zeros((1, UNITS), np.float32), look_ahead)).max() == 0

    @LOOK_AHEADS
    def test_rest_comes_back_after_speech(self, served: Cdan, look_ahead: int) -> None:
        sound = np.concatenate([speech_like(3), np.zeros(3 * SAMPLE_RATE, np.float32)]).reshape(-1, CHUNK)
        out = np.abs(run(served, sound, np.zeros((1, UNITS), np.float32), look_ahead)).max(axis=1)
        assert out[: 3 * FPS].max() > 0.05
        assert out[4 * FPS :].max() == 0

    def test_a_quiet_room_is_silence(self, served: Cdan) -> None:
        hiss = np.random.default_rng(0).normal(size=(5 * FPS, CHUNK)).astype(np.float32) * 10 ** (-55 / 20)
        assert np.abs(run(served, hiss, np.zeros((1, UNITS), np.float32))).max() == 0

    def test_units_are_linear_in_level(self, served: Cdan) -> None:
        silence = np.zeros((2, CHUNK), np.float32)
        for unit in range(UNITS):
            for level in (0.25, 0.5, 1.0):
                les = np.zeros((1, UNITS), np.float32)
                les[0, unit] = level
                np.testing.assert_allclose(
                    run(served, silence, les)[-1],
                    np.clip(level * LES_TO_FACE[unit], 0, 1),
                    atol=1e-6,
                    err_msg=AXES[unit],
                )

    def test_units_add(self, served: Cdan) -> None:
        silence = np.zeros((1, CHUNK), np.float32)
        les = np.random.default_rng(2).random((1, UNITS), np.float32)
        np.testing.assert_allclose(run(served, silence, les)[0], np.clip(les[0] @ LES_TO_FACE, 0, 1), atol=1e-5)


class TestBadInput:
    @pytest.mark.parametrize(
        "spoil",
        [
            lambda x: np.full_like(x, np.nan),
            lambda x: np.where(np.arange(x.size).reshape(x.shape) % 50 == 0, np.nan, x),
            lambda x: np.full_like(x, np.inf),
            lambda x: 1e6 * x,
            lambda x: x + 0.9,
        ],
        ids=["all NaN", "some NaN", "infinite", "far too loud", "direct current"],
    )
    def test_sound_stays_defined_and_heals(self, served: Cdan, spoil: Callable[[Floats], Floats]) -> None:
        """Coefficients stay numbers within [0, 1]; after the bad sound the face finds its rest."""
        bad = spoil(speech_like(1)).astype(np.float32)
        sound = np.concatenate([bad, np.zeros(6 * SAMPLE_RATE, np.float32)]).reshape(-1, CHUNK)
        out = np.stack(run(served, sound, np.zeros((1, UNITS), np.float32)))
        assert np.isfinite(out).all() and out.min() >= 0 and out.max() <= 1
        assert np.abs(out[-FPS:]).max() == 0

    @pytest.mark.parametrize("constant", [0.5, -0.9])
    def test_direct_current_alone_is_silence(self, served: Cdan, constant: float) -> None:
        sound = np.full((3 * FPS, CHUNK), constant, np.float32)
        assert np.abs(run(served, sound, np.zeros((1, UNITS), np.float32))[FPS:]).max() == 0

    def test_levels_are_clipped_and_nan_is_none(self, served: Cdan) -> None:
        silence = np.zeros((1, CHUNK), np.float32)
        wild, tame = np.zeros((1, UNITS), np.float32), np.zeros((1, UNITS), np.float32)
        wild[0, :3], tame[0, :3] = (np.nan, 7.0, -3.0), (0.0, 1.0, 0.0)
        np.testing.assert_array_equal(run(served, silence, wild), run(served, silence, tame))

    def test_wrong_shape_is_refused(self, served: Cdan) -> None:
        with pytest.raises(ValueError, match="tensor 'pcm' must be"):
            served.step(np.zeros((1, 100), np.float32), np.zeros((1, UNITS), np.float32), [1], [served.open()])


class TestSpectra:
    def test_equal_a_fourier_transform(self) -> None:
        """The convolutions against numpy's transform of the same windows."""
        pcm = 0.15 * torch.randn(1, 8 * CHUNK, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        past = torch.zeros(1, PAST, dtype=torch.float64)
        heard, after = Spectra().double().step(pcm, past)
        sound = np.concatenate([past[0], pcm[0]])
        for hop in range(heard.mel.shape[1]):
            end = PAST + (hop + 1) * HOP
            expected = mel_filters() @ windowed_power(sound[end - WINDOW : end], BINS)
            np.testing.assert_allclose(heard.mel[0, hop], 0.5 * np.log10(np.maximum(expected, FLOOR)) + 2.5, atol=1e-4)
        for frame in range(heard.fine.shape[1]):
            end = PAST + (frame + 1) * CHUNK
            fine = windowed_power(sound[end - FINE_WINDOW : end], FINE_WINDOW)[FINE_FIRST : FINE_FIRST + FINE_BINS]
            np.testing.assert_allclose(heard.fine[0, frame], 0.5 * np.log10(fine) + 2.5, atol=1e-4)
        np.testing.assert_array_equal(after[0], sound[-PAST:])

    def test_a_full_scale_tone_is_near_unit_power(self) -> None:
        tone = torch.sin(2 * torch.pi * 1000 / SAMPLE_RATE * torch.arange(2 * CHUNK, dtype=torch.float64))[None]
        heard, _ = Spectra().double().step(tone, torch.zeros(1, PAST, dtype=torch.float64))
        assert abs(float(heard.mel[0, -1].max()) - 2.5) < 0.15
        assert abs(float(heard.fine[0, -1].max()) - 2.5) < 0.15


def windowed_power(sound: npt.NDArray[np.float64], bins: int) -> npt.NDArray[np.float64]:
    """Under a Hann window; a full-scale sine is near 1."""
    hann = np.hanning(len(sound) + 1)[:-1]
    return np.asarray(np.abs(np.fft.rfft(sound * hann * 2 / hann.sum(), bins)) ** 2)


class TestNoiseFloor:
    STEADY = torch.full((1, 400, BANDS), -1.0)

    def floor(self, mel: Tensor) -> Tensor:
        return noise_floor(mel, torch.zeros(1, BANDS), torch.zeros(1))

    def test_steady_noise_is_the_floor_from_its_first_frame(self) -> None:
        torch.testing.assert_close(self.floor(self.STEADY), self.STEADY[:, ::4])

    def test_speech_hardly_lifts_it_and_a_pause_finds_it_again(self) -> None:
        mel = self.STEADY.clone()
        mel[:, 100:140] = 1.0  # 400 ms of 40 dB more
        floor = self.floor(mel)
        assert -1 < floor[0, 34, 0] <= -1 + 10 * RISE + 1e-5
        assert floor[0, 44, 0] < -0.98

    def test_in_parts_as_in_one(self) -> None:
        mel = torch.randn(2, 80, BANDS, generator=torch.Generator().manual_seed(0))
        whole = noise_floor(mel, torch.zeros(2, BANDS), torch.zeros(2))
        first = noise_floor(mel[:, :12], torch.zeros(2, BANDS), torch.zeros(2))
        second = noise_floor(mel[:, 12:], first[:, -1], torch.ones(2))
        torch.testing.assert_close(torch.cat([first, second], dim=1), whole, rtol=0, atol=0)


class TestLipSeal:
    LIPS = [FACE.index(name) for name in ("jawOpen", "mouthClose")]

    def test_shut_lips_take_back_what_the_jaw_parts(self) -> None:
        face = torch.rand(20, COEFFICIENTS, generator=torch.Generator().manual_seed(0))
        shut = LipSeal()(face, torch.ones(20))
        lifted = face[:, [FACE.index("mouthUpperUpLeft"), FACE.index("mouthUpperUpRight")]].mean(1)
        torch.testing.assert_close(shut[:, self.LIPS[1]] - shut[:, self.LIPS[0]], 0.06 * lifted)
        for name in ("mouthLowerDownLeft", "mouthShrugUpper", "tongueOut"):
            assert shut[:, FACE.index(name)].abs().max() == 0

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_nothing_leaps_further_than_speech_does(self, emotion: str) -> None:
        """A closure comes within a frame; speech itself moves mouthPucker by 0.6 in one."""
        felt = torch.from_numpy(Les.of(emotion={emotion: 1.0}).array() @ LES_TO_FACE).clamp(0, 1)
        assert (LipSeal()(felt, torch.tensor(1.0)) - felt).abs().max() < 0.6

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_lips_meet_all_along_under_every_emotion(self, emotion: str) -> None:
        felt = torch.from_numpy(Les.of(emotion={emotion: 1.0}).array() @ LES_TO_FACE).clamp(0, 1)
        felt[FACE.index("jawOpen")] += 0.2
        head = load_head()
        shut = LipSeal()(felt, torch.tensor(1.0)).numpy()
        points = head.landmarks(head.vertices + np.tensordot(shut, head.shapes, 1))
        apart = points[[13, 82, 312, 81, 311], 1] - points[[14, 87, 317, 178, 402], 1]
        assert apart.max() < 0.01 * np.linalg.norm(points[468] - points[473])

    def test_open_lips_are_untouched_and_brows_never(self) -> None:
        face = torch.rand(20, COEFFICIENTS, generator=torch.Generator().manual_seed(0))
        torch.testing.assert_close(LipSeal()(face, torch.zeros(20)), face, rtol=0, atol=0)
        brows = [i for i, name in enumerate(FACE) if name.startswith(("brow", "eye", "nose"))]
        torch.testing.assert_close(LipSeal()(face, torch.ones(20))[:, brows], face[:, brows])

    def test_the_surer_closure_is_the_tighter(self) -> None:
        tight = pressed(torch.linspace(0.001, 0.999, 99).logit())
        assert (tight.diff() > 0).all() and tight[0] < 0.01 and tight[-1] > 0.99
        assert pressed(torch.tensor(SEAL_HALF).logit()) == pytest.approx(0.5)


class TestActivity:
    def test_ramp_is_exact_at_both_ends(self) -> None:
        posterior = torch.tensor([0.0, ACTIVITY_LOW - 0.01, ACTIVITY_HIGH + 0.01, 1.0]).logit(eps=1e-6)
        assert ramp(posterior, ACTIVITY_LOW, ACTIVITY_HIGH).tolist() == [0, 0, 1, 1]

    def test_short_sentences_between_digital_silence_are_all_heard(self, shipped: Net) -> None:
        """An assistant's speech begins out of zeros at full strength, again and again."""
        said, pause = talk(1)[:13], np.zeros((19, CHUNK), np.float32)
        pcm = torch.from_numpy(np.concatenate([pause, said] * 6).reshape(1, -1))
        with torch.no_grad():
            activity = shipped(pcm, torch.zeros(1, pcm.shape[1] // CHUNK, UNITS), ahead(1)).prosody[0, :, 0]
        spoken = activity.reshape(6, -1)[:, len(pause) + 3 :]
        assert (spoken.mean(1) > 0.8).all()

    def test_units_give_way_to_speech_and_come_back_without_a_leap(self, shipped: Net) -> None:
        """In a single frame a mouth that fear stretches went three quarters of its way back."""
        pause = np.zeros((FPS, CHUNK), np.float32)
        pcm = torch.from_numpy(np.concatenate([pause, talk(4), pause, talk(3), pause]).reshape(1, -1))
        les = torch.from_numpy(Les.of(emotion={"fear": 1.0}).array()).expand(1, pcm.shape[1] // CHUNK, -1)
        with torch.no_grad():
            stretch = shipped(pcm, les, ahead(1)).coefficients[0, :, FACE.index("mouthStretchLeft")]
        assert np.ptp(stretch.numpy()) > 0.7 and stretch.diff().abs().max() < 0.6
