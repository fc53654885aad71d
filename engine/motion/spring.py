"""A critically damped spring: what pushes it may jump, its value and its speed never do."""

import math

import numpy as np
import numpy.typing as npt

from engine.units import FPS

Values = npt.NDArray[np.float64]

ONSET = np.array([0.18, 0.34, 0.32, 0.16]) * 1.07  # of a blow, a frame each: it swings out as far as at one go


class Spring:
    """Towards a target: two states, exact over one frame, so that no step is too long for it."""

    def __init__(self, size: int, time_s: float) -> None:
        self.value, self._rate = np.zeros(size), np.zeros(size)
        self._blows = np.zeros((len(ONSET), size))
        self._w = 1 / time_s
        self._decay = math.exp(-self._w / FPS)

    def step(self, target: Values | float) -> Values:
        """The value one frame later."""
        self._rate = self._rate + self._blows[0] * math.e * self._w
        self._blows[:-1] = self._blows[1:]
        self._blows[-1] = 0
        gap = self.value - target
        push = (self._rate + self._w * gap) / FPS
        self._rate = (self._rate - self._w * push) * self._decay
        self.value = target + (gap + push) * self._decay
        return self.value

    def kick(self, size: Values | float) -> None:
        """A blow, as muscles give it, that swings it out by `size`, about `time_s` later, and lets it come back."""
        self._blows = self._blows + ONSET[:, None] * np.asarray(size)
