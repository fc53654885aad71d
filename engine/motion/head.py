"""The head: sway, breath, and nods and brows on the voice's stresses; springs that noise and stress push."""

import math

import numpy as np
import numpy.typing as npt

from engine.units import FPS

Values = npt.NDArray[np.float64]

SWAY_DEG = np.array([1.4, 0.8, 0.7])  # standard deviation of yaw, pitch, roll
LIMIT_DEG = np.array([4.0, 2.5, 2.0])  # that no sway reaches
SWAY_S = 1.0  # time constant
SWAY_SPEAKING = 1.35  # times more while speaking
BREATH_S = 4.3
BREATH = (0.25, 0.008)  # degrees of pitch, inter-ocular distances of headY
NOD_DEG = 2.6  # of a full stress, downwards
NOD_S = 0.14
STRESS_RISE = 0.16  # loudness above its own slow mean that counts as a stress
STRESS_GAP = round(0.5 * FPS)  # frames between two stresses at least
BROW = 0.22  # raise of the brows on a high stressed syllable


class Spring:
    """Critically damped, towards a target: two states, exact over one frame, so that no step is too long for it."""

    def __init__(self, size: int, time_s: float) -> None:
        self.value, self._rate = np.zeros(size), np.zeros(size)
        self._w = 1 / time_s
        self._decay = math.exp(-self._w / FPS)

    def step(self, target: Values) -> Values:
        """The value one frame later."""
        gap = self.value - target
        push = (self._rate + self._w * gap) / FPS
        self._rate = (self._rate - self._w * push) * self._decay
        self.value = target + (gap + push) * self._decay
        return self.value


class Head:
    """Pose offsets from a seed and the voice."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._sway, self._nod, self._brow = Spring(3, SWAY_S), Spring(1, NOD_S), Spring(1, NOD_S)
        self._breath = random.random() * 2 * math.pi
        self._begun = 0.0
        self._energy, self._calm, self._mean = 1.0, 0, 0.0

    def step(self, activity: float, loudness: float, pitch: float) -> tuple[Values, float, float]:
        """(degrees of yaw, pitch, roll), headY in inter-ocular distances, raise of the brows 0 to 1."""
        self._energy += ((SWAY_SPEAKING if activity > 0.5 else 1.0) - self._energy) * 0.04
        # White noise through the spring has a standard deviation of sqrt(frame / (4 time constant)) of its own.
        noise = self._random.standard_normal(3) * SWAY_DEG * math.sqrt(4 * SWAY_S * FPS)
        pose = LIMIT_DEG * np.tanh(self._sway.step(noise * self._energy) / LIMIT_DEG)
        stress = self._stress(activity, loudness)
        pose[1] -= self._nod.step(np.array([stress * NOD_DEG * 5]))[0]
        brow = self._brow.step(np.array([stress * BROW * 6 * (0.4 + max(pitch, 0.0))]))[0]
        self._breath += 2 * math.pi / (BREATH_S * FPS)
        self._begun = min(1.0, self._begun + 1 / (2 * FPS))  # the first frame is the portrait, unmoved
        breath = math.sin(self._breath) * self._begun
        pose[1] += BREATH[0] * breath
        return pose, BREATH[1] * breath, float(np.clip(brow, 0, 1))

    def _stress(self, activity: float, loudness: float) -> float:
        """0, or the size of a stress that begins in this frame, up to 1."""
        rise, self._mean = loudness - self._mean, self._mean + (loudness - self._mean) * 0.08
        self._calm += 1
        draw = self._random.random()
        if activity < 0.5 or rise < STRESS_RISE or self._calm < STRESS_GAP:
            return 0.0
        self._calm = 0
        return min(1.0, rise * 2) * (0.5 + 0.5 * draw)
