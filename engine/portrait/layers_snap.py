"""Moves the fitted mesh's slits onto the photo's: the lips' and lids' edges as the landmarks draw them.

A fit is good to a few units there, but a field that parts beside the visible slit would tear the skin.
"""

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import LEFT, RIGHT, Array
from engine.portrait.layers_slit import Slit

_NEAR, _FAR = 4.0, 12.0  # units: how local the pull is, and how far it reaches
_THICK = 30.0  # units of depth that belong to one surface


def snap(vertices: Array, rings: Mapping[str, npt.NDArray[np.int32]], mouth: Slit, eyes: tuple[Slit, Slit]) -> Array:
    """[V, 3] with the rings on the slits' edges, and their surroundings carried along."""
    edges = [("lips_upper", mouth, True), ("lips_lower", mouth, False)]
    for side, name in ((LEFT, "left"), (RIGHT, "right")):
        edges += [(f"lid_lower_{name}", eyes[side], True), (f"lid_upper_{name}", eyes[side], False)]
    at, pull = [], []
    for name, slit, is_base in edges:
        ring = vertices[rings[name]]
        at.append(ring)
        pull.append(_onto(slit, ring[:, :2], is_base) - ring[:, :2])
    return _carry(vertices, np.concatenate(at), np.concatenate(pull).astype(np.float32))


def _onto(slit: Slit, ring: Array, is_base: bool) -> Array:
    """Where a ring's points [n, 2] belong: its ends in the corners, the others on the edge at the same share."""
    along = (ring - ring[0]) @ (ring[-1] - ring[0])
    u = np.clip(2 * along / along[-1] - 1, -1, 1).astype(np.float32)
    base, patch = slit.edges(u)
    return slit.point(u, base if is_base else patch)


def _carry(vertices: Array, at: Array, pull: Array) -> Array:
    """Every vertex by the mean pull [n, 2] of the points near it, less the farther they are."""
    moved = vertices.copy()
    low, high = at[:, :2].min(0) - 3 * _FAR, at[:, :2].max(0) + 3 * _FAR
    near = np.flatnonzero(((vertices[:, :2] > low) & (vertices[:, :2] < high)).all(1))
    away = np.linalg.norm(vertices[near, None, :2] - at[None, :, :2], axis=2)
    away = away + np.where(np.abs(vertices[near, None, 2] - at[None, :, 2]) < _THICK, 0, 1e3)
    weight = np.exp(-0.5 * ((away - away.min(1, keepdims=True)) / _NEAR) ** 2)
    share = np.exp(-0.5 * (away.min(1) / _FAR) ** 2)
    moved[near, :2] += (weight @ pull / weight.sum(1, keepdims=True)) * share[:, None]
    return moved
