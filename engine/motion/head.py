"""The head: sway and posture, breath, and nods and brows on the voice's stresses; springs that noise and stress push.

Heads and brows of speakers move on accented syllables (Hadar et al. 1983; Cave et al. 1996); who listens nods where the
speaker's phrases end (Dittmann & Llewellyn 1968).
"""

import math

import numpy as np

from engine.motion.manner import Manner
from engine.motion.spring import Springs
from engine.motion.stress import Stress
from engine.units import FPS

SWAY_DEG = (1.4, 0.8, 0.7)  # standard deviation of yaw, pitch, roll
LIMIT_DEG = (4.0, 2.5, 2.0)  # that no sway reaches
SWAY_S = 1.0  # time constant
POSTURE_S = 0.35
BREATH_S = 4.3
BREATH = (0.25, 0.008)  # degrees of pitch, inter-ocular distances of headY
NOD_S = 0.17
NOD_DEG = 2.2  # of a full stress, downwards
UPWARDS, UPWARDS_SHARE = -0.6, 0.25  # some of them go the other way, and less far
TURN_DEG = 0.5  # to either side with it
BROW_S = 0.13
BROW = 0.28  # raise on a full stress
BROW_SHARE = 0.55  # of stresses
AGREE_DEG = (1.6, 1.0)  # a listener's two nods
AGREE_GAP = round(0.36 * FPS)
AGREE_AT_END = 0.7  # chance of them when the other's phrase ends
AGREE_PAUSE_S = (4.0, 9.0)  # between them while the other goes on


SPRINGS = (SWAY_S,) * 3 + (POSTURE_S,) * 4 + (NOD_S, NOD_S, BROW_S)  # the posture's last is the frown
NOD, TURN, BROWS = range(7, 10)  # of them


class Head:
    """Pose offsets from a seed, the voice and who is listened to."""

    def __init__(self, random: np.random.Generator) -> None:
        self._random = random
        self._springs = Springs(SPRINGS)
        self._stress, self._agreement = Stress(), Agreement()
        self._breath = random.random() * 2 * math.pi
        self._begun = 0.0
        self._energy = 1.0

    def step(
        self, voice: tuple[float, float, float], manner: Manner, side: float, addressed: bool
    ) -> tuple[list[float], float, float]:
        """Degrees of yaw, pitch and roll, headY in inter-ocular distances, brows from -1 (frown) to 1 (raised)."""
        noise, draws = self._random.standard_normal(4).tolist(), self._random.random(3).tolist()
        self._energy += (manner.sway - self._energy) * 0.04
        # White noise through the spring has a standard deviation of sqrt(frame / (4 time constant)) of its own.
        push = math.sqrt(4 * SWAY_S * FPS) * self._energy
        self._accent(self._stress.step(*voice), draws, noise[3])
        if nod := self._agreement.step(addressed, draws):
            self._springs.kick(NOD, nod)
        yaw, pitch, roll = manner.tilt_deg
        values = self._springs.step(
            (*(n * sway * push for n, sway in zip(noise, SWAY_DEG, strict=False)),
             side * yaw, pitch, side * roll, manner.frown, 0.0, 0.0, 0.0)
        )  # fmt: skip
        sway, posture, (frown, nod, turn, brows) = values[:3], values[3:6], values[6:]
        pose = [most * math.tanh(v / most) + w for most, v, w in zip(LIMIT_DEG, sway, posture, strict=True)]
        self._breath += 2 * math.pi / (BREATH_S * FPS)
        self._begun = min(1.0, self._begun + 1 / (2 * FPS))  # the first frame is the portrait, unmoved
        breath = math.sin(self._breath) * self._begun
        pose[0] += turn
        pose[1] += BREATH[0] * breath - nod
        return pose, BREATH[1] * breath, min(max(brows - frown, -1.0), 1.0)

    def _accent(self, stress: float, draws: list[float], turn: float) -> None:
        if stress:
            size = stress * (0.5 + 0.5 * draws[0]) * (UPWARDS if draws[2] < UPWARDS_SHARE else 1.0)
            self._springs.kick(NOD, size * NOD_DEG)
            self._springs.kick(TURN, size * TURN_DEG * min(max(turn, -1.5), 1.5))
            if draws[1] < BROW_SHARE:
                self._springs.kick(BROWS, stress * BROW)


class Agreement:
    """A listener's nods, two at a time."""

    def __init__(self) -> None:
        self._addressed = False
        self._wait = 0  # frames to the next while the other goes on
        self._second = 0

    def step(self, addressed: bool, draws: list[float]) -> float:
        """Degrees of the nod that begins in this frame, mostly 0."""
        ended, began = self._addressed and not addressed, addressed and not self._addressed
        self._addressed = addressed
        self._wait -= 1
        self._second -= 1
        if began:
            self._wait = self._pause(draws[0])
        if (ended and draws[1] < AGREE_AT_END) or (addressed and self._wait <= 0):
            self._wait, self._second = self._pause(draws[2]), AGREE_GAP
            return AGREE_DEG[0]
        return AGREE_DEG[1] if self._second == 0 else 0.0

    def _pause(self, draw: float) -> int:
        return round(FPS * (AGREE_PAUSE_S[0] + (AGREE_PAUSE_S[1] - AGREE_PAUSE_S[0]) * draw))
