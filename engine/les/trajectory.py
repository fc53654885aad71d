"""The way from one vector to the next: every axis eases to its target, from wherever it is and however fast it moves.

Each axis follows the polynomial of least jerk (Flash and Hogan 1985) from its present value to the target, plus its
present rate, fading. So values and rates have no jumps when a target changes midway, and no axis passes its target: one
that is already fast and near arrives early, and one that has to turn back first brakes, within some tens of
milliseconds.
"""

import math
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from engine.les.axes import AXES
from engine.les.vector import Les

Values = npt.NDArray[np.float64]

BRAKE_S = 0.04  # an axis that has to turn back still goes on for as far as its rate takes it in this time
FADE = 3.0  # power of the initial rate's fading where it points to the target
STEEPEST = 7.5  # initial rate times duration over gap, up to which such a curve is monotone


@dataclass(frozen=True)
class _Leg:
    """One eased move of all axes."""

    start_s: float
    duration_s: Values
    """[41] 0 where an axis jumps."""
    origin: Values
    rate: Values
    """[41] initial, in units a second; 0 where the duration is."""
    fade: Values
    """[41] the power of the rate's fading."""
    target: Values

    def at(self, now: float) -> Values:
        """[41] values at the time `now`."""
        t = self._progress(now)
        ease = t**3 * (10 - 15 * t + 6 * t * t)
        drift = t * (1 - t) ** self.fade
        return self.origin + (self.target - self.origin) * ease + self.rate * self.duration_s * drift

    def slope(self, now: float) -> Values:
        """[41] rates at the time `now`, in units a second."""
        t = self._progress(now)
        gap = (self.target - self.origin) / np.where(self.duration_s > 0, self.duration_s, 1.0)
        ease = 30 * t * t * (1 - t) ** 2
        drift = (1 - t) ** (self.fade - 1) * (1 - (self.fade + 1) * t)
        return gap * ease + self.rate * drift

    @cached_property
    def end_s(self) -> float:
        return self.start_s + float(self.duration_s.max())

    @cached_property
    def arrived(self) -> Les:
        """Where it ends."""
        return Les.clipped(self.at(math.inf))

    def _progress(self, now: float) -> Values:
        """[41] from 0 at the start to 1 at the end."""
        moving = self.duration_s > 0
        t = np.divide(now - self.start_s, self.duration_s, out=np.ones_like(self.origin), where=moving)
        return np.clip(t, 0, 1)


class Trajectory:
    """The vector over time. Times are seconds on any clock that does not run backwards."""

    def __init__(self, start: Les | None = None) -> None:
        here, none = np.array((start or Les()).values), np.zeros(len(AXES))
        self._leg = _Leg(0.0, none, here, none, none + FADE, here)
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
        return self._leg.arrived if now >= self._leg.end_s else Les.clipped(self._leg.at(now))

    def _advance(self, now: float) -> None:
        if self._then and now >= self._then[0]:
            end, transition_s, target = self._then
            self._then = None
            self._turn(target, end, transition_s)

    def _turn(self, target: Values, now: float, transition_s: float) -> None:
        here, rate = self._leg.at(now), self._leg.slope(now)
        gap, speed = target - here, np.maximum(abs(rate), 1e-9)
        rate = np.where((transition_s > 0) & (gap != 0), rate, 0.0)
        onwards = rate * gap > 0
        duration = np.where(onwards, np.minimum(transition_s, STEEPEST * abs(gap) / speed), transition_s)
        # From n = 3 on, t (1 - t)^n stays below 0.43 / (n + 1): n keeps the braking way short, and inside of the space.
        room = np.minimum(speed * BRAKE_S, np.where(rate > 0, 1 - here, here))
        brake = 0.43 * speed * transition_s / np.maximum(room, 1e-9) - 1
        fade = np.where(onwards, FADE, np.maximum(brake, FADE))
        self._leg = _Leg(now, duration, here, rate, fade, target)
