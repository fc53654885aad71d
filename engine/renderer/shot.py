"""What a renderer is asked for: one picture of one session."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.renderer.cpu import Layered

Image = npt.NDArray[np.uint8]


class Shot(NamedTuple):
    portrait: Layered
    coefficients: npt.NDArray[np.float32]
    """[69] as `engine.face.coefficients.NAMES`."""
    plate: Image | None = None
    """[size, size, 3] to stand before, the same object while it is the same; None is the photo's own background."""
    cut_out: bool = False
    """The person alone, RGBA."""
