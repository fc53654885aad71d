"""What shows between the lips: pictures of teeth, tongue and cavity, toned to the light of the portrait."""

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.dentition import TEETH_MM, UPPER_EDGE
from engine.portrait.layers_layout import CAVITY, LOWER_TEETH, TEXELS, TONGUE, TONGUE_OUT, UPPER_TEETH, Array
from engine.portrait.layers_layout import PLATE_COLS as COLS
from engine.portrait.layers_slit import Slit
from engine.portrait.layers_teeth import toothlike

Picture = npt.NDArray[np.uint8]

_MM_PER_EYES = 62.0  # between the pupils of an adult
_OPEN = 4.0  # units between lips that show teeth, and how far the landmarks may be off there
_ASIDE = (-1.5, -1.25, 1.25, 1.5)  # along the slit: where the cheeks tell from which side the light comes
_MOST_ASIDE = 0.35  # by how much one side of the mouth may be brighter than its middle
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
    CAVITY: _Sprite("cavity.png", 76, 66, 11, 1.2),
    TONGUE: _Sprite("tongue.png", 42, 20, 6.5, 0.5),
    LOWER_TEETH: _Sprite("lower_teeth.png", *TEETH_MM, 9.8, 0.98),
    UPPER_TEETH: _Sprite("upper_teeth.png", *TEETH_MM, 4.6 - UPPER_EDGE, 1.12),
    TONGUE_OUT: _Sprite("tongue_out.png", 25, 17, 8.5, 1.15),
}


@cache
def _picture(file: str) -> Picture:
    bgra = cv2.imread(str(_DATA / file), cv2.IMREAD_UNCHANGED)
    return np.asarray(cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGBA), np.uint8)


def pictures(light: Array, sides: Array) -> Picture:
    """RGBA [5, rows, COLS] back to front. `light` [3]: in which white appears, 0..1; `sides` as of `sidelight`."""
    toned = []
    for kind in sorted(_SPRITES):
        sprite = _SPRITES[kind]
        rgba = _picture(sprite.file).astype(np.float32)
        along = (np.arange(COLS) + 0.5) / COLS * 2 - 1
        rgba[..., :3] *= np.interp(along * sprite.width / TEETH_MM[0], (-1, 1), sides)[:, None] * light * sprite.tone
        toned.append(np.clip(np.round(rgba), 0, 255).astype(np.uint8))
    return np.stack(toned)


def sidelight(picture: Picture, slit: Slit) -> Array:
    """[2] the brightness at the left and the right end of the teeth beside that in their middle, as the cheeks tell."""
    u, v = np.meshgrid(np.array(_ASIDE, np.float32), np.linspace(-6, 6, 7, dtype=np.float32))
    at = slit.point(u, v) * TEXELS - 0.5
    levels = cv2.remap(cv2.GaussianBlur(picture, (0, 0), 4), at.astype(np.float32), None, cv2.INTER_LINEAR).mean((0, 2))
    left, right = float(levels[:2].mean()), float(levels[2:].mean())
    lean = np.clip((right - left) / max(right + left, 1.0), -_MOST_ASIDE, _MOST_ASIDE)
    return np.array([1 - lean, 1 + lean], np.float32)


def below_teeth(slit: Slit, picture: Picture, light: Array) -> Slit:
    """The slit with its lower edge where the lip begins: landmarks may draw it across the lower teeth."""
    if float((slit.patch - slit.base).max()) < _OPEN:
        return slit
    u = np.linspace(-1, 1, slit.patch.size, dtype=np.float32)
    down = np.arange(0, _OPEN, 0.25, dtype=np.float32)
    points = slit.point(np.broadcast_to(u, (down.size, u.size)), slit.patch + 0.5 + down[:, None])
    colours = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_LINEAR)
    teeth = np.minimum.accumulate(toothlike(colours, light) > 0.5, 0).sum(0) * 0.25 * (np.abs(u) < 0.9)
    wide = cv2.dilate(teeth.astype(np.float32)[None], np.ones((1, 17), np.uint8))
    return replace(slit, patch=slit.patch + cv2.GaussianBlur(wide, (0, 0), 9)[0])


def box(kind: int, slit: Slit, eyes: float) -> tuple[float, float, float, float]:
    """The middle (x, y) and size (width, height) in units; `eyes` is the distance between the pupils."""
    unit, sprite = eyes / _MM_PER_EYES, _SPRITES[kind]
    base, _ = slit.edges(np.zeros(1, np.float32))
    x, y = (slit.start + slit.end) / 2 + (float(base[0]) + sprite.below * unit) * slit.away()
    return float(x), float(y), sprite.width * unit, sprite.height * unit
