"""How blurred a photo is, so that what is drawn into it can be as soft."""

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import TEXELS, Array

Picture = npt.NDArray[np.uint8]

_AGAIN = 1.0  # texels by which the photo is blurred once more
_STRONG = 98  # percentile: gradients from here on are edges
_SHARP = 1.05  # texels: the sharpest photos' own, which the model pictures have too


def blur(picture: Picture, landmarks: Array) -> float:
    """Texels (a Gaussian's sigma) by which the face is softer than a sharp photo's.

    An edge's gradient falls the less by a further blur the more it is blurred already (Zhuo & Sim 2011).
    """
    low, high = (np.clip(a * TEXELS, 0, picture.shape[0]).astype(int) for a in _around(landmarks))
    grey = cv2.cvtColor(picture[low[1] : high[1], low[0] : high[0]], cv2.COLOR_RGB2GRAY).astype(np.float32)
    once, twice = _slope(grey), _slope(cv2.GaussianBlur(grey, (0, 0), _AGAIN))
    edges = once >= max(float(np.percentile(once, _STRONG)), 1)
    ratio = once[edges] / np.maximum(twice[edges], 1e-3)
    ratio = ratio[ratio > 1.001]
    own = float(np.median(_AGAIN / np.sqrt(ratio**2 - 1))) if ratio.size else 0.0
    return float(np.sqrt(max(own**2 - _SHARP**2, 0)))


def softened(rgba: Picture, sigma: float) -> Picture:
    """RGBA [..., rows, cols, 4], blurred by `sigma` texels; what is clear gives no colour."""
    if not sigma:
        return rgba
    if rgba.ndim > 3:
        return np.stack([softened(each, sigma) for each in rgba])
    alpha = rgba[..., 3:] / np.float32(255)
    thin = np.maximum(alpha, np.float32(1e-3))  # where all is clear the colour stays
    soft = cv2.GaussianBlur(np.dstack([rgba[..., :3] * thin, thin]), (0, 0), sigma)
    colour = soft[..., :3] / soft[..., 3:]
    return np.round(np.dstack([colour, 255 * cv2.GaussianBlur(alpha, (0, 0), sigma)])).astype(np.uint8)


def _around(landmarks: Array) -> tuple[Array, Array]:
    face = landmarks[:468, :2]
    return face.min(0), face.max(0)


def _slope(grey: Array) -> Array:
    across, down = (cv2.Sobel(grey, cv2.CV_32F, *way, scale=1 / 8) for way in ((1, 0), (0, 1)))
    return np.asarray(cv2.magnitude(across, down), np.float32)
