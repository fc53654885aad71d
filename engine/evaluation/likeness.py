"""How alike two faces are: pictures pixel by pixel, landmarks region by region, tracks by their unrest.

Lengths are in inter-ocular distances of the true face. Pictures are RGB [h, w, 3]; points [..., 478, 2] pixels.
"""

from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt

from engine.evaluation.readings import EYES, unit, up

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]
Mask = npt.NDArray[np.bool_]

LIPS = (
    61, 185, 40, 39, 37, 0, 267, 269, 270, 409, 291, 146, 91, 181, 84, 17, 314, 405, 321, 375,
    78, 191, 80, 81, 82, 13, 312, 311, 310, 415, 308, 95, 88, 178, 87, 14, 317, 402, 318, 324,
)  # fmt: skip
REGIONS: Mapping[str, tuple[int, ...]] = {
    "lips": LIPS,
    "lids": (
        33, 246, 161, 160, 159, 158, 157, 173, 133, 7, 163, 144, 145, 153, 154, 155,
        263, 466, 388, 387, 386, 385, 384, 398, 362, 249, 390, 373, 374, 380, 381, 382,
    ),
    "irises": tuple(range(468, 478)),
    "brows": (46, 53, 52, 65, 55, 70, 63, 105, 66, 107, 276, 283, 282, 295, 285, 300, 293, 334, 296, 336),
    "nose": (1, 2, 4, 5, 6, 19, 45, 48, 64, 94, 97, 98, 115, 168, 195, 197, 220, 275, 278, 294, 326, 327, 344, 440),
    "chin and jaw": (58, 172, 136, 150, 149, 176, 148, 152, 377, 400, 378, 379, 365, 397, 288),
}  # fmt: skip
"""Landmarks of MediaPipe's mesh by region of the face."""
_STABLE = tuple(corner for outer, inner, *_ in EYES for corner in (outer, inner)) + (6, 168, 195, 197)
"""What an expression moves least: the eyes' corners and the bridge of the nose."""

_WINDOW, _SIGMA = (11, 11), 1.5
_STEADY = (0.01 * 255) ** 2, (0.03 * 255) ** 2


def psnr(seen: Rgb, true: Rgb, where: Mask) -> float:
    """Peak signal to noise, dB, over a mask [h, w]."""
    error = (seen.astype(np.float32) - true)[where]
    return float(10 * np.log10(255**2 / max(float(np.mean(np.square(error))), 1e-9)))


def ssim(seen: Rgb, true: Rgb, where: Mask) -> float:
    """Structural similarity of the brightness over a mask [h, w] (Wang et al. 2004, Gaussian window)."""
    a, b = (cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY).astype(np.float32) for picture in (seen, true))
    ma, mb, aa, bb, ab = (cv2.GaussianBlur(v, _WINDOW, _SIGMA) for v in (a, b, a * a, b * b, a * b))
    va, vb, both = aa - ma * ma, bb - mb * mb, ab - ma * mb
    c1, c2 = _STEADY
    alike = (2 * ma * mb + c1) * (2 * both + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))
    return float(alike[where].mean())


def region_error(seen: Floats, true: Floats, region: str) -> Floats:
    """[...] mean distance of a region's landmarks, where they stand in the picture."""
    points = list(REGIONS[region])
    apart = np.linalg.norm(seen[..., points, :] - true[..., points, :], axis=-1)
    return np.asarray(apart.mean(-1) / unit(true))


def lip_shape_error(seen: Floats, true: Floats) -> Floats:
    """[...] mean distance of the lips' landmarks from their middle: where the head is, and how tilted, counts not."""
    apart = np.linalg.norm(_lips(seen) - _lips(true), axis=-1)
    return np.asarray(apart.mean(-1))


def _lips(points: Floats) -> Floats:
    """[..., 40, 2] about their middle, along the head's own right and up, in its own inter-ocular distances."""
    lips = points[..., list(LIPS), :]
    lips = lips - lips.mean(-2, keepdims=True)
    y = up(points)
    x = np.stack([-y[..., 1], y[..., 0]], -1)
    own = np.stack([(lips * way[..., None, :]).sum(-1) for way in (x, y)], -1)
    return np.asarray(own / unit(points)[..., None, None])


def unrest(points: Floats, region: str) -> float:
    """Jitter of a track [T, 478, 2]: how far a region's landmarks lie from the middle of their neighbours in time, rms.

    They are told from the eyes' corners and the bridge of the nose, so that a head that moves counts not.
    """
    steady = points - points[:, list(_STABLE)].mean(1, keepdims=True)
    track = steady[:, list(REGIONS[region])] / unit(points).mean()
    off = track[1:-1] - (track[:-2] + track[2:]) / 2
    return float(np.sqrt(np.mean(np.square(off)) * 2))
