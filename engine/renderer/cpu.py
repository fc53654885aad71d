"""The renderer for any CPU: it draws what `engine.renderer.module` defines, and only where something is seen.

cv2 samples the pictures; loops of our own put them together.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol
from weakref import WeakKeyDictionary

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import EYE, FRAME, MOUTH, SHADE, SHADE_ORIGIN, SIDE, TEXELS, Window
from engine.renderer import picture_kernels as kernels
from engine.renderer.constants import DEEPEST, FIRST_WHITE, OUT, TINT, TONGUE_OUT
from engine.renderer.cpu_fields import CpuFields, Layer, Placed, ends, seen
from engine.renderer.names import PICTURES
from engine.units import FRAME_SIZE, MAX_SIZE, MIN_SIZE, SIZE_STEP

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Bounds = tuple[float, float, float, float]  # left, top, right, bottom, in units of a window
EYE_INSIDE = (12, 16, 100, 80)  # where in its window an eye may open, turned: units
_BANDS = 4  # of the person, drawn one after the other
_BAND = FRAME.rows // _BANDS  # cells
_SOLID, _BESIDE = 64, 15  # alpha from which a pixel's own colour is sure; pixels about those that have none
_HERE = FRAME.centres()
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
    extents: tuple[Bounds, Bounds, Bounds]
    """Of `lower`, then of the lids."""
    lash_extents: tuple[Bounds, Bounds]
    outline: Floats
    """[rows of FRAME, 2]: from where to where the person reaches, in units."""
    lit: Bounds
    """Where the light on the skin may change, in units of the frame."""
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
        sprites = (*mouth[:4], *whites, *irises, mouth[4])
        bare = np.concatenate([shut, lids[..., 3:]], -1)
        extents = _extent(lower), _extent(lids[0]), _extent(lids[1])
        lash_extents = _extent(lashes[0]), _extent(lashes[1])
        lit, corners = _lit_part(layers["shade_maps"]), (layers["mouth_at"], layers["eye_at"][0], layers["eye_at"][1])
        found = _prepared[portrait] = _Prepared(
            CpuFields(layers),
            person,
            background,
            lower,
            lids,
            bare,
            lashes,
            sprites,
            extents,
            lash_extents,
            _outline(person),
            lit,
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
        self._margin = FRAME.cols // math.gcd(size, FRAME.cols)  # cells of FRAME that are whole pixels
        wide = Window(FRAME.rows + 2 * self._margin, FRAME.cols + 2 * self._margin, FRAME.cell)
        self._around = _texels(wide.centres((-self._margin * FRAME.cell, -self._margin * FRAME.cell)))
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
        person = self._person(placed.person, ready, shade)
        self._inside(picture, person, placed, ready)
        _over(picture, person)
        lower = _Patch(ready.lower, ready.extents[0], placed.mouth, placed.mouth_to, ready.corners[0])
        self._patch(picture, lower, MOUTH, shade)
        if coefficients[TONGUE_OUT] > 0:
            box = self._box(placed.mouth_to, MOUTH)
            if not box.empty:
                _over(picture, self._plate(ready.sprites[OUT], placed.sprites[OUT], box), box)
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

    def _inside(self, picture: Image, person: Image, placed: Placed, ready: _Prepared) -> None:
        """The mouth's inside and the eyeballs, where the person that will cover them lets them be seen."""
        plates = list(zip(ready.sprites[:OUT], placed.sprites, strict=False))
        self._mouth(picture, person, placed, ready, plates[:FIRST_WHITE])
        eyes = [self._box(to, EYE, EYE_INSIDE).gap(person) for to in placed.eyes_to]
        for (sprite, matrix), box in zip(plates[FIRST_WHITE:], eyes * 3, strict=True):
            if not box.empty:
                _over(picture, self._plate(sprite, matrix, box), box)

    def _mouth(
        self, picture: Image, person: Image, placed: Placed, ready: _Prepared, plates: Sequence[tuple[Image, Floats]]
    ) -> None:
        """The cavity, which goes on beyond its picture, and what lies in it; seen where the mouth's hole may be."""
        hole = np.zeros((FRAME.rows, FRAME.cols), np.uint8)
        left, top = (int(v / FRAME.cell) for v in placed.mouth_to)
        part = max(left, 0), max(top, 0), min(left + MOUTH.cols, FRAME.cols), min(top + MOUTH.rows, FRAME.rows)
        cells = kernels.hole(placed.person, ready.hole, ready.corners[0], FRAME.cell, part, hole)
        box = self._box((0, 0), FRAME, _about(cells, FRAME)).gap(person)
        if box.empty:
            return
        (cavity, matrix), *others = plates
        mouth = self._plate(cavity, matrix, box, cv2.BORDER_REPLICATE)
        for sprite, matrix in others:
            _over(mouth, self._plate(sprite, matrix, box))
        mouth[..., 3] = self._finer(hole, box)
        _over(picture, mouth, box)

    def _plate(self, sprite: Image, matrix: Floats, box: "_Box", border: int = cv2.BORDER_CONSTANT) -> Image:
        """A plate at the pixels of a box; `matrix` [2, 3] leads from units to -1..1 on it."""
        half = np.array([[sprite.shape[1] / 2], [sprite.shape[0] / 2]])
        place = matrix * half
        place[:, :2] /= self._scale
        place[:, 2] += place[:, :2] @ (box.left + 0.5, box.top + 0.5) + half[:, 0] - 0.5
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(cv2.warpAffine(sprite, place, box.shape, flags=how, borderMode=border), np.uint8)

    def _finer(self, field: Image, box: "_Box") -> Image:
        """A field [rows, cols] over FRAME at the pixels of a box."""
        pace = 1 / (self._scale * FRAME.cell)
        place = np.array([[pace, 0, (box.left + 0.5) * pace - 0.5], [0, pace, (box.top + 0.5) * pace - 0.5]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        finer = cv2.warpAffine(field, place, box.shape, flags=how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(finer, np.uint8)

    def _person(self, offset: Floats, ready: _Prepared, shade: Image) -> Image:
        """The person alone; band by band, so that what a band needs stays in the processor's cache."""
        margin = self._margin
        wide = cv2.copyMakeBorder(offset, margin, margin, margin, margin, cv2.BORDER_REPLICATE)
        places = np.asarray(wide * np.float32(TEXELS) + self._around, np.float32)
        lit = self._box((0, 0), FRAME, _reach(_HERE + offset, ready.lit, FRAME))
        layer = np.zeros((self.size, self.size, 4), np.uint8)
        for i, (left, right) in enumerate(kernels.spans(offset, ready.outline, FRAME.cell, _BANDS)):
            part = left // margin * margin, i * _BAND, -(-right // margin) * margin, (i + 1) * _BAND
            if left < right:
                self._band(layer, places, part, ready.person, lit, shade)
        return layer

    def _band(
        self, layer: Image, places: Floats, part: Sequence[int], person: Image, lit: "_Box", shade: Image
    ) -> None:
        """`part` in cells of FRAME; `places` has a margin about them."""
        left, top, right, bottom = (v * self.size // FRAME.cols for v in part)
        edge, about = self._margin * self.size // FRAME.cols, 2 * self._margin
        cells = places[part[1] : part[3] + about, part[0] : part[2] + about]
        full = (right - left + 2 * edge, bottom - top + 2 * edge)
        at = cv2.resize(cells, full, interpolation=cv2.INTER_LINEAR)[edge:-edge, edge:-edge]
        drawn = layer[top:bottom, left:right]
        cv2.remap(person, at, None, cv2.INTER_LINEAR, drawn, cv2.BORDER_REPLICATE)
        x0, y0, x1, y1 = max(left, lit.left), max(top, lit.top), min(right, lit.right), min(bottom, lit.bottom)
        if x0 < x1 and y0 < y1:
            _light_up(layer, at[y0 - top : y1 - top, x0 - left : x1 - left], (0, 0), shade, y0, x0)

    def _lid(self, picture: Image, placed: Placed, ready: _Prepared, i: int, shade: Image) -> None:
        """An upper lid, and its lashes over it."""
        lid = _shutting(ready.lids[i], ready.shut[i], float(placed.shut[i]))
        to, at = placed.eyes_to[i], ready.corners[1 + i]
        self._patch(picture, _Patch(lid, ready.extents[1 + i], placed.eyes[i], to, at), EYE, shade)
        self._patch(picture, _Patch(ready.lashes[i], ready.lash_extents[i], placed.lashes[i], to, at), EYE, shade)

    def _patch(self, picture: Image, patch: "_Patch", window: Window, shade: Image) -> None:
        box = self._box(patch.to, window, _reach(patch.field, patch.extent, window))
        if box.empty:
            return
        full = (round(window.width * self._scale), round(window.height * self._scale))
        at = cv2.resize(_texels(patch.field), full, interpolation=cv2.INTER_LINEAR)[box.inner]
        layer = cv2.remap(patch.colours, at, None, cv2.INTER_LINEAR)
        _light_up(layer, at, patch.at, shade)
        _over(picture, layer, box)

    def _box(self, to: Floats | tuple[float, float], window: Window, part: Bounds | None = None) -> "_Box":
        """A window that lies at `to` in the picture, or a part of it."""
        origin = [round(float(v) * self._scale) for v in to]
        left, top, right, bottom = (round(v * self._scale) for v in part or (0, 0, window.width, window.height))
        return _Box.clipped(origin, (left, top, right, bottom), self.size)


class _Patch(NamedTuple):
    """What lies in a window over the person."""

    colours: Image
    extent: Bounds
    field: Floats
    to: Floats
    """Where the window lies in the picture, and"""
    at: Floats
    """in the photo."""


@dataclass(frozen=True)
class _Box:
    """A window's pixels inside the picture; `inner` are the same in the window's own pixels."""

    left: int
    top: int
    right: int
    bottom: int
    inner: tuple[slice, slice]

    @classmethod
    def clipped(cls, origin: Sequence[int], part: Sequence[int], size: int) -> "_Box":
        (x, y), (left, top, right, bottom) = origin, part
        left, top, right, bottom = max(left, -x), max(top, -y), min(right, size - x), min(bottom, size - y)
        return cls(x + left, y + top, x + right, y + bottom, (slice(top, bottom), slice(left, right)))

    def gap(self, layer: Image) -> "_Box":
        """The part of it that holds all of `layer` [size, size, 4] that is not opaque there."""
        if self.empty:
            return self
        top, bottom, left, right = kernels.gap(_words(layer), self.top, self.bottom, self.left, self.right)
        return _Box(left, top, right, bottom, (slice(0, bottom - top), slice(0, right - left)))

    @property
    def empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top

    @property
    def shape(self) -> tuple[int, int]:
        """Its width and height, as cv2 has them."""
        return self.right - self.left, self.bottom - self.top


def _texels(units: Floats) -> Floats:
    """Places in units as cv2 counts them: the first texel's middle is 0."""
    return units * np.float32(TEXELS) - np.float32(0.5)


def _extent(patch: Image) -> Bounds:
    """Where a patch [rows, cols, RGBA] is not clear."""
    rows, cols = (np.flatnonzero(patch[..., 3].any(axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0, 0.0, 0.0, 0.0
    left, top, right, bottom = cols[0] / TEXELS, rows[0] / TEXELS, (cols[-1] + 1) / TEXELS, (rows[-1] + 1) / TEXELS
    return float(left), float(top), float(right), float(bottom)


def _outline(person: Image) -> Floats:
    """[rows of FRAME, 2]: the person's left and right, in units, in each row and those beside it; 0, 0 is nobody."""
    side = int(FRAME.cell * TEXELS)
    rows = (person[..., 3] > 0).reshape(FRAME.rows, side, -1).any(1)
    cells = rows.reshape(FRAME.rows, FRAME.cols, side).any(2)
    near = cv2.dilate(cells.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
    return np.asarray(ends(near) * FRAME.cell, np.float32)


def _reach(places: Floats, extent: Bounds, window: Window) -> Bounds:
    """The part of a window in the picture that shows the patch: whose `places` [rows, cols, 2] lie in its extent."""
    return _about(kernels.reach(places, extent, window.cell), window)


def _about(cells: tuple[int, int, int, int], window: Window) -> Bounds:
    """Cells of a window (left, top, right, bottom) and those beside them, in units; nothing if there are none."""
    (left, top, right, bottom), cell = cells, window.cell
    if left >= right:
        return 0.0, 0.0, 0.0, 0.0
    low, high = (max(left - 1, 0), max(top - 1, 0)), (min(right + 1, window.cols), min(bottom + 1, window.rows))
    return low[0] * cell, low[1] * cell, high[0] * cell, high[1] * cell


def _lit_part(maps: Layer) -> Bounds:
    """Where any of the maps of light [R, rows, cols] is not nought."""
    lit = seen(maps[None], 0)[0]
    rows, cols = (np.flatnonzero(lit.any(axis)) for axis in (1, 0))
    if not rows.size:
        return 0.0, 0.0, 0.0, 0.0
    (x, y), cell = SHADE_ORIGIN, SHADE.cell
    return x + cols[0] * cell, y + rows[0] * cell, x + (cols[-1] + 1) * cell, y + (rows[-1] + 1) * cell


def _light_table() -> Image:
    """[_STEPS, 4]: factors of brightness as RGBA, _LIGHT for 1, by the log of light from -_MOST to _MOST."""
    log = np.linspace(-_MOST, _MOST, _STEPS)[:, None]
    gain = np.exp(np.array([*TINT, 0]) * np.tanh(log / DEEPEST))
    return np.asarray(np.round(gain * _LIGHT).clip(0, 255), np.uint8)


_LIGHTS = _light_table()


def _gains(light: Floats) -> Image:
    """The log of light [rows, cols] as RGBA factors."""
    gain = np.empty((*light.shape, 4), np.uint8)
    kernels.look_up(light, _words(_LIGHTS), _MOST, _words(gain))
    return gain


def _light_up(
    layer: Image, at: Floats, corner: Sequence[float] | Floats, shade: Image, top: int = 0, left: int = 0
) -> None:
    """A part of RGBA whose texels come from `at` in a window at `corner` of the photo, put in the light there."""
    pace = 1 / (TEXELS * SHADE.cell)
    x, y = ((float(corner[i]) - SHADE_ORIGIN[i] + 0.5 / TEXELS) / SHADE.cell - 0.5 for i in (0, 1))
    place = cv2.transform(at, np.array([[pace, 0, x], [0, pace, y]]))
    gain = cv2.remap(shade, place, None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    kernels.light_up(_words(layer), _words(gain), top, left)


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
    kernels.over(_words(picture), _words(layer), top, left)


def _four(rgb: Image) -> Image:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), np.uint8)


def _words(picture: Image) -> npt.NDArray[np.uint32]:
    """[..., 4] bytes, the rows without gaps, as [...] words."""
    return picture.view(np.uint32)[..., 0]
