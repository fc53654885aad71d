"""Eyeballs: the white completed where iris and lids hid it, and the iris completed below the lid."""

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_fields import Origin
from engine.portrait.layers_layout import EYE, SIDE, TEXELS, Array, Window, texture
from engine.portrait.layers_mesh import Mask, extend
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

IRIS_TEXELS = 64
IRIS_REACH = 1.25  # radii from the centre to the side of its texture
_WHITE = (205.0, 198.0, 194.0)  # where the photo shows none


def cut(picture: Picture, window: Window, origin: Origin) -> Picture:
    """The texels of a window; the picture's edge is repeated beyond it."""
    x, y = (round(o * TEXELS) for o in origin)
    lattice = texture(window)
    rows = np.clip(np.arange(y, y + lattice.rows), 0, SIDE * TEXELS - 1)
    cols = np.clip(np.arange(x, x + lattice.cols), 0, SIDE * TEXELS - 1)
    return np.ascontiguousarray(picture[rows[:, None], cols])


def inside(slit: Slit, points: Array) -> Array:
    """Units from the nearer lid, negative behind it."""
    u, v = slit.local(points)
    base, patch = slit.edges(u)
    return np.where(np.abs(u) < 1, np.minimum(v - base, patch - v), -1).astype(np.float32)


def measured(picture: Picture, slits: tuple[Slit, Slit], irises: Array) -> Array:
    """`irises` [2, 4] with the radius at which the photo grows bright outwards, the same for both."""
    factors = [_radius(picture, slit, iris) for slit, iris in zip(slits, irises, strict=True)]
    return np.column_stack([irises[:, :3], np.full(2, irises[:, 3].mean() * np.mean(factors))]).astype(np.float32)


def _radius(picture: Picture, slit: Slit, iris: Array) -> float:
    """An iris's radius beside the given one, as seen to the sides where no lid is in the way."""
    turn = np.radians(np.concatenate([np.arange(-35, 36, 5), np.arange(145, 216, 5)]))
    factor = np.arange(0.8, 1.4, 0.02)
    rays = np.stack([np.cos(turn), np.sin(turn)], -1)[None] * (factor * iris[3])[:, None, None]
    points = (iris[:2] + rays).astype(np.float32)
    luma = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_LINEAR).astype(np.float32).mean(-1)
    free = (inside(slit, points) > 1.5).all(0)
    if free.sum() < 6:
        return 1.0
    rise = np.gradient(cv2.GaussianBlur(luma[:, free].mean(1)[None], (0, 0), 2)[0])
    return float(factor[int(rise.argmax())])


def white(picture: Picture, slit: Slit, iris: Array, origin: Origin) -> Picture:
    """RGB [2 * EYE units]: the eyeball without its iris. `iris` [4]: centre and radius."""
    points = texture(EYE).centres(origin)
    colours = cut(picture, EYE, origin).astype(np.float32)
    away = np.hypot(*np.moveaxis(points - iris[:2], -1, 0)) / iris[3]
    within = inside(slit, points)
    clear = (within > 1.5) & (away > 1.22)
    if clear.sum() < 40:
        return _bytes(np.broadcast_to(np.array(_WHITE, np.float32), colours.shape))
    light = colours.mean(-1)
    clear &= light >= np.percentile(light[clear], 50)  # not the shadow and the veins at the lids
    filled = extend(colours, clear)
    behind = extend(colours, (within > 1) & (away > 1.22))  # what a lid uncovers goes on from the shade at its edge
    filled += 0.5 * (behind - filled) * (1 - smoothstep(0, 2, within))[..., None]
    share = smoothstep(0, 1.2, within) * smoothstep(1.12, 1.3, away)
    return _bytes(filled + (colours - filled) * share[..., None])


def shut(lid: Picture, slit: Slit, origin: Origin) -> Picture:
    """RGB [2 * EYE units]: the skin of a lid without the lashes that lie across it, for when it is drawn down."""
    points = texture(EYE).centres(origin)
    _, patch = slit.edges(slit.local(points)[0])
    above = slit.local(points)[1] - patch
    bare = cv2.morphologyEx(lid, cv2.MORPH_CLOSE, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (19, 9)))
    bare = cv2.GaussianBlur(bare, (0, 0), 3).astype(np.float32) + _grain(lid)
    share = smoothstep(0.3, 1.5, above) * (1 - smoothstep(0.55 * slit.depth, 0.95 * slit.depth, above))
    return _bytes(lid + (bare - lid) * share[..., None])


def _grain(lid: Picture) -> Array:
    """[h, w, 1]: noise as fine and as strong as the skin's, the same every time."""
    luma = lid.astype(np.float32).mean(-1)
    rough = np.abs(luma - cv2.GaussianBlur(luma, (0, 0), 1.5))
    noise = np.random.default_rng(0).standard_normal(luma.shape).astype(np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.7)
    return np.asarray(noise / noise.std() * 1.2 * np.median(rough), np.float32)[..., None]


def iris_disk(picture: Picture, slit: Slit, iris: Array) -> Picture:
    """RGBA [IRIS_TEXELS, IRIS_TEXELS]: what the lids hide is mirrored from below, or taken from the ring it lies on."""
    reach = IRIS_REACH * float(iris[3])
    cell = 2 * reach / IRIS_TEXELS
    window = Window(IRIS_TEXELS, IRIS_TEXELS, cell)
    corner = float(iris[0]) - reach, float(iris[1]) - reach
    points = window.centres(corner)
    at = points * TEXELS - 0.5
    colours = cv2.remap(picture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    away = np.hypot(*np.moveaxis(points - iris[:2], -1, 0)) / iris[3]
    within = inside(slit, points)
    clear = within > 2
    filled = _rings(colours, clear, away)
    mirrored = clear[::-1]
    filled = np.where((mirrored & (away < 1.02))[..., None], colours[::-1], filled)
    share = smoothstep(1, 2.2, within)
    alpha = 255 * (1 - smoothstep(1.0, 1.14, away))
    return _bytes(np.dstack([filled + (colours - filled) * share[..., None], alpha]))


def _rings(colours: Array, clear: Mask, away: Array) -> Array:
    """Every texel as the mean of the visible ones at its distance from the centre."""
    bins = np.minimum((away * 16).astype(np.int64), 31)
    count = np.bincount(bins[clear], minlength=32)
    sums = np.stack([np.bincount(bins[clear], colours[..., i][clear], 32) for i in range(3)], 1)
    known = count > 0
    means = np.asarray(sums / np.maximum(count, 1)[:, None], np.float32)
    for i in range(3):
        means[:, i] = np.interp(np.arange(32), np.flatnonzero(known), means[known, i]) if known.any() else 60
    return means[bins].astype(np.float32)


def _bytes(a: Array) -> Picture:
    return np.clip(np.round(a), 0, 255).astype(np.uint8)
