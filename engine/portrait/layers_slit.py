"""A slit in the skin, mouth or eye, where one layer slides over what lies below.

The *base* is the head with a hole; the *patch* is the skin that moves across it: the lower lip with the chin, or the
upper lid. The head's field follows the base's edge into a lens on the patch's side and meets the common field at the
lens's rim; the patch's field does the same the other way round. Outside the lenses all fields agree, so a patch may
fade out there without a seam; at the corners the lenses end in points, so nothing opens there.
"""

from dataclasses import dataclass, replace

import cv2
import numpy as np

from engine.portrait.layers_layout import Array, Window
from engine.portrait.layers_mesh import Mask

_SAMPLES = 201  # along the slit
_HOLE = 0.82  # of the lens's depth: where the head's hole ends, below the opaque patch


def smoothstep(low: float, high: float, x: Array) -> Array:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _bow(u: Array) -> Array:
    """1 along a slit, 0 at its corners."""
    return np.asarray(np.sqrt(np.clip(1 - u * u, 0, 1)), np.float32)


@dataclass(frozen=True)
class Slit:
    """Its corners and edges. `u` runs from -1 to 1 between the corners, `v` in units towards the patch's side."""

    start: Array
    end: Array
    side: int
    """1 where the patch lies below the slit (the lower lip), -1 where above (the upper lid)."""
    base: Array
    """[_SAMPLES] v of the base's edge, along u."""
    patch: Array
    """[_SAMPLES] v of the patch's edge."""
    depth: float
    """Units from the patch's edge to the rim of the lens on its side."""
    reach: float
    """The same on the base's side."""
    lip: float
    """Units by which the base's picture reaches over its edge, so that a closed slit shows nothing between."""
    fringe: float
    """The same of the patch: lashes and their shadow ride on the lid."""
    soft: float = 0
    """Units over which both then fade out, where what lies below was in the photo too."""
    sheet: bool = False
    """Whether the patch is drawn out evenly from its rim to its edge, as the skin of a lid unfolds."""

    def local(self, points: Array) -> tuple[Array, Array]:
        """u and v of points [..., 2]."""
        half = (self.end - self.start) / 2
        length = float(np.hypot(*half))
        along = half / length
        away = np.array([-along[1], along[0]]) * self.side
        offset = points - (self.start + half)
        return (offset @ along / length).astype(np.float32), (offset @ away).astype(np.float32)

    def point(self, u: Array, v: Array) -> Array:
        """[..., 2], the inverse of `local`."""
        half = (self.end - self.start) / 2
        along = half / np.hypot(*half)
        away = np.array([-along[1], along[0]]) * self.side
        return np.asarray(self.start + half + u[..., None] * half + v[..., None] * away, np.float32)

    def away(self) -> Array:
        """The direction of v."""
        one = self.point(np.zeros(1, np.float32), np.ones(1, np.float32))[0]
        return np.asarray(one - (self.start + self.end) / 2, np.float32)

    def edges(self, u: Array) -> tuple[Array, Array]:
        """v of the base's and the patch's edge; 0 beyond the corners."""
        grid = np.linspace(-1, 1, _SAMPLES)
        base, patch = (np.interp(u, grid, edge, 0, 0) for edge in (self.base, self.patch))
        return base.astype(np.float32), patch.astype(np.float32)

    def lenses(self, points: Array) -> tuple[Array, Array]:
        """How deep points lie in the patch's and in the base's lens: 0 at the edge, 1 at the rim and outside."""
        u, v = self.local(points)
        base, patch = self.edges(u)
        profile = _bow(u)
        inside = np.abs(u) < 1
        deep = np.clip((v - patch) / np.maximum(self.depth * profile, 1e-3), 0, 1)
        high = np.clip((base - v) / np.maximum(self.reach * profile, 1e-3), 0, 1)
        outside = np.float32(1)
        return np.where(inside, deep, outside), np.where(inside, high, outside)

    def base_side(self, points: Array, margin: float = 1.5) -> Mask:
        """Where the head's surface may speak for the base: not across the slit."""
        u, v = self.local(points)
        base, patch = self.edges(u)
        return ~((np.abs(u) < 1.03) & (v > base - margin) & (v < patch + 2.2 * self.depth))

    def patch_side(self, points: Array, margin: float = 1.5) -> Mask:
        """The same for the patch."""
        u, v = self.local(points)
        base, patch = self.edges(u)
        return ~((np.abs(u) < 1.03) & (v < patch + margin) & (v > base - 2.2 * self.reach))

    def onto_base(self, points: Array, margin: float = 2.5) -> Array:
        """Points beyond the base's edge drawn back across it to where the base's own skin is, `margin` units inside."""
        u, v = self.local(points)
        base, _ = self.edges(u)
        return np.where((np.abs(u) < 1)[..., None], self.point(u, np.minimum(v, base - margin * _bow(u))), points)

    def onto_patch(self, points: Array, margin: float = 2.5) -> Array:
        """The same for the patch."""
        u, v = self.local(points)
        _, patch = self.edges(u)
        own = patch + margin * _bow(u)
        v = own if self.sheet else np.maximum(v, own)
        return np.where((np.abs(u) < 1)[..., None], self.point(u, v), points)

    def blend_base(self, common: Array, base: Array, points: Array) -> Array:
        """The head's field [h, w, C]: the base's inside the patch's lens, fading to the common one at its rim."""
        deep, high = self.lenses(points)
        own = deep if self.sheet else smoothstep(0.1, 1, deep)
        share = np.where(high > 0, smoothstep(0.15, 0.6, high), own)
        return base + (common - base) * share[..., None]

    def blend_patch(self, common: Array, patch: Array, points: Array) -> Array:
        """The patch's field [h, w, C]: its own inside the base's lens, fading to the common one at its rim."""
        deep, high = self.lenses(points)
        own = deep if self.sheet else smoothstep(0.15, 0.6, deep)
        share = np.where(deep > 0, own, smoothstep(0.25, 1, high))
        return patch + (common - patch) * share[..., None]

    def hole(self, window: Window, origin: tuple[float, float]) -> Array:
        """[rows, cols] in 0..1: how much of the head is cut away."""
        points = window.centres(origin)
        u, v = self.local(points)
        base, patch = self.edges(u)
        deep, _ = self.lenses(points)
        width = 0.5 * window.cell
        cut = self._edge(v - base - self.lip, window.cell) * (np.abs(u) < 1)
        floor = (_HOLE * self.depth * _bow(u) - (v - patch)) / width
        return (cut * np.clip(floor + 0.5, 0, 1) * np.where(deep > 0, deep < 1, True)).astype(np.float32)

    def _edge(self, beyond: Array, cell: float) -> Array:
        """0 on the near side of an edge, 1 on the far side; `beyond` and `cell` in units."""
        if self.soft:
            return smoothstep(0, self.soft, beyond)
        return np.asarray(np.clip(beyond / (2 * cell) + 0.5, 0, 1), np.float32)

    def shadow(self, window: Window, origin: tuple[float, float], length: float, of_base: bool) -> Array:
        """[rows, cols] in 0..1: the shade that the base's or the patch's edge casts into the gap."""
        u, v = self.local(window.centres(origin))
        base, patch = self.edges(u)
        far = v - base - self.lip if of_base else patch - self.fringe - v
        shade = np.clip(1 - far / length, 0, 1) ** 1.5 * (far > -1)
        return np.asarray(shade * _bow(u), np.float32)

    def cover(self, window: Window, origin: tuple[float, float], feather: float) -> Array:
        """[rows, cols] in 0..1: the patch's opacity, whole over its lens and fading out within `feather` units."""
        points = window.centres(origin)
        u, v = self.local(points)
        base, patch = self.edges(u)
        deep, _ = self.lenses(points)
        lens = ((np.abs(u) < 1) & (v > base) & (deep < 1)).astype(np.uint8)
        away = cv2.distanceTransform(1 - lens, cv2.DIST_L2, 5) * window.cell
        edge = 1 - self._edge(patch - self.fringe - v, window.cell)
        return (edge * (1 - smoothstep(2, 2 + feather, away))).astype(np.float32)


