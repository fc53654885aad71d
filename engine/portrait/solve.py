"""Pose, identity and expression of the head that best explain a photo's landmarks: one bounded least-squares problem.

The camera is a weak perspective: frame = scale * rotation * head + offset. Everything here has y up. Lips and lids
weigh more than the rest, and the distances between them most of all, because a mouth must be able to close.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.face import Head
from engine.face.coefficients import FACE, INDEX

Doubles = npt.NDArray[np.float64]

_POINTS = 468  # landmarks of the skin; the other ten are the irises'

# The landmark mesh's own numbering: pairs of points that meet when mouth or eye is closed, upper before lower.
_LIPS = ((191, 95), (80, 88), (81, 178), (82, 87), (13, 14), (312, 317), (311, 402), (310, 318), (415, 324))
_LIDS = ((160, 144), (159, 145), (158, 153), (161, 163), (387, 373), (386, 374), (385, 380), (388, 390))
_MOUTH = (
    61, 291, 78, 308, 0, 37, 39, 40, 185, 267, 269, 270, 409, 17, 84, 181, 91, 146, 314, 405, 321, 375,
    *(point for pair in _LIPS for point in pair),
)  # fmt: skip
_BROWS = (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336)

# What a photo's expression is made of.
_MOVES = (
    "jawOpen", "mouthSmileLeft", "mouthSmileRight", "mouthFrownLeft", "mouthFrownRight", "mouthUpperUpLeft",
    "mouthUpperUpRight", "mouthLowerDownLeft", "mouthLowerDownRight", "mouthStretchLeft", "mouthStretchRight",
    "mouthPucker", "mouthFunnel", "mouthRollUpper", "mouthRollLower",
    "browDownLeft", "browDownRight", "browInnerUp", "browOuterUpLeft", "browOuterUpRight",
    "eyeBlinkLeft", "eyeBlinkRight", "eyeWideLeft", "eyeWideRight", "eyeSquintLeft", "eyeSquintRight",
    "cheekSquintLeft", "cheekSquintRight", "noseSneerLeft", "noseSneerRight",
)  # fmt: skip
_PARTING = np.array([name == "jawOpen" or "UpperUp" in name or "LowerDown" in name for name in _MOVES])
_DOUBT, _SURE = 0.3, 0.6  # detector's scores below and above which a move is doubted and believed
_OPEN, _EASE = (
    6.0,
    0.25,
)  # units between lips that must be explained, and the doubt that then remains of what parts them

_ROUNDS = 6  # of pose and coefficients in turn
_NOISE = 3.0  # units: of a landmark, and of what no coefficient explains; neighbours err alike
_DEPTH = 0.3  # weight of z, which the detector only guesses
_LIP_WEIGHT, _PAIR_WEIGHT = 2.0, 4.0
_SWEEPS = 50
_PERSON, _MOVE = 24.0, 8.0  # penalties of a standard deviation of identity and of a whole move, squared
_DOUBTED = 320.0  # and a linear one for a move that is doubted


@dataclass(frozen=True)
class Solution:
    """What explains the landmarks."""

    scale: float
    rotation: Doubles
    """[3, 3]"""
    offset: Doubles
    """[3]"""
    identity: Doubles
    """[D] standard deviations."""
    source: Doubles
    """[63] the photo's own expression."""

    def place(self, points: npt.NDArray[np.floating]) -> Doubles:
        """Head's points [..., 3] in the frame, y up."""
        return np.asarray(self.scale * points @ self.rotation.T + self.offset)


def solve(head: Head, goal: Doubles, scores: Mapping[str, float]) -> Solution:
    """`goal` [468, 3]: landmarks of the skin in units, y up, z to the viewer; `scores`: the detector's blendshapes.

    Landmarks alone can't tell a smile from a wide mouth; the scores say which moves may be believed.
    """
    names = [INDEX[name] for name in _MOVES]
    corners = head.triangles[head.landmark_triangle[:_POINTS]]
    basis = np.concatenate([head.identity, head.shapes[names]])
    basis = np.einsum("lc,klcd->kld", head.landmark_weights[:_POINTS], basis[:, corners], dtype=np.float64)
    mean, count = head.landmarks()[:_POINTS].astype(np.float64), len(head.identity)
    values = np.zeros(len(basis))
    doubts = _doubts(goal, scores)
    for _ in range(_ROUNDS):
        scale, rotation, offset = _similarity(mean + np.tensordot(values, basis, 1), goal)
        moved = scale * basis @ rotation.T
        values = _coefficients(moved, goal - (scale * mean @ rotation.T + offset), doubts)
    source = np.zeros(len(FACE))
    source[names] = values[count:]
    return Solution(scale, rotation, offset, values[:count], source)


