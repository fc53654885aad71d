"""What every coefficient does to the light on the skin: maps of the log of the picture's brightness, of low rank.

They lie on the photo, as the displacements do. The mesh's normals turn under the photo's own light; folds too fine for
the mesh come from `folds`; those that the photo shows because of its own expression are measured and go with it.
"""

from collections.abc import Iterable, Sequence

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import Head, Part
from engine.portrait.fit import Fit
from engine.portrait.folds import FOLDS, heights, lined
from engine.portrait.gaze import still_lids
from engine.portrait.layers_layout import SHADE, SHADE_ORIGIN, SHADE_RANK, SIDE, Array
from engine.portrait.layers_mesh import Mask, Surface, by_channels, extend
from engine.portrait.layers_slit import smoothstep
from engine.portrait.light import Light, fit_light, unit, vertex_normals

BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)  # of red, green and blue: BT.601

_TURNS, _DEGREES = 3, 12.0  # of the head: how many; at which a turn's change of light is exact
_MOST = 0.6  # a change by one coefficient, log
_HOLLOW = 0.11  # log of the light that a valley loses per unit of its depth
_FLANK = 0.35, 0.12  # log of what its flanks lose and gain, at most: steep ones shade each other
_SMOOTH = 3.0  # cells: the mesh's own edges
_BENT = 0.3  # log: of a change by the mesh's bending, which is coarse about the mouth's corners
# The landmark mesh's own numbering: the face's edge, the red of the lips, the eyes; skin that is seldom covered.
_OVAL = (
    10, 338, 297, 332, 284, 251, 389, 356, 454, 323, 361, 288, 397, 365, 379, 378, 400, 377,
    152, 148, 176, 149, 150, 136, 172, 58, 132, 93, 234, 127, 162, 21, 54, 103, 67, 109,
)  # fmt: skip
_MOUTH = (61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 375, 321, 405, 314, 17, 84, 181, 91, 146)
_EYES = (
    (33, 246, 161, 160, 159, 158, 157, 173, 133, 155, 154, 153, 145, 144, 163, 7),
    (362, 398, 384, 385, 386, 387, 388, 466, 263, 249, 390, 373, 374, 380, 381, 382),
)
_CHEEKS = (50, 101, 205, 280, 330, 425, 195)
_HUE = 16.0  # of Cr and Cb: colours so far from the cheeks' are hardly skin
_DARK = -0.75, -0.4  # log of the brightness over what the light explains: below, hair; above, skin
_LIPS = 0.8  # of the bends' light: that falls on the lips' red
_BARE = 0.5  # of what `_skin` gives: skin for sure
_TINT = (0.7, 1.1, 1.5)  # of red, green and blue: the mean of ten portraits
_TINTS = (0.35, 1.0, 1.25), (0.85, 1.3, 2.0)  # at least, at most: a mean skin keeps its brightness
_FEW = 1000  # cells that are too few to tell
_EDGE = 4  # cells at the face's edge in which shading fades
_BAND, _BESIDE = (
    (0.3, 0.5),
    3,
)  # of a fold's depth: what lies deeper belongs to it; cells by which the photo's may be off
_OWN = -0.5, 0.0  # log of the photo's own folds over the skin about them, at most
_SURE, _LEAST = 0.4, 0.1  # strengths of an expression: the photo's folds are all its own; (squared) too weak to own any


def shading(surface: Surface, fit: Fit, head: Head) -> dict[str, Array]:
    """`shade_mix` [63 + 3, SHADE_RANK], `shade_maps` [SHADE_RANK, rows, cols] and `shade_tint` [3].

    The product of the first two is a map for each coefficient of the face, and for each degree of the head's yaw,
    pitch and roll; the last says what of it each colour takes.
    """
    triangles = head.triangles[head.part == Part.SKIN]
    normals = vertex_normals(fit.vertices, triangles)
    facing, known = _carried(surface, normals)
    facing = unit(cv2.GaussianBlur(extend(facing, known), (0, 0), _SMOOTH))
    value, skin = _value(fit), _skin(fit)
    bare = skin > _BARE
    light, colours = fit_light(value, facing, bare & known), cv2.GaussianBlur(_lattice(fit.picture), (0, 0), 1)[bare]
    skin *= smoothstep(*_DARK, np.log(np.maximum(value, 1e-2)) - light.log(facing))
    bends, _ = _carried(surface, _bends(light, fit, normals, triangles))
    bends = by_channels(bends, lambda part: cv2.GaussianBlur(part, (0, 0), _SMOOTH))
    maps = (_BENT * np.tanh(bends / _BENT)).transpose(2, 0, 1) * _soft(np.maximum(skin, _LIPS * _red(fit)))
    maps[: len(fit.source)] += _folds(light, facing, np.log(np.maximum(value, 1e-2)), fit, head) * _soft(skin)
    return _low_rank(np.clip(maps, -_MOST, _MOST)) | {"shade_tint": tint(colours.astype(np.float32))}


