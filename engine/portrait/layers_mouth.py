"""What shows between the lips: pictures of teeth, tongue and cavity, toned to the light of the portrait."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import (
    CAVITY,
    LOWER_TEETH,
    TEXELS,
    TONGUE,
    TONGUE_OUT,
    UPPER_TEETH,
    Array,
    Window,
)
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

ROWS, COLS = 192, 256  # texels of each picture
_MM_PER_EYES = 62.0  # between the pupils of an adult
_OPEN = 4.0  # units between lips that show teeth, and how far the landmarks may be off there
_EDGE = 0.867  # of the upper teeth's picture: where the incisors end
_DATA = Path(__file__).parent / "data"


class _Sprite(NamedTuple):
    """A picture of the mouth: its file, its size, and where it rests below the middle of the slit (mm)."""

    file: str
    width: float
    height: float
    below: float
    """From the slit down to its middle."""
    tone: float
    """Brightness beside the light on the face."""


_SPRITES = {
    CAVITY: _Sprite("cavity.png", 96, 84, 14, 0.22),
    TONGUE: _Sprite("tongue.png", 44, 21, 9, 0.5),
    LOWER_TEETH: _Sprite("lower_teeth.png", 56, 24, 8, 0.86),
    UPPER_TEETH: _Sprite("upper_teeth.png", 64, 24, -4.0, 0.98),
    TONGUE_OUT: _Sprite("tongue.png", 25, 17, 8.5, 1.0),
}


@cache
def _picture(file: str) -> Picture:
    bgra = cv2.imread(str(_DATA / file), cv2.IMREAD_UNCHANGED)
    rgba = cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA)
    return np.asarray(cv2.resize(rgba, (COLS, ROWS), interpolation=cv2.INTER_AREA), np.uint8)


def pictures(light: Array) -> Picture:
    """RGBA [5, ROWS, COLS] back to front. `light` [3]: the colour in which white appears, 0..1."""
    toned = []
    for kind in sorted(_SPRITES):
        sprite = _SPRITES[kind]
        rgba = _picture(sprite.file).astype(np.float32)
        rgba[..., :3] *= light * sprite.tone
        if kind == CAVITY:
            rgba = _throat(rgba)
        if kind == TONGUE_OUT:
            rgba = _blade(rgba)
        toned.append(np.clip(np.round(rgba), 0, 255).astype(np.uint8))
    return np.stack(toned)


def _throat(rgba: Array) -> Array:
    """The cavity covers whatever a hole may show: opaque within an oval, fading out beyond it."""
    y, x = np.mgrid[-1 : 1 : ROWS * 1j, -1 : 1 : COLS * 1j]
    far = np.hypot(x, y)
    colour = cv2.GaussianBlur(rgba[..., :3], (0, 0), 6)
    middle = colour[rgba[..., 3] > 250].mean(0)
    inside = cv2.GaussianBlur((rgba[..., 3] > 250).astype(np.float32), (0, 0), 8)[..., None]
    return np.dstack([middle + (colour - middle) * inside, 255 * np.clip((1 - far) / 0.15, 0, 1)]).astype(np.float32)


def _blade(rgba: Array) -> Array:
    """The tongue as it hangs out: its flesh in the shape of a U, round at the sides, lost in the dark above."""
    skin = cv2.resize(rgba[60:150, 50:206, :3], (COLS, ROWS), interpolation=cv2.INTER_CUBIC)
    y, x = np.meshgrid(np.linspace(0, 1, ROWS), np.linspace(-1, 1, COLS), indexing="ij")
    half = 0.97 * np.clip(0.8 + 0.5 * y, 0, 1) * np.sqrt(np.clip(1 - (np.clip(y - 0.45, 0, None) / 0.53) ** 2.4, 0, 1))
    side = np.abs(x) / np.maximum(half, 1e-3)
    shade = np.sqrt(np.clip(1.08 - side**4, 0.2, 1)) * (1 - 0.1 * np.exp(-((x / 0.12) ** 2)) * np.clip(3 - 4 * y, 0, 1))
    shade *= np.clip(0.25 + 1.6 * y, 0, 1)
    alpha = np.clip((half - np.abs(x)) * 20, 0, 1) * np.clip(y * 5, 0, 1) * np.clip((0.98 - y) * 40, 0, 1)
    mean = skin.mean((0, 1))
    return np.dstack([(mean + 0.6 * (skin - mean)) * shade[..., None], 255 * alpha]).astype(np.float32)


def with_own(model: Picture, picture: Picture, slit: Slit, box: Array, light: Array) -> Picture:
    """The model's upper teeth RGBA, and over them the photo's own where its mouth shows any.

    The model is moved so that its edges end where the photo's end: it shows above and beside them.
    """
    window = Window(ROWS, COLS, 1)
    unit = window.centres() / (COLS, ROWS) - 0.5
    points = (box[:2] + unit * box[2:]).astype(np.float32)
    colours = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    u, v = slit.local(points)
    base, patch = slit.edges(u)
    gap = smoothstep(0.3, 1.3, v - base) * smoothstep(0.3, 1.3, patch - v) * (np.abs(u) < 1)
    own = _toothlike(colours, light) * gap
    upper = own * np.minimum.accumulate(np.where((v > base + 2) & (own < 0.2), 0, 1), 0)  # not the lower row
    middle = np.abs(u) < 0.4
    if (upper[middle] > 0.5).sum() < 0.3 * max((gap[middle] > 0.5).sum(), 400):
        return model
    ends = np.where((upper > 0.5) & middle, np.arange(ROWS)[:, None], 0).max(0)
    shift = float(np.median(ends[ends > 0])) - _EDGE * ROWS
    moved = cv2.warpAffine(model, np.array([[1, 0, 0], [0, 1, shift]]), (COLS, ROWS), borderMode=cv2.BORDER_REPLICATE)
    alpha = np.maximum(moved[..., 3], 255 * upper)
    colour = moved[..., :3].astype(np.float32)
    colour *= colours[upper > 0.8].mean(0) / np.maximum(colour[upper > 0.8].mean(0), 1)
    colour += (colours - colour) * upper[..., None]
    return np.clip(np.round(np.dstack([colour, alpha])), 0, 255).astype(np.uint8)


def below_teeth(slit: Slit, picture: Picture, light: Array) -> Slit:
    """The slit with its lower edge where the lip begins: landmarks may draw it across the lower teeth."""
    if float((slit.patch - slit.base).max()) < _OPEN:
        return slit
    u = np.linspace(-1, 1, slit.patch.size, dtype=np.float32)
    down = np.arange(0, _OPEN, 0.25, dtype=np.float32)
    points = slit.point(np.broadcast_to(u, (down.size, u.size)), slit.patch + 0.5 + down[:, None])
    colours = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_LINEAR)
    teeth = np.minimum.accumulate(_toothlike(colours, light) > 0.5, 0).sum(0) * 0.25 * (np.abs(u) < 0.9)
    wide = cv2.dilate(teeth.astype(np.float32)[None], np.ones((1, 17), np.uint8))
    return replace(slit, patch=slit.patch + cv2.GaussianBlur(wide, (0, 0), 9)[0])


def _toothlike(colours: Picture, light: Array) -> Array:
    """[h, w] in 0..1: bright and pale beside the light on the face."""
    high, low = colours.max(-1).astype(np.float32), colours.min(-1).astype(np.float32)
    bright = smoothstep(0.28, 0.45, high / (255 * float(light.mean())))
    return bright * (1 - smoothstep(0.3, 0.5, (high - low) / np.maximum(high, 1)))


def box(kind: int, slit: Slit, eyes: float) -> tuple[float, float, float, float]:
    """The middle (x, y) and size (width, height) in units; `eyes` is the distance between the pupils."""
    unit, sprite = eyes / _MM_PER_EYES, _SPRITES[kind]
    base, _ = slit.edges(np.zeros(1, np.float32))
    x, y = (slit.start + slit.end) / 2 + (float(base[0]) + sprite.below * unit) * slit.away()
    return float(x), float(y), sprite.width * unit, sprite.height * unit