def trace(landmarks: Array, base: list[int], patch: list[int], shape: Slit, closed: float = 0) -> Slit:
    """`shape` with its edges drawn through landmarks, corner to corner. Edges nearer than `closed` become one."""
    lower, upper = (_edge(shape, landmarks[ids, :2]) for ids in (base, patch))
    middle, gap = (lower + upper) / 2, np.maximum(upper - lower, 0)
    if gap.max() < closed:
        gap = np.zeros_like(gap)
    return replace(shape, base=middle - gap / 2, patch=middle + gap / 2)


def straight(landmarks: Array, corners: tuple[int, int], side: int, lip: float, fringe: float) -> Slit:
    """A slit without curves or lenses between two landmarks."""
    flat = np.zeros(_SAMPLES, np.float32)
    start, end = (landmarks[i, :2] for i in corners)
    return Slit(start, end, side, flat, flat, 1, 1, lip, fringe)


def _edge(slit: Slit, points: Array) -> Array:
    """v along u of a smooth curve through points."""
    u, v = slit.local(points)
    order = np.argsort(u)
    grid = np.linspace(-1, 1, _SAMPLES)
    curve = np.interp(grid, u[order], v[order]).astype(np.float32)
    smooth = cv2.GaussianBlur(curve[None], (0, 0), _SAMPLES / 40, borderType=cv2.BORDER_REFLECT)[0]
    return np.asarray(smooth * np.clip((1 - np.abs(grid)) / 0.08, 0, 1), np.float32)
