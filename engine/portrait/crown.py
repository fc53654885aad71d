"""Hair that the frame's upper edge cuts off: a crown that would end soon above it is rounded off within the frame.

So the whole head can turn. What goes on as wide as it is, a hat or a close-up's forehead, has to stay at the edge.
"""

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait.layers_layout import TEXELS
from engine.portrait.layers_slit import smoothstep

Matte = npt.NDArray[np.uint8]

_ROWS = 36 * TEXELS  # below the edge: from there up hair is rounded
_SOFT = 2 * TEXELS  # rows over which its outline fades
_ROUGH = 2.0, 2.0  # texels: how far single hairs leave it, and how wide they are
_WIDE = 0.65, 0.85  # of its width there: so wide at the edge it is rounded, and stays


def cut_off(matte: Matte) -> float:
    """0..1: how surely the person on a matte [h, w] goes on well beyond the upper edge."""
    edge, below = (matte[[0, _ROWS]] > 127).sum(1)
    return float(smoothstep(*_WIDE, np.array(edge / max(below, 1), np.float32)))


def rounded(matte: Matte, share: float) -> Matte:
    """The matte, of which a `share` in 0..1 stays at the edge while the rest ends below half an ellipse."""
    below = np.flatnonzero(matte[_ROWS] > 127)
    if not below.size or not matte[0].any():
        return matte
    half = max(float(np.ptp(below)) / 2, 1)
    across = (np.arange(matte.shape[1]) - below[0] - half) / half
    far, wide = _ROUGH
    noise = np.random.default_rng(0).standard_normal((1, matte.shape[1]))
    hairs = far * 2 * np.sqrt(wide) * cv2.GaussianBlur(noise, (0, 0), wide)[0]
    top = _SOFT + (_ROWS - _SOFT) * (1 - np.sqrt(np.maximum(1 - across**2, 0))) + np.abs(hairs)
    kept = np.clip((np.arange(_ROWS)[:, None] - top) / _SOFT + 1, 0, 1).astype(np.float32)
    kept = kept + (1 - kept) * np.float32(share)
    done = matte.copy()
    done[:_ROWS] = np.round(matte[:_ROWS] * kept)
    return done
