"""Eyeballs: the white completed where iris and lids hid it, and the iris completed below the lid."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_fields import Origin
from engine.portrait.layers_layout import SIDE, TEXELS, Array, Window, texture
from engine.portrait.layers_mesh import Mask, extend
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

IRIS_TEXELS = 64
IRIS_REACH = 1.25  # radii from the centre to the side of its texture
_WHITE = 205.0, 198.0, 194.0  # where the photo shows none, at most;
_WHITE_OF_SKIN, _SKIN_HUE = 0.65, 0.4  # beside the lighter skin about the eye: its level, and the power of that hue
_DARKEST = 0.6  # of a lid's shadow: what is darker can't be told from noise
_SPARE = 41, 61  # texels: how wide and high about a hole the eyeball goes on, because lids move away from it
_ASIDE = 0.045  # radii by which its landmarks may lie beside an iris
_RIM = 0.88  # radii: colours farther out are mixed with the white's
_SHINE, _NEAR_WHITE = 45.0, 0.75  # a light's reflection is so much lighter than its ring; of the white's light
_INMOST = 0.65  # radii: lights farther out would leave the iris; they go with it
_BELOW = np.arange(-1.5, 5.01, 0.25, dtype=np.float32)  # units below its landmarks where a lower lid may begin
_OFF, _LOWER = 1.4, 3.5  # units that it must lie below them, or they are as good; that it may
_WARMER, _SURE = 0.04, 0.015  # share of the colour a unit: fainter is no edge; the mean along it that tells one
_PALE = 0.25  # the same share: what is warmer may be no white
_BINS = 16  # rings a radius
_UNSEEN = np.array([(0.36, 22, 18, 16), (0.42, 66, 48, 38), (0.8, 74, 56, 45), (1.0, 42, 32, 28)], np.float32)
"""Radius and colour of an iris that lids hide: pupil, dark brown, rim."""


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


def on_lid(slit: Slit, picture: Picture) -> Slit:
    """The slit with its lower edge where skin follows the eyeball: landmarks may draw it across the white.

    A lower lid that rose with what they leave of white and iris would show them twice.
    """
    u = np.linspace(-1, 1, slit.base.size, dtype=np.float32)
    points = slit.point(np.broadcast_to(u, (_BELOW.size, u.size)), slit.base - _BELOW[:, None])
    colours = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_LINEAR).astype(np.float32)
    warm = (colours[..., 0] - colours[..., 2]) / np.maximum(colours.max(-1), 16)
    middle = np.abs(u) < 0.85
    rise = np.gradient(cv2.GaussianBlur(warm, (0, 0), sigmaX=5, sigmaY=2), 0.25, axis=0)
    weight = np.maximum(rise.max(0) - _WARMER, 0) * middle
    if weight.mean() < _SURE or np.percentile(warm[_BELOW < 0][:, middle], 30) > _PALE:
        return slit
    bow = np.polynomial.Polynomial.fit(u, _BELOW[rise.argmax(0)], 2, w=np.sqrt(weight))
    lower = np.clip(bow(u), 0, _LOWER) * (1 - u**2) ** 1.5
    if lower.max() < _OFF:
        return slit
    return replace(slit, base=(slit.base - lower).astype(np.float32))


def measured(picture: Picture, slits: tuple[Slit, Slit], irises: Array) -> Array:
    """`irises` [2, 4] between where the photo grows bright to both sides, with that radius, the same for both."""
    right, left = (
        np.array([_reach(picture, slit, iris, way) for slit, iris in zip(slits, irises, strict=True)])
        for way in (0, 180)
    )
    found, radius = irises.astype(np.float32), irises[:, 3]
    found[:, 0] += np.clip((right - left) / 2, -_ASIDE, _ASIDE) * radius
    found[:, 3] = radius.mean() * (right + left).mean() / 2
    return found


def _reach(picture: Picture, slit: Slit, iris: Array, way: float) -> float:
    """How far an iris reaches about the direction `way`, degrees, in its given radius, as seen where no lid is."""
    turn = np.radians(way + np.arange(-35, 36, 5))
    factor = np.arange(0.8, 1.4, 0.02)
    rays = np.stack([np.cos(turn), np.sin(turn)], -1)[None] * (factor * iris[3])[:, None, None]
    points = (iris[:2] + rays).astype(np.float32)
    luma = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_LINEAR).astype(np.float32).mean(-1)
    free = (inside(slit, points) > 1.5).all(0)
    if free.sum() < 3:
        return 1.0
    rise = np.gradient(cv2.GaussianBlur(luma[:, free].mean(1)[None], (0, 0), 2)[0])
    return float(factor[int(rise.argmax())])


def lit(eye: Picture, shade: Array, colour: Array) -> Picture:
    """`eye` [rows, cols, 3] as it is below a lid's shadow [rows, cols] of a colour: the lid casts it anew."""
    under = np.minimum(shade, _DARKEST)[..., None]
    return _bytes((eye - under * colour) / (1 - under))


def white(eye: Picture, slit: Slit, iris: Array, points: Array, hole: Array) -> Picture:
    """RGBA: the eyeball without its iris, opaque where `hole` [rows, cols] may show it.

    `eye` [rows, cols, 3]: the texels at `points`; `iris` [4]: centre and radius.
    """
    reach = cv2.dilate(hole, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, _SPARE))
    away = np.hypot(*np.moveaxis(points - iris[:2], -1, 0)) / iris[3]
    within = inside(slit, points)
    clear = (within > 2.5) & (away > 1.3)
    if clear.sum() < 40:
        filled = np.broadcast_to(_made_up(eye), eye.shape)
    else:
        light = eye.mean(-1)
        clear &= light >= np.percentile(light[clear], 30)  # not the veins and what the lids' shadow left
        filled = cv2.GaussianBlur(extend(eye.astype(np.float32), clear), (0, 0), 2)
    own = smoothstep(1.5, 3, within) * smoothstep(1.2, 1.4, away)
    return _bytes(np.dstack([filled + (eye - filled) * own[..., None], 255 * reach]))


