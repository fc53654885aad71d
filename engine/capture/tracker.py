"""Coefficients and head pose of a known face, from the landmarks of one picture after the other.

The face is known from a fit of one picture: its landmarks there, and where every coefficient moves them. Each further
picture asks for the pose and coefficients that carry those landmarks onto its own: Gauss-Newton steps, in which the
pose is eliminated (a Schur complement) and the coefficients keep within their bounds. At the fitted picture itself
nothing is left over, so that what the fit does not explain is never mistaken for an expression.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face import Head
from engine.face.coefficients import FACE, NAMES
from engine.portrait.fit import Geometry
from engine.portrait.layers import LID_LOWER, LID_UPPER
from engine.portrait.layers_fields import FOLLOWS
from engine.portrait.layers_layout import LEFT, RIGHT
from engine.portrait.solve import bounded

Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

LIPS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
LIDS = ((160, 144), (159, 145), (158, 153), (161, 163), (387, 373), (386, 374), (385, 380), (388, 390))
"""Landmarks that meet when mouth and eyes are closed, upper before lower."""
_OUTER_LIPS = (61, 291, 78, 308, 0, 37, 39, 40, 185, 267, 269, 270, 409, 17, 84, 181, 91, 146, 314, 405, 321, 375)
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377, 152,
    148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
"""The face's outline, which the detector draws where the face ends for the viewer, on no fixed point of the skin."""
_CENTRES = (468, 473)  # of the right and the left iris; their rims tell only how large they are
_IRISES = 468  # the first of their landmarks

_UNSEEN = frozenset({"tongueOut", "cheekPuff", "jawForward", "lipBite", "mouthClose", "nostrilCompressor"})
"""Coefficients that landmarks hardly show, or show as something else."""
_MOVES = tuple(
    i for i, name in enumerate(FACE) if name not in _UNSEEN and not name.startswith(("nasolabial", "sharp", "nostril"))
)
_POSE = 6  # yaw, pitch, roll in radians, x and y in units, scale

_NOISE = 3.0  # units: of a landmark; neighbours err alike
_LIPS_WEIGHT, _OVAL_WEIGHT, _IRIS_WEIGHT, _DEPTH_WEIGHT, _PAIR_WEIGHT = 2.0, 0.4, 3.0, 0.15, 4.0
_MOVE = 6.0  # penalty of a whole move from the portrait's own expression, squared
_STEPS = 3


@dataclass(frozen=True, eq=False)
class _Face:
    """Where the landmarks are: at the fitted picture without its expression, and what moves them."""

    neutral: Doubles
    """[478, 3] units, x right, y down, z to the viewer."""
    moves: Doubles
    """[M, 478, 3]"""


class Tracker:
    """Follows one face through pictures of one camera. Each call starts where the last one ended."""

    def __init__(self, geometry: Geometry, head: Head, apart: float) -> None:
        """`geometry` is the fit of one picture; `apart`: its pupils' distance in units, for head shifts."""
        corners = head.triangles[head.landmark_triangle]
        shapes = np.einsum("lc,klcd->kld", head.landmark_weights, geometry.shapes[:, corners], dtype=np.float64)
        depth = np.einsum("lc,lc->l", head.landmark_weights, geometry.vertices[corners, 2])
        seen = np.column_stack([geometry.landmarks[:, :2], depth])
        _follow(shapes, seen)
        self._face = _Face(seen - np.tensordot(geometry.source, shapes, 1), shapes[list(_MOVES)])
        self._detector = geometry.landmarks[:, 2].astype(np.float64) - depth
        self._pivot, self._apart = geometry.pivot.astype(np.float64), apart
        self._source = geometry.source[list(_MOVES)].astype(np.float64)
        self._coefficients, self._pose = self._source.copy(), np.array([0, 0, 0, 0, 0, 1.0])

    def follow(self, landmarks: Floats) -> Floats:
        """[69] of the next picture, whose landmarks [478, 3] lie in the fitted picture's frame."""
        goal = landmarks.astype(np.float64)
        goal[:, 2] -= self._detector
        for _ in range(_STEPS):
            self._step(goal)
        out = np.zeros(len(NAMES), np.float32)
        out[list(_MOVES)] = self._coefficients
        out[len(FACE) :] = [*np.degrees(self._pose[:3]), *(self._pose[3:5] / self._apart), self._pose[5]]
        return out

    def _step(self, goal: Doubles) -> None:
        """One of Gauss and Newton's, for pose and coefficients at once."""
        at = self._face.neutral + np.tensordot(self._coefficients, self._face.moves, 1) - self._pivot
        rest = goal - (_placed(at, self._pose) + self._pivot)
        rest[:, 2] -= rest[:_IRISES, 2].mean()  # the detector's depth has no origin
        turn = _turn(self._pose[:3]) * self._pose[5]
        moves, ways = _rows(self._face.moves @ turn.T), _rows(_derivatives(at, self._pose))
        target = _rows(rest[None])[0] + self._coefficients @ moves
        basis, _ = np.linalg.qr(ways.T)
        free, aim = moves - (moves @ basis) @ basis.T, target - basis @ (basis.T @ target)
        prior = _MOVE * np.eye(len(moves))
        gram, pull = free @ free.T + prior, free @ aim + _MOVE * self._source
        low, high = np.zeros(len(pull)), np.ones(len(pull))
        self._coefficients = bounded(gram, pull, low, high, self._coefficients)
        self._pose = self._pose + np.linalg.lstsq(ways.T, target - self._coefficients @ moves, rcond=None)[0]


