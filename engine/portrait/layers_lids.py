"""Upper lids: the photo's skin with and without its lashes, the lashes alone, and the skin of a lid that is shut.

Lashes are a layer of their own because they turn: up on an open lid, down on a closed one, about the lid's edge.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np

from engine.portrait.layers_lashes import Picture, Strip, as_bytes, bare, grain, over
from engine.portrait.layers_layout import TEXELS, Array, Window
from engine.portrait.layers_mesh import extend
from engine.portrait.layers_slit import Slit, smoothstep

_RING = 0.85, 1.3  # of the way from the eye to its lens's rim and beyond: skin that shows how a shut lid is lit
_ASIDE, _BELOW = 1.2, (4.0, 14.0)  # the same at the corners, of the way there; below the eye, in units
_HAIR, _ABOVE = (
    (0.75, 0.6),
    0.6,
)  # of the light below the eye: what is darker, above so much of the lens or else, is hair
_LED = 9.0  # texels over which the skin that is led across an eye is a mean
_BULGE, _UNDER = 0.06, 0.06  # how much lighter the middle of a shut lid is than its rim; how much darker its edge
_CREASE, _FINE, _COARSE = 0.3, 1.2, 7.0  # what stays of the fold, which is finer and coarser than so many texels
_RIM = 0.75, 1.2  # of the way to the lens's rim: where the shut lid's skin fades into the photo's
_DRAWN_OUT = 0.35  # texels: the grain's height, which grows as the lid shuts
_MARGIN = 0.8, 0.4, 1.8  # units above the edge: what is nearer may be eyeball; from and to which the margin ends
_RED = np.array([0.8, 1.05, 1.2], np.float32)  # powers of its shade: blood keeps the red in the skin's shadows
_IRIS, _EVEN = 1.2, 6.0  # radii about the iris within which a margin may show it; texels over which it is a mean


class Lid(NamedTuple):
    """Pictures over an eye's window, [rows, cols, 3 or 4]."""

    bare: Picture
    """RGB: the photo without its lashes, but for their shine."""
    shut: Picture
    """RGB: the lid's skin where it is drawn down, smooth and lit as the face beside it."""
    lashes: Picture
    """RGBA: over `bare` they give the photo."""


def lid(photo: Picture, slit: Slit, inner: int, iris: Array, points: Array, blur: float = 0) -> Lid:
    """`photo` [rows, cols, 3]: the texels at `points` [rows, cols, 2]; `inner`: u of the corner at the nose.

    `iris` [4]: centre and radius, in units; `blur`: the photo's, in texels.
    """
    skin = bare(photo, slit, inner, points, blur)
    shining = np.maximum(skin, photo)  # where lashes are lighter than the skin
    return Lid(shining, _shut(skin, slit, iris, points), over(photo, shining))


def without_lashes(picture: Picture, lids: Sequence[Lid], places: Sequence[tuple[float, float]]) -> Picture:
    """The whole photo with its lids bare; `places` are the windows' corners in units."""
    whole = picture.copy()
    for lid, place in zip(lids, places, strict=True):
        x, y = (round(o * TEXELS) for o in place)
        rows, cols = lid.bare.shape[:2]
        part = whole[y : y + rows, x : x + cols]
        part[:] = np.where(lid.lashes[..., 3:] > 0, lid.bare, part)
    return whole


def height(slit: Slit, points: Array) -> Array:
    """Units above the lid's edge; beyond the corners, above the line between them."""
    u, v = slit.local(points)
    return v - slit.edges(u)[1]


def turning(slit: Slit, window: Window, origin: tuple[float, float]) -> Array:
    """[2, rows, cols]: from the lid's edge to each cell, across the slit, in units: along it lashes shrink and turn."""
    away = height(slit, window.centres(origin))[None] * slit.away()[:, None, None]
    return np.asarray(away, np.float32)


def _shut(skin: Picture, slit: Slit, iris: Array, points: Array) -> Picture:
    """What the skin around the eye leads to across it, lit as a ball, with what the photo shows of the lid's fold.

    A shut lid's skin is drawn out over the whole eye: it takes its light from where it comes to lie.
    """
    u, v = slit.local(points)
    base, patch = slit.edges(u)
    deep, _ = slit.lenses(points)
    inside = (np.abs(u) < 1) & (v > base)
    lies = slit.point(u, np.where(inside, v - (1 - deep) * (patch - base), v))
    led = cv2.remap(_led(skin, slit, points), (lies - points[0, 0]) * TEXELS, None, cv2.INTER_LINEAR)
    bow = np.sqrt(np.clip(1 - u * u, 0, 1))
    ball = 1 + (_BULGE * np.sin(np.pi * deep) - _UNDER * (1 - deep) ** 3) * bow
    fine, coarse = (cv2.GaussianBlur(skin.astype(np.float32), (0, 0), sigma) for sigma in (_FINE, _COARSE))
    fold = np.minimum(fine - coarse, 0) * smoothstep(*_MARGIN[1:], v - patch)[..., None]
    share = smoothstep(*_RIM, np.hypot(u, (v - patch) / slit.depth))[..., None]
    lid = led * ball[..., None] + _CREASE * fold
    lid += (fine - lid) * share + grain(skin, _DRAWN_OUT)
    margin, share = _margin(skin, slit, iris, points)
    dark = np.clip(margin.mean(-1) / np.maximum(lid.mean(-1), 1), 0, 1)  # its colour may be the eyeball's
    return as_bytes(lid * (1 - share + share * dark)[..., None] ** _RED)


def _led(skin: Picture, slit: Slit, points: Array) -> Array:
    """[rows, cols, 3] the skin around the eye, led across it, each place where the photo has it."""
    u, v = slit.local(points)
    base, patch = slit.edges(u)
    above, below, aside = (v - patch) / slit.depth, base - v, np.abs(u) / _ASIDE
    way = np.hypot(aside, np.maximum(above, 0))
    ring = (way > _RING[0]) & (way < _RING[1]) & (below < _BELOW[1])
    cheek = (below > _BELOW[0]) & (below < _BELOW[1]) & (aside < _RING[1])
    light = skin.astype(np.float32).mean(-1)
    least = np.where(above > _ABOVE, *_HAIR) * np.median(light[cheek])
    known = (ring | cheek) & (light > least)
    return np.asarray(cv2.GaussianBlur(extend(skin.astype(np.float32), known), (0, 0), _LED), np.float32)


def _margin(skin: Picture, slit: Slit, iris: Array, points: Array) -> tuple[Array, Array]:
    """[rows, cols, 3] a lid's margin along its edge and beyond, without what the photo shows there of the eyeball, and
    its share [rows, cols]."""
    strip = Strip.along(slit, _MARGIN[-1] + 1)
    seen = strip.cut(skin, points[0, 0])
    free = np.hypot(*(strip.points[0] - iris[:2]).T) > _IRIS * iris[3]
    if free.any():
        column = np.arange(len(free))
        rows = [[np.interp(column, column[free], row[free, i]) for i in range(3)] for row in seen]
        seen = np.asarray(rows, np.float32).transpose(0, 2, 1)
    even = cv2.GaussianBlur(seen, (0, 0), sigmaX=_EVEN, sigmaY=0.5)
    at = strip.places(points)
    along = np.abs(slit.local(points)[0]) < 1
    share = np.where(along, 1 - smoothstep(*_MARGIN[1:], at[..., 1] / np.float32(TEXELS)), 0).astype(np.float32)
    at[..., 1] = np.maximum(at[..., 1], _MARGIN[0] * TEXELS)
    margin = cv2.remap(even, at, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(margin, np.float32), share
