"""What `engine.renderer.fields` defines, for one portrait at a time and without torch.

A face moves few coefficients at a time, each in one place: a CPU has a third of the work if it skips the rest.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE as NAMES
from engine.portrait.layers_layout import (
    EYE,
    EYE_COLUMNS,
    FACE,
    FACE_ORIGIN,
    FRAME,
    MOUTH,
    SNAP,
    Window,
)
from engine.renderer import field_kernels as kernels
from engine.renderer.constants import (
    BARE,
    BRIGHTEST,
    CLOSE,
    DEEPEST,
    EYE_RADIUS,
    JAW,
    LASH_LEAST,
    LASH_LENGTH,
    LASH_TURN,
    LEAST,
    OUT,
    SAFE,
    SPREAD,
    STEEPEST,
    STEPS,
    STRIDE,
    TONGUE_OUT,
    TURNS,
    UNFOLD,
    UNFOLD_ABOUT,
    UNFOLD_MEAN,
    squared,
)

Floats = npt.NDArray[np.float32]
Layer = npt.NDArray[Any]  # float16 or float32, as it is kept
_STILL = 2**-10  # units: a map is nothing where it moves points by less
_DARK = 2e-4  # the same of the maps of light, in log
_FAINT = 2**-12 / np.iinfo(np.int16).max  # a map's weight, if less than 2**-12 is the most that it adds
_FACE_LEFT, _FACE_TOP = (int(o / FACE.cell) for o in FACE_ORIGIN)  # in FRAME


class Placed(NamedTuple):
    """Of one picture; places are [rows, cols, 2], x before y."""

    person: Floats  # over FRAME: from a point of the picture to its place in the photo, a difference
    mouth: Floats  # over MOUTH: the place in the mouth's window
    mouth_to: Floats  # [2]: where the window lies in the picture
    eyes: tuple[Floats, ...]  # over EYE
    eyes_to: tuple[Floats, ...]  # [2] each
    lashes: tuple[Floats, ...]  # over EYE: the place of the lids' lashes in the eyes' windows
    sprites: Floats  # [SPRITES, 2, 3]: from a point of the picture to -1..1 over the sprite
    shut: Floats  # [2]: how much of the lids' other picture shows
    light: Floats  # over SHADE, [rows, cols]: the log of the change of light, before it is bounded
    tint: Floats  # [3]: what of it red, green and blue take

    def by_name(self) -> dict[str, Floats]:
        """As `engine.renderer.fields.FieldOutputs` with a batch of one."""
        light = np.float32(DEEPEST) * np.tanh(self.light / np.float32(DEEPEST))
        arrays = {
            "person": _planar(self.person),
            "mouth": _planar(self.mouth),
            "mouth_to": self.mouth_to,
            "eyes": np.stack([_planar(eye) for eye in self.eyes]),
            "eyes_to": np.stack(self.eyes_to),
            "lashes": np.stack([_planar(lash) for lash in self.lashes]),
            "sprites": self.sprites,
            "shut": self.shut,
            "shade": np.exp(self.tint[:, None, None] * light).clip(max=np.float32(BRIGHTEST)),
        }
        return {name: array[None] for name, array in arrays.items()}


@dataclass(frozen=True)
class Maps:
    """Maps [K, C, rows, cols], each kept where it is not nought, and in whole steps: half the memory to read."""

    values: npt.NDArray[np.int16]
    steps: Floats
    """[K]: what 1 stands for in each map, less than a 60,000th of its range."""
    boxes: npt.NDArray[np.int64]
    """[K, 5]: the first value, top, bottom, left, right."""
    shape: tuple[int, int, int]

    @classmethod
    def cropped(cls, maps: Layer, least: float) -> "Maps":
        """`maps` [K, C, rows, cols], nothing where they are at most `least`."""
        shown = seen(maps, least)
        boxes = np.concatenate([ends(np.any(shown, axis)) for axis in (2, 1)], 1)
        sizes = maps.shape[1] * (boxes[:, 1] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 2])
        starts = np.cumsum(sizes) - sizes
        values, steps = np.empty(sizes.sum(), np.int16), np.ones(len(maps), np.float32)
        for k, (start, size, (top, bottom, left, right)) in enumerate(zip(starts, sizes, boxes, strict=True)):
            if not size:
                continue
            part = maps[k, :, top:bottom, left:right].astype(np.float32).ravel()
            steps[k] = max(part.max(), -part.min()) / np.iinfo(np.int16).max
            values[start : start + size] = np.rint(part / steps[k])
        return cls(values, steps, np.column_stack([starts, boxes]), maps.shape[1:])

    def inside(self, top: int, left: int, rows: int, cols: int) -> "Maps":
        """The same as a part, from `top`, `left` on, of maps with so many rows and columns."""
        return replace(self, boxes=self.boxes + (0, top, top, left, left), shape=(self.shape[0], rows, cols))

    def sum(self, weights: Floats) -> Floats:
        """[C, rows, cols]."""
        out = np.zeros(self.shape, np.float32)
        kernels.mix(weights * self.steps, self.values, self.boxes, _FAINT, out)
        return out


class Pose(NamedTuple):
    """`engine.renderer.fields.Pose`."""

    turn: Floats  # [3, 3]
    shift: Floats  # [2]
    pivot: Floats  # [3]

    def move(self, points: Floats) -> Floats:
        """[N, 3] -> [N, 2]."""
        moved: Floats = (points - self.pivot) @ self.turn[:2].T + (self.pivot[:2] + self.shift)
        return moved


class CpuFields:
    """The maps of one portrait."""

    def __init__(self, layers: Mapping[str, npt.NDArray[Any]]) -> None:
        """`layers` as `engine.renderer.fields.FieldInputs`."""
        self._p = p = {name: np.ascontiguousarray(layers[name], np.float32) for name in _SMALL}
        face, self._mouth = (Maps.cropped(layers[name], _STILL) for name in ("face_maps", "mouth_maps"))
        self._face = face.inside(_FACE_TOP, _FACE_LEFT, FRAME.rows, FRAME.cols)
        self._eyes = [Maps.cropped(eye, _STILL) for eye in layers["eye_maps"]]
        lights = np.tensordot(layers["shade_mix"], layers["shade_maps"].astype(np.float32), 1)
        self._lights = Maps.cropped(lights[:, None], _DARK)
        self._columns = p["sprite_moves"].transpose(1, 0, 2).reshape(len(NAMES), -1)
        self._sprites_at = np.column_stack([p["sprite_box"][:, :2], p["sprite_depth"]])
        gaps = p["mouth_gap"], *p["eye_gap"]
        self._gaps, self._ends = np.concatenate(gaps, 1), np.cumsum([gap.shape[1] for gap in gaps])[:-1]
        self._corners = np.stack([p["mouth_at"], *p["eye_at"]])
        poses, windows = (p["mouth_pose"], *p["eye_pose"]), (MOUTH, EYE, EYE)
        self._middles = np.stack(list(map(_middle, self._corners, poses, windows)))

    def __call__(self, coefficients: Floats) -> Placed:
        """`coefficients` [69] as `engine.face.coefficients.NAMES`."""
        p = self._p
        delta = coefficients[: len(NAMES)] - p["source"]
        delta[CLOSE] = min(coefficients[CLOSE], coefficients[JAW]) - p["source"][CLOSE]
        head = pose(coefficients[len(NAMES) :], p["pivot"], float(p["iod"][0]))
        mouth_touch, *eye_touches = (np.concatenate([delta, touch]) for touch in self._touches(delta))
        mouth_to, *eyes_to = _snapped(head.move(self._middles) - self._middles[:, :2] + self._corners)
        mouth = _window(self._mouth.sum(mouth_touch), head, p["mouth_pose"], self._corners[0], mouth_to, MOUTH)
        left, right = (
            _window(eye.sum(touch), head, p["eye_pose"][i], self._corners[1 + i], eyes_to[i], EYE)
            for i, (eye, touch) in enumerate(zip(self._eyes, eye_touches, strict=True))
        )
        closed = _closed(delta, p["eye_gap"])
        lashes = tuple(_lashes(float(closed[i]), places, p["lash_turn"][i]) for i, places in enumerate((left, right)))
        t = np.clip((closed - BARE[0]) / np.float32(BARE[1] - BARE[0]), 0, 1)
        change = np.concatenate([delta, coefficients[len(NAMES) :][:TURNS]])
        return Placed(
            self._person(delta, head),
            mouth,
            mouth_to,
            (left, right),
            tuple(eyes_to),
            lashes,
            self._sprites(delta, head),
            t * t * (3 - 2 * t),
            self._lights.sum(change)[0],
            p["shade_tint"],
        )

    def _touches(self, delta: Floats) -> list[Floats]:
        """How far the edges of the mouth's slit and of the eyes' would pass through each other, along each."""
        return np.split(np.maximum(-(self._gaps[0] + delta @ self._gaps[1:]), 0), self._ends)

    def _person(self, delta: Floats, head: Pose) -> Floats:
        fields = _unfold(_displace(self._face.sum(delta), head, self._p["frame_pose"], _ORIGIN, FRAME), FRAME)
        return kernels.invert(fields, FRAME.cell, _ORIGIN, True, STEPS, STRIDE, STEEPEST) - _HERE

    def _sprites(self, delta: Floats, head: Pose) -> Floats:
        p = self._p
        moved = (delta @ self._columns).reshape(-1, 3)
        driven = delta + p["source"]
        tongue, length = _tongue(
            driven @ p["sprite_moves"][OUT], float(driven[TONGUE_OUT]), float(p["sprite_box"][OUT, 3])
        )
        moved[OUT] = tongue
        size = p["sprite_box"][:, 2:].copy()
        size[OUT, 1] = length
        return kernels.sprites(self._sprites_at, moved, size, EYE_RADIUS * float(p["iod"][0]), *head)


_SMALL = (
    "source", "iod", "pivot", "mouth_gap", "eye_gap", "lash_turn", "frame_pose", "mouth_pose", "eye_pose", "mouth_at",
    "eye_at", "sprite_box", "sprite_depth", "sprite_moves", "shade_tint",
)  # fmt: skip
_ORIGIN = np.zeros(2, np.float32)
_HERE = FRAME.centres()


def pose(head: Floats, pivot: Floats, iod: float) -> Pose:
    """`engine.renderer.fields.pose`: yaw, pitch, roll (degrees), x, y (inter-ocular distances) and scale."""
    angles = [math.radians(float(angle)) for angle in head[:3]]
    (ca, cb, cc), (sa, sb, sc) = map(math.cos, angles), map(math.sin, angles)
    rows = [
        [cc * ca - sc * sb * sa, -sc * cb, cc * sa + sc * sb * ca],
        [sc * ca + cc * sb * sa, cc * cb, sc * sa - cc * sb * ca],
        [-cb * sa, sb, cb * ca],
    ]
    return Pose(np.array(rows, np.float32) * head[5], head[3:5] * np.float32(iod), pivot)


def _closed(delta: Floats, gap: Floats) -> Floats:
    """[2]: 0 for eyes as in the photo, 1 where the lids meet, negative where they are wider."""
    middle = gap[:, :, EYE_COLUMNS // 2]
    closed: Floats = -(middle[:, 1:] @ delta) / (middle[:, 0] + np.float32(1e-3))
    return closed


def _lashes(closed: float, places: Floats, turn: Floats) -> Floats:
    """The lids' places, drawn out from the lid's edge as its lashes shrink, and turned over as they point down."""
    length = min(max(1 - LASH_TURN * closed, LASH_LENGTH[0]), LASH_LENGTH[1])
    length = math.copysign(max(abs(length), LASH_LEAST), length if length > 0 else -1)
    return places + np.float32(1 / length - 1) * kernels.sample(turn, places, EYE.cell)


def _displace(expression: Floats, head: Pose, posed: Floats, corner: Floats, window: Window) -> Floats:
    return kernels.displace(expression, corner, window.cell, posed, head.turn, head.pivot, head.shift)


def _unfold(forward: Floats, window: Window) -> Floats:
    """As `jacobian` gives it, the field blurred where it folds or is about to."""
    about, mean = (2 * (squared(units, window.cell),) for units in (UNFOLD_ABOUT, UNFOLD_MEAN))
    for _ in range(UNFOLD):
        fields, tightest = kernels.jacobian(forward, window.cell)
        if tightest >= SAFE:
            return fields
        need = np.clip(1 - (fields[..., 2] * fields[..., 5] - fields[..., 3] * fields[..., 4]) / SAFE, 0, 1)
        share = np.minimum(SPREAD * cv2.blur(need, about, borderType=cv2.BORDER_CONSTANT), 1).astype(np.float32)
        smooth = cv2.blur(forward, mean, borderType=cv2.BORDER_REPLICATE)
        forward = forward + share[..., None] * (smooth - forward)
    return kernels.jacobian(forward, window.cell)[0]


def _middle(corner: Floats, posed: Floats, window: Window) -> Floats:
    """[3]: the middle of a window, with its depth."""
    depth = posed[0, window.rows // 2, window.cols // 2]
    return np.array([corner[0] + window.width / 2, corner[1] + window.height / 2, depth], np.float32)


def _snapped(to: Floats) -> Floats:
    """Windows lie at whole steps."""
    return np.asarray(np.round(to / SNAP) * SNAP, np.float32)


def _window(expression: Floats, head: Pose, posed: Floats, corner: Floats, to: Floats, window: Window) -> Floats:
    """The places in a window that lies at `to` in the picture."""
    fields = _unfold(_displace(expression, head, posed, corner, window), window)
    return kernels.invert(fields, window.cell, to - corner, False, STEPS, STRIDE, STEEPEST)


def _tongue(lip: Floats, out: float, length: float) -> tuple[Floats, float]:
    """How far the middle of the tongue that is put out has moved [3], and how long it is.

    It hangs from the slit over the lower lip; one that is hardly put out is put aside.
    """
    shown = max(float(lip[1]), 0) + length * max(out, LEAST)
    aside = 1e4 if out < LEAST else 0
    return np.array([lip[0] + aside, (shown - length) / 2, lip[2]], np.float32), shown


def seen(maps: Layer, least: float) -> npt.NDArray[np.bool_]:
    """[K, rows, cols] where a map of [K, C, rows, cols] is larger than `least` in any channel.

    Bits without the sign are ordered as magnitudes are, and compared ten times as fast as float16.
    """
    whole = np.dtype(f"u{maps.itemsize}")
    bits = maps.view(whole) & whole.type(np.iinfo(whole).max >> 1)
    return np.asarray(bits.max(1) > np.array(least, maps.dtype).view(whole))


def ends(seen: npt.NDArray[np.bool_]) -> npt.NDArray[np.int64]:
    """[K, 2] the first that is true in each row [K, n], and one past the last; 0, 0 if none is."""
    first, last = seen.argmax(1), seen.shape[1] - seen[:, ::-1].argmax(1)
    return np.asarray(np.stack([first, last], 1) * np.any(seen, 1, keepdims=True), np.int64)


def _planar(places: Floats) -> Floats:
    return np.ascontiguousarray(places.transpose(2, 0, 1))
