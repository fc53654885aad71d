"""What need not be done again: a picture that would hardly differ, a step of a network that is at rest."""

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE, NAMES
from engine.runtime.network import Array

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]


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
    image: Array
    """RGB [size, size, 3], with alpha 4, I420 [size * 3 / 2, size], or words [size, size], opaque RGBA."""

    @cached_property
    def rgb(self) -> Pixels:
        """[size, size, 3], with alpha 4"""
        if self.image.dtype == np.uint32:
            return _converted(_bytes(self.image), cv2.COLOR_RGBA2RGB)
        return self.image if self.image.ndim == 3 else _converted(self.image, cv2.COLOR_YUV2RGB_I420)

    @cached_property
    def i420(self) -> Pixels:
        """[size * 3 / 2, size] in BT.601; cv2 converts 30 times faster than swscale."""
        if self.image.dtype == np.uint32:
            return _converted(_bytes(self.image), cv2.COLOR_RGBA2YUV_I420)
        return self.image if self.image.ndim == 2 else _converted(self.image, cv2.COLOR_RGB2YUV_I420)

    def will_do(self, driven: Floats, face: Floats, slack: float) -> bool:
        """Whether nothing but the portrait's own motion has changed, by less than `slack` pixels of 512."""
        return bool(np.array_equal(driven, self.driven) and np.max(REACH * np.abs(face - self.face)) < slack)


def _bytes(words: Array) -> Pixels:
    """[size, size] words as [size, size, RGBA]."""
    return words.view(np.uint8).reshape(*words.shape, 4)


def _converted(picture: Pixels, how: int) -> Pixels:
    return np.asarray(cv2.cvtColor(picture, how), np.uint8)
