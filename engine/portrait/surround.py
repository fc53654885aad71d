"""What lies beyond the photo's edges: hair and clothes go on where the fitted head says, the background elsewhere.

Both are continued by ever coarser means, so that there are no streaks.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.portrait.fit import Geometry
from engine.portrait.frame import Frame, fill
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import SIDE
from engine.portrait.segment import people

Floats = npt.NDArray[np.float32]
Mask = npt.NDArray[np.uint8]

_EARS, _CHIN = (234, 454), 152  # landmarks
_HAIR = 0.08  # face widths from the skull to the hair's outline
_SEAM = 6  # texels over which the photo's edge fades into what is made up
_SOFT = 8.0  # texels: the blur of an outline that is made up
_FEW = 2000  # texels that are too few to continue anything from


@dataclass(frozen=True)
class Outline:
    """Where the fitted head says that the person is; polygons [n, 2] in units."""

    face: Floats
    hair: Floats
    trunk: Floats


def outline(geometry: Geometry, head: Head) -> Outline:
    """Face, head with hair, and neck and shoulders down to the frame's lower edge."""
    face = geometry.landmarks[:468, :2]
    width, chin = face_width(geometry), float(geometry.landmarks[_CHIN, 1])
    skin = geometry.vertices[np.unique(head.triangles[head.part == Part.SKIN])][:, :2]
    skull, body = skin[skin[:, 1] < chin], skin[skin[:, 1] >= chin]
    left, right = np.percentile(body[:, 0], [5, 95])
    return Outline(
        face,
        np.concatenate([skull, skull - [0, _HAIR * width]]).astype(np.float32),
        np.concatenate([body, [[left, SIDE], [right, SIDE]]]).astype(np.float32),
    )


def face_width(geometry: Geometry) -> float:
    """From ear to ear, units."""
    right, left = geometry.landmarks[list(_EARS), :2]
    return float(np.hypot(*(left - right)))


def paint(mask: Mask, polygon: Floats, value: int) -> None:
    """Fills the hull of a polygon in units on a square mask of the frame."""
    hull = cv2.convexHull(np.round(polygon * (len(mask) / SIDE)).astype(np.int32))
    cv2.fillConvexPoly(mask, hull, value)


def continued(frame: Frame, geometry: Geometry, head: Head) -> Frame:
    """The frame with what lies beyond the photo made up."""
    if frame.inside.all():
        return frame
    person, lines = np.zeros(frame.inside.shape, np.uint8), outline(geometry, head)
    paint(person, lines.hair, 1)
    paint(person, lines.trunk, 1)
    seen = cv2.resize(people(frame.picture), person.shape[::-1], interpolation=cv2.INTER_LINEAR) > 0.5
    own = seen if (seen & (person > 0)).sum() > _FEW else person > 0  # what the network knows for no person, it misses
    share = cv2.GaussianBlur(person.astype(np.float32), (0, 0), _SOFT)[..., None]
    beyond = _from(frame, own) * share + _from(frame, ~own & (person == 0)) * (1 - share)
    edge = np.pad(frame.inside, 1, mode="edge").astype(np.uint8)
    kept = np.minimum(cv2.distanceTransform(edge, cv2.DIST_L2, 3)[1:-1, 1:-1, None] / _SEAM, 1)
    mixed: Rgb = np.round(frame.picture * kept + beyond * (1 - kept)).clip(0, 255).astype(np.uint8)
    return replace(frame, picture=mixed)


def _from(frame: Frame, where: npt.NDArray[np.bool_]) -> Floats:
    """[1024, 1024, 3] the photo continued from one part of it; from all of it where that part is hardly seen."""
    known = frame.inside & where
    return fill(frame.picture, known if known.sum() > _FEW else frame.inside)
