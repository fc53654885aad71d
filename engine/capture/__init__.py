"""The face of a film as coefficients: one frame tells who it is, every frame what the face does.

`capture(path)` reads a film; `Tracker` follows landmarks that are found elsewhere, frame by frame.
"""

from engine.capture.film import Captured, CaptureError, capture
from engine.capture.tracker import Tracker

__all__ = ["CaptureError", "Captured", "Tracker", "capture"]
