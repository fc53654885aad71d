"""The fitted head as the camera sees it: which triangle lies at each unit, and what it carries into a lattice."""

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import SIDE, Array, Window

_CHANNELS = 100

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Surface:
    """The front-most triangle at each unit of the frame."""

    corners: npt.NDArray[np.int32]
    """[SIDE, SIDE, 3]: its vertices."""
    weights: Array
    """[SIDE, SIDE, 3]: their barycentric weights."""
    seen: Mask
    """[SIDE, SIDE]: whether there is one."""

    def carry(self, values: Array, allowed: Mask, window: Window, origin: tuple[float, float]) -> tuple[Array, Mask]:
        """Vertex values [V, C] averaged over each cell's allowed units: [rows, cols, C], and where there were any."""
        total = np.zeros((window.rows, window.cols, values.shape[1]), np.float32)
        count = np.zeros((window.rows, window.cols), np.float32)
        for offset in ((-0.25, -0.25), (0.25, -0.25), (-0.25, 0.25), (0.25, 0.25)):
            at = window.centres(origin) + np.array(offset, np.float32) * window.cell
            column, row = (np.clip(at[..., i].astype(np.int32), 0, SIDE - 1) for i in (0, 1))
            inside = (at >= 0).all(-1) & (at < SIDE).all(-1)
            good = self.seen[row, column] & allowed[row, column] & inside
            weights = self.weights[row, column] * good[..., None]
            for i in range(3):
                total += values[self.corners[row, column, i]] * weights[..., i, None]
            count += good
        mean = np.asarray(total / np.maximum(count, 1)[..., None], np.float32)
        return mean, count > 0


def look(vertices: Array, triangles: npt.NDArray[np.int32]) -> Surface:
    """The front-most triangle at each unit: triangles that face the viewer, painted from far to near."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    area = (b[:, 0] - a[:, 0]) * (c[:, 1] - a[:, 1]) - (b[:, 1] - a[:, 1]) * (c[:, 0] - a[:, 0])
    front = np.flatnonzero(area < -1e-6)  # y points down, so that outward triangles turn the other way
    ids = np.full((SIDE, SIDE), -1, np.int32)
    corners = np.round((vertices[:, :2] - 0.5) * 16).astype(np.int32)
    for i in front[np.argsort(vertices[triangles[front]][:, :, 2].mean(1))]:
        cv2.fillConvexPoly(ids, corners[triangles[i]], int(i), cv2.LINE_8, 4)
    seen = ids >= 0
    corner = triangles[np.where(seen, ids, 0)]
    return Surface(corner, _barycentric(vertices[:, :2][corner]), seen)


def _barycentric(corners: Array) -> Array:
    """[SIDE, SIDE, 3 corners, xy] -> the weights of each unit's centre, kept inside the triangle."""
    centre = Window(SIDE, SIDE, 1).centres()
    a, b, c = (corners[:, :, i] for i in range(3))
    area = _cross(b - a, c - a)
    area = np.where(np.abs(area) < 1e-6, np.float32(1e-6), area)
    second, third = _cross(centre - a, c - a) / area, _cross(b - a, centre - a) / area
    weights = np.clip(np.stack([1 - second - third, second, third], -1), 0, 1)
    return np.asarray(weights / np.maximum(weights.sum(-1, keepdims=True), 1e-6), np.float32)


def _cross(p: Array, q: Array) -> Array:
    return np.asarray(p[..., 0] * q[..., 1] - p[..., 1] * q[..., 0], np.float32)


def extend(values: Array, known: Mask, sweeps: int = 10) -> Array:
    """Fills [h, w, C] smoothly where it is unknown: pulled down to a coarse lattice, pushed back, relaxed on each."""
    rows, cols = known.shape
    if known.all() or not known.any():
        return values
    if min(rows, cols) <= 2:
        mean = values[known].mean(0)
        return np.where(known[..., None], values, mean).astype(np.float32)
    weight = known.astype(np.float32)[..., None]
    small, share = _halve(values * weight), _halve(weight)
    means = np.asarray(small / np.maximum(share, 1e-6), np.float32)
    coarse = extend(means, share[..., 0] > 0, sweeps)
    fine = coarse.repeat(2, 0).repeat(2, 1)[:rows, :cols]
    filled = np.where(known[..., None], values, _mean(fine)).astype(np.float32)
    unknown = ~known
    for _ in range(sweeps):
        filled[unknown] = _mean(filled)[unknown]
    return filled


def _mean(a: Array) -> Array:
    """Of 3 x 3 cells."""
    return by_channels(a, lambda part: cv2.blur(part, (3, 3), borderType=cv2.BORDER_REPLICATE))


def by_channels(a: Array, change: Callable[[Array], Array]) -> Array:
    """`change` of an image [h, w, C] with more channels than cv2 takes at once."""
    parts = [np.ascontiguousarray(a[..., i : i + _CHANNELS]) for i in range(0, a.shape[2], _CHANNELS)]
    return np.concatenate([change(part).reshape(part.shape) for part in parts], 2)


def _halve(a: Array) -> Array:
    """Means of 2 x 2 cells; an odd edge is repeated."""
    padded = np.pad(a, ((0, a.shape[0] % 2), (0, a.shape[1] % 2), (0, 0)), mode="edge")
    blocks = padded.reshape(padded.shape[0] // 2, 2, padded.shape[1] // 2, 2, -1)
    return np.asarray(blocks.mean((1, 3)), np.float32)


def limit_slope(z: Array, slope: float, cell: float) -> Array:
    """The mean of the lowest surface above and the highest below [h, w] that rise by no more than `slope`."""
    above, below = z.copy(), z.copy()
    ring = [(dx, dy) for dx in (-1, 0, 1) for dy in (-1, 0, 1) if dx or dy]
    for _ in range(24):
        for dx, dy in ring:
            step = slope * cell * float(np.hypot(dx, dy))
            shift = np.array([[1, 0, dx], [0, 1, dy]], np.float32)
            moved = [
                cv2.warpAffine(s, shift, s.shape[::-1], flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
                for s in (above, below)
            ]
            above, below = np.maximum(above, moved[0] - step), np.minimum(below, moved[1] + step)
    return ((above + below) / 2).astype(np.float32)
