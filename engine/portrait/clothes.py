"""Clothes, which no jaw drags along: what is the person's, lies below the chin and has no skin's colour."""

import cv2
import numpy as np

from engine.portrait.fit import Fit
from engine.portrait.layers_fields import skin_mask
from engine.portrait.layers_layout import SIDE, Array
from engine.portrait.layers_mesh import Mask

_CHEEKS, _CHIN, _IRISES = (50, 101, 205, 280, 330, 425), 152, (468, 473)  # landmarks
_BELOW = 0.2  # inter-ocular distances under the chin where they may begin: beards end
_NECK = (0.2, 0.4, 0.25)  # inter-ocular distances: from and to below the chin, and to each side, where necks are bare
_PALE, _TURN = 0.45, 0.2  # of the cheeks' saturation, and tangent of an angle of hue: at most so unlike
_OTHER, _BRIGHTER = 13.0, 0.35  # of Cr and Cb: farther from skin's is none; what is brighter counts beside it
_DARK = 20.0  # of 255: darker has no hue
_SPECK = 7  # units: what is smaller is a shadow
_REACH = 0.6  # inter-ocular distances from them within which skin comes to rest


def clothes(fit: Fit) -> Mask:
    """[SIDE, SIDE] where they are; they go on beyond the frame's lower edge."""
    small = cv2.resize(fit.picture, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
    tone = cv2.GaussianBlur(cv2.cvtColor(small, cv2.COLOR_RGB2YCrCb).astype(np.float32), (0, 0), 2)
    col, row = np.clip(np.round(fit.landmarks[list(_CHEEKS), :2]).astype(int), 0, SIDE - 1).T
    level, hue = tone[..., :1] + _DARK, tone[..., 1:] - 128
    skin = float(np.median(level[row, col]))
    hue *= skin / level  # as it were in the cheeks' light: a chin shades the neck
    bright = _BRIGHTER * np.maximum(level[..., 0] - skin, 0)
    cheeks = np.median(hue[row, col], axis=0)
    off = [np.hypot(np.linalg.norm(hue - own, axis=-1), bright) for own in (cheeks, _neck(fit, hue, cheeks))]
    other = np.minimum(*off) > _OTHER
    other &= cv2.resize(fit.matte, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127
    other[: max(int(fit.landmarks[_CHIN, 1] + _BELOW * _eyes(fit)), 0)] = False
    whole = cv2.morphologyEx(other.astype(np.uint8), cv2.MORPH_OPEN, np.ones((_SPECK, _SPECK), np.uint8))
    _, parts = cv2.connectedComponents(whole)
    lowest = np.setdiff1d(parts[-1], [0])
    return np.asarray(np.isin(parts, lowest))


def _neck(fit: Fit, hue: Array, cheeks: Array) -> Array:
    """[2] the neck's tone; the cheeks' where a collar hides it. A face near a lamp or a screen is the more coloured."""
    x, y = fit.landmarks[_CHIN, :2]
    above, below, beside = np.array(_NECK) * _eyes(fit)
    part = hue[max(int(y + above), 0) : max(int(y + below), 0), max(int(x - beside), 0) : max(int(x + beside), 0)]
    if not part.size:
        return cheeks
    neck = np.median(part.reshape(-1, 2), axis=0)
    along, across = neck @ cheeks, abs(neck[0] * cheeks[1] - neck[1] * cheeks[0])
    bare = along > _PALE * cheeks @ cheeks and across < _TURN * along
    return np.asarray(neck if bare else cheeks)


def slack(fit: Fit) -> Array:
    """[SIDE, SIDE] 0..1: how far an expression may move what is there: 0 on clothes, 1 away from them and on the face.

    A chin is never held: of a collar so near it that skin between them would fold, a part comes along.
    """
    away, below = (
        cv2.distanceTransform(1 - mask.astype(np.uint8), cv2.DIST_L2, 5) / (_REACH * _eyes(fit))
        for mask in (clothes(fit), skin_mask(fit.landmarks))
    )
    return np.asarray(cv2.GaussianBlur(np.clip(np.maximum(away, 1 - below), 0, 1), (0, 0), 6), np.float32)


def _eyes(fit: Fit) -> float:
    """Units between the pupils."""
    right, left = fit.landmarks[list(_IRISES), :2]
    return float(np.hypot(*(left - right)))