def _doubts(goal: Doubles, scores: Mapping[str, float]) -> Doubles:
    """[M] 0 to 1 how little each move may be believed."""
    awake = 1 - max(
        scores["eyeBlinkLeft"], scores["eyeBlinkRight"]
    )  # closed eyes look like raised brows to the detector
    beliefs = [_pair(name, scores) * (awake if name.startswith("brow") else 1) for name in _MOVES]
    doubts = 1 - np.clip((np.array(beliefs) - _DOUBT) / (_SURE - _DOUBT), 0, 1)
    upper, lower = np.array(_LIPS).T
    gap = float((goal[upper, 1] - goal[lower, 1]).mean())
    return np.where(_PARTING, doubts * (1 - (1 - _EASE) * np.clip(gap / _OPEN, 0, 1)), doubts)


def _pair(name: str, scores: Mapping[str, float]) -> float:
    """A move's score; the mouth's are the mean of both sides, because a single one is mostly noise."""
    if not name.startswith("mouth") or not name.endswith(("Left", "Right")):
        return scores[name]
    stem = name.removesuffix("Left").removesuffix("Right")
    return (scores[stem + "Left"] + scores[stem + "Right"]) / 2


def _similarity(x: Doubles, y: Doubles) -> tuple[float, Doubles, Doubles]:
    """Scale, rotation and offset that carry x onto y, both [N, 3] (Umeyama 1991)."""
    mx, my = x.mean(0), y.mean(0)
    u, s, vt = np.linalg.svd((y - my).T @ (x - mx) / len(x))
    d = np.array([1, 1, np.sign(np.linalg.det(u @ vt))])
    rotation = u * d @ vt
    scale = float((s * d).sum() / ((x - mx) ** 2).sum(1).mean())
    return scale, rotation, my - scale * rotation @ mx


def _coefficients(moved: Doubles, rest: Doubles, doubts: Doubles) -> Doubles:
    """[D + M] identity (free) and expression (0 to 1) that explain `rest` [468, 3] by `moved` [D + M, 468, 3]."""
    rows, target = _equations(moved), _equations(rest[None])[0]
    count = len(moved) - len(doubts)
    pull = rows @ target - np.concatenate([np.zeros(count), _DOUBTED * doubts])
    low, high = np.repeat([-3.0, 0.0], [count, len(doubts)]), np.repeat([3.0, 1.0], [count, len(doubts)])
    prior = np.diag(np.repeat([_PERSON, _MOVE], [count, len(doubts)]))
    return bounded(rows @ rows.T + prior, pull, low, high)


def bounded(gram: Doubles, target: Doubles, low: Doubles, high: Doubles, start: Doubles | None = None) -> Doubles:
    """The x between `low` and `high` that minimises x gram x / 2 - target x: coordinate by coordinate, from `start`
    (else 0) on."""
    x = np.clip(np.zeros_like(target) if start is None else start, low, high)
    for _ in range(_SWEEPS):
        for i in range(len(x)):
            x[i] = np.clip(x[i] + (target[i] - gram[i] @ x) / gram[i, i], low[i], high[i])
    return x


def _equations(points: Doubles) -> Doubles:
    """[K, rows] of points [K, 468, 3]: every one's place, then the distances of pairs; in units of their noise."""
    weights = np.ones((_POINTS, 3))
    weights[list(_MOUTH + tuple(point for pair in _LIDS for point in pair))] = _LIP_WEIGHT
    weights[:, 2] *= _DEPTH
    upper, lower = np.array(_LIPS + _LIDS).T
    apart = _PAIR_WEIGHT * (points[:, upper, :2] - points[:, lower, :2])
    return np.concatenate([a.reshape(len(points), -1) for a in (points * weights, apart)], 1) / _NOISE
