"""Where the refiner looks: the windows of mouth and eyes as the renderer lays them, cut out and put back.

The right eye is seen in a mirror, so that one network knows both.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import HEAD, INDEX, NAMES
from engine.portrait.layers_layout import EYE, MOUTH, RIGHT, Window

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

WINDOWS = {"mouth": MOUTH, "eye": EYE}
"""Regions; one pixel a unit."""
HEAD_SPAN = np.array([20, 20, 20, 1, 1, 1], np.float32)
"""What of the head's turns, shifts and scale counts as much as a whole coefficient."""


@dataclass(frozen=True)
class Place:
    """A region's window in a picture."""

    region: str
    left: int
    top: int
    mirrored: bool = False

    @property
    def window(self) -> Window:
        return WINDOWS[self.region]

    def cut(self, picture: Rgb) -> Rgb:
        """[rows, cols, 3]; beyond the picture its edge goes on."""
        rows = np.clip(np.arange(self.top, self.top + round(self.window.height)), 0, picture.shape[0] - 1)
        cols = np.clip(np.arange(self.left, self.left + round(self.window.width)), 0, picture.shape[1] - 1)
        crop = picture[rows[:, None], cols]
        return crop[:, ::-1] if self.mirrored else crop

    def put(self, picture: Rgb, crop: Rgb) -> None:
        """What `cut` gave, changed, back into its picture, in place."""
        crop = crop[:, ::-1] if self.mirrored else crop
        top, left = max(self.top, 0), max(self.left, 0)
        part = crop[top - self.top :, left - self.left :]
        below = picture[top : top + part.shape[0], left : left + part.shape[1]]
        below[:] = part[: below.shape[0], : below.shape[1]]

    def told(self, away: Floats) -> Floats:
        """[69] the coefficients as this window sees them."""
        return away[MIRROR] * MIRROR_SIGN if self.mirrored else away


def places(mouth: Sequence[float] | Floats, eyes: Sequence[Sequence[float]] | Floats) -> tuple[Place, Place, Place]:
    """Of the mouth and the person's left and right eye, whose windows' corners [2] and [2, 2] are given in units."""
    corners = [("mouth", mouth, False), *(("eye", eyes[i], i == RIGHT) for i in (0, 1))]
    mouth_at, left, right = (Place(name, round(float(at[0])), round(float(at[1])), m) for name, at, m in corners)
    return mouth_at, left, right


def away(coefficients: Floats, source: Floats) -> Floats:
    """[69] how far a face is from the photo's own expression [63] and pose; nought shows the photo itself."""
    still = np.zeros(len(NAMES), np.float32)
    still[: len(source)], still[INDEX["headScale"]] = source, 1
    apart = coefficients - still
    apart[-len(HEAD) :] /= HEAD_SPAN
    return apart


def _other_side(name: str) -> str:
    for side, other in (("Left", "Right"), ("Right", "Left")):
        if name.endswith(side):
            return name.removesuffix(side) + other
    return name


MIRROR = np.array([INDEX[_other_side(name)] for name in NAMES])
"""[69] which coefficient stands where in a mirror, and"""
MIRROR_SIGN = np.array([-1 if name in ("headYaw", "headRoll", "headX") else 1 for name in NAMES], np.float32)
"""[69] its sign."""
