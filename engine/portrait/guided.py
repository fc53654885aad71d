"""The guided filter with a guide of three colours (He, Sun & Tang 2010, section 3.4): a mask that follows edges."""

from collections.abc import Callable

import cv2
import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


def guided(guide: Floats, values: Floats, radius: int, smooth: float) -> tuple[Floats, Floats]:
    """Slope [h, w, 3] and base [h, w]: near each pixel, values = slope . guide + base.

    `guide` [h, w, 3] in 0..1, `values` [h, w]; `smooth` is the guide's variance that counts as flat.
    """
    mean = _box(radius)
    centre, level = mean(guide), mean(values)
    spread = [mean(guide[..., i] * guide[..., j]) - centre[..., i] * centre[..., j] for i, j in _PAIRS]
    with_values = mean(guide * values[..., None]) - centre * level[..., None]
    slope = _solved(spread, with_values, smooth)
    base = level - np.einsum("hwc,hwc->hw", slope, centre)
    return mean(slope), mean(base)


_PAIRS = ((0, 0), (0, 1), (0, 2), (1, 1), (1, 2), (2, 2))


def _solved(spread: list[Floats], right: Floats, smooth: float) -> Floats:
    """x [h, w, 3] of (S + smooth I) x = right, for symmetric S by its upper triangle: Cramer's rule."""
    a, b, c, d, e, f = spread
    a, d, f = a + smooth, d + smooth, f + smooth
    adjugate = (d * f - e * e, c * e - b * f, b * e - c * d, a * f - c * c, b * c - a * e, a * d - b * b)
    determinant = a * adjugate[0] + b * adjugate[1] + c * adjugate[2]
    p, q, r, s, t, u = adjugate
    x, y, z = (right[..., i] for i in range(3))
    solution = np.stack([p * x + q * y + r * z, q * x + s * y + t * z, r * x + t * y + u * z], -1)
    return np.asarray(solution / determinant[..., None], np.float32)


def _box(radius: int) -> Callable[[Floats], Floats]:
    side = (2 * radius + 1, 2 * radius + 1)

    def mean(a: Floats) -> Floats:
        return np.asarray(cv2.blur(a, side, borderType=cv2.BORDER_REFLECT), np.float32)

    return mean
