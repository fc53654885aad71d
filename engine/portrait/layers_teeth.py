"""The photo's own teeth, cut out of its parted lips and laid over the model's."""

from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.dentition import TEETH_MM, UPPER
from engine.portrait.layers_layout import PLATE_COLS as COLS
from engine.portrait.layers_layout import PLATE_ROWS as ROWS
from engine.portrait.layers_layout import TEXELS, Array, Window
from engine.portrait.layers_slit import Slit, smoothstep

Picture = npt.NDArray[np.uint8]

_MM = ROWS / TEETH_MM[1]  # rows of a plate
_CROWN = UPPER.crowns[0].height * _MM  # rows
_REACH = 3.0  # units: own teeth that come so close to the other lip go on behind it
_SHADED = 2.0  # mm of them that lie in the shadow of the lip they hang from
_BEHIND = 1.0  # mm that they go on
_LIP_ROWS = 3  # of them that the other lip's colour has reached
_TOLD, _WHOLE = 0.5, 0.85  # of the gap's middle columns: so many must show teeth to tell their tone; to be kept
_LEAST = 4  # texels of a column that must be teeth
_MIDDLE = 0.4  # of the way to the corners


class _View(NamedTuple):
    """What a plate sees of the photo; crowns point down, so a lower row's is upside down."""

    colours: Array
    """[ROWS, COLS, 3]"""
    gap: Array
    """[ROWS, COLS] 0..1: between the lips."""
    deep: Array
    """[ROWS, COLS] units from the lip that the crowns hang from."""
    left: Array
    """[ROWS, COLS] units to the other lip."""
    along: Array
    """[ROWS, COLS] -1..1 between the corners."""

    def upside_down(self) -> "_View":
        gap, deep, left, along = (np.ascontiguousarray(a[::-1]) for a in (self.gap, self.left, self.deep, self.along))
        return _View(np.ascontiguousarray(self.colours[::-1]), gap, deep, left, along)


def with_own(upper: Picture, lower: Picture, picture: Picture, slit: Slit, boxes: Array, light: Array) -> list[Picture]:
    """Both rows RGBA [ROWS, COLS], the photo's own teeth over the model's where the mouth shows any.

    `boxes` [2, 4]: the plates' middles and sizes in units, upper first.
    """
    above, below = (_look(picture, slit, box) for box in boxes)
    own = _hanging(above, light)
    rest = _hanging(below.upside_down(), light) * (1 - _seen_there(own, *boxes)[::-1])
    first, tone = _laid(upper, above, own, np.ones(3, np.float32))
    second, _ = _laid(lower[::-1], below.upside_down(), rest, tone)
    return [first, second[::-1]]


def toothlike(colours: Array | Picture, light: Array) -> Array:
    """[h, w] in 0..1: bright and pale beside the light on the face."""
    high, low = colours.max(-1).astype(np.float32), colours.min(-1).astype(np.float32)
    bright = smoothstep(0.28, 0.45, high / (255 * float(light.mean())))
    return bright * (1 - smoothstep(0.3, 0.5, (high - low) / np.maximum(high, 1)))


def _look(picture: Picture, slit: Slit, box: Array) -> _View:
    unit = Window(ROWS, COLS, 1).centres() / (COLS, ROWS) - 0.5
    points = (box[:2] + unit * box[2:]).astype(np.float32)
    colours = cv2.remap(picture, points * TEXELS - 0.5, None, cv2.INTER_CUBIC, borderMode=cv2.BORDER_REPLICATE)
    u, v = slit.local(points)
    base, patch = slit.edges(u)
    gap = smoothstep(0.3, 1.3, v - base) * smoothstep(0.3, 1.3, patch - v) * (np.abs(u) < 1)
    return _View(colours.astype(np.float32), gap, v - base, patch - v, u)


def _hanging(view: _View, light: Array) -> Array:
    """[ROWS, COLS] 0..1: teeth that begin at their lip; what comes after a dark gap is the other row."""
    own = toothlike(view.colours, light) * view.gap
    return np.asarray(own * np.minimum.accumulate(np.where((view.deep > 2) & (own < 0.2), 0, 1), 0), np.float32)


