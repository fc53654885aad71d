"""Folds of the skin, finer than the mesh: where each runs, how deep it is, and the coefficients that draw it.

A fold is a valley along a line of landmarks: its flanks turn the normal, its depth takes light away. Places and causes
are those of the FACS manual (Ekman and Friesen 1978). Lines are given on the person's right and mirrored to the left;
each sways and breaks in its own way, the same every time: a crease within a soft trough.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise
from zlib import crc32

import cv2
import numpy as np
import numpy.typing as npt

from engine.face.coefficients import FACE
from engine.portrait.layers_layout import SIDE, Array
from engine.portrait.layers_slit import smoothstep

Knot = int | tuple[int, int, float]
"""A landmark, or a place so far on the way from one to another."""


@dataclass(frozen=True)
class Fold:
    """Lengths in units of the frame (96 between the eyes)."""

    path: Sequence[Knot]
    depth: float
    """Where its coefficients are 1; a swelling has less than none."""
    width: float
    """At which a flank has fallen to 1/e."""
    moves: Mapping[str, float]
    """Coefficient -> share of the depth; a star stands for the fold's own side, two for both sides."""
    swell: float = 0
    """How far the skin beside it, away from the nose, bulges: a share of the depth."""
    central: bool = field(default=False, kw_only=True)
    """Crosses the middle: has no mirror image."""
    worn: float = field(default=0.1, kw_only=True)
    """Share of the depth that smooth skin does not show, because years draw it."""
    mound: float = field(default=1, kw_only=True)
    """How much broader the flank away from the nose is than the other: full skin that hangs over the fold."""
    begin: float = field(default=0.45, kw_only=True)
    """Share of the length over which it comes out of the skin at its first knot."""


_NASOLABIAL = ((126, 129, 0.6), (129, 203, 0.4), (206, 92, 0.3), (186, 216, 0.4), (57, 212, 0.35), (43, 202, 0.4))
_ARCH = {"browOuterUp*": 1.0, "browInnerUp": 0.2, "browInnerUp*": 0.2}
_WAVE = {"browInnerUp": 1.0, "browInnerUp**": 0.5, "browOuterUp**": 0.15}
_ROUND = {"mouthPucker": 1.0, "mouthFunnel": 0.5}
_CROW = {"cheekSquint*": 1.0, "eyeSquint*": 0.25, "mouthSmile*": 0.1}

