"""Clothes, which no jaw drags along: what is the person's, lies below the chin and has not the cheeks' colour."""

import cv2
import numpy as np

from engine.portrait.fit import Fit
from engine.portrait.layers_layout import SIDE, Array
from engine.portrait.layers_mesh import Mask

_CHEEKS, _CHIN, _IRISES = (50, 101, 205, 280, 330, 425), 152, (468, 473)  # landmarks
_BELOW = 0.2  # inter-ocular distances under the chin where they may begin: beards end
_OTHER, _BRIGHTER = 13.0, 0.35  # of Cr and Cb: farther from the cheeks' is no skin; what is brighter counts beside it
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
    off = np.concatenate([hue - np.median(hue[row, col], axis=0), _BRIGHTER * np.maximum(level - skin, 0)], -1)
    other = np.linalg.norm(off, axis=-1) > _OTHER
    other &= cv2.resize(fit.matte, (SIDE, SIDE), interpolation=cv2.INTER_AREA) > 127
    other[: max(int(fit.landmarks[_CHIN, 1] + _BELOW * _eyes(fit)), 0)] = False
    whole = cv2.morphologyEx(other.astype(np.uint8), cv2.MORPH_OPEN, np.ones((_SPECK, _SPECK), np.uint8))
    _, parts = cv2.connectedComponents(whole)
    lowest = np.setdiff1d(parts[-1], [0])
    return np.asarray(np.isin(parts, lowest))


def slack(fit: Fit) -> Array:
    """[SIDE, SIDE] 0..1: how far an expression may move what is there: 0 on clothes, 1 away from them."""
    away = cv2.distanceTransform(1 - clothes(fit).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray(cv2.GaussianBlur(np.minimum(away / (_REACH * _eyes(fit)), 1), (0, 0), 6), np.float32)


def _eyes(fit: Fit) -> float:
    """Units between the pupils."""
    right, left = fit.landmarks[list(_IRISES), :2]
    return float(np.hypot(*(left - right)))
