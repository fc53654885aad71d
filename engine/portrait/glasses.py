"""Glasses: found by the rim's line below both eyes, and kept rigid by letting the skin beneath them move little."""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.fit import Geometry
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import TEXELS
from engine.portrait.layers_slit import smoothstep

Floats = npt.NDArray[np.float32]

_CORNERS = ((362, 263), (33, 133))  # landmarks of the left eye and the right one
_ANGLES = np.radians(np.linspace(25, 155, 66)).astype(np.float32)  # downwards: cheeks are plain, brows are not
_NEAR, _FAR, _STEP = 20.0, 75.0, 1.0  # units from the eye's middle at which rims are looked for
_BEND = 2  # steps that a rim may go in or out from one angle to the next
_COST = 0.004  # of each such step
_ACROSS = 17  # steps: a line is what differs from its surroundings of this breadth
_LINE = 0.15  # of the brightness about it, that three quarters of a rim must differ by
_ABOVE = 0.8  # a rim's reach over the eye, of that below it
_STIFF = 0.85  # of the skin's motion, that rims take away


@dataclass(frozen=True)
class Glasses:
    """Two rims about the eyes, left and right."""

    middles: Floats
    """[2, 2] units."""
    rims: Floats
    """[2, 66] distance from the middle at each of `_ANGLES`, units."""

    def relative(self, points: Floats) -> Floats:
        """[2, n]: how far points [n, 2] lie from each lens' middle, 1 on its rim."""
        away = points[None] - self.middles[:, None]
        far, angle = np.hypot(away[..., 0], away[..., 1]), np.arctan2(away[..., 1], away[..., 0])
        above = np.where(angle < 0, _ABOVE, 1.0)
        rims = [np.interp(np.abs(a), _ANGLES, rim) for a, rim in zip(angle, self.rims, strict=True)]
        return np.asarray(far / (np.stack(rims) * above), np.float32)


def find_glasses(picture: Rgb, landmarks: Floats) -> Glasses | None:
    """Of a frame's picture and its landmarks in units; None for a face without."""
    grey = cv2.GaussianBlur(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY), (0, 0), 2).astype(np.float32)
    middles = np.stack([landmarks[list(corners), :2].mean(0) for corners in _CORNERS])
    found = [_rim(_contrast(grey, middle)) for middle in middles]
    if min(np.percentile(strength, 25) for _, strength in found) < _LINE:
        return None
    return Glasses(middles.astype(np.float32), np.stack([rim for rim, _ in found]))


def stiffened(geometry: Geometry, glasses: Glasses) -> Geometry:
    """The same head, whose skin moves little beneath the rims and just as it does within them."""
    far = glasses.relative(geometry.vertices[:, :2])
    near = (smoothstep(0.55, 0.85, far) * (1 - smoothstep(1.1, 1.45, far))).max(0)
    return replace(geometry, shapes=np.asarray(geometry.shapes * (1 - _STIFF * near)[:, None], np.float32))


def _contrast(grey: Floats, middle: Floats) -> Floats:
    """[angles, steps] how much each place about an eye differs from those further in and out."""
    reach = np.arange(_NEAR, _FAR, _STEP, dtype=np.float32)
    at = (middle + np.stack([np.outer(f(_ANGLES), reach) for f in (np.cos, np.sin)], -1)) * TEXELS - 0.5
    polar = cv2.remap(grey, at.astype(np.float32), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    around = cv2.blur(polar, (_ACROSS, 1))
    return np.asarray(np.abs(polar - around) / np.maximum(around, 16), np.float32)


def _rim(contrast: Floats) -> tuple[Floats, Floats]:
    """[angles] units, and the contrast there: the smooth curve of the strongest line, by dynamic programming."""
    angles, steps = contrast.shape
    moves = np.arange(-_BEND, _BEND + 1)
    total, came = contrast[0], []
    for row in contrast[1:]:
        padded = np.pad(total, _BEND, constant_values=-np.inf)
        choices = np.stack([padded[_BEND + m : _BEND + m + steps] - _COST * abs(m) for m in moves])
        came.append(moves[choices.argmax(0)])
        total = row + choices.max(0)
    path = [int(total.argmax())]
    for back in reversed(came):
        path.append(path[-1] + int(back[path[-1]]))
    places = np.array(path[::-1])
    return (_NEAR + _STEP * places).astype(np.float32), contrast[np.arange(angles), places]
