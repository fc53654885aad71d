"""The renderer for any CPU: it draws what `engine.renderer.module` defines, and only where something is seen.

Its loops are in `warp_kernels` and `picture_kernels`.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import EYE, FRAME, MOUTH, SHADE, SHADE_ORIGIN, SIDE, TEXELS, Window
from engine.renderer import picture_kernels, warp_kernels
from engine.renderer.constants import DEEPEST, FIRST_WHITE, OUT, TINT, TONGUE_OUT
from engine.renderer.cpu_fields import CpuFields, Placed, ends
from engine.renderer.names import PICTURES
from engine.units import FRAME_SIZE, MAX_SIZE, MIN_SIZE, SIZE_STEP

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Bounds = tuple[float, float, float, float]  # left, top, right, bottom, in units of a window
EYE_INSIDE = (12, 16, 100, 80)  # where in its window an eye may open, turned: units
_SOLID, _BESIDE = 64, 15  # alpha from which a pixel's own colour is sure; pixels about those that have none
_NOWHERE = np.zeros(2, np.float32)
_LIGHT = 128  # the byte that stands for light as it was: twice as much is the most that `fields` lets through
_STEPS, _MOST = 2048, 4 * DEEPEST  # of the table of lights; the log of light at its ends


class Layered(Protocol):
    """A prepared portrait."""

    @property
    def layers(self) -> Mapping[str, npt.NDArray[Any]]: ...


@dataclass(frozen=True)
class _Prepared:
    """A portrait in the form the CPU wants, held once however many sessions show it."""

    fields: CpuFields
    person: Image
    background: Image
    lower: Image
    lids: Image
    shut: Image
    lashes: Image
    sprites: tuple[Image, ...]
    """All but the first, the cavity, have a margin of one clear texel."""
    halves: Floats
    """[SPRITES, 2]: half of their widths and heights without it, in texels."""
    outlines: tuple[Floats, ...]
    """Of the person, of `lower`, of the lids and of the lashes, as `_outline` has them."""
    corners: tuple[Floats, Floats, Floats]
    """Of the windows in the photo: mouth, then eyes."""
    hole: Floats
    """[*MOUTH]: where in the photo what lies in the mouth may be seen, 0..1, and nothing at the edges."""


_prepared: "WeakKeyDictionary[Layered, _Prepared]" = WeakKeyDictionary()


def _prepare(portrait: Layered) -> _Prepared:
    found = _prepared.get(portrait)
    if found is None:
        layers = portrait.layers
        person, background, lower, lids, shut, lashes, mouth, whites, irises = (layers[name] for name in PICTURES)
        plates = (*mouth[:4], *whites, *irises, mouth[4])
        sprites = (plates[0], *map(_with_margin, plates[1:]))
        halves = np.array([(plate.shape[1] / 2, plate.shape[0] / 2) for plate in plates], np.float32)
        bare = np.concatenate([shut, lids[..., 3:]], -1)
        outlines = _outline(person, FRAME), _outline(lower, MOUTH), *(_outline(eye, EYE) for eye in (*lids, *lashes))
        corners = layers["mouth_at"], layers["eye_at"][0], layers["eye_at"][1]
        found = _prepared[portrait] = _Prepared(
            CpuFields(layers),
            person,
            background,
            lower,
            lids,
            bare,
            lashes,
            sprites,
            halves,
            outlines,
            corners,
            np.ascontiguousarray(layers["mouth_hole"], np.float32),
        )
    return found


class CpuRenderer:
    """Draws prepared portraits at one size. Calls from one thread at a time."""

    def __init__(self, size: int = FRAME_SIZE) -> None:
        if not MIN_SIZE <= size <= MAX_SIZE or size % SIZE_STEP:
            raise ValueError(f"size must be a multiple of {SIZE_STEP} from {MIN_SIZE} to {MAX_SIZE}, not {size}")
        self.size = size
        self._scale = size / SIDE  # pixels a unit
        self._backgrounds: WeakKeyDictionary[Layered, Image] = WeakKeyDictionary()

    def render(self, portrait: Layered, coefficients: Floats, plate: Image | None = None) -> Image:
        """`coefficients` [69] as `engine.face.coefficients.NAMES` -> RGB [size, size, 3].

        The person stands before `plate` [size, size, 3]; None is the photo's own background.
        """
        ready = _prepare(portrait)
        below = self._background(portrait, ready).copy() if plate is None else _four(plate)
        return self._compose(ready, ready.fields(coefficients), coefficients, below)

    def cut_out(self, portrait: Layered, coefficients: Floats) -> Image:
        """RGBA [size, size, 4], straight alpha: what differs over black and over white (Smith & Blinn 1996)."""
        ready = _prepare(portrait)
        placed = ready.fields(coefficients)
        plates = (np.full((self.size, self.size, 4), level, np.uint8) for level in (0, 255))
        dark, bright = (self._compose(ready, placed, coefficients, plate) for plate in plates)
        return _straight(dark, bright)

    def fields(self, portrait: Layered, coefficients: Floats) -> dict[str, Floats]:
        """Where every point comes from, by the names of `engine.renderer.names.FIELDS`."""
        return _prepare(portrait).fields(coefficients).by_name()

    def _compose(self, ready: _Prepared, placed: Placed, coefficients: Floats, picture: Image) -> Image:
        """The layers, back to front, drawn on `picture` [size, size, 4] -> RGB."""
        shade = _gains(placed.light)
        person = np.empty((self.size, self.size, 4), np.uint8)
        whole = _Patch(ready.person, ready.outlines[0], placed.person, _NOWHERE, _NOWHERE)
        self._drape(person, whole, FRAME, shade, onto=False)
        plates = list(zip(ready.sprites, self._at_pixels(placed.sprites, ready.halves), strict=True))
        self._inside(picture, person, placed, ready, plates)
        _over(picture, person)
        lower = _Patch(ready.lower, ready.outlines[1], placed.mouth, placed.mouth_to, ready.corners[0])
        self._drape(picture, lower, MOUTH, shade)
        if coefficients[TONGUE_OUT] > 0:
            _plate(picture, *plates[OUT], self._box(placed.mouth_to, MOUTH))
        for i in (0, 1):
            self._lid(picture, placed, ready, i, shade)
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), np.uint8)

    def _background(self, portrait: Layered, ready: _Prepared) -> Image:
        found = self._backgrounds.get(portrait)
        if found is None:
            size = (self.size, self.size)
            found = _four(cv2.resize(ready.background, size, interpolation=cv2.INTER_AREA))
            self._backgrounds[portrait] = found
        return found

    def _inside(
        self, picture: Image, person: Image, placed: Placed, ready: _Prepared, plates: "Sequence[_Plate]"
    ) -> None:
        """The mouth's inside and the eyeballs, where the person that will cover them lets them be seen."""
        self._mouth(picture, person, placed, ready, plates[:FIRST_WHITE])
        eyes = [self._box(to, EYE, EYE_INSIDE).gap(person) for to in placed.eyes_to]
        for plate, box in zip(plates[FIRST_WHITE:OUT], eyes * 3, strict=True):
            _plate(picture, *plate, box)

    def _mouth(
        self, picture: Image, person: Image, placed: Placed, ready: _Prepared, plates: "Sequence[_Plate]"
    ) -> None:
        """The cavity, which goes on beyond its picture, and what lies in it; seen where the mouth's hole may be."""
        hole = np.zeros((FRAME.rows, FRAME.cols), np.uint8)
        left, top = (int(v / FRAME.cell) for v in placed.mouth_to)
        part = max(left, 0), max(top, 0), min(left + MOUTH.cols, FRAME.cols), min(top + MOUTH.rows, FRAME.rows)
        cells = picture_kernels.hole(placed.person, ready.hole, ready.corners[0], FRAME.cell, part, hole)
        box = self._box((0, 0), FRAME, _about(cells, FRAME)).gap(person)
        if box.empty:
            return
        mouth = np.empty((box.bottom - box.top, box.right - box.left, 4), np.uint8)
        for i, plate in enumerate(plates):
            _plate(mouth, *plate, box, (box.left, box.top), onto=i > 0)
        mouth[..., 3] = self._finer(hole, box)
        _over(picture, mouth, box)

    def _at_pixels(self, places: Floats, halves: Floats) -> Floats:
        """[SPRITES, 2, 3]: from pixels to the texels of sprites, both 0 in the middle of the first.

        `places` lead from units to -1..1 on them.
        """
        at: Floats = places * halves[..., None]
        at[..., :2] /= np.float32(self._scale)
        at[..., 2] += at[..., :2].sum(-1) / 2 + halves - np.float32(0.5)
        at[1:, :, 2] += 1  # their margin
        return at

    def _finer(self, field: Image, box: "_Box") -> Image:
        """A field [rows, cols] over FRAME at the pixels of a box."""
        pace = 1 / (self._scale * FRAME.cell)
        place = np.array([[pace, 0, (box.left + 0.5) * pace - 0.5], [0, pace, (box.top + 0.5) * pace - 0.5]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        finer = cv2.warpAffine(field, place, box.shape, flags=how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(finer, np.uint8)

    def _lid(self, picture: Image, placed: Placed, ready: _Prepared, i: int, shade: Image) -> None:
        """An upper lid, and its lashes over it."""
        lid = _shutting(ready.lids[i], ready.shut[i], float(placed.shut[i]))
        to, at = placed.eyes_to[i], ready.corners[1 + i]
        self._drape(picture, _Patch(lid, ready.outlines[2 + i], placed.eyes[i], to, at), EYE, shade)
        self._drape(picture, _Patch(ready.lashes[i], ready.outlines[4 + i], placed.lashes[i], to, at), EYE, shade)

    def _drape(self, picture: Image, patch: "_Patch", window: Window, shade: Image, onto: bool = True) -> None:
        """A patch over the picture; or the person, whose field is a difference, in its place."""
        x, y = ((float(patch.at[i]) - SHADE_ORIGIN[i] + 0.5 / TEXELS) / SHADE.cell - 0.5 for i in (0, 1))
        warp_kernels.drape(
            _words(picture),
            _texture(patch.colours),
            patch.outline,
            patch.field,
            window.cell,
            0.0 if onto else 1.0,
            TEXELS,
            (round(float(patch.to[0]) * self._scale), round(float(patch.to[1]) * self._scale)),
            self._scale,
            _texture(shade),
            (1 / (TEXELS * SHADE.cell), x, y),
            onto,
        )

    def _box(self, to: Floats | tuple[float, float], window: Window, part: Bounds | None = None) -> "_Box":
        """A window that lies at `to` in the picture, or a part of it."""
        origin = [round(float(v) * self._scale) for v in to]
        left, top, right, bottom = (round(v * self._scale) for v in part or (0, 0, window.width, window.height))
        return _Box.clipped(origin, (left, top, right, bottom), self.size)


class _Patch(NamedTuple):
    """What lies in a window over the person."""

    colours: Image
    outline: Floats
    field: Floats
    to: Floats
    """Where the window lies in the picture, and"""
    at: Floats
    """in the photo."""


@dataclass(frozen=True)
class _Box:
    """A window's pixels inside the picture."""

    left: int
    top: int
    right: int
    bottom: int

    @classmethod
    def clipped(cls, origin: Sequence[int], part: Sequence[int], size: int) -> "_Box":
        (x, y), (left, top, right, bottom) = origin, part
        return cls(max(x + left, 0), max(y + top, 0), min(x + right, size), min(y + bottom, size))

    def gap(self, layer: Image) -> "_Box":
        """The part of it that holds all of `layer` [size, size, 4] that is not opaque there."""
        if self.empty:
            return self
        top, bottom, left, right = picture_kernels.gap(_words(layer), self.top, self.bottom, self.left, self.right)
        return _Box(left, top, right, bottom)

    @property
    def empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top

    @property
    def shape(self) -> tuple[int, int]:
        """Its width and height, as cv2 has them."""
        return self.right - self.left, self.bottom - self.top


_Plate = tuple[Image, Floats]
"""A sprite [rows, cols, RGBA], and the matrix [2, 3] that leads to its texels from the picture's pixels."""


def _plate(
    picture: Image, sprite: Image, matrix: Floats, box: _Box, corner: tuple[int, int] = (0, 0), onto: bool = True
) -> None:
    """A plate at the pixels of a box in a picture that begins at `corner`."""
    if not box.empty:
        bounds = box.left, box.top, box.right, box.bottom
        warp_kernels.plate(_words(picture), _texture(sprite), matrix, bounds, corner, onto)


def _with_margin(sprite: Image) -> Image:
    return np.pad(sprite, ((1, 1), (1, 1), (0, 0)))


def _outline(patch: Image, window: Window) -> Floats:
    """[rows, 2]: where a patch [..., RGBA] is not clear in each of a window's rows and those beside it, in units.

    From the left end to the right one; 0, 0 is nowhere.
    """
    side = int(window.cell * TEXELS)
    cells = (patch[..., 3] > 0).reshape(window.rows, side, window.cols, side).any((1, 3))
    near = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(ends(near) * window.cell, np.float32)


def _about(cells: tuple[int, int, int, int], window: Window) -> Bounds:
    """Cells of a window (left, top, right, bottom) and those beside them, in units; nothing if there are none."""
    (left, top, right, bottom), cell = cells, window.cell
    if left >= right:
        return 0.0, 0.0, 0.0, 0.0
    low, high = (max(left - 1, 0), max(top - 1, 0)), (min(right + 1, window.cols), min(bottom + 1, window.rows))
    return low[0] * cell, low[1] * cell, high[0] * cell, high[1] * cell


def _light_table() -> Image:
    """[_STEPS, 4]: factors of brightness as RGBA, _LIGHT for 1, by the log of light from -_MOST to _MOST."""
    log = np.linspace(-_MOST, _MOST, _STEPS)[:, None]
    gain = np.exp(np.array([*TINT, 0]) * np.tanh(log / DEEPEST))
    return np.asarray(np.round(gain * _LIGHT).clip(0, 255), np.uint8)


_LIGHTS = _light_table()


def _gains(light: Floats) -> Image:
    """The log of light [rows, cols] as RGBA factors."""
    gain = np.empty((*light.shape, 4), np.uint8)
    picture_kernels.look_up(light, _words(_LIGHTS), _MOST, _words(gain))
    return gain


def _shutting(lid: Image, shut: Image, share: float) -> Image:
    """A lid on its way down: RGBA, its colours `share` of the way to those of the bare skin."""
    return np.asarray(cv2.addWeighted(lid, 1 - share, shut, share, 0), np.uint8) if share else lid


def _straight(dark: Image, bright: Image) -> Image:
    """RGBA from the same picture over black and over white; what is clear takes on the colours beside it."""
    alpha = 255 - (bright.astype(np.float32) - dark).mean(2)
    solid = (alpha > _SOLID).astype(np.float32)[..., None]
    own = dark * (solid * 255 / np.maximum(alpha, _SOLID)[..., None])
    total, count = (cv2.blur(a, (_BESIDE, _BESIDE)) for a in (own, solid))
    near = total / np.maximum(count, 1e-3)[..., None]
    colour = np.where(solid > 0, own, near)
    return np.round(np.dstack([colour, alpha])).clip(0, 255).astype(np.uint8)


def _over(picture: Image, layer: Image, box: _Box | None = None) -> None:
    """RGBA over the picture [size, size, 4] or a box of it, in place."""
    top, left = (box.top, box.left) if box else (0, 0)
    warp_kernels.over(_words(picture), _words(layer), top, left)


def _four(rgb: Image) -> Image:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), np.uint8)


def _words(picture: Image) -> npt.NDArray[np.uint32]:
    """[..., 4] bytes, the rows without gaps, as [...] words."""
    return picture.view(np.uint32)[..., 0]


def _texture(picture: Image) -> npt.NDArray[np.uint32]:
    """As `_words`, not to be written to whatever it was: each kind of array has loops compiled for it."""
    words = _words(picture)
    words.flags.writeable = False
    return words