FOLDS: tuple[Fold, ...] = (
    # From the wing of the nose about the corner of the mouth.
    Fold(
        _NASOLABIAL,
        1.8,
        4.2,
        {
            "mouthSmile*": 1,
            "nasolabialDeepener*": 1.3,
            "sharpLipPuller*": 0.7,
            "cheekSquint*": 0.2,
            "mouthDimple*": 0.2,
        },
        swell=0.3,
        mound=1.8,
        begin=0.3,
    ),
    Fold(
        _NASOLABIAL[:4],
        1.8,
        3.6,
        {"noseSneer*": 1, "mouthUpperUp*": 0.6, "nasolabialDeepener*": 0.3},
        swell=0.6,
        mound=1.8,
        begin=0.15,
    ),
    # Between the brows: upright lines beside a swelling, and the level line at the root of the nose.
    Fold(((168, 55, 0.3), (8, 55, 0.5), (9, 55, 0.55), (9, 107, 0.5)), 1.9, 3.2, {"browDown*": 1}),
    Fold(((8, 55, 0.8), (55, 107, 0.7), (107, 66, 0.5), (107, 66, 0.9)), -2.5, 9.0, {"browDown*": 1}),
    Fold(
        ((189, 193, 0.3), (193, 168, 0.4), 168, (417, 168, 0.4), (413, 417, 0.3)),
        1.5,
        2.8,
        {"noseSneer**": 0.5, "browDown**": 0.15},
        central=True,
    ),
    # Across the bridge of a wrinkled nose and down its sides.
    Fold(((188, 128, 0.5), 188, 122, 6, 351, 412, (412, 357, 0.5)), 1.3, 2.8, {"noseSneer**": 0.5}, central=True),
    Fold(((174, 47, 0.6), 174, 196, 197, 419, 399, (399, 277, 0.6)), 1.2, 2.8, {"noseSneer**": 0.5}, central=True),
    # The forehead: broad level waves above raised inner brows, arches above the outer ones.
    *(
        Fold(
            ((105, 103, t), (66, 67, t), (107, 109, t), (9, 10, t + 0.02), (336, 338, t), (296, 297, t), (334, 332, t)),
            1.3,
            5.0,
            _WAVE,
            central=True,
            worn=0.6,
        )
        for t in (0.33, 0.6)
    ),
    Fold(((107, 109, 0.33), (66, 67, 0.33), (105, 103, 0.33), (63, 68, 0.5)), 1.0, 4.6, _ARCH, worn=0.6),
    # Crow's feet, from the eye's corner outwards; the furrow below the lid, and the lines of a tight one.
    Fold(((226, 113, 0.4), (124, 35, 0.3), (156, 143, 0.3)), 1.2, 2.8, _CROW, worn=0.5),
    Fold(((226, 35, 0.2), 35, 143), 1.3, 2.8, _CROW, worn=0.5),
    Fold(((226, 31, 0.7), (35, 111, 0.5), (143, 116, 0.45)), 1.2, 2.8, _CROW, worn=0.5),
    Fold((31, 228, 229, 230, 231, (232, 128, 0.3)), 1.3, 3.4, {"cheekSquint*": 1, "eyeSquint*": 0.4}),
    Fold(
        ((25, 31, 0.3), (110, 228, 0.4), (24, 229, 0.35), (23, 230, 0.35), (22, 231, 0.4)), 0.9, 2.2, {"eyeSquint*": 1}
    ),
    # About the mouth: the dimple, the line below the corner, the hollow above the chin and the chin's own dents.
    Fold(
        ((216, 186, 0.7), (186, 57, 0.6), (57, 212, 0.2), (43, 57, 0.3), (43, 202, 0.3)),
        1.4,
        3.4,
        {"mouthDimple*": 1, "mouthStretch*": 0.25},
        swell=0.7,
    ),
    Fold(
        ((61, 57, 0.1), (43, 57, 0.2), (202, 43, 0.45), (210, 204, 0.4)),
        1.5,
        4.2,
        {"mouthFrown*": 1, "mouthStretch*": 0.3},
        swell=0.4,
        begin=0.2,
    ),
    Fold(
        (
            (106, 204, 0.6),
            (182, 194, 0.3),
            (83, 201, 0.35),
            (18, 200, 0.4),
            (313, 421, 0.35),
            (406, 418, 0.3),
            (335, 424, 0.6),
        ),
        1.8,
        4.6,
        {"mouthShrugLower": 1, "mouthFrown**": 0.2},
        central=True,
    ),
    # Rounded lips: their shadow on the chin, and the skin gathered beside their corners.
    Fold(
        ((91, 182, 0.4), (84, 83, 0.5), (17, 18, 0.5), (314, 313, 0.5), (321, 406, 0.4)), 1.5, 4.2, _ROUND, central=True
    ),
    Fold(((186, 216, 0.2), (61, 57, 0.35), (43, 57, 0.2)), 1.6, 3.4, _ROUND, swell=0.5),
    Fold((208, (200, 199, 0.6), 428), -3.5, 12.0, {"mouthShrugLower": 1}, central=True),
    Fold(((201, 208, 0.1), (201, 208, 0.3), (201, 208, 0.5)), 0.8, 2.8, {"mouthShrugLower": 1}),
    Fold(((208, 32, 0.2), (208, 32, 0.5), (208, 32, 0.8)), 0.7, 2.8, {"mouthShrugLower": 1}),
)

_TAPER = 0.45  # of a fold's length, over which it ends in the skin
_CREASE, _TROUGH = 0.75, (2.2, 0.4)  # of the depth; the trough about a crease: times broader, and of the depth
_PLACES, _WAVES = 64, (37.0, 23.0)  # along a line; units: how fast it sways and breaks
_SWAY, _BREAK = 0.2, 0.2  # widths by which it sways; half of the depth that it loses where it breaks

_BROWS, _HAIR = 0.25, 0.85  # of the way up, between which it is bare
_LEVEL = 8.0  # units along which a line of the forehead runs level
_LINE = 1.0, 5.0  # units: what is finer is grain, what is coarser is form
_SMOOTH, _LINED = 0.004, 0.014  # log of the brightness, typical deviation: a forehead without lines, with deep ones


def lined(picture: npt.NDArray[np.uint8], landmarks: Array) -> float:
    """0..1: how far a forehead has level lines of its own; `picture` [1024, 1024, 3], `landmarks` [478, 3]."""
    scale = picture.shape[0] / SIDE
    tone = np.log(np.maximum(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32), 1))
    fine, coarse = (cv2.GaussianBlur(tone, (0, 0), _LEVEL * scale, sigmaY=line * scale) for line in _LINE)
    bare = np.zeros(tone.shape, np.uint8)
    cv2.fillPoly(bare, [np.round(_bare(landmarks[:, :2]) * scale).astype(np.int32)], 1)
    off = (fine - coarse)[bare > 0]
    return float(np.clip((1.48 * np.median(np.abs(off)) - _SMOOTH) / (_LINED - _SMOOTH), 0, 1)) if len(off) else 0.0


