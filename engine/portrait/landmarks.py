"""Finds faces and their 478 landmarks: Google's Face Landmarker, whose three networks OpenVINO runs as they are.

Detector (boxes with six key points), landmarks on a rotated square about the face, then once more on the square that
the first landmarks ask for; blendshape scores on request. Coordinates are pixels with centres at +0.5.
"""

import functools
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt

from engine.runtime import OpenVinoNetwork

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]

PATH = Path(__file__).parent / "data" / "face_landmarker.task"

_DETECTOR_SIDE, _MESH_SIDE = 128, 256
_STRIDES = (8, 16, 16, 16)  # of the detector's layers; two anchors a cell each
_MIN_SCORE, _MIN_OVERLAP, _MIN_PRESENCE = 0.5, 0.3, 0.5
_ROI_SCALE = 1.5  # square about the face over the face's own box
_MIN_TILE = 320  # pixels; the detector misses faces below a sixth of its square
_RIGHT_EYE, _LEFT_EYE = 33, 263  # outer corners, person's own sides

# Inputs and outputs of the blendshape network, as in MediaPipe's face_blendshapes_graph.cc.
_BLENDSHAPE_POINTS = np.array([
    0, 1, 4, 5, 6, 7, 8, 10, 13, 14, 17, 21, 33, 37, 39, 40, 46, 52, 53, 54, 55, 58, 61, 63, 65, 66, 67, 70, 78, 80,
    81, 82, 84, 87, 88, 91, 93, 95, 103, 105, 107, 109, 127, 132, 133, 136, 144, 145, 146, 148, 149, 150, 152, 153,
    154, 155, 157, 158, 159, 160, 161, 162, 163, 168, 172, 173, 176, 178, 181, 185, 191, 195, 197, 234, 246, 249, 251,
    263, 267, 269, 270, 276, 282, 283, 284, 285, 288, 291, 293, 295, 296, 297, 300, 308, 310, 311, 312, 314, 317, 318,
    321, 323, 324, 332, 334, 336, 338, 356, 361, 362, 365, 373, 374, 375, 377, 378, 379, 380, 381, 382, 384, 385, 386,
    387, 388, 389, 390, 397, 398, 400, 402, 405, 409, 415, 454, 466, 468, 469, 470, 471, 472, 473, 474, 475, 476, 477,
])  # fmt: skip
BLENDSHAPES: tuple[str, ...] = (
    "_neutral", "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight", "cheekPuff",
    "cheekSquintLeft", "cheekSquintRight", "eyeBlinkLeft", "eyeBlinkRight", "eyeLookDownLeft", "eyeLookDownRight",
    "eyeLookInLeft", "eyeLookInRight", "eyeLookOutLeft", "eyeLookOutRight", "eyeLookUpLeft", "eyeLookUpRight",
    "eyeSquintLeft", "eyeSquintRight", "eyeWideLeft", "eyeWideRight", "jawForward", "jawLeft", "jawOpen", "jawRight",
    "mouthClose", "mouthDimpleLeft", "mouthDimpleRight", "mouthFrownLeft", "mouthFrownRight", "mouthFunnel",
    "mouthLeft", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthPressLeft", "mouthPressRight", "mouthPucker",
    "mouthRight", "mouthRollLower", "mouthRollUpper", "mouthShrugLower", "mouthShrugUpper", "mouthSmileLeft",
    "mouthSmileRight", "mouthStretchLeft", "mouthStretchRight", "mouthUpperUpLeft", "mouthUpperUpRight",
    "noseSneerLeft", "noseSneerRight",
)  # fmt: skip


@dataclass(frozen=True, eq=False)  # arrays have no single truth: two detections are the same if they are one object
class Detection:
    """A face as the detector sees it."""

    score: float
    """0 to 1."""
    box: Floats
    """[4] left, top, right, bottom."""
    points: Floats
    """[6, 2] eyes (the person's right first), nose, mouth, ears."""

    @property
    def size(self) -> float:
        """The box's longer side in pixels."""
        return float(max(self.box[2] - self.box[0], self.box[3] - self.box[1]))


