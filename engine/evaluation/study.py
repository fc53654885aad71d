"""The closed-form study that the renderer grew from, as its yardstick: two layers of skin that part along the lips.

Every coefficient is a smooth displacement of the photo, their sum is inverted by Newton steps, the photo is sampled
once for each layer, and what shows between the lips is painted. The head moves as a flat picture does.
"""

import cv2
import numpy as np
import numpy.typing as npt
from scipy.interpolate import RBFInterpolator

from engine.face import Part, load
from engine.face.coefficients import FACE
from engine.portrait.fit import Geometry
from engine.portrait.frame import Frame
from engine.portrait.landmarks import Rgb
from engine.portrait.layers_layout import SIDE

Floats = npt.NDArray[np.float32]
Coordinates = npt.NDArray[np.floating]

_CELLS = 128
_UPPER = (78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308)  # the lips' inner edges
_LOWER = (78, 95, 88, 178, 87, 14, 317, 402, 318, 324, 308)
_NEAR = 38  # units about the seam in which a vertex belongs to one layer only
_INSIDE = (34, 14, 22)  # the mouth's colour
_STEPS = 6


class Study:
    """One photo."""

    def __init__(self, frame: Frame, geometry: Geometry) -> None:
        size = (SIDE, SIDE)
        self._skin = cv2.resize(frame.picture, size, interpolation=cv2.INTER_AREA).astype(np.float32)
        self._source, self._pivot = geometry.source, geometry.pivot[:2]
        lips = geometry.landmarks[:, :2]
        self._apart = float(np.hypot(*(lips[473] - lips[468])))
        vertices = np.unique(load().triangles[load().part == Part.SKIN])
        at = geometry.vertices[vertices]
        seen = vertices[((at[:, :2] > -30) & (at[:, :2] < SIDE + 30)).all(1) & (at[:, 2] > np.percentile(at[:, 2], 40))]
        at, moves = geometry.vertices[seen, :2], geometry.shapes[:, seen, :2]
        (left, right), seam = (lips[[_UPPER[0], _UPPER[-1]], 0]), _seam(lips, at[:, 0])
        near = (at[:, 0] > left - 2) & (at[:, 0] < right + 2) & (np.abs(at[:, 1] - seam) < _NEAR)
        above, below = ~near | (at[:, 1] < seam), ~near | (at[:, 1] >= seam)
        self._maps = [_dense(at[side], moves[:, side]) for side in (above, below)]
        self._covers = _covers(lips, float(left), float(right))

    def render(self, coefficients: Floats) -> Rgb:
        """[512, 512, 3] of coefficients [69]."""
        out = np.broadcast_to(np.array(_INSIDE, np.float32), self._skin.shape)
        for maps, cover in zip(self._maps, self._covers, strict=True):
            where = self._posed(
                _inverted(np.tensordot(coefficients[: len(FACE)] - self._source, maps, 1)), coefficients
            )
            layer = cv2.remap(self._skin, where, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
            alpha = cv2.remap(cover, where, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)[..., None]
            out = out * (1 - alpha) + layer * alpha
        return np.asarray(np.clip(out, 0, 255), np.uint8)

    def _posed(self, offset: Floats, coefficients: Floats) -> Floats:
        """[512, 512, 2] places in the photo, as cv2 counts them: the picture rolls, shifts and grows as the head."""
        roll, x, y, scale = coefficients[len(FACE) + 2 :]
        cos, sin = np.cos(np.radians(roll)) / scale, np.sin(np.radians(roll)) / scale
        centres = np.stack(np.meshgrid(*[np.arange(SIDE) + 0.5] * 2), -1) - self._pivot - np.array([x, y]) * self._apart
        at = (centres @ np.array([[cos, -sin], [sin, cos]]) + self._pivot).astype(np.float32)
        cells = at * (_CELLS / SIDE) - np.float32(0.5)
        moved = cv2.remap(offset, cells, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(at + moved - 0.5, np.float32)


def _seam(lips: Coordinates, x: Coordinates) -> Coordinates:
    """[n] the middle between the lips' inner edges at each x."""
    return np.asarray((_curve(lips, _UPPER, x) + _curve(lips, _LOWER, x)) / 2)


def _curve(lips: Coordinates, points: tuple[int, ...], x: Coordinates) -> Coordinates:
    line = lips[list(points)][np.argsort(lips[list(points), 0])]
    return np.interp(x, line[:, 0], line[:, 1])


def _dense(at: Coordinates, moves: Coordinates) -> Floats:
    """[63, cells, cells, 2] of displacements [63, n, 2] at points [n, 2]: thin out, pin the rim, interpolate."""
    places, first = np.unique((at / 4).round() * 4, axis=0, return_index=True)
    edge = np.linspace(-40, SIDE + 40, 14)
    rim = np.array([(a, b) for a in edge for b in edge if not (0 <= a <= SIDE and 0 <= b <= SIDE)])
    values = moves[:, first].transpose(1, 0, 2).reshape(len(first), -1)
    values = np.concatenate([values, np.zeros((len(rim), values.shape[1]))])
    field = RBFInterpolator(np.concatenate([places, rim]), values, neighbors=32, smoothing=20, kernel="linear")
    centres = (np.arange(_CELLS) + 0.5) * (SIDE / _CELLS)
    found = field(np.stack(np.meshgrid(centres, centres), -1).reshape(-1, 2)).reshape(_CELLS, _CELLS, -1)
    smooth = [cv2.GaussianBlur(found[..., i], (0, 0), 1.0) for i in range(found.shape[-1])]
    return np.stack(smooth, -1).reshape(_CELLS, _CELLS, -1, 2).transpose(2, 0, 1, 3).astype(np.float32)


def _inverted(forward: Floats) -> Floats:
    """[cells, cells, 2] from a place in the picture to its place in the photo, of the way back [cells, cells, 2]."""
    cell = SIDE / _CELLS
    dy, dx = (np.gradient(forward, cell, axis=axis) for axis in (0, 1))
    fields = [forward, np.concatenate([dx, dy], -1).astype(np.float32)]
    here = np.stack(np.meshgrid(*[np.arange(_CELLS, dtype=np.float32)] * 2), -1)
    back = -forward
    for _ in range(_STEPS):
        at = here + back / np.float32(cell)
        value, slope = (cv2.remap(f, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE) for f in fields)
        rest = back + value
        a, c, b, d = 1 + slope[..., 0], slope[..., 1], slope[..., 2], 1 + slope[..., 3]
        steep = a * d - b * c
        steep = np.where(np.abs(steep) < 0.15, 0.15, steep)
        step = np.stack([d * rest[..., 0] - b * rest[..., 1], a * rest[..., 1] - c * rest[..., 0]], -1)
        back = back - np.clip(step / steep[..., None], -12, 12).astype(np.float32)
    return np.asarray(back, np.float32)


def _covers(lips: Coordinates, left: float, right: float) -> tuple[Floats, Floats]:
    """[512, 512] each: the opacity of the upper layer, with a lens cut out below its lip, and of the lower lip."""
    x, y = np.meshgrid(*[np.arange(SIDE, dtype=np.float32) + 0.5] * 2)
    top, low = _curve(lips, _UPPER, x), _curve(lips, _LOWER, x)
    width = _soft(np.minimum(x - left, right - x), 2.0)
    upper = 1 - width * _soft(y - top, 0.8) * _soft(34 - (y - low), 3)
    lower = _soft(y - low, 0.8) * width * _soft(60 - (y - low), 8)
    return upper.astype(np.float32), lower.astype(np.float32)


def _soft(value: Coordinates, edge: float) -> Coordinates:
    return np.asarray(1 / (1 + np.exp(-np.clip(value / edge, -60, 60))))
