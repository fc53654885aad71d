"""Lips in their own colour up to their edges: the dark seam where they meet in the photo does not part with them."""

from dataclasses import replace
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import TEXELS, Array, Window
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

_STRAY, _STEP = 3.0, 0.25  # units by which landmarks may miss the line between shut lips; of the search for it
_CORNER = 0.1  # of half the mouth: there the corners, which stay, take over
_EVEN = 0.08  # of the mouth: the line is smoothed over it, because a wavy one folds the lip
_TRUST, _BEND = 2.0, 6.0  # grey levels that landmarks weigh at a miss of _STRAY, and a step aside between columns
_BAND, _THIN = 4.0, 0.33  # over which a lip's edge may be dark: units, in its middle, and at most of its thickness
_DARK, _WHOLE = 0.64, 0.42  # of the lip's brightness: where repainting begins, and where nothing is kept
_TURN = 0.22  # how much darker a lip is at its very edge, where it turns inward
_MOST = 1.25  # of the colour behind the edge that is seen there


class Lips(NamedTuple):
    """The photo twice, [h, w, 3]: with the upper lip's colour up to its edge and beyond, and with the lower's."""

    upper: Picture
    lower: Picture


def on_seam(slit: Slit, picture: Picture) -> Slit:
    """A shut slit on the dark line between the lips: landmarks may draw it beside, which would show two lines."""
    if float(np.max(slit.patch - slit.base)) > 0:
        return slit
    aside = np.arange(-_STRAY, _STRAY + _STEP, _STEP, dtype=np.float32)
    u = np.linspace(-1, 1, slit.base.size, dtype=np.float32)
    at = slit.point(np.broadcast_to(u[:, None], (u.size, aside.size)), _floats(slit.base[:, None] + aside))
    path = _darkest(_level(_read(picture, at)) + _TRUST * (aside / _STRAY) ** 2)
    found = cv2.GaussianBlur(aside[path][None], (0, 0), _EVEN * u.size)[0]
    line = _floats(slit.base + found * np.clip((1 - np.abs(u)) / _CORNER, 0, 1))
    return replace(slit, base=line, patch=line)


def _darkest(levels: Array) -> list[int]:
    """Which of the places across [columns, places] the darkest path passes in each column (Bellman's recursion)."""
    places = np.arange(levels.shape[1])
    bend = _BEND * np.abs(np.subtract.outer(places, places))
    total, steps = levels[0], []
    for column in levels[1:]:
        ways = total[:, None] + bend
        steps.append(ways.argmin(0))
        total = column + ways.min(0)
    path = [int(total.argmin())]
    for step in reversed(steps):
        path.append(int(step[path[-1]]))
    return path[::-1]


def unseamed(picture: Picture, slit: Slit, rims: Slit) -> Lips:
    """The lips' own colour in place of the shadow between them, of teeth and of each other's.

    `rims`: a slit whose edges are where the lips end and the skin begins.
    """
    left, top, right, bottom = _around(slit, picture.shape[0])
    at = Window(bottom - top, right - left, 1 / TEXELS).centres((left / TEXELS, top / TEXELS))
    soft = cv2.GaussianBlur(picture, (0, 0), 1.2).astype(np.float32)
    part = np.s_[top:bottom, left:right]
    done = picture.copy(), picture.copy()
    for each, way in zip(done, (-1, 1), strict=True):
        each[part] = np.clip(np.round(_repainted(picture, soft, part, slit, rims, at, way)), 0, 255)
    return Lips(*done)


def _repainted(
    picture: Picture, soft: Array, part: tuple[slice, slice], slit: Slit, rims: Slit, at: Array, way: int
) -> Array:
    """The lip above (`way` -1) or below (1) the slit [h, w, 3], its edge mirrored from the red behind it."""
    u, v = slit.local(at)
    edge, rim = (each.edges(u)[max(way, 0)] for each in (slit, rims))
    deep = (v - edge) * way
    band = _floats(_BAND * np.sqrt(np.clip(1.08 - np.abs(u), 0, 1)) + 0.8)
    band = np.minimum(band, np.maximum(_THIN * way * (rim - edge), 0.8))
    mirrored = _read(picture, slit.point(u, _floats(edge + way * (2 * band - np.clip(deep, -band, band)))))
    behind = _read(soft, slit.point(u, _floats(edge + way * 1.7 * band)))
    dark = 1 - smoothstep(_WHOLE, _DARK, _floats(_level(soft[part]) / np.maximum(_level(behind), 1)))
    lip = np.minimum(mirrored, _MOST * behind) * (1 - _TURN * np.clip(1 - deep / band, 0, 1) ** 2)[..., None]
    share = np.maximum(dark * smoothstep(1, 0.6, _floats(deep / band)), smoothstep(1, 0, deep))
    share = share * smoothstep(-4, -3, deep) * smoothstep(1.1, 1.0, _floats(np.abs(u)))
    own = picture[part].astype(np.float32)
    return np.asarray(own + (lip - own) * share[..., None], np.float32)


def _around(slit: Slit, side: int) -> tuple[int, int, int, int]:
    """Left, top, right, bottom in texels of what the lips' edges may touch."""
    u = np.linspace(-1, 1, slit.base.size, dtype=np.float32)
    edges = np.concatenate([slit.point(u, slit.base), slit.point(u, slit.patch)]) * TEXELS
    low, high = np.floor(edges.min(0)) - 16, np.ceil(edges.max(0)) + 16
    (left, top), (right, bottom) = (np.clip(p, 0, side).astype(int) for p in (low, high))
    return int(left), int(top), int(right), int(bottom)


def _read(picture: npt.NDArray[np.generic], at: Array) -> Array:
    """Colours [h, w, 3] at points in units."""
    texels = (at * TEXELS - 0.5).astype(np.float32)
    return _floats(cv2.remap(picture, texels, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE))


def _level(colours: Array) -> Array:
    return np.asarray(colours.mean(-1), np.float32)


def _floats(values: npt.ArrayLike) -> Array:
    return np.asarray(values, np.float32)
