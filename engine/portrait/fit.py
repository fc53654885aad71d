"""Fits the 3D head to a photo's landmarks: pose, identity and the photo's own expression, then a smooth residual bend.

The camera is a weak perspective: frame = scale * rotation * head + offset. Identity and expression come from one
bounded least-squares problem; what it leaves over is bent away, so that contours land on the photo's landmarks.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.portrait.frame import Frame
from engine.portrait.gaze import with_gaze
from engine.portrait.landmarks import Rgb, blendshapes
from engine.portrait.layers_layout import TEXELS
from engine.portrait.solve import solve

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

_UP = np.array([1, -1, 1])  # between the frame, where y points down, and the head, where it points up
_SKIN = 468  # landmarks of the skin; the other ten are the irises'
_IRISES = ((473, [474, 475, 476, 477]), (468, [469, 470, 471, 472]))  # left, right: centre and rim
_EYES = ((Part.EYE_LEFT, (263, 362, 386, 374)), (Part.EYE_RIGHT, (33, 133, 159, 145)))  # and four points of the lids
_STIFF = 2.0  # units: how far a landmark's own error may be from its neighbours' before it is smoothed away
_REACH = 60.0  # units beyond the face at which the bend has faded


@dataclass(frozen=True)
class Geometry:
    """A head in the canonical frame: units, x right, y down, z to the viewer."""

    landmarks: Floats
    """[478, 3] as detected."""
    vertices: Floats
    """[V, 3] the head with the photo's expression."""
    neutral: Floats
    """[V, 3] the head without it."""
    shapes: Floats
    """[63, V, 3] displacement where each of `coefficients.FACE` is 1."""
    source: Floats
    """[63] the photo's own expression."""
    pivot: Floats
    """[3] the base of the skull."""
    rotation: Floats
    """[3, 3] from the head's axes to the frame's, both with y up."""
    scale: float
    """Units an inter-ocular distance of the head."""
    iris: Floats
    """[2, 4] left, right: centre and radius."""
    residual: float
    """Mean distance of landmarks and model before the last bend, units."""

    @property
    def pose(self) -> tuple[float, float, float]:
        """Yaw, pitch and roll in degrees: to the person's left, up, to the left shoulder."""
        r = self.rotation
        yaw, pitch = np.arctan2(-r[2, 0], r[2, 2]), -np.arcsin(np.clip(r[2, 1], -1, 1))
        roll = np.arctan2(r[0, 1], r[1, 1])
        return float(np.degrees(yaw)), float(np.degrees(pitch)), float(np.degrees(roll))


@dataclass(frozen=True)
class Fit(Geometry):
    """A person's head and pictures in the canonical frame: what the renderer's layers are made of."""

    picture: Rgb
    """[1024, 1024, 3] the frame's picture; the person's own colours where the matte is partly clear."""
    matte: npt.NDArray[np.uint8]
    """[1024, 1024] how much of each texel is the person."""
    background: Rgb
    """[1024, 1024, 3] what lies behind, completed."""


def fit_head(frame: Frame, head: Head) -> Geometry:
    """The head fitted to the face of a frame."""
    goal = frame.landmarks.astype(np.float64) * _UP
    found = solve(head, goal[:_SKIN], blendshapes(frame.landmarks * TEXELS))
    neutral = found.place(head.vertices + np.tensordot(found.identity, head.identity, 1))
    shapes = found.scale * head.shapes @ found.rotation.T
    own = np.tensordot(found.source, shapes, 1)
    rest = goal[:_SKIN] - head.landmarks((neutral + own).astype(np.float32))[:_SKIN]
    bend = _bend(neutral + own, head, rest)
    irises = np.stack([_iris(frame.landmarks, *points) for points in _IRISES])
    source = with_gaze(found.source, neutral + own + bend, shapes, irises, head)
    return Geometry(
        landmarks=frame.landmarks,
        vertices=((neutral + own + bend) * _UP).astype(np.float32),
        neutral=((neutral + bend) * _UP).astype(np.float32),
        shapes=(shapes * _UP).astype(np.float32),
        source=source.astype(np.float32),
        pivot=(found.place(head.skull_pivot) * _UP).astype(np.float32),
        rotation=found.rotation.astype(np.float32),
        scale=found.scale,
        iris=irises,
        residual=float(np.hypot(rest[:, 0], rest[:, 1]).mean()),
    )


def _iris(landmarks: Floats, centre: int, rim: list[int]) -> Floats:
    """[4] its centre and radius."""
    radius = np.hypot(*(landmarks[rim, :2] - landmarks[centre, :2]).T).mean()
    return np.append(landmarks[centre], radius).astype(np.float32)


def _bend(vertices: Doubles, head: Head, rest: Doubles) -> Doubles:
    """[V, 3] what `rest` [468, 3] asks of every vertex: all of it at the landmarks, less and less beyond the face.

    Only across the line of sight: the landmarks' depth is a guess. Eyeballs move whole, with their lids.
    """
    at = head.landmarks(vertices.astype(np.float32))[:_SKIN].astype(np.float64)
    bend = np.zeros_like(vertices)
    bend[:, :2], nearest = _interpolated(vertices, at, rest[:, :2])
    bend *= np.exp(-((nearest / _REACH) ** 2))[:, None]
    for part, lids in _EYES:
        own = np.unique(head.triangles[head.part == part])
        bend[own] = [*rest[list(lids), :2].mean(0), 0]
    return bend


def _interpolated(points: Doubles, at: Doubles, values: Doubles) -> tuple[Doubles, Doubles]:
    """Radial basis functions (linear kernel, a constant beside it): [V, C], and the distance to the nearest centre."""
    apart = np.linalg.norm(at[:, None] - at, axis=2)
    system = np.ones((len(at) + 1, len(at) + 1))
    system[:-1, :-1], system[-1, -1] = -apart + _STIFF * np.eye(len(at)), 0
    weights = np.linalg.solve(system, np.vstack([values, np.zeros(values.shape[1])]))
    away = np.sqrt(np.maximum((points**2).sum(1)[:, None] + (at**2).sum(1) - 2 * points @ at.T, 0))
    return weights[-1] - away @ weights[:-1], away.min(1)
