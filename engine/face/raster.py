"""A z-buffer in numpy: which triangle each pixel shows, and where in it. For building and for contact sheets."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Seen:
    """What a square picture shows, pixel by pixel."""

    triangle: npt.NDArray[np.int32]
    """[S, S] its number, -1 where nothing is seen."""
    weights: npt.NDArray[np.float32]
    """[S, S, 3] barycentric coordinates in it."""


def rasterise(xy: Floats, depth: Floats, triangles: npt.NDArray[np.integer], size: int) -> Seen:
    """`xy` [V, 2] in pixels, `depth` [V] greater towards the viewer, `triangles` [F, 3]."""
    nearest = np.full((size, size), -np.inf)
    number = np.full((size, size), -1, np.int32)
    weights = np.zeros((size, size, 3), np.float32)
    for i, corners in enumerate(triangles):
        p = xy[corners]
        x0, y0 = np.maximum(np.floor(p.min(0) - 0.5), 0).astype(int)
        x1, y1 = np.minimum(np.ceil(p.max(0) + 0.5), size).astype(int)
        if x0 >= x1 or y0 >= y1:
            continue
        (ax, ay), (bx, by), (cx, cy) = p
        area = (bx - ax) * (cy - ay) - (cx - ax) * (by - ay)
        if abs(area) < 1e-9:
            continue
        x, y = np.meshgrid(np.arange(x0, x1) + 0.5, np.arange(y0, y1) + 0.5)
        wb = ((x - ax) * (cy - ay) - (cx - ax) * (y - ay)) / area
        wc = ((bx - ax) * (y - ay) - (x - ax) * (by - ay)) / area
        w = np.stack([1 - wb - wc, wb, wc], -1)
        z = w @ depth[corners]
        window = np.s_[y0:y1, x0:x1]
        seen = (w >= -1e-6).all(-1) & (z > nearest[window])
        nearest[window][seen] = z[seen]
        number[window][seen] = i
        weights[window][seen] = w[seen]
    return Seen(number, weights)


def normals(vertices: Floats, triangles: npt.NDArray[np.integer]) -> Floats:
    """[V, 3] unit normals, the mean of the faces around each vertex by area."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    face = np.cross(b - a, c - a)
    out = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(out, triangles[:, i], face)
    unit: Floats = out / (np.linalg.norm(out, axis=1, keepdims=True) + 1e-12)
    return unit
