"""Displacement fields: what every coefficient does to head, lower lip with chin, and upper lids."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE as NAMES
from engine.portrait import layers_lids
from engine.portrait.layers_layout import (
    EYE,
    EYE_COLUMNS,
    FACE,
    FACE_ORIGIN,
    FRAME,
    LEFT,
    MOUTH,
    MOUTH_COLUMNS,
    RIGHT,
    SIDE,
    Array,
    Window,
)
from engine.portrait.layers_mesh import Mask, Surface, by_channels, extend, limit_slope
from engine.portrait.layers_slit import Slit, smoothstep

_K = len(NAMES)
_SLOPE = 1.5  # of the depth: steeper sides would fold when the head turns by 20 degrees
_FOREHEAD = 10  # landmark: its upper end
_NECK = 1.05  # inter-ocular distances below the chin: where the head's motion has faded to the shoulders'
_SIDEWAYS, _UPWARDS = 0.75, 0.5  # what a step aside counts, and one up takes off, of one down from the skull's base
_BLINK = (NAMES.index("eyeBlinkLeft"), NAMES.index("eyeBlinkRight"))
_FAINT, _PARTED = 0.02, 6.0  # an expression too weak to tell from none; units that lips may be parted at rest
_DOWN, _UP = ((NAMES.index(f"eyeLook{way}Left"), NAMES.index(f"eyeLook{way}Right")) for way in ("Down", "Up"))
FOLLOWS = (_DOWN, 0.95, 0.65), (_UP, 0.8, 0.6)  # a look, and how much of the eyeball's way each lid goes: upper, lower
_CLOSE = 1.06  # of the lid's way: the watched distance stops it at the lower lid

Origin = tuple[float, float]


class Places(NamedTuple):
    """Where a portrait's windows lie."""

    mouth: Origin
    eyes: tuple[Origin, Origin]


@dataclass(frozen=True)
class Slits:
    mouth: Slit
    eyes: tuple[Slit, Slit]

    def all(self) -> tuple[Slit, Slit, Slit]:
        return self.mouth, *self.eyes


def place(slits: Slits) -> Places:
    """Windows about the slits, on the lattice of the frame's field."""

    def about(slit: Slit, window: Window, above: float) -> Origin:
        x, y = (slit.start + slit.end) / 2
        return round((x - window.width / 2) / 4) * 4.0, round((y - above) / 4) * 4.0

    left, right = (about(slit, EYE, 48) for slit in slits.eyes)
    return Places(about(slits.mouth, MOUTH, 60), (left, right))


def skin_mask(landmarks: Array) -> Mask:
    """[SIDE, SIDE]: not the neck, which lies behind the jaw: the chin slides over it."""
    oval = cv2.convexHull(np.round(landmarks[:468, :2]).astype(np.int32))
    face = np.zeros((SIDE, SIDE), np.uint8)
    cv2.fillConvexPoly(face, oval, 1)
    cheek = int(np.clip(landmarks[[234, 454], 1].max() + 30, 0, SIDE))
    face[:cheek] = 1
    return face > 0


