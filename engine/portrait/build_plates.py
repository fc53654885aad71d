"""Draws the mouth's model pictures: `python -m engine.portrait.build_plates [DIRECTORY]`. Teeth, gums, tongue, cavity.

Each is modelled in millimetres as it is seen from the front in even light: crowns stand along an elliptic arch, turn
away from the viewer as it does, and lose light towards the back of the mouth. A portrait's own light comes in
`layers_mouth`. x points right, y down, the middle is the origin.
"""

import sys
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.dentition import LOWER, TEETH_MM, UPPER, Arch, Crown
from engine.portrait.layers_layout import PLATE_COLS as COLS
from engine.portrait.layers_layout import PLATE_ROWS as ROWS

Floats = npt.NDArray[np.float64]
Picture = npt.NDArray[np.uint8]

DATA = Path(__file__).parent / "data"
_FINE = 6  # times finer is drawn than kept

_NECK, _BODY, _EDGE = np.array([(0.88, 0.79, 0.67), (0.95, 0.90, 0.82), (0.92, 0.88, 0.81)])  # enamel, from the gum on
_GUM, _FLESH, _THROAT = np.array([(0.74, 0.44, 0.42), (0.80, 0.47, 0.45), (0.42, 0.15, 0.13)])
_RED = np.array([0.8, 1.0, 1.2])  # of what a lip's shadow takes: light comes through it, and off it
_LIGHT = np.array([0.0, 0.28, 0.96])  # from above the viewer, y up
_DIM = 46.0  # mm back into the mouth at which a third of the light is left


class _Place(NamedTuple):
    """Where a crown stands on its arch."""

    x: float
    back: float
    """mm behind the middle, not positive."""
    across: float
    """How much of its width is seen: the cosine of its turn."""


def teeth(arch: Arch) -> Picture:
    """RGBA [ROWS, COLS], the crowns pointing down; a lower row is the same upside down."""
    x, y = _plane(*TEETH_MM)
    colour, alpha = _gums(arch, x, y)
    colour *= alpha[..., None]
    for crown, place in reversed(list(zip(arch.crowns, _along(arch), strict=True))):
        for side in (-1, 1):
            own, cover = _crown(crown, place, arch, x * side, y)
            colour += (own - colour) * cover[..., None]
            alpha += (1 - alpha) * cover
    return _kept(colour / np.maximum(alpha, 1e-6)[..., None], alpha)


def tongue() -> Picture:
    """RGBA: its back and tip as they lie behind the lower teeth, a furrow in the middle."""
    x, y = _plane(2, 2)
    high = np.clip(1 - np.abs(x) ** 2.4 - np.clip(-y, 0, 1) ** 2.2 * 1.1, 0, 1)
    shade = 0.45 + 0.5 * high**0.6 + 0.06 * np.clip(y, 0, 1)
    furrow = 0.14 * np.exp(-((x / 0.07) ** 2)) * (0.4 + 0.6 * np.clip(0.6 - y, 0, 1))
    wet = 0.10 * np.exp(-(((x + 0.22) / 0.16) ** 2) - ((y + 0.25) / 0.13) ** 2)
    colour = _FLESH * ((shade - furrow) * _grain(x, y))[..., None] + wet[..., None]
    return _kept(colour, np.clip(high * 9, 0, 1))


