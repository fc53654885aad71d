"""The canonical frame: 512 units square, the eyes level, 96 units apart and at one place, whoever is in the photo.

A head tilted by up to LEVEL degrees stays as it is; of a stronger tilt the rest is turned away.
"""

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.landmarks import Face, Rgb
from engine.portrait.layers_layout import SIDE, TEXELS
from engine.portrait.layers_mesh import extend

Floats = npt.NDArray[np.float32]

EYES_APART = 96.0  # units
EYES_AT = np.array([0.5, 0.42]) * SIDE
LEVEL = 8.0  # degrees

_EYE_CORNERS = ((33, 133), (362, 263))  # person's right, left
_ENLARGED = 1.25  # texels a pixel of the photo, above which it is sharpened
_PIXEL, _ROUNDS, _GAIN = 0.35, 3, 0.8  # the blur of a pixel, in pixels; more rounds ring
_COARSE = 8  # texels of the picture a texel of its continuation


@dataclass(frozen=True)
class Frame:
    """A photo in the canonical frame."""

    picture: Rgb
    """[1024, 1024, 3] two texels a unit."""
    inside: npt.NDArray[np.bool_]
    """[1024, 1024] what the photo shows; its edge is repeated beyond, until `surround` continues it."""
    landmarks: Floats
    """[478, 3] x right, y down, z to the viewer, in units."""
    zoom: float
    """Units a pixel of the photo."""


def make_frame(photo: Rgb, face: Face) -> Frame:
    """The canonical frame about one face of a photo [h, w, 3]."""
    matrix = _matrix(face.points)
    zoom = float(np.hypot(*matrix[:, 0]))
    picture, inside = _warp(photo, matrix, zoom)
    xy = face.points[:, :2] @ matrix[:, :2].T + matrix[:, 2]
    landmarks = np.column_stack([xy, -zoom * face.points[:, 2]]).astype(np.float32)
    return Frame(picture, inside, landmarks, zoom)


def _matrix(points: Floats) -> npt.NDArray[np.float64]:
    """[2, 3] from the photo's pixels to units."""
    right, left = (points[list(corners)].mean(0).astype(np.float64) for corners in _EYE_CORNERS)
    across = left - right
    tilt = np.arctan2(across[1], across[0])
    turn = -np.sign(tilt) * max(0.0, abs(tilt) - np.radians(LEVEL))
    zoom = EYES_APART / np.linalg.norm(across)  # in depth too: a turned head is no larger one
    cos, sin = zoom * np.cos(turn), zoom * np.sin(turn)
    linear = np.array([[cos, -sin], [sin, cos]])
    return np.column_stack([linear, EYES_AT - linear @ ((left + right) / 2)[:2]])


def _warp(photo: Rgb, matrix: npt.NDArray[np.float64], zoom: float) -> tuple[Rgb, npt.NDArray[np.bool_]]:
    """The picture at TEXELS a unit, and where the photo covers it; a small one comes out as sharp as it was."""
    shrink = zoom * TEXELS
    if shrink < 1:  # averaged first, because sampling alone would alias
        height, width = (round(n * shrink) for n in photo.shape[:2])
        factors = np.array([photo.shape[1] / width, photo.shape[0] / height])
        photo = np.asarray(cv2.resize(photo, (width, height), interpolation=cv2.INTER_AREA), np.uint8)
        matrix = np.column_stack([matrix[:, :2] * factors, matrix[:, 2]])
    texels = matrix * TEXELS
    texels[:, 2] += texels[:, :2] @ [0.5, 0.5] - 0.5  # pixel centres lie at +0.5
    size = (SIDE * TEXELS, SIDE * TEXELS)
    way = cv2.INTER_LANCZOS4 if shrink > _ENLARGED else cv2.INTER_CUBIC
    picture = cv2.warpAffine(photo, texels, size, flags=way, borderMode=cv2.BORDER_REPLICATE)
    if shrink > _ENLARGED:
        picture = _sharpened(np.asarray(picture, np.uint8), shrink)
    cover = cv2.warpAffine(np.ones(photo.shape[:2], np.uint8), texels, size, flags=cv2.INTER_NEAREST)
    return np.asarray(picture, np.uint8), cover > 0


def _sharpened(picture: Rgb, scale: float) -> Rgb:
    """What a camera's pixel and an enlargement by `scale` blur, undone in part (van Cittert 1931)."""
    found = seen = picture.astype(np.float32)
    for _ in range(_ROUNDS):
        found = found + _GAIN * (seen - cv2.GaussianBlur(found, (0, 0), _PIXEL * scale))
    sharp: Rgb = np.round(found).clip(0, 255).astype(np.uint8)
    return sharp


def fill(picture: Rgb, known: npt.NDArray[np.bool_]) -> Floats:
    """[h, w, 3] the picture's low frequencies, extended smoothly from where it is known, with its grain on top."""
    rows, cols = (n // _COARSE for n in known.shape)
    weight = known.astype(np.float32)
    share = cv2.resize(weight, (cols, rows), interpolation=cv2.INTER_AREA)[..., None]
    total = cv2.resize(picture * weight[..., None], (cols, rows), interpolation=cv2.INTER_AREA)
    coarse = extend(total / np.maximum(share, 1e-6), share[..., 0] > 0.5)
    smooth = cv2.resize(coarse, known.shape[::-1], interpolation=cv2.INTER_CUBIC)
    return np.asarray(smooth + _grain(picture, known), np.float32)


def _grain(picture: Rgb, known: npt.NDArray[np.bool_]) -> Floats:
    """[h, w, 1] noise as strong as the finest in the smooth parts of what is known; the same for the same picture."""
    grey = cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32)
    fine = np.abs(grey - cv2.GaussianBlur(grey, (0, 0), 1.2))[known]
    strength = 1.2 * float(np.median(fine)) if fine.size else 0.0
    noise = np.random.default_rng(0).standard_normal(known.shape, np.float32)
    noise = cv2.GaussianBlur(noise, (0, 0), 0.7)
    return np.asarray(strength * noise / noise.std(), np.float32)[..., None]
