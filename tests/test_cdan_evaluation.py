"""The judge is judged: ranks, lags and openings are what they are called."""

import numpy as np
import pytest

from engine.cdan.training.articulation import tracks
from engine.cdan.training.corpus import prosody
from engine.cdan.training.phones import Phone
from engine.cdan.training.voices import Utterance
from engine.face.coefficients import FACE
from engine.units import CHUNK, FPS, SAMPLE_RATE

evaluate = pytest.importorskip("engine.cdan.training.evaluate", exc_type=ImportError)  # needs the extra `train`

JAW, CLOSE = FACE.index("jawOpen"), FACE.index("mouthClose")


def spoken() -> Utterance:
    """Two seconds of noise bursts in the rhythm of their phones."""
    names = ["pau", "aa", "s", "aa", "m", "aa", "t", "iy", "p", "aa", "pau", "pau"]
    length = 2.0 / len(names)
    row = tuple(Phone(n, i * length, (i + 1) * length) for i, n in enumerate(names))
    random = np.random.default_rng(0)
    sound = np.concatenate([random.normal(size=SAMPLE_RATE // 6) * (0.0 if n == "pau" else 0.1) for n in names])
    return Utterance(sound[: 2 * SAMPLE_RATE // CHUNK * CHUNK].astype(np.float32), SAMPLE_RATE, row)


class TestJudge:
    def test_auc_counts_pairs(self) -> None:
        assert evaluate.auc([2.0, 3.0], [0.0, 1.0]) == 1
        assert evaluate.auc([0.0], [1.0, 2.0]) == 0
        assert evaluate.auc([1.0], [1.0]) == 0.5
        assert evaluate.auc([0.0, 2.0], [1.0]) == 0.5

    @pytest.mark.parametrize("frames", [-1, 0, 2])
    def test_lag_finds_a_shift(self, frames: int) -> None:
        said = spoken()
        loudness, _ = prosody(said)
        move = tracks(said.phones, loudness[: len(loudness) // 4 * 4])
        face = move.speech * (1 - move.seal[:, None])
        assert evaluate.lag_ms(said, np.roll(face, frames, axis=0)) == pytest.approx(40 * frames, abs=10)

    def test_moments_are_read_at_the_phones_middle(self) -> None:
        said = spoken()
        face = np.zeros((2 * FPS, len(FACE)), np.float32)
        face[:, JAW] = 0.5
        m = said.phones[4]
        face[int(m.start_s * FPS) : int(m.end_s * FPS) + 1, CLOSE] = 0.5
        by_name = {moment.name: moment for moment in evaluate.moments(said, face)}
        assert "pau" not in by_name
        assert by_name["m"].gap == pytest.approx(0, abs=1e-6)
        assert by_name["s"].gap == by_name["s"].least == pytest.approx(0.5)

    def test_noise_stands_at_the_ratio_asked_for(self) -> None:
        said = spoken()
        (heard,) = evaluate.noisy([said], 10)
        noise = heard.samples - said.samples
        ratio = 20 * np.log10(evaluate.augment.level(said.samples) / noise.std())
        assert ratio == pytest.approx(10, abs=0.3)