def _follow(shapes: Doubles, seen: Doubles) -> None:
    """Lets lids go with the looks in `shapes` [63, 478, 3], in place, as they are drawn: what they do so is no blink.

    `seen` [478, 2 or more]: the landmarks. After `engine.portrait.layers_fields`.
    """
    for side, centre in zip((RIGHT, LEFT), _CENTRES, strict=True):
        for looks, upper, lower in FOLLOWS:
            for lid, share in ((LID_UPPER[side], upper), (LID_LOWER[side], lower)):
                look, middle = shapes[looks[side]], lid[len(lid) // 2]
                slit = seen[lid[-1], :2] - seen[lid[0], :2]
                along = slit / np.hypot(*slit)
                u = 2 * (seen[lid, :2] - seen[lid[0], :2]) @ along / np.hypot(*slit) - 1
                short = share * look[centre, :2] - look[middle, :2]
                look[lid, :2] += np.outer(np.maximum(1 - u * u, 0), short - (short @ along) * along)


def _rows(points: Doubles) -> Doubles:
    """[K, rows] of displacements [K, 478, 3]: every landmark's, then those between pairs; in units of their noise."""
    weights = np.ones((points.shape[1], 3))
    weights[list(_OUTER_LIPS + tuple(point for pair in LIPS + LIDS for point in pair))] = _LIPS_WEIGHT
    weights[list(_OVAL)] = _OVAL_WEIGHT
    weights[_IRISES:] = 0
    weights[list(_CENTRES)] = _IRIS_WEIGHT
    weights[:, 2] *= _DEPTH_WEIGHT
    weights[_IRISES:, 2] = 0
    upper, lower = np.array(LIPS + LIDS).T
    apart = _PAIR_WEIGHT * (points[:, upper, :2] - points[:, lower, :2])
    return np.concatenate([a.reshape(len(points), -1) for a in (points * weights, apart)], 1) / _NOISE


def _turn(angles: Doubles) -> Doubles:
    """[3, 3] of yaw, pitch and roll, radians: as `engine.renderer.fields.pose` has it."""
    (a, b, c), (p, q, r) = np.cos(angles), np.sin(angles)
    return np.array(
        [
            [c * a - r * q * p, -r * b, c * p + r * q * a],
            [r * a + c * q * p, c * b, r * p - c * q * a],
            [-b * p, q, b * a],
        ]
    )


def _placed(at: Doubles, pose: Doubles) -> Doubles:
    """Points [N, 3] from the pivot, turned, scaled and shifted."""
    return np.asarray(pose[5] * at @ _turn(pose[:3]).T + [pose[3], pose[4], 0])


def _derivatives(at: Doubles, pose: Doubles) -> Doubles:
    """[6, N, 3] by each number of the pose."""
    step = 1e-4
    return np.stack([(_placed(at, pose + d) - _placed(at, pose - d)) / (2 * step) for d in step * np.eye(_POSE)])
