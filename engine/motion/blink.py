"""Blinks: log-normal pauses between them, a quick fall and a slower rise of the lids, now and then two at once."""

import math

import numpy as np

from engine.units import FPS

SPREAD = 0.5  # of the pause's logarithm
SHORTEST_S, LONGEST_S = 0.8, 9.0
DOUBLE = 0.12  # share of blinks with another right after
AT_PAUSE = 0.45  # chance of a blink when the voice stops: most of a speaker's stand at the ends of what is said
MOST_AHEAD = 1.0  # mean pauses: a blink that is owed more of them no longer comes early
# Lid closure, one value a frame: down in 80 ms and up in 120 (a fall is twice as fast as a rise: Evinger et al. 1991).
PROFILE = (0.6, 1.0, 0.9, 0.5, 0.18)


class Blinks:
    """One pair of lids."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._wait = self._draw()  # in pauses of the mean length: the rate may change meanwhile
        self._ahead = 0.0
        """How much of a pause a blink came early: the next waits for it, or talk would quicken all of them."""
        self._phase = len(PROFILE)
        self._spoke = False

    def step(self, speaking: bool, a_minute: float, amount: float) -> float:
        """The lids' closure in this frame, 0 to 1. `amount` is the share of blinks that happen."""
        self._wait -= a_minute / (60 * FPS)
        stopped, self._spoke = self._spoke and not speaking, speaking
        chance = self._random.random()
        if stopped and chance < AT_PAUSE and self._ahead < MOST_AHEAD:
            self._ahead += max(self._wait, 0)
            self._wait = 0
        if self._wait <= 0 and self._phase >= len(PROFILE):
            self._begin(a_minute, amount)
        closure = PROFILE[self._phase] if self._phase < len(PROFILE) else 0.0
        self._phase += 1
        return closure

    def _begin(self, a_minute: float, amount: float) -> None:
        happens, again = self._random.random(2)
        pause = self._draw()
        if again < DOUBLE:
            self._wait = (len(PROFILE) + 2) * a_minute / (60 * FPS)
        else:
            self._wait, self._ahead = pause + self._ahead, 0
        if happens < amount:
            self._phase = 0

    def _draw(self) -> float:
        """A pause of mean 1, the second blinks of pairs counted."""
        length = math.exp(SPREAD * self._random.standard_normal() - SPREAD**2 / 2) / (1 - DOUBLE)
        return float(np.clip(length, SHORTEST_S / 3.5, LONGEST_S / 3.5))
