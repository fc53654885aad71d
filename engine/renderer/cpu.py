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
from engine.renderer.constants import BRIGHTEST, DEEPEST, FIRST_WHITE, OUT, TONGUE_OUT
from engine.renderer.cpu_fields import CpuFields, Placed, ends
from engine.renderer.names import PICTURES
from engine.units import FRAME_SIZE, MAX_SIZE, MIN_SIZE, SIZE_STEP

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
Words = npt.NDArray[np.uint32]  # a pixel each, its first byte lowest
Bounds = tuple[float, float, float, float]  # left, top, right, bottom, in units of a window
EYE_INSIDE = (12, 16, 100, 80)  # where in its window an eye may open, turned: units
_SOLID, _BESIDE = 64, 15  # alpha from which a pixel's own colour is sure; pixels about those that have none
_NOWHERE = np.zeros(2, np.float32)
_LIGHT = 255 / BRIGHTEST  # the byte that stands for light as it was
_STEPS, _MOST = 2048, 4 * DEEPEST  # of the table of lights; the log of light at its ends


class Layered(Protocol):
    """A prepared portrait."""

    @property
    def layers(self) -> Mapping[str, npt.NDArray[Any]]: ...


class _Patch(NamedTuple):
    """What lies in a window over the person, or the person."""

    colours: Words
    outline: Floats
    """As `_outline` has it."""
    light: tuple[float, float, float]
    """From its texels to cells of light: how many a texel, and the place of the first."""


@dataclass(frozen=True)
class _Lid:
    """An upper lid with its lashes."""

    colours: Image
    shut: Image
    """Its other picture."""
    patch: _Patch
    lashes: _Patch


@dataclass(frozen=True)
class _Prepared:
    """A portrait in the form the CPU wants, held once however many sessions show it."""

    fields: CpuFields
    person: _Patch
    background: Image
    lower: _Patch
    lids: tuple[_Lid, ...]
    sprites: tuple[Words, ...]
    """All but the first, the cavity, have a margin of one clear texel."""
    mouth_at: Floats
    """Where the mouth's window lies in the photo."""
    hole: Floats
    """[*MOUTH]: where in the photo what lies in the mouth may be seen, 0..1, and nothing at the edges."""
    lights: Words
    """As `_light_table` has it."""


_prepared: "WeakKeyDictionary[Layered, _Prepared]" = WeakKeyDictionary()


def _prepare(portrait: Layered) -> _Prepared:
    found = _prepared.get(portrait)
    if found is None:
        layers = portrait.layers
        person, background, lower, lids, shut, lashes, mouth, whites, irises = (layers[name] for name in PICTURES)
        plates = (*mouth[:4], *whites, *irises, mouth[4])
        bare = np.concatenate([shut, lids[..., 3:]], -1)
        eyes = (
            _Lid(
                lids[i], bare[i], _patch(lids[i], EYE, layers["eye_at"][i]), _patch(lashes[i], EYE, layers["eye_at"][i])
            )
            for i in (0, 1)
        )
        found = _prepared[portrait] = _Prepared(
            CpuFields(layers),
            _patch(person, FRAME, _NOWHERE),
            background,
            _patch(lower, MOUTH, layers["mouth_at"]),
            tuple(eyes),
            (_texture(plates[0]), *(_texture(_with_margin(plate)) for plate in plates[1:])),
            layers["mouth_at"],
            np.ascontiguousarray(layers["mouth_hole"], np.float32),
            _texture(_light_table(layers["shade_tint"])),
        )
    return found


def _patch(colours: Image, window: Window, at: Floats) -> _Patch:
    """`at` is where the window lies in the photo."""
    x, y = ((float(at[i]) - SHADE_ORIGIN[i] + 0.5 / TEXELS) / SHADE.cell - 0.5 for i in (0, 1))
    return _Patch(_texture(colours), _outline(colours, window), (1 / (TEXELS * SHADE.cell), x, y))