def _made_up(eye: Picture) -> Array:
    """[3] a white that suits the light on the skin about an eye that shows none."""
    skin = np.percentile(eye, 80, axis=(0, 1))
    return np.asarray(np.minimum(_WHITE, _WHITE_OF_SKIN * skin.mean() * (skin / skin.mean()) ** _SKIN_HUE), np.float32)


def iris_disk(eye: Picture, white: Picture, slit: Slit, iris: Array, origin: Origin) -> tuple[Picture, Picture]:
    """RGBA [IRIS_TEXELS, IRIS_TEXELS] each: the iris, whole, and the catch-light on it, which lies apart.

    `eye` and `white` are over the eye's window at `origin`. What lids hide is mirrored from below, or taken from the
    ring it lies on; beyond the rim the iris goes on as it is there, and is as clear as the photo shows it.
    """
    reach = IRIS_REACH * float(iris[3])
    points = Window(IRIS_TEXELS, IRIS_TEXELS, 2 * reach / IRIS_TEXELS).centres(iris[:2] - reach)
    away = np.hypot(*np.moveaxis(points - iris[:2], -1, 0)) / iris[3]
    seen, behind = (_sampled(a, points, origin) for a in (eye, white[..., :3]))
    drawn = iris[:2] + (points - iris[:2]) * np.minimum(1, _RIM / np.maximum(away, 1e-3))[..., None]
    colours, within = _sampled(eye, drawn, origin), inside(slit, drawn)
    clear = within > 2
    ring = _rings(colours, clear, away)
    filled = np.where((clear[::-1] & (away < 1.02))[..., None], colours[::-1], ring)
    whole = filled + (colours - filled) * smoothstep(1, 2.2, within)[..., None]
    shine = _shine(whole, ring, behind, away)
    plain = whole + (ring - whole) * shine[..., None]
    alpha = _clearness(seen, plain, behind, away, inside(slit, points) > 2)
    return _bytes(np.dstack([plain, 255 * alpha])), _light(whole, plain)


def _sampled(picture: Picture, points: Array, origin: Origin) -> Array:
    at = (points - np.array(origin, np.float32)) * TEXELS - 0.5
    found = cv2.remap(picture, at, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32)


def _shine(whole: Array, ring: Array, behind: Array, away: Array) -> Array:
    """[h, w] 1 where a light is reflected, falling to 0 about it: what outshines its ring and is near white."""
    light = (whole - ring).min(-1) > _SHINE
    light &= (whole.min(-1) > _NEAR_WHITE * behind.mean()) & (away < _INMOST)
    spots = cv2.medianBlur(light.astype(np.uint8), 3)
    about = cv2.dilate(spots, np.ones((9, 9), np.uint8)).astype(np.float32)
    return np.asarray(cv2.GaussianBlur(about, (0, 0), 1.5), np.float32)


def _light(whole: Array, plain: Array) -> Picture:
    """RGBA that makes `whole` of `plain`: as clear as it may be for white light."""
    over = np.maximum(whole - plain, 0)
    alpha = np.clip((over / np.maximum(255 - plain, 1)).max(-1), 0, 1)
    return _bytes(np.dstack([plain + over / np.maximum(alpha, 1e-3)[..., None], 255 * alpha]))


def _clearness(seen: Array, iris: Array, behind: Array, away: Array, clear: Mask) -> Array:
    """[h, w] 1 inside, falling to 0 about the rim: by rings, the share of iris that best explains what is seen."""
    step = np.minimum((away * _BINS).astype(np.int64), 2 * _BINS - 1)
    contrast = iris - behind
    top, bottom = (
        np.bincount(step[clear], (value * contrast).sum(-1)[clear], 2 * _BINS) for value in (seen - behind, contrast)
    )
    middle = (np.arange(2 * _BINS) + 0.5) / _BINS
    usual = 1 - smoothstep(0.94, 1.1, middle.astype(np.float32))
    share = np.where(bottom > 1e3, np.clip(top / np.maximum(bottom, 1e-3), 0, 1), usual)
    share = np.where(middle < _RIM, 1, share * (1 - smoothstep(1.08, 1.22, middle.astype(np.float32))))
    falling = np.minimum.accumulate(share)
    return np.interp(away, middle, falling).astype(np.float32)


def _rings(colours: Array, clear: Mask, away: Array) -> Array:
    """Every texel as the darker half of the visible ones at its distance from the centre."""
    bins = np.minimum((away * 16).astype(np.int64), 31)
    light = colours.mean(-1)
    middle = np.array([np.median(light[clear & (bins == i)]) if (clear & (bins == i)).any() else 0 for i in range(32)])
    dark = clear & (light <= middle[bins] + 1)
    count = np.bincount(bins[dark], minlength=32)
    sums = np.stack([np.bincount(bins[dark], colours[..., i][dark], 32) for i in range(3)], 1)
    known = count > 0
    means = np.asarray(sums / np.maximum(count, 1)[:, None], np.float32)
    at = (np.arange(32) + 0.5) / 16
    rings = np.column_stack([at, means])[known] if known.any() else _UNSEEN
    return np.stack([np.interp(away, rings[:, 0], rings[:, 1 + i]) for i in range(3)], -1).astype(np.float32)


def _bytes(a: Array) -> Picture:
    return np.clip(np.round(a), 0, 255).astype(np.uint8)
