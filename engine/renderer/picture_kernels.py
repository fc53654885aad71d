"""The loops over lattices and masks that find what of a picture has to be drawn."""

import numpy as np
import numpy.typing as npt

from engine.runtime.compiled import compiled

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]


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


@compiled
def hole(
    offset: Floats, seen: Floats, corner: Floats, cell: float, part: tuple[int, int, int, int], out: Bytes
) -> tuple[int, int, int, int]:
    """What each cell of a part of a lattice sees of a map, 0..255, into `out` [rows, cols].

    `offset` [rows, cols, 2] leads from the cells' centres to the photo; there the map `seen`, whose cells are as large,
    lies at `corner`, 0 about it. The part and the smallest that holds all but 0 are left, top, right, bottom.
    """
    left, top, right, bottom = part
    tall, wide = seen.shape
    size, half, zero, one = np.float32(cell), np.float32(0.5), np.float32(0), np.float32(1)
    pace = np.float32(1 / cell)
    first, last, low, high = right, left, bottom, top
    for i in range(top, bottom):
        for j in range(left, right):
            u = ((np.float32(j) + half) * size + offset[i, j, 0] - corner[0]) * pace - half
            v = ((np.float32(i) + half) * size + offset[i, j, 1] - corner[1]) * pace - half
            if not (zero <= u < np.float32(wide - 1) and zero <= v < np.float32(tall - 1)):
                continue
            x, y = int(u), int(v)
            s, t = u - np.float32(x), v - np.float32(y)
            above = (one - s) * seen[y, x] + s * seen[y, x + 1]
            below = (one - s) * seen[y + 1, x] + s * seen[y + 1, x + 1]
            share = (one - t) * above + t * below
            if share > zero:
                out[i, j] = np.uint8(share * np.float32(255) + half)
                first, last = min(first, j), max(last, j + 1)
                low, high = min(low, i), i + 1
    return first, low, last, high
