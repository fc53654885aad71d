"""The lashes of an upper lid, told from its skin: dark lines that grow from the lid's edge, across its fold.

They are looked for in a strip along the edge, in which they stand upright and the fold lies flat: what is dark and
narrow along the strip is a lash, what is dark and long is the lid's own.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import TEXELS, Array
from engine.portrait.layers_mesh import Mask
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

_ROOT = 0.3, 1.5  # units above the edge between which lashes begin; what is nearer stays with the lid's margin
_LASH = 0.65, 18.0  # how far lashes reach above the edge: of the way to the brow, and units at most
_FAINT = 0.05, 0.13  # of full darkness: below and within is skin's own grain, no lash
_BEYOND = 1.2, 1.5  # of the way to the corners: where lashes end
_INNER, _OUTER = 0.75, 0.5  # by how much lashes are shorter at the inner corner, and longer at the outer
_BLURRED = 2.0  # a texel of the photo's blur: so much sooner what is dark is no lash but the lid's fold
_WIDE, _CLUMP = 15, 41  # texels: what is darker and narrower is a lash; the same where they clump,
_TILTS = -3, 0, 3  # rows by which a fold may rise within half that width
_CLUMPED = 0.55, 0.95  # from and to which share of the way to the outer corner
_GROWN = np.array([[1, 1, 1], [1, 1, 1], [0, 0, 0]], np.uint8)  # a texel's lash goes on away from the edge
_GRAIN = 0.7  # texels
_BENDS = 6.0  # texels over which the edge's direction is a mean


@dataclass(frozen=True)
class Strip:
    """The skin along an upper lid's edge: rows away from it, columns along it, a texel each."""

    points: Array
    """[rows, cols, 2] where its texels lie, in units."""
    u: Array
    """[cols] along the slit."""

    @classmethod
    def along(cls, slit: Slit, units: float) -> "Strip":
        """So many units high; it goes on straight beyond the corners."""
        u = np.linspace(-1.7, 1.7, 681, dtype=np.float32)
        edge = slit.point(u, slit.edges(u)[1])
        far = np.concatenate([[0], np.cumsum(np.hypot(*np.diff(edge, axis=0).T))])
        even = np.arange(0, far[-1], 1 / TEXELS)
        edge = np.stack([np.interp(even, far, edge[:, i]) for i in (0, 1)], -1)
        way = cv2.GaussianBlur(np.gradient(edge, axis=0), (1, 0), sigmaX=0.1, sigmaY=_BENDS)
        out = slit.side * np.stack([-way[:, 1], way[:, 0]], -1) / np.hypot(*way.T)[:, None]
        away = np.arange(round(units * TEXELS))[:, None, None] / TEXELS
        return cls((edge + away * out).astype(np.float32), np.interp(even, far, u).astype(np.float32))

    @property
    def away(self) -> Array:
        """[rows, 1] units from the edge."""
        return np.asarray(np.arange(len(self.points))[:, None] / TEXELS, np.float32)

    def cut(self, picture: npt.NDArray[np.uint8], corner: Array) -> Array:
        """[rows, cols, 3] of a picture whose first texel's middle lies at `corner`."""
        found = cv2.remap(picture, (self.points - corner) * TEXELS, None, cv2.INTER_LINEAR)
        return np.asarray(found, np.float32)

    def places(self, points: Array) -> Array:
        """[..., 2] column and row of points: of the nearest place on the edge, and away from it."""
        flat = points.reshape(-1, 2)
        edge, out = self.points[0], (self.points[1] - self.points[0]) * TEXELS
        middle = edge.mean(0)  # near it squares of single precision tell texels apart
        column = (((edge - middle) ** 2).sum(-1) - 2 * (flat - middle) @ (edge - middle).T).argmin(1)
        offset = (flat - edge[column]) * TEXELS
        way = np.stack([-out[:, 1], out[:, 0]], -1)[column]
        way *= np.sign((way * (edge[-1] - edge[0])).sum(-1, keepdims=True))
        place = np.stack([column + (offset * way).sum(-1), (offset * out[column]).sum(-1)], -1)
        return place.reshape(points.shape).astype(np.float32)


