"""Blinks: log-normal pauses between them, a quick fall and a slower rise of the lids, now and then two at once."""

import numpy as np

from engine.units import FPS

MEDIAN_PAUSE_S = 3.4
SPREAD = 0.5  # of the pause's logarithm
SHORTEST_S, LONGEST_S = 1.0, 9.0
DOUBLE = 0.12  # share of blinks with another right after
AT_PAUSE = 0.35  # chance of a blink when the voice stops
# Lid closure, one value a frame: down in 80 ms and up in 120 (a fall is twice as fast as a rise: Evinger et al. 1991).
PROFILE = (0.6, 1.0, 0.9, 0.5, 0.18)


class Blinks:
    """One pair of lids."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._wait = self._pause()
        self._phase = len(PROFILE)
        self._spoke = False

    def step(self, speaking: bool, amount: float) -> float:
        """The lids' closure in this frame, 0 to 1. `amount` is the share of blinks that happen."""
        self._wait -= 1
        stopped, self._spoke = self._spoke and not speaking, speaking
        chance = self._random.random()
        if stopped and chance < AT_PAUSE:
            self._wait = 0
        if self._wait <= 0 and self._phase >= len(PROFILE):
            self._begin(amount)
        closure = PROFILE[self._phase] if self._phase < len(PROFILE) else 0.0
        self._phase += 1
        return closure

    def _begin(self, amount: float) -> None:
        happens, again = self._random.random(2)
        self._wait = len(PROFILE) + 2 if again < DOUBLE else self._pause()
        if happens < amount:
            self._phase = 0

    def _pause(self) -> int:
        seconds = MEDIAN_PAUSE_S * np.exp(SPREAD * self._random.standard_normal())
        return int(np.clip(seconds, SHORTEST_S, LONGEST_S) * FPS)
