"""Upper lids: the photo's skin with and without its lashes, the lashes alone, and the skin of a lid that is shut.

Lashes are a layer of their own because they turn: up on an open lid, down on a closed one, about the lid's edge.
"""

from collections.abc import Sequence
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import TEXELS, Array, Window
from engine.portrait.layers_mesh import Mask, extend
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

_LASH = 0.65, 18.0  # how far lashes reach above the edge: of the way to the brow, and units at most
_ROOT = 0.3, 1.5  # units above the edge between which lashes begin; what is nearer stays with the lid's margin
_FAINT = 0.06, 0.14  # of full darkness: below and within is skin's own grain, no lash
_BEYOND = 1.1, 1.4  # of the way to the corners: where lashes end
_INNER = 0.75  # by how much lashes are shorter at the inner corner
_BLURRED = 2.0  # a texel of the photo's blur: so much sooner what is dark is no lash but the lid's fold
_GROWN = np.array([[0, 0, 0], [0, 1, 0], [1, 1, 1]], np.uint8)  # a texel's lash goes on upwards
_WIDE = (23, 13)  # texels: what is darker and narrower is a lash
_HAIR = 0.8  # of the cheek's light: what is darker below a brow is hair
_LIGHT_FROM = 60  # percentile: skin that no fold shades
_MARGIN = 1.0  # units behind the edge that are the lid's alone
_BULGE = 0.07  # how much lighter the middle of a shut lid is than its rim


class Lid(NamedTuple):
    """Pictures over an eye's window, [rows, cols, 3 or 4]."""

    bare: Picture
    """RGB: the photo without its lashes."""
    shut: Picture
    """RGB: the lid's skin where it is drawn down, smooth and lit as the face beside it."""
    lashes: Picture
    """RGBA: over `bare` they give the photo."""


def lid(photo: Picture, slit: Slit, inner: int, points: Array, blur: float = 0) -> Lid:
    """`photo` [rows, cols, 3]: the texels at `points` [rows, cols, 2]; `inner`: u of the corner at the nose.

    `blur`: the photo's, in texels.
    """
    bare = _bare(photo, slit, inner, points, blur)
    return Lid(bare, _shut(photo, bare, slit, points), _over(photo, bare))


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


def _bare(photo: Picture, slit: Slit, inner: int, points: Array, blur: float) -> Picture:
    """The photo with its lashes closed over by the skin beside them."""
    above, u = height(slit, points), slit.local(points)[0]
    closed = cv2.morphologyEx(photo, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, _WIDE))
    skin = cv2.GaussianBlur(closed, (0, 0), 3).astype(np.float32)
    dark = ((skin - photo) / np.maximum(skin, 24)).max(-1)
    longest = min(_LASH[0] * slit.depth, _LASH[1] / (1 + _BLURRED * blur))
    far = longest * (1 - _INNER * smoothstep(0.2, 0.9, inner * u))
    share = smoothstep(*_ROOT, above) * (1 - smoothstep(0.7, 1, above / far)) * (1 - smoothstep(*_BEYOND, np.abs(u)))
    root = 2 * _ROOT[1] + 5 * smoothstep(0.75, 1, np.abs(u))  # at the corners lashes lie flat
    lash = _rooted(smoothstep(*_FAINT, dark) * share, above < root)
    return _bytes(photo + (np.maximum(skin + _grain(photo), photo) - photo) * lash[..., None])


def _rooted(lash: Array, root: Mask) -> Array:
    """Without what is dark but does not grow from `root`, like a fold."""
    grown = np.where(root, lash, 0).astype(np.float32)
    for _ in range(round(_LASH[1] * TEXELS)):
        grown = np.minimum(lash, cv2.dilate(grown, _GROWN))
    return grown


def _over(photo: Picture, bare: Picture) -> Picture:
    """RGBA: what has to lie over `bare` to give the photo: as clear as it may be for its darkest colour."""
    light, lack = bare.astype(np.float32), bare.astype(np.float32) - photo
    alpha = (lack / np.maximum(light, 24)).max(-1)
    colour = light - lack / np.maximum(alpha, 0.02)[..., None]
    return _bytes(np.dstack([colour, 255 * alpha]))


def _shut(photo: Picture, bare: Picture, slit: Slit, points: Array) -> Picture:
    """The lid's own skin near its margin and its rim; between, what the skin around the eye leads to."""
    above = height(slit, points)
    u, v = slit.local(points)
    below = slit.edges(u)[0] - v
    beside = np.abs(u) < 1.15
    brow = beside & (above > 0.7 * slit.depth) & (above < 0.95 * slit.depth)
    cheek = beside & (below > 4) & (below < 14)
    below_eye = _unshaded(photo, cheek)
    around = below_eye | _bare_of_hair(photo, _unshaded(photo, brow), below_eye)
    smooth = cv2.GaussianBlur(photo, (0, 0), 2).astype(np.float32)
    skin = cv2.GaussianBlur(extend(smooth, around), (0, 0), 8)
    skin *= (1 + _BULGE * np.cos(np.pi * (np.clip(2 * above / slit.depth, 0, 1.5) - 0.5)))[..., None]
    own = beside & (above > 0.1 * slit.depth) & (above < 0.6 * slit.depth)
    if own.any():  # a lid that is as light as the skin around it stays so
        skin *= np.clip(np.percentile(bare[own].mean(-1), _LIGHT_FROM) / max(float(skin[own].mean()), 1), 1, 1.6)
    rim = np.hypot(u / 1.2, np.maximum(above, 0) / slit.depth)
    share = smoothstep(*_ROOT, above) * (1 - smoothstep(0.7, 1.15, rim))
    lid = _closed_over(bare, slit, points)
    return _bytes(lid + (skin + 0.6 * _grain(photo) - lid) * share[..., None])


def _closed_over(bare: Picture, slit: Slit, points: Array) -> Array:
    """Without what shines of the eyeball along the lid's edge: no shut lid takes catch-lights along."""
    u, v = slit.local(points)
    behind = slit.point(u, np.maximum(v, slit.edges(u)[1] + _MARGIN))
    own = cv2.remap(bare, (behind - points[0, 0]) * TEXELS, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(np.minimum(bare, own), np.float32)


def _unshaded(photo: Picture, part: Mask) -> Mask:
    """The lighter of a part's texels."""
    light = photo.mean(-1)
    return part & (light >= np.percentile(light[part], _LIGHT_FROM)) if part.any() else part


def _bare_of_hair(photo: Picture, part: Mask, skin: Mask) -> Mask:
    """The part's texels that are nearly as light as `skin`: a low brow is no skin."""
    light = photo.mean(-1)
    return part & (light >= _HAIR * np.median(light[skin])) if skin.any() else part


def _grain(photo: Picture) -> Array:
    """[h, w, 1]: noise as fine and as strong as the skin's, the same every time."""
    luma = photo.astype(np.float32).mean(-1)
    rough = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.5))
    noise = np.random.default_rng(0).standard_normal(luma.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.7)
    return np.asarray(noise / noise.std() * 1.2 * np.median(rough), np.float32)[..., None]


def _bytes(a: Array) -> Picture:
    return np.clip(np.round(a), 0, 255).astype(np.uint8)
