"""What need not be done again: a picture that would hardly differ, a step of a network that is at rest."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE, NAMES

Floats = npt.NDArray[np.float32]


def _reach(name: str) -> float:
    """How far the fastest point of a 512 x 512 picture goes when this coefficient changes by one unit, in pixels."""
    if name in FACE:
        return 10.0 if name.startswith("eyeLook") else 20.0
    return {"headYaw": 1.3, "headPitch": 1.3, "headRoll": 2.6, "headX": 96.0, "headY": 96.0, "headScale": 200.0}[name]


REACH = np.array([_reach(name) for name in NAMES], np.float32)


@dataclass(frozen=True)
class Drawn:
    """A picture and what it shows."""

    driven: Floats
    """[63] what the voice and the emotion asked for."""
    face: Floats
    """[69] that, and the portrait's own motion."""
    image: npt.NDArray[np.uint8]
    """RGB [size, size, 3], with alpha 4, or I420 [size * 3 / 2, size]."""

    @cached_property
    def i420(self) -> npt.NDArray[np.uint8]:
        """[size * 3 / 2, size] in BT.601; cv2 converts 30 times faster than swscale."""
        image = self.image
        return image if image.ndim == 2 else np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2YUV_I420), np.uint8)

    def will_do(self, driven: Floats, face: Floats, slack: float) -> bool:
        """Whether nothing but the portrait's own motion has changed, by less than `slack` pixels of 512."""
        return bool(np.array_equal(driven, self.driven) and np.max(REACH * np.abs(face - self.face)) < slack)