def fields(
    surface: Surface, shapes: Array, landmarks: Array, slits: Slits, source: Array, gaze: Array, slack: Array
) -> dict[str, npt.NDArray[np.float32]]:
    """The renderer's displacement maps by name, and the gaps it watches. `shapes` [63, V, 3] in units.

    `gaze` [2, 63, 3]: how the irises move, in units; `slack` [SIDE, SIDE]: 0 for what no expression moves, 1 for what
    all do.
    """
    values = np.ascontiguousarray(shapes.transpose(1, 0, 2).reshape(shapes.shape[1], -1))
    skin, points = skin_mask(landmarks), Window(SIDE, SIDE, 1).centres()
    base, patch = skin.copy(), skin.copy()
    for slit in slits.all():
        base &= slit.base_side(points)
        patch &= slit.patch_side(points)
    places = place(slits)

    def spread(window: Window, origin: Origin, allowed: Mask, pinned: bool = False) -> Array:
        field, known = surface.carry(values, allowed, window, origin)
        if pinned:  # nothing moves at the window's top and sides
            known[0] = known[:, [0, -1]] = True
            field[0] = field[:, [0, -1]] = 0
        at = window.centres(origin)
        free = cv2.remap(slack, at - np.float32(0.5), None, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
        return np.asarray(extend(field, known) * (_fade(landmarks, at) * free)[..., None], np.float32)

    head, common = spread(FACE, FACE_ORIGIN, base, True), spread(FACE, FACE_ORIGIN, skin, True)
    face = common
    for slit in slits.all():
        face = _beside(slit, FACE.centres(FACE_ORIGIN), face, _Field(head, FACE, FACE_ORIGIN), Slit.onto_base)
    window = _Field(spread(MOUTH, places.mouth, patch), MOUTH, places.mouth)
    crop = _crop(places.mouth)
    mouth = _beside(slits.mouth, MOUTH.centres(places.mouth), common[crop], window, Slit.onto_patch)
    lids = []
    for slit, origin in zip(slits.eyes, places.eyes, strict=True):
        window = _Field(spread(EYE, origin, patch), EYE, origin)
        lid = _beside(slit, EYE.centres(origin), spread(EYE, origin, skin), window, Slit.onto_patch)
        lids.append(soften(lid, 0.8))
    return _assemble(soften(face, 0.6), soften(mouth, 0.6), lids, slits, places, source, gaze)


def _beside(slit: Slit, points: Array, common: Array, own: "_Field", onto: Callable[[Slit, Array], Array]) -> Array:
    """`common` [h, w, C], but in the slit's lenses the field of one side drawn across it."""
    flat = onto(slit, points).reshape(-1, 2)
    values = own.at(flat).reshape(common.shape)
    blend = slit.blend_base if onto is Slit.onto_base else slit.blend_patch
    return np.where(_near(slit, points)[..., None], blend(common, values, points), common)


def _fade(landmarks: Array, points: Array) -> Array:
    """1 on the face, falling to 0 over the neck: slowly, or the jaw that drops would fold it."""
    chin = float(landmarks[152, 1])
    bottom = min(chin + 1.2 * float(np.hypot(*(landmarks[468, :2] - landmarks[473, :2]))), SIDE - 4)
    return 1 - smoothstep(chin - 8, bottom, points[..., 1])


def soften(field: Array, sigma: float) -> Array:
    """A field [h, w, C] blurred by `sigma` cells."""
    return by_channels(field, lambda part: cv2.GaussianBlur(part, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE))


def _near(slit: Slit, points: Array) -> Mask:
    deep, high = slit.lenses(points)
    return (deep < 1) | (high < 1)


def _crop(origin: Origin) -> tuple[slice, slice]:
    """The mouth's window in the face's lattice."""
    row, column = (int((origin[i] - FACE_ORIGIN[i]) / FACE.cell) for i in (1, 0))
    return slice(row, row + MOUTH.rows), slice(column, column + MOUTH.cols)


def _assemble(
    face: Array, mouth: Array, lids: list[Array], slits: Slits, places: Places, source: Array, gaze: Array
) -> dict[str, npt.NDArray[np.float32]]:
    head = _Field(face, FACE, FACE_ORIGIN)
    lip = _Field(mouth, MOUTH, places.mouth)
    mouth_gap, mouth_push = _shut(*_contact(slits.mouth, head, lip, MOUTH_COLUMNS), mouth, source)
    eye_gaps, eye_maps = [], []
    for side in (LEFT, RIGHT):
        slit, lid = slits.eyes[side], _Field(lids[side], EYE, places.eyes[side])
        for looks, upper, lower in FOLLOWS:
            look, way = looks[side], gaze[side, looks[side], :2]
            _follow(slit, lid, look, upper * way, slit.patch)
            _follow(slit, head, look, lower * way, slit.base)
        _close(slit, head, lid, _BLINK[side], source)
        gap, push = _contact(slit, head, lid, EYE_COLUMNS)
        eye_gaps.append(gap)
        eye_maps.append(np.concatenate([_maps(lid.values), push]))
    return {
        "face_maps": _maps(face),
        "mouth_maps": np.concatenate([_maps(mouth), mouth_push]),
        "eye_maps": np.stack(eye_maps),
        "mouth_gap": mouth_gap,
        "eye_gap": np.stack(eye_gaps),
        "lash_turn": np.stack(
            [layers_lids.turning(slit, EYE, at) for slit, at in zip(slits.eyes, places.eyes, strict=True)]
        ),
        "mouth_at": np.array(places.mouth, np.float32),
        "eye_at": np.array(places.eyes, np.float32),
    }


def _maps(field: Array) -> Array:
    """[h, w, K * 3] -> [K, 3, h, w]."""
    h, w, _ = field.shape
    return np.ascontiguousarray(field.reshape(h, w, _K, 3).transpose(2, 3, 0, 1))


@dataclass(frozen=True)
class _Field:
    values: Array
    window: Window
    origin: Origin

    def at(self, points: Array) -> Array:
        """[n, K, 3] at points [n, 2]."""
        where = ((points - np.array(self.origin, np.float32)) / self.window.cell - 0.5).astype(np.float32)
        x, y = (np.ascontiguousarray(where[:, i])[:, None] for i in (0, 1))
        channels = [
            cv2.remap(np.ascontiguousarray(self.values[..., i : i + 3]), x, y, cv2.INTER_LINEAR)[:, 0]
            for i in range(0, self.values.shape[2], 3)
        ]
        return np.stack(channels, 1)


def _columns(count: int) -> Array:
    """Places along a slit, from corner to corner."""
    return np.linspace(-1, 1, count + 2, dtype=np.float32)[1:-1]


def _contact(slit: Slit, head: _Field, patch: _Field, count: int) -> tuple[Array, Array]:
    """What keeps the edges from passing through each other.

    The distance between the edges at `count` columns, as [1 + K, count]: at the source expression, then per
    coefficient; and the maps [count, 3, h, w] that push the patch back by a unit at each of them.
    """
    u = _columns(count)
    base, edge = slit.edges(u)
    apart = patch.at(slit.point(u, edge)) - head.at(slit.point(u, base))
    gap = np.concatenate([(edge - base + slit.soft)[None], (apart[..., :2] @ slit.away()).T])
    at = patch.window.centres(patch.origin)
    along, _ = slit.local(at)
    deep, high = slit.lenses(at)
    fall = np.where(deep > 0, 1 - smoothstep(0, 1, deep), 1 - smoothstep(0, 1, high))
    bumps = np.clip(1 - np.abs(along[None] - u[:, None, None]) * (count + 1) / 2, 0, 1)
    push = (bumps * fall)[:, None] * np.array([*slit.away(), 0], np.float32)[:, None, None]
    return gap.astype(np.float32), push.astype(np.float32)


def _shut(gap: Array, push: Array, mouth: Array, source: Array) -> tuple[Array, Array]:
    """Lets lips that part in the photo meet at rest; returns the distances after that.

    What is left of their distance goes, in place, to the coefficients that the photo shows, each by its share.
    """
    strength = float(source @ source)
    if strength < _FAINT:
        return gap, push
    left = np.clip(gap[0] - source @ gap[1:], 0, _PARTED) / strength
    closing = np.tensordot(left, push, 1).transpose(1, 2, 0)
    for k in np.flatnonzero(source):
        mouth[..., 3 * k : 3 * k + 3] += source[k] * closing
        gap[1 + k] += source[k] * left
    return gap, push


def _close(slit: Slit, head: _Field, lid: _Field, blink: int, source: Array) -> None:
    """Adds to the lid's blink in place what its edge falls short of the lower lid at every column.

    It meets the lower lid where the blink is 1 and the rest of the photo's own expression is gone.
    """
    u = _along()
    base, edge = slit.edges(u)
    shut = -source
    shut[blink] += 1
    fall, rise = (
        np.tensordot(field.at(slit.point(u, v))[..., :2] @ slit.away(), shut, 1)
        for field, v in ((lid, edge), (head, base))
    )
    short = (rise - fall - _CLOSE * (edge - base) - slit.soft) / max(float(shut[blink]), 0.3)
    _push(slit, lid, blink, cv2.GaussianBlur(short[None].astype(np.float32), (0, 0), 1.5)[0])


def _follow(slit: Slit, field: _Field, look: int, way: Array, edge: Array) -> None:
    """Adds to a look, in place, what the middle of a lid's `edge` [samples] falls short of a `way` [2]."""
    u = _along()
    middle = slit.point(np.zeros(1, np.float32), edge[len(edge) // 2, None])
    short = float((way - field.at(middle)[0, look, :2]) @ slit.away())
    _push(slit, field, look, short * (1 - u * u))


def _along() -> Array:
    """Places along an eye's slit at which its lids are told how to move."""
    return np.linspace(-0.96, 0.96, 32, dtype=np.float32)


def _push(slit: Slit, field: _Field, k: int, by: Array) -> None:
    """Adds to what a coefficient does, in place, `by` units across the slit at each of its places, less and less
    towards the rims of its lenses."""
    at = field.window.centres(field.origin)
    along, _ = slit.local(at)
    deep, high = slit.lenses(at)
    share = 1 - np.where(deep > 0, deep, smoothstep(0, 1, high))
    push = np.interp(along, _along(), by).astype(np.float32) * share
    field.values[..., 3 * k : 3 * k + 2] += push[..., None] * slit.away()


def _below(points: Array, pivot: Array) -> Array:
    """The rows straight below the skull's base that lie as far from it as points [..., 2] do.

    A head that leans turns about that base: what fades by this distance is sheared like a neck, fading by rows would
    take a shoulder along and crush the other. Hair beside the head and above it stays the head's.
    """
    across, down = _SIDEWAYS * (points[..., 0] - pivot[0]), points[..., 1] - pivot[1]
    return np.asarray(pivot[1] + np.hypot(across, np.maximum(down, 0)) + _UPWARDS * np.minimum(down, 0), np.float32)


def pose_maps(
    surface: Surface, depth: Array, landmarks: Array, places: Places, pivot: Array, cut_off: float
) -> dict[str, Array]:
    """Depth [rows, cols] in units and how far the head's turn takes each cell along, for the frame and each window.

    `cut_off` 0..1: how surely hair goes on beyond the frame's upper edge. It stays there, or the edge would be drawn
    out to streaks when the head bows; all along the edge, or leaning would tear it.
    """
    everywhere = np.ones((SIDE, SIDE), bool)
    z, known = surface.carry(np.ascontiguousarray(depth[:, None]), everywhere, FRAME, (0, 0))
    smooth = limit_slope(extend(z, known, 20)[..., 0], _SLOPE, FRAME.cell)
    smooth = cv2.GaussianBlur(smooth, (0, 0), 1.5, borderType=cv2.BORDER_REPLICATE)
    chin, eyes = landmarks[152, 1], float(np.hypot(*(landmarks[468, :2] - landmarks[473, :2])))
    bottom = min(chin + _NECK * eyes, SIDE - 4)
    y = FRAME.centres()[..., 1]
    weight = 1 - smoothstep(min(chin - 0.1 * eyes, bottom - 0.7 * eyes), bottom, _below(FRAME.centres(), pivot))
    brow = float(landmarks[_FOREHEAD, 1])
    weight *= 1 - cut_off * (1 - smoothstep(0, max(brow, 1), y))

    def window(a: Array, lattice: Window, origin: Origin) -> Array:
        scale = lattice.cell / FRAME.cell
        shift = [(o + lattice.cell / 2) / FRAME.cell - 0.5 for o in origin]
        m = np.array([[scale, 0, shift[0]], [0, scale, shift[1]]])
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return np.asarray(
            cv2.warpAffine(a, m, (lattice.cols, lattice.rows), flags=flags, borderMode=cv2.BORDER_REPLICATE), np.float32
        )

    maps = {"frame_pose": np.stack([smooth, weight])}
    maps["mouth_pose"] = np.stack([window(a, MOUTH, places.mouth) for a in (smooth, weight)])
    maps["eye_pose"] = np.stack([[window(a, EYE, o) for a in (smooth, weight)] for o in places.eyes])
    return maps
