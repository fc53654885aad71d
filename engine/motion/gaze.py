"""Gaze: mostly at the viewer with small saccades, now and then a glance aside; quick jumps, still fixations."""

import numpy as np
import numpy.typing as npt

from engine.units import FPS, FRAME_MS

Degrees = npt.NDArray[np.float64]

SMALL_DEG = 0.7  # saccades around the viewer's eyes, standard deviation
ASIDE_DEG = np.array([7.0, 3.5])  # glances, yaw and pitch, standard deviation
ASIDE_SHARE = 0.22  # of fixations, when nobody speaks; half of that while speaking
FIXATION_S = (0.5, 2.6)
ASIDE_S = (0.35, 1.1)
LIMIT_DEG = np.array([14.0, 8.0])


class Gaze:
    """Where both eyes look, in degrees (yaw to the person's left, pitch up), relative to the viewer."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._here = self._from = self._target = np.zeros(2)
        self._left_frames = int(FPS * FIXATION_S[0])
        self._progress = self._duration = 0.0

    def step(self, speaking: bool) -> Degrees:
        """[2] in this frame."""
        self._left_frames -= 1
        if self._left_frames <= 0:
            self._leave(speaking)
        if self._progress < self._duration:
            self._progress = min(self._progress + FRAME_MS, self._duration)
            t = self._progress / self._duration
            self._here = self._from + (self._target - self._from) * (t * t * (3 - 2 * t))
        return self._here

    def _leave(self, speaking: bool) -> None:
        draw, length = self._random.random(2)
        offset = self._random.standard_normal(2)
        aside = draw < ASIDE_SHARE * (0.5 if speaking else 1.0)
        self._target = np.clip(offset * (ASIDE_DEG if aside else SMALL_DEG), -LIMIT_DEG, LIMIT_DEG)
        low, high = ASIDE_S if aside else FIXATION_S
        self._left_frames = int(FPS * (low + (high - low) * length))
        self._from, self._progress = self._here, 0.0
        # The main sequence: a saccade lasts 21 ms and 2.2 ms a degree (Bahill, Clark and Stark 1975).
        self._duration = 21 + 2.2 * float(np.hypot(*(self._target - self._from)))