def _seen_there(own: Array, box: Array, other: Array) -> Array:
    """A mask over one plate as it lies over another."""
    size, cells = other[2:] / box[2:], np.array([COLS, ROWS])
    shift = ((other[:2] - other[2:] / 2 - box[:2] + box[2:] / 2) / box[2:]) * cells
    place = np.array([[size[0], 0, shift[0]], [0, size[1], shift[1]]])
    return np.asarray(cv2.warpAffine(own, place, (COLS, ROWS), flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP))


def _laid(model: Picture, view: _View, own: Array, tone: Array) -> tuple[Picture, Array]:
    """`own` teeth over the model, which is moved so that its edges end where they do; and their tone beside its own.

    A model with few of them is toned only, or looks patched; one without any takes the other row's `tone`.
    """
    middle, shown = np.abs(view.along) < _MIDDLE, own > 0.5
    seen = float(((shown & middle).sum(0)[middle.any(0)] >= _LEAST).mean())
    if seen < _TOLD:
        return _toned(model.astype(np.float32), tone), tone
    rows = np.arange(ROWS, dtype=np.float32)[:, None]
    ends = np.where(shown, rows, 0).max(0)
    shift = float(np.median(ends[(ends > 0) & middle[0]])) - _edge(model)
    place = np.array([[1, 0, 0], [0, 1, shift]])
    moved = cv2.warpAffine(model, place, (COLS, ROWS), borderMode=cv2.BORDER_REPLICATE).astype(np.float32)
    strong = own > 0.8
    tone = np.clip(view.colours[strong].mean(0) / np.maximum(moved[..., :3][strong].mean(0), 1), 0.4, 2.5)
    if seen < _WHOLE:
        return _toned(moved, tone), tone
    grown, share = _grown(view, own, ends)
    moved[..., :3] += (grown / tone - moved[..., :3]) * share[..., None]
    moved[..., 3] = np.maximum(moved[..., 3], 255 * share)
    return _toned(moved, tone), tone


def _toned(rgba: Array, tone: Array) -> Picture:
    return np.asarray(np.clip(np.round(rgba * [*tone, 1]), 0, 255), np.uint8)


def _edge(model: Picture) -> float:
    """The row where the middle crowns end."""
    middle = model[:, COLS // 2 - 12 : COLS // 2 + 12, 3] > 127
    return float(np.where(middle, np.arange(ROWS)[:, None], 0).max(0).mean())


def _grown(view: _View, own: Array, ends: Array) -> tuple[Array, Array]:
    """Their colours [ROWS, COLS, 3] and share: drawn up behind their lip to the gum, and down behind the other."""
    rows = np.arange(ROWS, dtype=np.float32)[:, None]
    shown = own > 0.5
    has, column = shown.any(0), np.arange(COLS)
    first = np.where(has, shown.argmax(0), ROWS).astype(np.float32)
    begin = np.clip(first + 2, 0, np.maximum(ends - 1, 0)).astype(int)
    end = np.clip(ends - _LIP_ROWS, 0, ROWS - 1).astype(int)
    lit = smoothstep(_SHADED * _MM, 0, rows - begin)[..., None]  # a lip's shadow is not theirs: it comes with the lip
    colours = view.colours + (_column(view.colours, own) - view.colours) * lit
    colours = np.where((rows > end)[..., None], view.colours[end, column][None], colours)
    top = ends - _CROWN * (1 - 0.35 * np.clip(np.abs(view.along[0]), 0, 1))
    up = smoothstep(-_MM, _MM, rows - top) * (rows < begin)
    near = view.left[end, column] < _REACH
    down = (rows > end) & (rows < ends + _BEHIND * _MM) & near
    share = np.maximum(own, np.where(has, np.maximum(up, down), 0))
    return colours, cv2.GaussianBlur(share.astype(np.float32), (0, 0), 0.6)


def _column(colours: Array, own: Array) -> Array:
    """[COLS, 3] the mean colour of the own teeth in every column, and about it."""
    total = np.dstack([(colours * own[..., None]).sum(0)[None], own.sum(0)[None]])
    smooth = cv2.GaussianBlur(total, (0, 0), 1.5)[0]
    return np.asarray(smooth[:, :3] / np.maximum(smooth[:, 3:], 1e-3), np.float32)
