"""Blinks, gaze and head as one offset of the coefficients a frame."""

import math
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import GAZE_DEGREES, INDEX, NAMES
from engine.motion.blink import Blinks
from engine.motion.gaze import Gaze
from engine.motion.head import Head
from engine.motion.manner import MANNERS, Activity
from engine.units import FPS

Offsets = npt.NDArray[np.float32]

SILENCE = (0.0, 0.0, 0.0)
HANG = round(0.6 * FPS)  # frames for which a voice that paused still speaks
AWAY_AT_ONSET = 0.35  # chance of a glance aside as the voice begins
AMOUNT_STEP = 1 / FPS  # an amount takes a second from 0 to 1, so that nothing jumps


@dataclass(frozen=True)
class MotionAmounts:
    """How much of each the portrait moves of its own accord: 0 is off, 1 is lifelike."""

    head: float = 1.0
    """Of the head and, with it, of the brows on stresses."""
    gaze: float = 1.0
    blink: float = 1.0
    """The share of blinks that happen: half a blink would look drowsy."""

    def __post_init__(self) -> None:
        for name, value in (("head", self.head), ("gaze", self.gaze), ("blink", self.blink)):
            if not (math.isfinite(value) and 0 <= value <= 1):
                raise ValueError(f"{name} must be from 0 to 1, not {value}")


class Motion:
    """One portrait's motion, a frame at a step. The same seed, voice and activity give the same motion, whatever the
    amounts."""

    def __init__(self, seed: int, amounts: MotionAmounts | None = None) -> None:
        blink, gaze, head, self._random = np.random.default_rng(seed).spawn(4)
        self._blinks, self._gaze, self._head = Blinks(blink), Gaze(gaze), Head(head)
        self.amounts = amounts or MotionAmounts()
        self.activity: Activity = "listening"
        """What the portrait does while its voice is silent; with a voice it always speaks."""
        self.addressed = False
        """Somebody speaks to the portrait: it nods now and then."""
        self._shown: MotionAmounts | None = None  # the amounts as they are eased; at the first step nothing can jump
        self._before: Activity = self.activity
        self._silent = HANG
        self._side = self._either()

    def step(self, prosody: tuple[float, float, float] = SILENCE) -> Offsets:
        """[69] what to add to the coefficients of this frame.

        `prosody` is the voice's activity and loudness, 0 to 1, and pitch, -1 to 1, at this frame.
        """
        shown = self._shown = self._eased()
        voiced = prosody[0] > 0.5
        away, back = self._turn(voiced)
        manner = MANNERS[self._before]
        pose, head_y, brow = self._head.step(prosody, manner, self._side, self.addressed)
        brow *= shown.head
        out = np.zeros(len(NAMES), np.float32)
        out[_POSE] = yaw, pitch, roll = [angle * shown.head for angle in pose]
        out[INDEX["headY"]] = head_y * shown.head
        _put(out, _RAISED, max(brow, 0.0))
        _put(out, _LOWERED, max(-brow, 0.0))
        # Eyes that look at the viewer turn against the head.
        aside, up = self._gaze.step(manner, self._side, away=away, back=back).tolist()
        _look(out, (aside - yaw) * shown.gaze, (up - pitch) * shown.gaze)
        _put(out, _LIDS, self._blinks.step(voiced, manner.blinks_a_minute, self.amounts.blink))
        return out

    def _eased(self) -> MotionAmounts:
        """The next amounts on the way to those asked for."""
        now, asked = self._shown or self.amounts, self.amounts
        if now == asked:
            return asked
        return replace(asked, head=_towards(now.head, asked.head), gaze=_towards(now.gaze, asked.gaze))

    def _turn(self, voiced: bool) -> tuple[bool, bool]:
        """Goes over to what is done now; whether the eyes leave the viewer, or come back, because of it."""
        draw, side = self._random.random(), self._either()
        self._silent = 0 if voiced else self._silent + 1
        now: Activity = "speaking" if self._silent < HANG else self.activity
        before, self._before = self._before, now
        if now == before:
            return False, False
        self._side = side
        away = now == "thinking" or (now == "speaking" and draw < AWAY_AT_ONSET)
        return away, not away and now != "idle"

    def _either(self) -> float:
        return 1.0 if self._random.random() < 0.5 else -1.0


_POSE = slice(INDEX["headYaw"], INDEX["headRoll"] + 1)
_RAISED = [INDEX[name] for name in ("browInnerUp", "browOuterUpLeft", "browOuterUpRight")]
_LOWERED = [INDEX["browDownLeft"], INDEX["browDownRight"]]
_LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]
_TO_LEFT = [INDEX["eyeLookOutLeft"], INDEX["eyeLookInRight"]]
_TO_RIGHT = [INDEX["eyeLookOutRight"], INDEX["eyeLookInLeft"]]
_UP = [INDEX["eyeLookUpLeft"], INDEX["eyeLookUpRight"]]
_DOWN = [INDEX["eyeLookDownLeft"], INDEX["eyeLookDownRight"]]


def _look(out: Offsets, yaw: float, pitch: float) -> None:
    """Writes a direction in degrees (to the person's left, up) as the eight gaze coefficients."""
    _put(out, _TO_LEFT if yaw > 0 else _TO_RIGHT, min(abs(yaw) / GAZE_DEGREES[0], 1))
    _put(out, _UP if pitch > 0 else _DOWN, min(abs(pitch) / GAZE_DEGREES[1], 1))


def _put(out: Offsets, which: list[int], value: float) -> None:
    for i in which:
        out[i] = value


def _towards(value: float, target: float) -> float:
    """A step of at most AMOUNT_STEP, so that a change of amount never jumps."""
    return min(max(target, value - AMOUNT_STEP), value + AMOUNT_STEP)
