"""The loops over the pixels of a picture that cv2 has no single pass for.

Pictures are [rows, cols] of RGBA in one word, the first byte lowest. Two bytes of a word are computed at a time, with
16 bits for each: a byte times a weight of 256 at most.
"""

import numpy as np
import numpy.typing as npt

from engine.renderer.compiled import compiled

Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
Bytes = npt.NDArray[np.uint8]
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


@compiled
def spans(offset: Floats, outline: Floats, cell: float, bands: int) -> npt.NDArray[np.int64]:
    """[bands, 2]: the columns of a lattice, in each band of its rows, between which anything of a person shows.

    `offset` [rows, cols, 2] leads from the cells' centres to the photo, where the person lies in each row from the
    one to the other of `outline` [rows, 2].
    """
    rows, cols = offset.shape[:2]
    tall = rows // bands
    out = np.zeros((bands, 2), np.int64)
    size, half = np.float32(cell), np.float32(0.5)
    wide = (np.float32(cols) - half) * size
    for band in range(bands):
        first, last = cols, 0
        for i in range(max(band * tall - 1, 0), min((band + 1) * tall + 1, rows)):
            for j in range(cols):
                x = (np.float32(j) + half) * size + offset[i, j, 0]
                y = (np.float32(i) + half) * size + offset[i, j, 1]
                row = min(max(int(y / size), 0), rows - 1)
                x = min(max(x, np.float32(0)), wide)  # the photo's edges go on beyond it
                if outline[row, 0] <= x < outline[row, 1]:
                    first, last = min(first, j), max(last, j + 1)
        if first < last:
            out[band, 0], out[band, 1] = max(first - 1, 0), min(last + 1, cols)
    return out


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


@compiled
def reach(places: Floats, extent: tuple[float, float, float, float], about: float) -> tuple[int, int, int, int]:
    """The smallest part of a lattice that holds all `places` [rows, cols, 2] in or `about` an extent.

    Both are left, top, right, bottom.
    """
    west, north = np.float32(extent[0] - about), np.float32(extent[1] - about)
    east, south = np.float32(extent[2] + about), np.float32(extent[3] + about)
    rows, cols = places.shape[:2]
    first, last, low, high = cols, 0, rows, 0
    for i in range(rows):
        for j in range(cols):
            x, y = places[i, j, 0], places[i, j, 1]
            if west < x < east and north < y < south:
                first, last = min(first, j), max(last, j + 1)
                low, high = min(low, i), i + 1
    return first, low, last, high