@dataclass(frozen=True, eq=False)
class Face:
    """A face with its landmarks."""

    points: Floats
    """[478, 3] x, y in pixels; z on the same scale, growing away from the viewer."""
    presence: float
    """How sure the network is that this is a face, 0 to 1."""
    detection: float
    """The detector's score, 0 to 1."""

    @property
    def size(self) -> float:
        """The longer side of the landmarks' box in pixels."""
        return float(np.ptp(self.points[:, :2], axis=0).max())


def find_faces(picture: Rgb) -> list[Face]:
    """The faces of `picture` [h, w, 3], the largest first; may be empty.

    One glance at the whole picture sees faces from a sixth of its longer side; where there are none, tiles of half the
    size are looked at, and so on down to faces of about 60 pixels.
    """
    share = 1.0
    while True:
        faces = [face for found in _detect(picture, share) if (face := _trace(picture, found))]
        share /= 2
        if faces or share * max(picture.shape) < _MIN_TILE:
            return sorted(faces, key=lambda face: -face.size)


def blendshapes(points: Floats) -> dict[str, float]:
    """MediaPipe's scores in [0, 1] by name, of landmarks [478, >=2] in pixels."""
    (scores,) = _run("face_blendshapes", points[None, _BLENDSHAPE_POINTS, :2])
    return dict(zip(BLENDSHAPES, map(float, scores), strict=True))


def _detect(picture: Rgb, share: float) -> list[Detection]:
    """Faces seen in tiles of `share` of the picture's longer side, that overlap by half."""
    scale = _DETECTOR_SIDE / (share * max(picture.shape))
    rows, columns = (max(1, round(length * scale)) for length in picture.shape[:2])
    small = cv2.resize(picture, (columns, rows), interpolation=cv2.INTER_AREA)
    missing = [max(0, _DETECTOR_SIDE - length) for length in small.shape[:2]]
    top, left = (length // 2 for length in missing)
    small = np.pad(small, ((top, missing[0] - top), (left, missing[1] - left), (0, 0)))
    found = [hit for y in _starts(small.shape[0]) for x in _starts(small.shape[1]) for hit in _detect_in(small, x, y)]
    corner = np.array([left, top], np.float32)
    return _merge(
        [Detection(hit.score, (hit.box - np.tile(corner, 2)) / scale, (hit.points - corner) / scale) for hit in found]
    )


def _starts(length: int) -> list[int]:
    """Where tiles begin along an edge of `length`, so that they cover it evenly."""
    room = length - _DETECTOR_SIDE
    return [round(start) for start in np.linspace(0, room, 1 + int(np.ceil(2 * room / _DETECTOR_SIDE)))]


def _detect_in(picture: Rgb, left: int, top: int) -> list[Detection]:
    """Faces in the square of the detector's size that begins there."""
    crop = picture[top : top + _DETECTOR_SIDE, left : left + _DETECTOR_SIDE]
    raw, logits = _run("face_detector", crop[None].astype(np.float32) / 127.5 - 1)
    scores = 1 / (1 + np.exp(-np.clip(logits[0, :, 0], -80, 80)))
    hits = np.flatnonzero(scores >= _MIN_SCORE)
    found = raw[0, hits].reshape(-1, 8, 2)
    at = found + _anchors()[hits, None] * _DETECTOR_SIDE + np.array([left, top], np.float32)
    half = found[:, 1] / 2
    return [
        Detection(float(scores[hit]), np.concatenate([points[0] - size, points[0] + size]), points[2:])
        for hit, points, size in zip(hits, at, half, strict=True)
    ]


def _merge(found: list[Detection]) -> list[Detection]:
    """One face for every cluster of boxes that overlap: their mean, weighted by score."""
    rest, merged = sorted(found, key=lambda hit: -hit.score), []
    while rest:
        cluster = [hit for hit in rest if _overlap(rest[0].box, hit.box) > _MIN_OVERLAP]
        weights = np.array([hit.score for hit in cluster], np.float32)
        weights /= weights.sum()
        box = np.einsum("n,nc->c", weights, np.stack([hit.box for hit in cluster]))
        points = np.einsum("n,npc->pc", weights, np.stack([hit.points for hit in cluster]))
        merged.append(Detection(rest[0].score, box, points))
        rest = [hit for hit in rest if hit not in cluster]
    return merged


def _overlap(a: Floats, b: Floats) -> float:
    """Intersection over union of two boxes."""
    shared = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None).prod()
    return float(shared / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - shared + 1e-9))


