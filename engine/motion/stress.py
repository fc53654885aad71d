"""Stress: the syllables on which a speaker nods and raises the brows, told from loudness and pitch as they come."""

import math

from engine.units import FPS

RISE = 0.10  # of prominence above its own slow mean, long after the last stress
TIRED = 0.6  # more of it right after one
REST_S = 0.6  # in which that wears off: strong syllables follow one another sooner than weak ones
SLOW = 0.06  # of the mean's way in a frame; a pause leaves it where it is
TYPICAL = 0.4  # mean of a voice not heard yet
PITCH = 0.6  # an octave counts as so much loudness


class Stress:
    """Follows one voice. An accent shows in pitch as much as in loudness, so both count."""

    def __init__(self) -> None:
        self._mean, self._last, self._tired = TYPICAL, 0.0, 0.0

    def step(self, activity: float, loudness: float, pitch: float) -> float:
        """0, or the size, up to 1, of the stress whose syllable rises in this frame."""
        prominence = loudness + PITCH * pitch
        rise, climbing = prominence - self._mean, prominence > self._last
        self._last = prominence
        self._tired *= math.exp(-1 / (FPS * REST_S))
        if activity < 0.5:
            return 0.0
        self._mean += SLOW * (prominence - self._mean)
        if not climbing or rise < RISE + self._tired:
            return 0.0
        self._tired += TIRED
        return min(1.0, 0.2 + 1.4 * rise)
