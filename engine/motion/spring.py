"""A critically damped spring: what pushes it may jump, its value never does."""

import math

import numpy as np
import numpy.typing as npt

from engine.units import FPS

Values = npt.NDArray[np.float64]


class Spring:
    """Towards a target: two states, exact over one frame, so that no step is too long for it."""

    def __init__(self, size: int, time_s: float) -> None:
        self.value, self._rate = np.zeros(size), np.zeros(size)
        self._w = 1 / time_s
        self._decay = math.exp(-self._w / FPS)

    def step(self, target: Values | float) -> Values:
        """The value one frame later."""
        gap = self.value - target
        push = (self._rate + self._w * gap) / FPS
        self._rate = (self._rate - self._w * push) * self._decay
        self.value = target + (gap + push) * self._decay
        return self.value

    def kick(self, size: Values | float) -> None:
        """A blow that swings it out by `size`, `time_s` later, and lets it come back."""
        self._rate = self._rate + np.asarray(size) * math.e * self._w
