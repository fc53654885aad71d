"""What a face in a received picture does, as a landmark detector sees it: lips, corners of the mouth, lids.

All distances are in inter-ocular distances, so that a head that moves or leans does not count as a mouth that opens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.portrait.landmarks import find_faces
from tests.browser.harness import Rgb

LIP_UPPER, LIP_LOWER = 13, 14  # inner edge, middle
CORNERS = (61, 291)
PUPILS = (468, 473)
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))  # outer, inner, upper lid, lower lid


@dataclass(frozen=True)
class Reading:
    aperture: float
    """Between the lips' inner edges."""
    width: float
    """Between the corners of the mouth."""
    corners: float
    """How high the corners stand against the middle of the lips; a smile lifts them."""
    lids: float
    """Opening of the eyes against their width, mean of both."""


def read(pictures: Sequence[Rgb]) -> list[Reading]:
    """The largest face of each picture, uint8[h,w,3]. LookupError where there is none: that must never be sent."""
    found = [find_faces(picture) for picture in pictures]
    if missing := sum(not faces for faces in found):
        raise LookupError(f"no face found in {missing} of {len(found)} pictures")
    return [reading(faces[0].points[:, :2].astype(np.float64)) for faces in found]


def reading(points: npt.NDArray[np.float64]) -> Reading:
    """`points`: [478,2], pixels, y down."""
    unit = _distance(points[PUPILS[0]], points[PUPILS[1]])
    upward = _up(points)
    middle = (points[LIP_UPPER] + points[LIP_LOWER]) / 2
    corners = (points[CORNERS[0]] + points[CORNERS[1]]) / 2
    return Reading(
        aperture=_distance(points[LIP_UPPER], points[LIP_LOWER]) / unit,
        width=_distance(points[CORNERS[0]], points[CORNERS[1]]) / unit,
        corners=float((corners - middle) @ upward) / unit,
        lids=float(
            np.mean(
                [
                    _distance(points[above], points[below]) / _distance(points[a], points[b])
                    for a, b, above, below in EYES
                ]
            )
        ),
    )


def _up(points: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """The head's own up, from the line of the eyes' outer corners."""
    right = points[263] - points[33]
    up = np.array([right[1], -right[0]])
    return np.asarray(up / np.linalg.norm(up))


def _distance(a: npt.NDArray[np.float64], b: npt.NDArray[np.float64]) -> float:
    return float(np.linalg.norm(a - b))