def bare(photo: Picture, slit: Slit, inner: int, points: Array, blur: float) -> Picture:
    """The photo [rows, cols, 3], whose texels lie at `points`, with its lashes closed over by the skin beside them.

    `inner`: u of the corner at the nose; `blur`: the photo's, in texels.
    """
    longest = min(_LASH[0] * slit.depth, _LASH[1] / (1 + _BLURRED * blur))
    strip = Strip.along(slit, (1 + _OUTER) * longest + 2)
    seen = strip.cut(photo, points[0, 0])
    skin = _closed(seen, smoothstep(*_CLUMPED, -inner * strip.u))
    other = (np.abs(skin - seen) / np.maximum(skin, 24)).max(-1)
    to_nose = inner * strip.u
    far = longest * (1 - _INNER * smoothstep(0.2, 0.9, to_nose) + _OUTER * smoothstep(0.5, 1, -to_nose))
    share = (1 - smoothstep(0.7, 1, (strip.away / far).astype(np.float32))) * (
        1 - smoothstep(*_BEYOND, np.abs(strip.u))
    )
    share = np.asarray(smoothstep(*_ROOT, strip.away) * share, np.float32)
    root = 2 * _ROOT[1] + 5 * smoothstep(0.75, 1, np.abs(strip.u))  # at the corners lashes lie flat
    lash = _rooted(smoothstep(*_FAINT, other) * share, strip.away < root)
    at = strip.places(points)
    lash, skin = (cv2.remap(a, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT) for a in (lash, skin))
    return as_bytes(photo + (skin + grain(photo) - photo) * lash[..., None])


def over(photo: Picture, bare: Picture) -> Picture:
    """RGBA: what has to lie over `bare` to give the photo: as clear as it may be for its darkest colour."""
    light, lack = bare.astype(np.float32), bare.astype(np.float32) - photo
    alpha = (lack / np.maximum(light, 24)).max(-1)
    colour = light - lack / np.maximum(alpha, 0.02)[..., None]
    return as_bytes(np.dstack([colour, 255 * alpha]))


def grain(photo: Picture, tall: float = _GRAIN) -> Array:
    """[h, w, 1]: noise as fine and as strong as the skin's, the same every time; `tall`: texels, where rows part."""
    luma = photo.astype(np.float32).mean(-1)
    rough = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.5))
    noise = np.random.default_rng(0).standard_normal(luma.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), sigmaX=_GRAIN, sigmaY=tall)
    return np.asarray(noise / noise.std() * 1.2 * np.median(rough), np.float32)[..., None]


def as_bytes(a: Array) -> Picture:
    return np.clip(np.round(a), 0, 255).astype(np.uint8)


def _closed(seen: Array, clumped: Array) -> Array:
    """A strip's skin without what is narrow along it, darker or, as lashes shine, lighter; `clumped` [cols] 0..1."""
    lines = [_line(_WIDE, tilt) for tilt in _TILTS]
    narrow = np.min([cv2.morphologyEx(seen, cv2.MORPH_CLOSE, line) for line in lines], axis=0)
    narrow = np.max([cv2.morphologyEx(narrow, cv2.MORPH_OPEN, line) for line in lines], axis=0)
    wide = cv2.morphologyEx(seen, cv2.MORPH_CLOSE, _line(_CLUMP, 0))
    closed = narrow + (wide - narrow) * clumped[:, None]
    return np.asarray(cv2.GaussianBlur(closed, (0, 0), sigmaX=5, sigmaY=0.5), np.float32)


def _line(length: int, tilt: int) -> Picture:
    """A structuring element along a strip; its ends lie `tilt` rows from its middle."""
    line, columns = np.zeros((2 * abs(tilt) + 1, length), np.uint8), np.arange(length)
    line[np.round(np.linspace(-tilt, tilt, length)).astype(int) + abs(tilt), columns] = 1
    return line


def _rooted(lash: Array, root: Mask) -> Array:
    """Without what is dark but does not grow from `root`."""
    grown = np.where(root, lash, 0).astype(np.float32)
    for _ in range(len(lash)):
        grown = np.minimum(lash, cv2.dilate(grown, _GROWN))
    return grown
