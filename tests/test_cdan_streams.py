"""Whatever comes from a microphone, for however long: what CDAN says stays defined, and it forgets what was."""

import numpy as np
import pytest

from engine.cdan import Cdan, Floats
from engine.face.coefficients import FACE
from engine.units import CHUNK, FPS, SAMPLE_RATE
from tests import streams
from tests.streams import SPOILT, Listener, narrow, speech

FORGETS_S = 20  # after this long no sound before it counts


@pytest.fixture(scope="module")
def net() -> Cdan:
    return Cdan()


@pytest.fixture(scope="module")
def said() -> Floats:
    return speech()


def heard(net: Cdan, sound: Floats) -> Floats:
    """Coefficients [T, 63]"""
    return Listener(net).hear(np.pad(sound, (0, -len(sound) % CHUNK)).reshape(-1, CHUNK))[0]


def opening(coefficients: Floats) -> Floats:
    """[T] of the lips, in units of jawOpen."""
    return np.asarray(coefficients[:, FACE.index("jawOpen")] - coefficients[:, FACE.index("mouthClose")], np.float32)


def alike(one: Floats, other: Floats) -> float:
    return float(np.corrcoef(opening(one), opening(other))[0, 1])


class TestBadSound:
    @pytest.mark.parametrize("kind", SPOILT)
    def test_stays_defined_and_comes_to_rest(self, net: Cdan, said: Floats, kind: str) -> None:
        spoilt = SPOILT[kind](said[: 2 * SAMPLE_RATE])
        out = heard(net, np.concatenate([spoilt, np.zeros(4 * SAMPLE_RATE, np.float32)]))
        assert np.isfinite(out).all() and out.min() >= 0 and out.max() <= 1
        assert not out[-FPS:].any()

    def test_zeros_are_rest_from_the_first_frame_to_the_last(self, net: Cdan) -> None:
        assert not heard(net, np.zeros(5 * SAMPLE_RATE, np.float32)).any()

    def test_what_is_no_number_counts_as_silence(self, net: Cdan, said: Floats) -> None:
        torn = streams.torn(said)
        np.testing.assert_array_equal(heard(net, torn), heard(net, np.nan_to_num(torn)))

    def test_beyond_full_scale_is_full_scale(self, net: Cdan, said: Floats) -> None:
        np.testing.assert_array_equal(heard(net, 40 * said), heard(net, np.clip(40 * said, -1, 1)))

    @pytest.mark.parametrize("offset", [0.05, -0.2])
    def test_an_offset_hardly_shows(self, net: Cdan, said: Floats, offset: float) -> None:
        assert alike(heard(net, said), heard(net, said + np.float32(offset))) > 0.9

    def test_speech_clipped_in_every_eighth_sample_moves_the_lips_alike(self, net: Cdan, said: Floats) -> None:
        assert alike(heard(net, said), heard(net, np.clip(4 * said, -1, 1))) > 0.8

    def test_a_telephones_band_too(self, net: Cdan, said: Floats) -> None:
        assert alike(heard(net, said), heard(net, narrow(said))) > 0.8


class TestLongStreams:
    """`python -m tests.streams` is the same for two hours."""

    def test_the_past_is_forgotten(self, net: Cdan, said: Floats) -> None:
        """Streams with different pasts say the same, and remember the same, after hearing the same for a while."""
        fresh, worn = Listener(net), Listener(net)
        worn.hear(np.concatenate([spoil(said[: 16 * CHUNK]).reshape(-1, CHUNK) for spoil in SPOILT.values()]))
        same = np.resize(said, FORGETS_S * SAMPLE_RATE).reshape(-1, CHUNK)
        for listener in (fresh, worn):
            listener.hear(same)
        one, other = (listener.hear(same[: 2 * FPS])[0] for listener in (fresh, worn))
        np.testing.assert_allclose(one, other, atol=1e-3)
        assert fresh.memory.keys() == worn.memory.keys()
        for name, value in fresh.memory.items():
            np.testing.assert_allclose(value, worn.memory[name], atol=2e-2, err_msg=name)

    def test_memory_neither_grows_nor_climbs(self, net: Cdan, said: Floats) -> None:
        listener = Listener(net)
        turn = np.concatenate([spoil(said[: 12 * CHUNK]).reshape(-1, CHUNK) for spoil in SPOILT.values()])
        sizes, levels = [], []
        for _ in range(4):
            listener.hear(turn)
            sizes.append(listener.weight())
            levels.append(listener.largest())
        assert len(set(sizes)) == 1 and sizes[0] < 256 * 1024
        assert np.isfinite(levels).all() and levels[-1] < 1.5 * levels[0] + 1

    def test_repeated_sound_repeats_the_face(self, net: Cdan, said: Floats) -> None:
        listener, whole = Listener(net), np.resize(said, len(said) // CHUNK * CHUNK)
        rounds = [listener.hear(whole.reshape(-1, CHUNK))[0] for _ in range(5)]
        np.testing.assert_allclose(rounds[3], rounds[4], atol=1e-3)