class CpuRenderer:
    """Draws prepared portraits at one size. Calls from one thread at a time."""

    def __init__(self, size: int = FRAME_SIZE) -> None:
        if not MIN_SIZE <= size <= MAX_SIZE or size % SIZE_STEP:
            raise ValueError(f"size must be a multiple of {SIZE_STEP} from {MIN_SIZE} to {MAX_SIZE}, not {size}")
        self.size = size
        self._scale = size / SIDE  # pixels a unit
        self._backgrounds: WeakKeyDictionary[Layered, Words] = WeakKeyDictionary()

    def render(self, portrait: Layered, coefficients: Floats, plate: Image | None = None) -> Image:
        """As `words`, RGB [size, size, 3]."""
        picture = _bytes(self.words(portrait, coefficients, plate))
        return np.asarray(cv2.cvtColor(picture, cv2.COLOR_RGBA2RGB), np.uint8)

    def words(self, portrait: Layered, coefficients: Floats, plate: Image | None = None) -> Words:
        """`coefficients` [69] as `engine.face.coefficients.NAMES` -> opaque RGBA, [size, size] words.

        The person stands before `plate` [size, size, 3]; None is the photo's own background.
        """
        ready = _prepare(portrait)
        below = self._background(portrait, ready) if plate is None else _texture(_four(plate))
        return self._compose(ready, ready.fields(coefficients), coefficients, below)

    def cut_out(self, portrait: Layered, coefficients: Floats) -> Image:
        """RGBA [size, size, 4], straight alpha: what differs over black and over white (Smith & Blinn 1996)."""
        ready = _prepare(portrait)
        placed = ready.fields(coefficients)
        plates = (np.full((self.size, self.size, 4), level, np.uint8) for level in (0, 255))
        dark, bright = (_bytes(self._compose(ready, placed, coefficients, _texture(plate))) for plate in plates)
        return _straight(dark[..., :3], bright[..., :3])

    def fields(self, portrait: Layered, coefficients: Floats) -> dict[str, Floats]:
        """Where every point comes from, by the names of `engine.renderer.names.FIELDS`."""
        return _prepare(portrait).fields(coefficients).by_name()

    def _compose(self, ready: _Prepared, placed: Placed, coefficients: Floats, below: Words) -> Words:
        """The layers before `below` [size, size]."""
        shade = _gains(placed.light, ready.lights)
        picture = np.empty((self.size, self.size), np.uint32)
        self._drape(picture, ready.person, placed.person, _NOWHERE, FRAME, shade, onto=False)
        self._inside(picture, below, placed, ready)
        warp_kernels.under(picture, below, 0, 0)
        self._drape(picture, ready.lower, placed.mouth, placed.mouth_to, MOUTH, shade)
        if coefficients[TONGUE_OUT] > 0:
            self._plate(picture, ready, placed, OUT, self._box(placed.mouth_to, MOUTH))
        for i in (0, 1):
            self._lid(picture, placed, ready.lids[i], i, shade)
        return picture

    def _background(self, portrait: Layered, ready: _Prepared) -> Words:
        found = self._backgrounds.get(portrait)
        if found is None:
            size = (self.size, self.size)
            found = _texture(_four(cv2.resize(ready.background, size, interpolation=cv2.INTER_AREA)))
            self._backgrounds[portrait] = found
        return found

    def _inside(self, person: Words, below: Words, placed: Placed, ready: _Prepared) -> None:
        """The mouth's inside and the eyeballs under the person, where it lets them be seen."""
        boxes = [self._box(to, EYE, EYE_INSIDE).gap(person) for to in placed.eyes_to]
        self._mouth(person, below, placed, ready)
        for i, box in enumerate(boxes):
            if not box.empty:
                eye = below[box.rows, box.columns].copy()
                for k in range(FIRST_WHITE + i, OUT, 2):
                    self._plate(eye, ready, placed, k, box, (box.left, box.top))
                warp_kernels.under(person, eye, box.top, box.left)

    def _mouth(self, person: Words, below: Words, placed: Placed, ready: _Prepared) -> None:
        """The cavity, which goes on beyond its picture, and what lies in it; seen where the mouth's hole may be."""
        hole = np.zeros((FRAME.rows, FRAME.cols), np.uint8)
        left, top = (int(v / FRAME.cell) for v in placed.mouth_to)
        part = max(left, 0), max(top, 0), min(left + MOUTH.cols, FRAME.cols), min(top + MOUTH.rows, FRAME.rows)
        cells = picture_kernels.hole(placed.person, ready.hole, ready.mouth_at, FRAME.cell, part, hole)
        box = self._box((0, 0), FRAME, _about(cells, FRAME)).gap(person)
        if box.empty:
            return
        mouth = np.empty((box.bottom - box.top, box.right - box.left), np.uint32)
        for k in range(FIRST_WHITE):
            self._plate(mouth, ready, placed, k, box, (box.left, box.top), onto=k > 0)
        _bytes(mouth)[..., 3] = self._finer(hole, box)
        behind = below[box.rows, box.columns].copy()
        warp_kernels.over(behind, mouth, 0, 0)
        warp_kernels.under(person, behind, box.top, box.left)

    def _finer(self, field: Image, box: "_Box") -> Image:
        """A field [rows, cols] over FRAME at the pixels of a box."""
        pace = 1 / (self._scale * FRAME.cell)
        place = np.array([[pace, 0, (box.left + 0.5) * pace - 0.5], [0, pace, (box.top + 0.5) * pace - 0.5]])
        how = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        finer = cv2.warpAffine(field, place, box.shape, flags=how, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(finer, np.uint8)

    def _lid(self, picture: Words, placed: Placed, lid: _Lid, i: int, shade: Words) -> None:
        """An upper lid, its colours as far on the way to those of the bare skin as it shuts, and its lashes over it."""
        patch, to, share = lid.patch, placed.eyes_to[i], float(placed.shut[i])
        if share:
            patch = patch._replace(colours=_texture(cv2.addWeighted(lid.colours, 1 - share, lid.shut, share, 0)))
        self._drape(picture, patch, placed.eyes[i], to, EYE, shade)
        self._drape(picture, lid.lashes, placed.lashes[i], to, EYE, shade)

    def _drape(
        self, picture: Words, patch: _Patch, field: Floats, to: Floats, window: Window, shade: Words, onto: bool = True
    ) -> None:
        """A patch over the picture, its window at `to`; or the person, its field a difference, in its place."""
        x, y = to.tolist()
        warp_kernels.drape(
            picture,
            patch.colours,
            patch.outline,
            field,
            window.cell,
            0.0 if onto else 1.0,
            TEXELS,
            (round(x * self._scale), round(y * self._scale)),
            self._scale,
            shade,
            patch.light,
            onto,
        )

    def _plate(
        self,
        picture: Words,
        ready: _Prepared,
        placed: Placed,
        k: int,
        box: "_Box",
        corner: tuple[int, int] = (0, 0),
        onto: bool = True,
    ) -> None:
        """Sprite `k` at the pixels of a box in a picture that begins at `corner`."""
        if not box.empty:
            margin = 1 if k else 0
            warp_kernels.plate(
                picture, ready.sprites[k], placed.sprites[k], self._scale, margin, box.bounds, corner, onto
            )

    def _box(self, to: Floats | tuple[float, float], window: Window, part: Bounds | None = None) -> "_Box":
        """A window that lies at `to` in the picture, or a part of it."""
        origin = [round(float(v) * self._scale) for v in to]
        left, top, right, bottom = (round(v * self._scale) for v in part or (0, 0, window.width, window.height))
        return _Box.clipped(origin, (left, top, right, bottom), self.size)


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

    def gap(self, layer: Words) -> "_Box":
        """The part of it that holds all of `layer` [size, size] that is not opaque there."""
        if self.empty:
            return self
        top, bottom, left, right = picture_kernels.gap(layer, self.top, self.bottom, self.left, self.right)
        return _Box(left, top, right, bottom)

    @property
    def empty(self) -> bool:
        return self.right <= self.left or self.bottom <= self.top

    @property
    def bounds(self) -> tuple[int, int, int, int]:
        return self.left, self.top, self.right, self.bottom

    @property
    def rows(self) -> slice:
        return slice(self.top, self.bottom)

    @property
    def columns(self) -> slice:
        return slice(self.left, self.right)

    @property
    def shape(self) -> tuple[int, int]:
        """Its width and height, as cv2 has them."""
        return self.right - self.left, self.bottom - self.top


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


def _light_table(tint: Floats) -> Image:
    """[_STEPS, 4]: factors of brightness as RGBA, _LIGHT for 1, by the log of light from -_MOST to _MOST."""
    log = np.linspace(-_MOST, _MOST, _STEPS)[:, None]
    gain = np.exp(np.array([*tint, 0]) * DEEPEST * np.tanh(log / DEEPEST))
    return np.asarray(np.round(gain * _LIGHT).clip(0, 255), np.uint8)


def _gains(light: Floats, table: Words) -> Words:
    """The log of light [rows, cols] as RGBA factors."""
    gain = np.empty(light.shape, np.uint32)
    picture_kernels.look_up(light, table, _MOST, gain)
    gain.flags.writeable = False
    return gain


def _straight(dark: Image, bright: Image) -> Image:
    """RGBA from the same picture over black and over white; what is clear takes on the colours beside it."""
    alpha = 255 - (bright.astype(np.float32) - dark).mean(2)
    solid = (alpha > _SOLID).astype(np.float32)[..., None]
    own = dark * (solid * 255 / np.maximum(alpha, _SOLID)[..., None])
    total, count = (cv2.blur(a, (_BESIDE, _BESIDE)) for a in (own, solid))
    near = total / np.maximum(count, 1e-3)[..., None]
    colour = np.where(solid > 0, own, near)
    return np.round(np.dstack([colour, alpha])).clip(0, 255).astype(np.uint8)


def _four(rgb: Image) -> Image:
    return np.asarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2RGBA), np.uint8)


def _bytes(picture: Words) -> Image:
    """[rows, cols] words as [rows, cols, RGBA]."""
    return picture.view(np.uint8).reshape(*picture.shape, 4)


def _texture(picture: Image) -> Words:
    """[rows, cols, RGBA] without gaps as words, not to be written to: each kind of array has loops compiled for it."""
    words = picture.view(np.uint32)[..., 0]
    words.flags.writeable = False
    return words
