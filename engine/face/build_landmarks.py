"""Where MediaPipe's 478 landmarks sit on the mesh: detected on a drawing of it, then tied to their contours."""

from pathlib import Path

import mediapipe as mp
import numpy as np

from engine.face.build_closing import shares
from engine.face.build_mesh import Cut
from engine.face.draw import IRIS, draw
from engine.face.head import Part
from engine.face.raster import rasterise
from engine.face.source import Floats, Integers

SIZE, ZOOM, CENTRE = 768, 0.27, (0.0, -0.55)
CONTOURS = {
    "lips_outer_upper": [61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291],
    "lips_outer_lower": [61, 146, 91, 181, 84, 17, 314, 405, 321, 375, 291],
    "lips_upper": [78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308],
    "lips_lower": [78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308],
    "lid_upper_right": [33, 246, 161, 160, 159, 158, 157, 173, 133],
    "lid_lower_right": [33, 7, 163, 144, 145, 153, 154, 155, 133],
    "lid_upper_left": [362, 398, 384, 385, 386, 387, 388, 466, 263],
    "lid_lower_left": [362, 382, 381, 380, 374, 373, 390, 249, 263],
}
"""Landmarks along the rings of the same name, from the person's right to the left."""
RIM = ((1, 0), (0, 1), (-1, 0), (0, -1))  # of the iris, after its centre, as the model numbers them


def anchors(cut: Cut, rings: dict[str, Integers], model: Path) -> tuple[Integers, Floats]:
    """Triangle [478] and barycentric weights [478, 3] of each landmark."""
    irises = cut.eye_centre + [0, 0, cut.eye_radius]
    picture = draw(
        cut.vertices, cut.vertices, cut.triangles, cut.part, rings, irises,
        size=SIZE, centre=CENTRE, zoom=ZOOM, hair=True,
    )  # fmt: skip
    points = _symmetric(_detect(picture, model))
    triangle, weights = _lookup(cut, points, cut.part == Part.SKIN)
    for name, landmarks in CONTOURS.items():
        for landmark, at in zip(landmarks, _along(cut, rings[name], points[landmarks]), strict=True):
            triangle[landmark], weights[landmark] = at
    for eye, centre in ((Part.EYE_RIGHT, 468), (Part.EYE_LEFT, 473)):
        middle = cut.eye_centre[int(eye == Part.EYE_RIGHT)][:2]
        rim = middle + np.array([(0, 0), *RIM]) * IRIS
        triangle[centre : centre + 5], weights[centre : centre + 5] = _lookup(cut, rim, cut.part == eye)
    return triangle, weights


def _detect(picture: np.ndarray, model: Path) -> Floats:
    """[478, 2] in the head's lengths; SystemExit where the model sees no face."""
    vision = mp.tasks.vision
    options = vision.FaceLandmarkerOptions(
        base_options=mp.tasks.BaseOptions(model_asset_path=str(model)), min_face_detection_confidence=0.2
    )
    with vision.FaceLandmarker.create_from_options(options) as landmarker:
        found = landmarker.detect(mp.Image(mp.ImageFormat.SRGB, np.ascontiguousarray(picture))).face_landmarks
    if not found:
        raise SystemExit("the landmark model sees no face in the drawing of the head")
    xy = np.array([(p.x, p.y) for p in found[0]])
    return (xy - 0.5) * [1, -1] / ZOOM + CENTRE


def _symmetric(points: Floats) -> Floats:
    """The head is symmetric, so its landmarks are: each is averaged with its mirrored partner."""
    mirrored = points * [-1, 1]
    partner = np.array([np.argmin(((mirrored[:468] - p) ** 2).sum(1)) for p in points[:468]])
    mutual = partner[partner] == np.arange(468)
    out = points.copy()
    out[:468][mutual] = (points[:468] + mirrored[partner])[mutual] / 2
    return out


def _lookup(cut: Cut, points: Floats, which: np.ndarray) -> tuple[Integers, Floats]:
    """The foremost triangle under each point [N, 2], or the nearest one seen."""
    fine = 1024
    to_pixels = [ZOOM * fine, -ZOOM * fine]
    xy = (cut.vertices[:, :2] - CENTRE) * to_pixels + fine / 2
    numbers = np.flatnonzero(which)
    seen = rasterise(xy, cut.vertices[:, 2], cut.triangles[numbers], fine)
    rows, columns = np.nonzero(seen.triangle >= 0)
    triangle, weights = np.zeros(len(points), np.int64), np.zeros((len(points), 3))
    for i, (px, py) in enumerate((points - CENTRE) * to_pixels + fine / 2):
        near = np.argmin((columns + 0.5 - px) ** 2 + (rows + 0.5 - py) ** 2)
        at = rows[near], columns[near]
        triangle[i], weights[i] = numbers[seen.triangle[at]], seen.weights[at]
    return triangle, weights


def _along(cut: Cut, ring: Integers, points: Floats) -> list[tuple[int, Floats]]:
    """Points [N, 2] tied to a ring at the same share of its length, its ends to the ring's ends."""
    line, goal = cut.vertices[ring][:, :2], shares(points)
    length = shares(line)
    out = []
    for share in goal:
        i = int(np.clip(np.searchsorted(length, share, "right") - 1, 0, len(ring) - 2))
        t = (share - length[i]) / (length[i + 1] - length[i])
        out.append(_on_edge(cut, ring[i], ring[i + 1], float(t)))
    return out


def _on_edge(cut: Cut, a: int, b: int, t: float) -> tuple[int, Floats]:
    triangle = int(np.flatnonzero((cut.triangles == a).any(1) & (cut.triangles == b).any(1))[0])
    corners = cut.triangles[triangle]
    return triangle, np.where(corners == a, 1 - t, 0) + np.where(corners == b, t, 0)