def tongue_out() -> Picture:
    """RGBA: put out over the lower lip; dim where it leaves the mouth, round at its end."""
    x, y = _plane(2, 2)
    t = (y + 1) / 2
    half = (0.76 + 0.10 * np.sin(np.pi * t)) * np.sqrt(np.clip(1 - (np.clip(t - 0.45, 0, 1) / 0.49) ** 2.4, 0, 1))
    side = np.clip(np.abs(x) / np.maximum(half, 1e-3), 0, 1)
    shade = (0.62 + 0.38 * np.sqrt(1 - side**3 * 0.95)) * (0.45 + 0.55 * _smooth(0.05, 0.5, t))
    shade *= 1 - 0.16 * np.exp(-((x / 0.08) ** 2)) * _smooth(0.95, 0.5, t)
    shade *= 1 - 0.22 * _smooth(0.80, 1.0, t)
    wet = 0.10 * np.exp(-(((np.abs(x) - 0.36) / 0.15) ** 2) - ((t - 0.66) / 0.12) ** 2)
    flesh = _FLESH * (shade * _grain(x, y))[..., None] + wet[..., None]
    away = np.hypot(np.clip(np.abs(x) - half, 0, None) * 1.2, np.clip(t - 0.93, 0, None) * 2)
    cast = 0.3 * np.clip(1 - away / 0.14, 0, 1) ** 2  # its shadow on the lip
    cover = np.clip((half - np.abs(x)) * 16, 0, 1) * np.clip((0.93 - t) * 40, 0, 1)
    alpha = cover + cast * (1 - cover)
    colour = flesh * (cover / np.maximum(alpha, 1e-6))[..., None]
    return _kept(colour, alpha * _smooth(0.08, 0.26, t))


def cavity() -> Picture:
    """RGBA: cheeks and palate in the dark, the throat darkest; opaque, and its edges go on beyond it."""
    x, y = _plane(2, 2)
    light = 0.16 + 0.5 * _smooth(0.15, 0.75, np.hypot(x * 0.9, y + 0.12))
    return _kept(_THROAT * light[..., None], np.ones_like(x))


def _plane(width: float, height: float) -> tuple[Floats, Floats]:
    """x and y [ROWS * _FINE, COLS * _FINE] of a picture's fine texels."""
    rows, cols = ROWS * _FINE, COLS * _FINE
    x, y = ((np.arange(n) + 0.5) / n - 0.5 for n in (cols, rows))
    across, down = np.meshgrid(x * width, y * height)
    return across, down


def _along(arch: Arch) -> list[_Place]:
    """The crowns side by side along the ellipse."""
    angle = np.linspace(0, np.pi / 2, 2000)
    speed = np.hypot(arch.half_width * np.cos(angle), arch.depth * np.sin(angle))
    way = np.concatenate([[0], np.cumsum((speed[1:] + speed[:-1]) / 2 * np.diff(angle))])
    middles = np.cumsum([c.width for c in arch.crowns]) - [c.width / 2 for c in arch.crowns]
    places = []
    for at in np.interp(middles, way, angle):
        across, back = arch.half_width * np.cos(at), arch.depth * np.sin(at)
        turn = across / np.hypot(across, back)
        places.append(_Place(arch.half_width * np.sin(at), arch.depth * (np.cos(at) - 1), turn))
    return places