def _trace(picture: Rgb, found: Detection) -> Face | None:
    """Landmarks on the detector's square, then on the one that they draw; None if it is no face after all."""
    centre = (found.box[:2] + found.box[2:]) / 2
    points, presence = _mesh(picture, centre, _ROI_SCALE * found.size, _tilt(found.points[0], found.points[1]))
    if presence < _MIN_PRESENCE:
        return None
    low, high = points[:, :2].min(0), points[:, :2].max(0)
    side = _ROI_SCALE * float((high - low).max())
    again, sure = _mesh(picture, (low + high) / 2, side, _tilt(points[_RIGHT_EYE], points[_LEFT_EYE]))
    points, presence = (again, sure) if sure >= _MIN_PRESENCE else (points, presence)
    return Face(points, presence, found.score)


def _tilt(right: Floats, left: Floats) -> float:
    """Angle of the line from the person's right eye to the left, clockwise in the picture, radians."""
    return float(np.arctan2(left[1] - right[1], left[0] - right[0]))


def _mesh(picture: Rgb, centre: npt.NDArray[np.floating], side: float, angle: float) -> tuple[Floats, float]:
    """Landmarks [478, 3] in the picture's pixels, and the presence, from one rotated square."""
    crop = _square(picture, centre, side, angle, _MESH_SIDE)
    mesh, logit, _ = _run("face_landmarks_detector", crop[None].astype(np.float32) / 255)
    points = mesh.reshape(478, 3) / _MESH_SIDE
    cos, sin = np.cos(angle), np.sin(angle)
    points = (points - [0.5, 0.5, 0]) * side
    xy = points[:, :2] @ np.array([[cos, sin], [-sin, cos]]) + centre
    presence = 1 / (1 + np.exp(-float(logit.ravel()[0])))
    return np.column_stack([xy, points[:, 2]]).astype(np.float32), presence


def _square(picture: Rgb, centre: npt.NDArray[np.floating], side: float, angle: float, size: int) -> Rgb:
    """A square of the picture, `side` wide and turned by `angle`, at `size` pixels; black beyond the edges."""
    if side >= 2 * size:  # averaged first, because sampling alone would alias
        shrink = side / size
        height, width = (max(1, round(n / shrink)) for n in picture.shape[:2])
        factors = np.array([picture.shape[1] / width, picture.shape[0] / height])
        picture = cv2.resize(picture, (width, height), interpolation=cv2.INTER_AREA)
    else:
        factors = np.ones(2)
    cos, sin = np.cos(angle) * side / size, np.sin(angle) * side / size
    turn = np.array([[cos, -sin], [sin, cos]])
    offset = centre + turn @ np.full(2, 0.5 - size / 2)
    matrix = np.column_stack([turn, offset]) / factors[:, None]
    matrix[:, 2] -= 0.5
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return np.asarray(cv2.warpAffine(picture, matrix, (size, size), flags=flags), np.uint8)


@functools.cache
def _anchors() -> Floats:
    """[896, 2] centres of the detector's anchors, x and y as shares of its square."""
    cells = []
    for stride in dict.fromkeys(_STRIDES):
        n = _DETECTOR_SIDE // stride
        y, x = np.mgrid[0:n, 0:n]
        each = np.stack([x, y], -1).reshape(-1, 2) + 0.5
        cells.append(np.repeat(each / n, 2 * _STRIDES.count(stride), axis=0))
    return np.concatenate(cells).astype(np.float32)


@functools.cache
def _network(name: str) -> OpenVinoNetwork:
    """One of the file's networks. OpenVINO reads this format from a path only."""
    with zipfile.ZipFile(PATH) as file, tempfile.TemporaryDirectory() as folder:
        return OpenVinoNetwork(Path(file.extract(f"{name}.tflite", folder)))


def _run(name: str, value: npt.NDArray[np.floating]) -> list[Floats]:
    """The outputs, in order, of a network of one input."""
    network = _network(name)
    result = network({network.signature.inputs[0].name: value.astype(np.float32)})
    return [result[spec.name] for spec in network.signature.outputs]
