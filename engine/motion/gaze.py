"""Gaze: mostly at the viewer with small saccades, now and then a glance aside; quick jumps, still fixations."""

import numpy as np
import numpy.typing as npt

from engine.motion.manner import Manner
from engine.units import FPS, FRAME_MS

Degrees = npt.NDArray[np.float64]

SMALL_DEG = 0.7  # saccades around the viewer's eyes, standard deviation
ASIDE_DEG = np.array([7.0, 3.5])  # glances, yaw and pitch, standard deviation
FROM_CENTRE = 0.4  # of that where a manner has a centre for its glances
SHORTEST = round(0.24 * FPS)  # frames of a look that is called back
LIMIT_DEG = np.array([14.0, 8.0])


class Gaze:
    """Where both eyes look, in degrees (yaw to the person's left, pitch up), relative to the viewer."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._here = self._from = self._target = np.zeros(2)
        self._left_frames, self._age = FPS // 2, 0
        self._progress = self._duration = 0.0

    def step(self, manner: Manner, side: float, *, away: bool = False, back: bool = False) -> Degrees:
        """[2] in this frame. `side` is 1 or -1; `away` and `back` end this look now, for one aside or at the viewer."""
        self._left_frames -= 1
        self._age += 1
        draw, length = self._random.random(2)  # in every frame, so that nothing asked of the eyes moves the sequence
        offset = self._random.standard_normal(2)
        if back:
            self._left_frames = min(self._left_frames, SHORTEST - self._age)
        if away or self._left_frames <= 0:
            self._leave(manner, side, away or (not back and draw < manner.aside), length, offset)
        if self._progress < self._duration:
            self._progress = min(self._progress + FRAME_MS, self._duration)
            t = self._progress / self._duration
            self._here = self._from + (self._target - self._from) * (t * t * (3 - 2 * t))
        return self._here

    def _leave(self, manner: Manner, side: float, aside: bool, length: float, offset: Degrees) -> None:
        centre = np.array([side, 1.0]) * manner.aside_deg
        spread = ASIDE_DEG * (FROM_CENTRE if centre.any() else 1.0) if aside else SMALL_DEG
        self._target = np.clip((centre if aside else 0.0) + offset * spread, -LIMIT_DEG, LIMIT_DEG)
        low, high = manner.aside_s if aside else manner.viewer_s
        self._left_frames = int(FPS * (low + (high - low) * length))
        self._from, self._progress, self._age = self._here, 0.0, 0
        # The main sequence: a saccade lasts 21 ms and 2.2 ms a degree (Bahill, Clark and Stark 1975).
        self._duration = 21 + 2.2 * float(np.hypot(*(self._target - self._from)))
