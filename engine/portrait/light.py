"""The light of a photo, as its skin tells: luminance over normals in spherical harmonics, fitted robustly.

Lambertian skin of one albedo reflects nine numbers of light (Ramamoorthi and Hanrahan 2001). Photos hold few of them
for certain, because a face shows half of all normals: the quadratic ones are held back.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import Array
from engine.portrait.layers_mesh import Mask

GAMMA = 2.2  # of a picture's values over linear light
_ROUNDS, _SPREAD = 12, 1.5  # of reweighting; errors beyond so many typical ones count less
_HELD, _HELD_BACK = 0.002, 0.1  # ridge of the linear and of the quadratic terms, per sample
_DARKEST = 0.15  # of the brightest: what cast shadows and the sky leave anywhere


@dataclass(frozen=True)
class Light:
    """Linear luminance of skin by its normal."""

    harmonics: npt.NDArray[np.float64]
    """[9] in the order of `_harmonics`."""
    brightest: float

    def log(self, normals: Array) -> Array:
        """[..., 3] (any length) -> [...] log of the picture's value."""
        value = _harmonics(normals) @ self.harmonics
        return np.asarray(np.log(np.maximum(value, _DARKEST * self.brightest)) / GAMMA, np.float32)

    def change(self, normals: Array, turned: Array) -> Array:
        """[...] what the log of the picture's value gains where `normals` become `turned`."""
        return self.log(turned) - self.log(normals)


def fit_light(values: Array, normals: Array, skin: Mask) -> Light:
    """`values` [h, w]: the picture's luminance, 0..1; `normals` [h, w, 3]; `skin` [h, w]: the samples to believe."""
    target, rows = values[skin].astype(np.float64) ** GAMMA, _harmonics(normals[skin])
    ridge = len(target) * np.diag(np.repeat([0, _HELD, _HELD_BACK], [1, 3, 5]))
    weights = np.ones(len(target))
    for _ in range(_ROUNDS):
        weighted = rows * weights[:, None]
        found = np.linalg.solve(weighted.T @ rows + ridge, weighted.T @ target)
        error = np.abs(rows @ found - target)
        limit = _SPREAD * max(float(np.median(error)), 1e-6)
        weights = 1 / (1 + (error / limit) ** 2) ** 2  # Geman and McClure: what is far off counts for nothing
    return Light(found, float(np.percentile(rows @ found, 95)))


def vertex_normals(vertices: Array, triangles: npt.NDArray[np.int32]) -> Array:
    """[V, 3] of unit length, towards the viewer's side (z): means of the faces around, by area; y points down."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    faces = np.cross(c - a, b - a)
    total = np.stack([np.bincount(triangles.ravel(), faces[:, i].repeat(3), len(vertices)) for i in range(3)], -1)
    return unit(total.astype(np.float32))


def unit(vectors: Array) -> Array:
    """[..., 3] of length 1."""
    return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-9), np.float32)


def _harmonics(normals: Array) -> npt.NDArray[np.float64]:
    """[..., 3] -> [..., 9]: 1; x, y, z; the five quadratic ones, their constant factors left to the coefficients."""
    x, y, z = np.moveaxis(unit(normals).astype(np.float64), -1, 0)
    return np.stack([np.ones_like(x), x, y, z, x * y, x * z, y * z, x * x - y * y, 3 * z * z - 1], -1)
