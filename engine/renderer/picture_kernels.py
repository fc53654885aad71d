"""The loops over the pixels of a picture that cv2 has no single pass for.

Pictures are [rows, cols] of RGBA in one word, the first byte lowest. Two bytes of a word are computed at a time, with
16 bits for each: a byte times a weight of 256 at most.
"""

import numpy as np
import numpy.typing as npt

from engine.renderer.compiled import compiled

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
_EVEN, _ODD, _HALVES = np.uint32(0x00FF00FF), np.uint32(0xFF00FF00), np.uint32(0x00800080)


@compiled
def over(picture: Words, layer: Words, top: int, left: int) -> None:
    """`layer` over the part of `picture` that begins at `top`, `left`, in place."""
    for i in range(layer.shape[0]):
        below, above = picture[top + i, left : left + layer.shape[1]], layer[i]
        for j in range(layer.shape[1]):
            high, low = above[j], below[j]
            alpha = high >> np.uint32(24)
            share = np.uint32(alpha + (alpha >> np.uint32(7)))
            rest = np.uint32(np.uint32(256) - share)
            even = np.uint32((high & _EVEN) * share + (low & _EVEN) * rest + _HALVES)
            odd = np.uint32(((high >> np.uint32(8)) & _EVEN) * share + ((low >> np.uint32(8)) & _EVEN) * rest + _HALVES)
            below[j] = ((even >> np.uint32(8)) & _EVEN) | (odd & _ODD)


@compiled
def light_up(layer: Words, gain: Words, top: int, left: int) -> None:
    """The colours of a part of `layer` times those of `gain`, of which 128 is one; the alpha stays."""
    for i in range(gain.shape[0]):
        line, factor = layer[top + i, left : left + gain.shape[1]], gain[i]
        for j in range(gain.shape[1]):
            colour, by = line[j], factor[j]
            red = min(np.uint32(((colour & 255) * (by & 255) + 64) >> 7), np.uint32(255))
            green = min(np.uint32((((colour >> 8) & 255) * ((by >> 8) & 255) + 64) >> 7), np.uint32(255))
            blue = min(np.uint32((((colour >> 16) & 255) * ((by >> 16) & 255) + 64) >> 7), np.uint32(255))
            line[j] = red | (green << np.uint32(8)) | (blue << np.uint32(16)) | (colour & np.uint32(0xFF000000))


@compiled
def look_up(values: Floats, table: Words, most: float, out: Words) -> None:
    """`out` [rows, cols] of `table`, whose entries stand for values from -`most` to `most`."""
    scale, middle, last = (
        np.float32((len(table) - 1) / (2 * most)),
        np.float32(len(table) // 2),
        np.int32(len(table) - 1),
    )
    for i in range(values.shape[0]):
        for j in range(values.shape[1]):
            at = np.int32(values[i, j] * scale + middle)
            out[i, j] = table[min(max(at, np.int32(0)), last)]


@compiled
def gap(layer: Words, top: int, bottom: int, left: int, right: int) -> tuple[int, int, int, int]:
    """The smallest part of a part of `layer` that holds all that is not opaque: top, bottom, left, right."""
    first, last, low, high = bottom, top, right, left
    opaque = np.uint32(0xFF000000)
    for i in range(top, bottom):
        all_of_row = opaque
        for j in range(left, right):
            all_of_row &= layer[i, j]
        if all_of_row >= opaque:
            continue
        first, last = min(first, i), i + 1
        for j in range(left, right):
            if layer[i, j] < opaque:
                low, high = min(low, j), max(high, j + 1)
    return first, last, low, high