def _crown(crown: Crown, place: _Place, arch: Arch, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Colour [h, w, 3] and cover [h, w] of one crown."""
    end = arch.neck + arch.crowns[0].height - crown.short
    t = (y - end) / crown.height + 1  # 0 at the gum, 1 at the edge
    half = 0.80 + 0.22 * np.sin(np.clip(t * 1.9, 0, np.pi / 2))
    a = (x - place.x) / (1.06 * crown.width / 2 * place.across)
    edge = 1 - crown.point * 0.22 * np.abs(a) ** 1.3
    inside = 1 - (np.abs(a) / half) ** 5 - np.clip((t - edge + 0.35) / 0.35, 0, 2) ** 5
    gum = t - 0.03 - 0.17 * np.clip(a * a, 0, 1)  # papillae reach down between the crowns
    cover = np.clip(inside * 4, 0, 1) * np.clip(gum * 30, 0, 1)
    along = np.clip(t, 0, 1)[..., None]
    colour = np.where(along < 0.5, _NECK + (_BODY - _NECK) * along * 2, _BODY + (_EDGE - _BODY) * (along * 2 - 1))
    bend = np.clip(a / half, -1, 1)
    normal = np.stack([_turned(place) + 0.45 * bend**3, 0.25 - 0.5 * t, np.full_like(t, place.across)], -1)
    lit = np.clip((normal @ _LIGHT) / np.linalg.norm(normal, axis=-1), 0, 1)
    crevice = 1 - arch.gap * _smooth(0.72, 1.0, np.abs(bend)) - 0.22 * _smooth(0.12, 0.0, gum)
    shade = 1 - arch.shade * _smooth(1.0, 0.2, t)[..., None] * _RED
    shine = 0.07 * np.exp(-((bend / 0.45) ** 2) - ((t - 0.38) / 0.16) ** 2) * place.across
    return colour * ((0.35 + 0.65 * lit) * crevice * _dim(place.back))[..., None] * shade + shine[..., None], cover


def _turned(place: _Place) -> float:
    return float(np.sqrt(1 - place.across**2))


def _gums(arch: Arch, x: Floats, y: Floats) -> tuple[Floats, Floats]:
    """Colour and alpha of what holds the crowns, and of what shows between them."""
    sine = np.clip(np.abs(x) / arch.half_width, 0, 1)
    back = arch.depth * (np.sqrt(1 - sine**2) - 1)
    places, crowns = _along(arch), arch.crowns
    ends = [arch.neck + crowns[0].height - c.short for c in crowns]
    end, height = (np.interp(np.abs(x), [p.x for p in places], v) for v in (ends, [c.height for c in crowns]))
    tip = end - 0.3 * height
    roots = 0.06 * np.cos(2 * np.pi * np.interp(np.abs(x), [p.x for p in places], np.arange(len(places))))
    shade = (0.95 + roots - 0.028 * np.clip(tip - y, 0, 16)) * _dim(back)
    shade *= 1 - 0.45 * _smooth(0.6, 0.3, (end - y) / height)  # between the crowns it is dark
    alpha = np.clip((tip - y) * 2 + 0.5, 0, 1) * np.clip((0.985 - sine) * 30, 0, 1)
    return _GUM * shade[..., None], alpha


def _dim(back: Floats | float) -> Floats:
    """The share of light that is left so far back."""
    return np.asarray(np.exp(np.minimum(back, 0) / _DIM))


def _grain(x: Floats, y: Floats) -> Floats:
    """About 1: the papillae of a tongue."""
    noise = np.random.default_rng(3).normal(0, 1, x.shape)
    return np.asarray(1 + 0.35 * cv2.GaussianBlur(noise, (0, 0), _FINE * 0.8))


def _smooth(low: float, high: float, x: Floats) -> Floats:
    t = np.clip((x - low) / (high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t))


def _kept(colour: Floats, alpha: Floats) -> Picture:
    """RGBA at the size that is kept; clear texels have the colour of the nearest that are not, so none bleeds in."""
    weighed = np.dstack([np.clip(colour, 0, 1) * alpha[..., None], alpha])
    small = cv2.resize(weighed, (COLS, ROWS), interpolation=cv2.INTER_AREA)
    wide = small.copy()
    for sigma in (1.0, 3.0, 9.0, 27.0):
        wide += 1e-3 ** (1 + np.log10(sigma)) * cv2.GaussianBlur(small, (0, 0), sigma)
    rgb = wide[..., :3] / np.maximum(wide[..., 3:], 1e-12)
    return np.round(np.dstack([np.clip(rgb, 0, 1), small[..., 3]]) * 255).astype(np.uint8)


PICTURES = {
    "cavity.png": cavity,
    "tongue.png": tongue,
    "lower_teeth.png": lambda: teeth(LOWER)[::-1],
    "upper_teeth.png": lambda: teeth(UPPER),
    "tongue_out.png": tongue_out,
}


def main(directory: Path = DATA) -> None:
    for name, draw in PICTURES.items():
        cv2.imwrite(str(directory / name), cv2.cvtColor(np.ascontiguousarray(draw()), cv2.COLOR_RGBA2BGRA))


if __name__ == "__main__":
    main(*map(Path, sys.argv[1:]))
