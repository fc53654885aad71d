"""The geometry that the layers' builder and the renderer share: frame units, windows, the order of things.

The frame is 512 units square (x right, y down); a texture has two texels a unit. A field lives on a lattice of cells
whose centres lie at `origin + (i + 0.5) * cell`.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[np.float32]

SIDE = 512  # units
TEXELS = 2  # texels a unit


@dataclass(frozen=True)
class Window:
    """A lattice of `rows` x `cols` cells of `cell` units."""

    rows: int
    cols: int
    cell: float

    @property
    def height(self) -> float:
        """Units."""
        return self.rows * self.cell

    @property
    def width(self) -> float:
        """Units."""
        return self.cols * self.cell

    def centres(self, origin: Array | tuple[float, float] = (0, 0)) -> Array:
        """[rows, cols, 2]: where the cells' centres lie, x before y."""
        x = origin[0] + (np.arange(self.cols) + 0.5) * self.cell
        y = origin[1] + (np.arange(self.rows) + 0.5) * self.cell
        return np.stack(np.meshgrid(x, y), -1).astype(np.float32)


FRAME = Window(128, 128, 4)
FACE = Window(108, 96, 4)
FACE_ORIGIN = (64, 80)  # the same for every portrait: the frame is normalised
MOUTH = Window(48, 48, 4)
EYE = Window(40, 56, 2)
SHADE = Window(160, 144, 2)
SHADE_ORIGIN = (112, 88)
SHADE_RANK = 32  # of the 66 maps of light, mixtures of so many
SNAP = 16  # units: windows in the picture move by whole steps, so that they meet pixels at every size of 32 n


def texture(window: Window) -> Window:
    """The lattice of the texels over the same area."""
    return Window(int(window.height * TEXELS), int(window.width * TEXELS), 1 / TEXELS)


LEFT, RIGHT = 0, 1  # the person's own eyes, in this order everywhere
CAVITY, TONGUE, LOWER_TEETH, UPPER_TEETH, TONGUE_OUT = range(5)  # the mouth's pictures, back to front
PLATE_ROWS, PLATE_COLS = 72, 192  # texels of each of them
SPRITES = 11  # the mouth's inside (4), the whites (2), the irises (2), the catch-lights (2), the tongue put out
MOUTH_COLUMNS, EYE_COLUMNS = 9, 7  # where the distance between the lips, and between the lids, is watched
