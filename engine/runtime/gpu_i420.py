"""RGB to I420 where the picture was drawn: half the bytes to bring back, and no conversion left for the host.

BT.601, limited range, in OpenCV's 20-bit fixed point with the chroma of each square's first pixel, so that a frame is
the same bytes whichever device drew it.
"""

from torch import Tensor

from engine.runtime.gpu import Finish

_SHIFT = 20
_Y = (269484, 528482, 102760), 16  # 0.257, 0.504, 0.098 of R, G, B, and what black is
_U = (-155188, -305135, 460324), 128
_V = (460324, -385875, -74448), 128


def write_i420(rgb: Tensor, i420: Tensor) -> None:
    """uint8 [B, h, w, 3] into uint8 [B, h * 3 / 2, w]: a plane of Y, then U and V of half the size; h, w even."""
    batch, height, width, _ = rgb.shape
    i420[:, :height] = _plane(rgb, _Y)
    chroma = i420[:, height:].view(batch, 2, height // 2, width // 2)
    chroma[:, 0] = _plane(rgb[:, ::2, ::2], _U)
    chroma[:, 1] = _plane(rgb[:, ::2, ::2], _V)


def _plane(rgb: Tensor, weights: tuple[tuple[int, int, int], int]) -> Tensor:
    """A colour at a time: all at once would be 12 bytes a pixel of a whole batch."""
    factors, offset = weights
    total = rgb[..., 0].int().mul_(factors[0]).add_((offset << _SHIFT) + (1 << (_SHIFT - 1)))
    for colour in (1, 2):
        total.add_(rgb[..., colour], alpha=factors[colour])
    return total.bitwise_right_shift_(_SHIFT).clamp_(0, 255)


def _i420_shape(shape: tuple[int, ...]) -> tuple[int, ...]:
    batch, height, width, _ = shape
    return batch, height * 3 // 2, width


I420 = Finish(_i420_shape, write_i420)