def tint(colours: Array) -> Array:
    """[3] how fast the log of red, green and blue falls with that of the brightness; `colours` [n, 3] of bare skin.

    Told by the brighter half, where folds are seen. Blood keeps the red in a skin's shadows, and where a photo is too
    bright it has lost its hue: a shadow that only darkens it looks like dirt.
    """
    bright = np.log(np.maximum(colours @ BRIGHTNESS, 1))
    if len(colours) < _FEW:
        return np.array(_TINT, np.float32)
    half = bright >= np.median(bright)
    logs, way = np.log(np.maximum(colours[half], 1)), bright[half] - bright[half].mean()
    slopes = way @ (logs - logs.mean(0)) / max(float(way @ way), 1e-6)
    return np.asarray(np.clip(slopes, *_TINTS), np.float32)


def _soft(share: Array) -> Array:
    """A mask without hard edges; a chin may reach the window's, which is repeated beyond."""
    soft = cv2.GaussianBlur(share, (0, 0), 2)
    soft[[0, -1]] = soft[:, [0, -1]] = 0
    return np.asarray(soft, np.float32)


def _carried(surface: Surface, values: Array) -> tuple[Array, Mask]:
    return surface.carry(values, np.ones((SIDE, SIDE), bool), SHADE, SHADE_ORIGIN)