def _bare(landmarks: Array) -> Array:
    """[n, 2] the outline of the part of the forehead that neither brows nor hair cover."""
    brows, hair = landmarks[[105, 66, 107, 336, 296, 334]], landmarks[[103, 67, 109, 338, 297, 332]]
    return np.concatenate([brows + _BROWS * (hair - brows), (brows + _HAIR * (hair - brows))[::-1]])


def heights(
    fold: Fold, landmarks: Array, mirror: npt.NDArray[np.int64], points: Array, smooth: float = 0
) -> Iterator[tuple[Array, Array]]:
    """The fold, and its mirror image if it has one: height [h, w] at `points` [h, w, 2], and shares [63].

    `smooth` 0..1: skin that years have not lined.
    """
    sides = ("Right",) if fold.central else ("Right", "Left")
    shown = replace(fold, depth=fold.depth * (1 - fold.worn * smooth))
    for side in sides:
        line = np.stack([_place(knot, landmarks[:, :2], mirror if side == "Left" else None) for knot in fold.path])
        height = _valley(shown, _rounded(line), points, -1 if side == "Left" else 1)
        yield height, _shares(fold.moves, side)


def _place(knot: Knot, landmarks: Array, mirror: npt.NDArray[np.int64] | None) -> Array:
    start, end, share = knot if isinstance(knot, tuple) else (knot, knot, 0.0)
    if mirror is not None:
        start, end = int(mirror[start]), int(mirror[end])
    return np.asarray(landmarks[start] + share * (landmarks[end] - landmarks[start]))


def _rounded(line: Array) -> Array:
    """Corners cut twice (Chaikin 1974); the ends stay."""
    for _ in range(2):
        cut = np.stack([0.75 * line[:-1] + 0.25 * line[1:], 0.25 * line[:-1] + 0.75 * line[1:]], 1).reshape(-1, 2)
        line = np.concatenate([line[:1], cut, line[-1:]])
    return line


def _valley(fold: Fold, line: Array, points: Array, outside: int) -> Array:
    """Height [h, w], negative in the fold; `outside` is the sign of the side away from the nose."""
    away, along = _nearest(line, points)
    taper = smoothstep(0, fold.begin, along) * smoothstep(0, _TAPER, 1 - along)
    places, wander = np.linspace(0, 1, _PLACES), _uneven(line, crc32(f"{fold.path} {outside}".encode()))
    sway, strength = (np.interp(along, places, one) for one in wander)
    across = outside * away / fold.width + sway
    wide = across / np.where(across > 0, fold.mound * _TROUGH[0], _TROUGH[0])
    valley = _CREASE * strength * np.exp(-(across**2)) + _TROUGH[1] * np.exp(-(wide**2))
    swell = fold.swell * np.exp(-((across - 2.2) ** 2) / 2)
    return np.asarray(fold.depth * taper * (swell - valley), np.float32)


def _uneven(line: Array, seed: int) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """How far a line sways aside, in widths, and its share of the depth: [_PLACES] each, evenly along it."""
    length = np.linalg.norm(np.diff(line, axis=0), axis=1).sum()
    turns = np.linspace(0, 1, _PLACES)[:, None] * length / _WAVES + np.random.default_rng(seed).random((2, 1, 2))
    sway, breaks = np.sin(2 * np.pi * turns).sum(-1)
    return _SWAY * sway, 1 - _BREAK * (1 + np.tanh(breaks))


def _nearest(line: Array, points: Array) -> tuple[Array, Array]:
    """Signed distance [h, w] to a line [n, 2], positive to the right of its way as seen, and how far along, 0..1."""
    x, y = (np.ascontiguousarray(points[..., axis], np.float32) for axis in (0, 1))
    best = np.full(x.shape, np.inf, np.float32)
    away, along = best.copy(), np.zeros_like(best)
    steps = np.linalg.norm(np.diff(line, axis=0), axis=1)
    walked, total = 0.0, float(steps.sum())
    for (a, b), step in zip(pairwise(line.tolist()), steps.tolist(), strict=True):
        way_x, way_y, off_x, off_y = b[0] - a[0], b[1] - a[1], x - a[0], y - a[1]
        share = np.clip((off_x * way_x + off_y * way_y) / max(step**2, 1e-6), 0, 1)
        far = cv2.magnitude(off_x - share * way_x, off_y - share * way_y)
        nearer = far < best
        np.copyto(best, far, where=nearer)
        np.copyto(away, np.where(way_x * off_y >= way_y * off_x, far, -far), where=nearer)
        np.copyto(along, (walked + share * step) / total, where=nearer)
        walked += step
    return away, along


def _shares(moves: Mapping[str, float], side: str) -> Array:
    """[63] of a fold on one side."""
    shares = np.zeros(len(FACE), np.float32)
    for name, share in moves.items():
        stem = name.rstrip("*")
        for end in {0: ("",), 1: (side,), 2: ("Left", "Right")}[name.count("*")]:
            shares[FACE.index(stem + end)] += share
    return shares
