"""The way from one vector to the next: every axis eases to its target, from wherever it is, without overshoot.

Each axis follows the polynomial of least jerk (Flash and Hogan 1985) from its present value and rate to the target at
rest. A start at speed could carry that curve past its target: then the rate is cut to what reaches the target without
passing it, and an axis that has to turn back stops first. Values stay between where an axis is and where it should be.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.les.axes import AXES
from engine.les.vector import Les

Values = npt.NDArray[np.float64]


@dataclass(frozen=True)
class _Leg:
    """One eased move."""

    start_s: float
    duration_s: float
    origin: Values
    rate: Values
    """Initial rate, in units a second."""
    target: Values

    def at(self, now: float) -> Values:
        """[41] values at the time `now`."""
        if now >= self.start_s + self.duration_s:
            return self.target
        t = max(now - self.start_s, 0.0) / self.duration_s
        ease = t**3 * (10 - 15 * t + 6 * t * t)
        # The part that the initial rate adds: t (1 - t)^3 (1 + 3 t), whose value and slope vanish at the end.
        drift = t * (1 - t) ** 3 * (1 + 3 * t)
        return self.origin + (self.target - self.origin) * ease + self.rate * self.duration_s * drift

    def slope(self, now: float) -> Values:
        """[41] rates at the time `now`, in units a second."""
        t = (now - self.start_s) / self.duration_s if self.duration_s else 1.0
        if not 0 <= t < 1:
            return np.zeros(len(AXES))
        ease = 30 * t * t * (1 - t) ** 2
        drift = (1 - t) ** 2 * (1 + 2 * t - 15 * t * t)
        return (self.target - self.origin) / self.duration_s * ease + self.rate * drift


class Trajectory:
    """The vector over time. Times are seconds on any clock that does not run backwards."""

    def __init__(self, start: Les | None = None) -> None:
        here = np.array((start or Les()).values)
        self._leg = _Leg(0.0, 0.0, here, np.zeros_like(here), here)
        self._then: tuple[float, float, Values] | None = None  # when the hold ends, transition, target to return to

    def set(self, target: Les, now: float, *, transition_s: float, hold_s: float | None = None) -> None:
        """Ease to `target` in `transition_s`; after `hold_s` more, if given, ease back to the target before it."""
        self._advance(now)
        before = self._then[2] if self._then else self._leg.target
        self._then = None if hold_s is None else (now + transition_s + hold_s, transition_s, before)
        self._turn(np.array(target.values), now, transition_s)

    def value(self, now: float) -> Les:
        """Where the vector is at the time `now`."""
        self._advance(now)
        return Les.clipped(self._leg.at(now))

    def _advance(self, now: float) -> None:
        if self._then and now >= self._then[0]:
            end, transition_s, target = self._then
            self._then = None
            self._turn(target, end, transition_s)

    def _turn(self, target: Values, now: float, duration_s: float) -> None:
        origin, gap = self._leg.at(now), target - self._leg.at(now)
        rate = self._leg.slope(now)
        if duration_s:
            rate = np.where(rate * gap > 0, np.sign(gap) * np.minimum(abs(rate), _STEEPEST * abs(gap) / duration_s), 0)
        self._leg = _Leg(now, duration_s, origin, rate, target)


# The initial rate times duration over gap up to which the curve is monotone.
_STEEPEST = 2.5
