"""From a render to a photograph: a little colour, sharpening, bloom, vignette and grain."""

from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image
from scipy.ndimage import gaussian_filter

Pixels = npt.NDArray[np.floating[Any]]
COLOUR, GRAIN, SHARPEN, BLOOM, VIGNETTE = 1.10, 0.007, 0.45, 0.4, 0.10


def finished(render: Image.Image, seed: int) -> Image.Image:
    picture = np.asarray(render.convert("RGB"), np.float32) / 255
    size, light = len(picture), picture.mean(2, keepdims=True)
    picture = light + COLOUR * (picture - light)
    picture = picture + SHARPEN * (picture - _blurred(picture, size / 900))
    picture = picture + BLOOM * _blurred(np.clip(picture - 0.78, 0, 1), size / 60)
    y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j]
    picture *= (1 - VIGNETTE * np.clip(x**2 + y**2 - 0.35, 0, 2))[..., None]
    light = picture.mean(2, keepdims=True)
    picture = picture + GRAIN * _grain(size, seed) * (0.55 + 0.9 * np.sqrt(np.clip(light * (1 - light), 0, 1)))
    return Image.fromarray(np.round(np.clip(picture, 0, 1) * 255).astype(np.uint8))


def _grain(size: int, seed: int) -> Pixels:
    """[size, size, 3] of standard deviation about 1, half of it as fine as pixels, mostly without colour."""
    rng = np.random.default_rng(seed)
    grey, colour = rng.normal(0, 0.8, (size, size, 1)), rng.normal(0, 0.35, (size, size, 3))
    fine = grey + colour
    return 0.6 * fine + 0.9 * _blurred(fine, 0.7)


def _blurred(picture: Pixels, radius: float) -> Pixels:
    blurred: Pixels = gaussian_filter(picture, (radius, radius, 0))
    return blurred
