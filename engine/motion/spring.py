"""Critically damped springs: what pushes them may jump, their values and their speeds never do."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from engine.runtime.compiled import compiled
from engine.units import FPS

Values = npt.NDArray[np.float64]

ONSET = np.array([0.18, 0.34, 0.32, 0.16]) * 1.07  # of a blow, a frame each: it swings out as far as at one go


class Springs:
    """Each towards a target of its own: two states, exact over one frame, so that no step is too long for them."""

    def __init__(self, times_s: Sequence[float]) -> None:
        """A time constant each."""
        size = len(times_s)
        self._values, self._rates, self._blows = np.zeros(size), np.zeros(size), np.zeros((len(ONSET), size))
        self._w = 1 / np.array(times_s)
        self._decay = np.exp(-self._w / FPS)

    def step(self, targets: Sequence[float]) -> list[float]:
        """The values one frame later."""
        _step(self._values, self._rates, self._blows, np.array(targets), self._w, self._decay)
        return self._values.tolist()

    def kick(self, which: int, size: float) -> None:
        """A blow, as muscles give it, that swings one out by `size`, about its time later, and lets it come back."""
        self._blows[:, which] += ONSET * size


@compiled
def _step(values: Values, rates: Values, blows: Values, targets: Values, w: Values, decay: Values) -> None:
    """One frame, in place; `blows` [frames, springs] come nearer by one."""
    last = len(blows) - 1
    for i in range(len(values)):
        rate = rates[i] + blows[0, i] * math.e * w[i]
        for k in range(last):
            blows[k, i] = blows[k + 1, i]
        blows[last, i] = 0.0
        gap = values[i] - targets[i]
        push = (rate + w[i] * gap) / FPS
        rates[i] = (rate - w[i] * push) * decay[i]
        values[i] = targets[i] + (gap + push) * decay[i]