def _lattice(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    """The window's part of a picture of two texels a unit, a texel a cell."""
    small = cv2.resize(picture, None, fx=0.5 / SHADE.cell, fy=0.5 / SHADE.cell, interpolation=cv2.INTER_AREA)
    left, top = (round(o / SHADE.cell) for o in SHADE_ORIGIN)
    return np.ascontiguousarray(small[top : top + SHADE.rows, left : left + SHADE.cols])


def _value(fit: Fit) -> Array:
    """[rows, cols] the picture's brightness, 0..1."""
    return np.asarray(cv2.cvtColor(_lattice(fit.picture), cv2.COLOR_RGB2GRAY) / np.float32(255), np.float32)


def _skin(fit: Fit) -> Array:
    """[rows, cols] 0..1: the face without lips and eyes, where it has the cheeks' colour."""
    face = _filled(fit, (_OVAL,)) & ~_filled(fit, (_MOUTH, *_EYES))
    face[[0, -1]] = face[:, [0, -1]] = 0
    inside = smoothstep(0, _EDGE, cv2.distanceTransform(face, cv2.DIST_L2, 3))
    hue = cv2.GaussianBlur(cv2.cvtColor(_lattice(fit.picture), cv2.COLOR_RGB2YCrCb), (0, 0), 1.5)[..., 1:]
    col, row = np.clip(np.round(_cells(fit)[list(_CHEEKS)]).astype(int), 0, [SHADE.cols - 1, SHADE.rows - 1]).T
    off = hue.astype(np.float32) - np.median(hue[row, col], axis=0)
    return np.asarray(inside * np.exp(-(off**2).sum(-1) / (2 * _HUE**2)), np.float32)


def _red(fit: Fit) -> Array:
    """[rows, cols] 0 or 1: the lips."""
    return np.asarray(_filled(fit, (_MOUTH,)) / np.float32(255), np.float32)


def _filled(fit: Fit, rings: Iterable[Sequence[int]]) -> npt.NDArray[np.uint8]:
    """[rows, cols] 255 within rings of landmarks."""
    mask, at = np.zeros((SHADE.rows, SHADE.cols), np.uint8), _cells(fit)
    for ring in rings:
        cv2.fillPoly(mask, [np.round(at[list(ring)]).astype(np.int32)], 255)
    return mask


def _cells(fit: Fit) -> Array:
    """[478, 2] the landmarks on the window's lattice."""
    return (fit.landmarks[:, :2] - np.array(SHADE_ORIGIN, np.float32)) / SHADE.cell - np.float32(0.5)


def _bends(light: Light, fit: Fit, normals: Array, triangles: npt.NDArray[np.int32]) -> Array:
    """[V, 63 + 3] what each vertex gains when a coefficient is 1, or the head turned by _DEGREES."""
    moved = [light.change(normals, vertex_normals(fit.vertices + shape, triangles)) for shape in still_lids(fit.shapes)]
    turned = [light.change(normals, normals @ turn.T) for turn in _turns(np.radians(_DEGREES))]
    return np.stack([*moved, *turned], -1)


def _turns(angle: float) -> Array:
    """[3, 3, 3] yaw, pitch and roll as `engine.renderer.fields.pose` turns."""
    c, s = np.cos(angle), np.sin(angle)
    yaw, pitch = [[c, 0, s], [0, 1, 0], [-s, 0, c]], [[1, 0, 0], [0, c, -s], [0, s, c]]
    return np.array([yaw, pitch, [[c, -s, 0], [s, c, 0], [0, 0, 1]]], np.float32)


def _folds(light: Light, facing: Array, tone: Array, fit: Fit, head: Head) -> Array:
    """[63, rows, cols] what the folds gain by each coefficient; `tone`: log of the picture's brightness."""
    points, mirror = SHADE.centres(SHADE_ORIGIN), _mirror(head)
    maps = np.zeros((len(fit.source), SHADE.rows, SHADE.cols), np.float32)
    band = np.zeros((SHADE.rows, SHADE.cols), np.float32)
    smooth = 1 - lined(fit.picture, fit.landmarks)
    for fold in FOLDS:
        for height, shares in heights(fold, fit.landmarks, mirror, points, smooth):
            flank = np.stack([-g for g in np.gradient(height, SHADE.cell)[::-1]] + [np.zeros_like(height)], -1)
            lit = _flank(light.change(facing, facing + flank)) + _HOLLOW * np.minimum(height, 0)
            maps += shares[:, None, None] * lit
            own = min(float(shares @ fit.source) / _SURE, 1)
            band = np.maximum(band, own * smoothstep(*_BAND, -height / fold.depth))
    return _with_own(maps, band, tone, fit.source)


def _flank(change: Array) -> Array:
    """The light on a flank, softly held: a hard limit would draw its edge."""
    most = np.where(change < 0, *map(np.float32, _FLANK))
    return np.asarray(most * np.tanh(change / most), np.float32)


def _with_own(maps: Array, band: Array, tone: Array, source: Array) -> Array:
    """The folds that the photo shows in `band`, 0..1, as those of its own expression: each coefficient by its share."""
    strength = float(source @ source)
    if strength < _LEAST or not band.any():
        return maps
    band = cv2.GaussianBlur(cv2.dilate(band, np.ones((2 * _BESIDE + 1, 2 * _BESIDE + 1))), (0, 0), _BESIDE / 2)
    smooth = extend(tone[..., None], band < 0.02)[..., 0]
    shown = np.clip(tone - smooth, *_OWN)
    left = band * (shown - np.tensordot(source, maps, 1)) / strength
    return np.asarray(maps + source[:, None, None] * left, np.float32)


def _mirror(head: Head) -> npt.NDArray[np.int64]:
    """[478] every landmark's counterpart on the other side."""
    points = head.landmarks()
    away = np.linalg.norm(points[:, None] * np.array([-1, 1, 1], np.float32) - points, axis=-1)
    return np.asarray(away.argmin(1))


def _low_rank(maps: Array) -> dict[str, Array]:
    """Maps [63 + 3, rows, cols] as mixtures of the few that explain them best; the head's turns by the degree."""
    flat = maps.reshape(len(maps), -1)
    _, mix = np.linalg.eigh(flat @ flat.T)
    mix = np.ascontiguousarray(mix[:, : -SHADE_RANK - 1 : -1])
    few = (mix.T @ flat).reshape(-1, *maps.shape[1:])
    mix[-_TURNS:] /= _DEGREES
    return {"shade_mix": mix, "shade_maps": few}
