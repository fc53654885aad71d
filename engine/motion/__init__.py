"""Life of its own: blinks, gaze, head and breath from a seed, nudged by the voice; deterministic, without a clock."""

from engine.motion.manner import Activity
from engine.motion.motion import Motion, MotionAmounts

__all__ = ["Activity", "Motion", "MotionAmounts"]
