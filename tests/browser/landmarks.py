"""What a face in a received picture does, as a landmark detector sees it: lips, corners of the mouth, lids.

All distances are in inter-ocular distances, so that a head that moves or leans does not count as a mouth that opens.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.evaluation import readings
from engine.portrait.landmarks import find_faces
from tests.browser.harness import Rgb


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
    return Reading(
        *(float(read(points)) for read in (readings.aperture, readings.width, readings.corners, readings.lids))
    )
