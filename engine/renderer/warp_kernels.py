"""The loops that draw: where each pixel comes from, its texels, the light on them, and all of it onto the picture.

Pictures are [rows, cols] of RGBA in one word, the first byte lowest. Two bytes of a word are computed at a time, with
16 bits for each: a byte times a weight of 256 at most. A row is done in steps that stay in the nearest cache, each a
loop of its own, so that all but the fetching of texels works on many pixels at once. numba makes 64 bits of what two
words give unless it is told otherwise each time (`U`), and such loops take three times as long.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from engine.runtime.compiled import compiled

U = np.uint32
Words = npt.NDArray[np.uint32]
Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
_EVEN, _ODD, _HALVES, _BYTE = U(0x00FF00FF), U(0xFF00FF00), U(0x00800080), U(8)
_SCRATCH = 7  # rows of words that `fetch` needs
_AHEAD = 8  # rows of a picture whose texels are asked for at once


@compiled
def fetch(texture: Words, x: Floats, y: Floats, scratch: Words, out: Words) -> None:
    """Bilinear texels at places (`x`, `y`), in texels whose first has its middle at 0; its edges go on beyond it.

    Shares are in 256ths, and the four of a place sum to 256.
    """
    (rows, cols), count = texture.shape, len(out)
    flat, beside, below = texture.reshape(rows * cols), np.uintp(1), np.uintp(cols)
    zero, half, steps, width = np.float32(0), np.float32(0.5), np.float32(256), U(cols)
    right, bottom = np.float32((cols - 1) * 256 - 1), np.float32((rows - 1) * 256 - 1)
    upper, lower = scratch[:2].reshape(-1)[: 2 * count], scratch[2:4].reshape(-1)[: 2 * count]
    pairs_above, pairs_below = upper.view(np.uint64), lower.view(np.uint64)
    at, across, down = scratch[4], scratch[5], scratch[6]
    for i in range(count):
        u = U(np.int32(min(max(x[i] * steps + half, zero), right)))
        v = U(np.int32(min(max(y[i] * steps + half, zero), bottom)))
        at[i] = U(U(U(v >> _BYTE) * width) + U(u >> _BYTE))
        across[i], down[i] = U(u & U(255)), U(v & U(255))
    for i in range(count):  # two neighbours as one, which takes one load
        p = np.uintp(at[i])
        q = p + below
        pairs_above[i] = np.uint64(flat[p]) | (np.uint64(flat[p + beside]) << np.uint64(32))
        pairs_below[i] = np.uint64(flat[q]) | (np.uint64(flat[q + beside]) << np.uint64(32))
    for i in range(count):
        s, t = across[i], down[i]
        w4 = U(U(U(s * t) + U(128)) >> _BYTE)
        w2, w3 = U(s - w4), U(t - w4)
        w1 = U(U(U(256) - s) - w3)
        a, b, c, d = upper[2 * i], upper[2 * i + 1], lower[2 * i], lower[2 * i + 1]
        even = U(U(U(U(a & _EVEN) * w1) + U(U(b & _EVEN) * w2)) + U(U(U(c & _EVEN) * w3) + U(U(d & _EVEN) * w4)))
        a, b, c, d = U(a >> _BYTE), U(b >> _BYTE), U(c >> _BYTE), U(d >> _BYTE)
        odd = U(U(U(U(a & _EVEN) * w1) + U(U(b & _EVEN) * w2)) + U(U(U(c & _EVEN) * w3) + U(U(d & _EVEN) * w4)))
        out[i] = U(U(U(even + _HALVES) >> _BYTE) & _EVEN) | U(U(odd + _HALVES) & _ODD)


@compiled
def draw_near(texture: Words, first: int, last: int, left: int, right: int) -> U:
    """Asks for a part of a texture, a word of each cache line, so that `fetch` finds it near.

    Lines that are read one after the other, with nothing between, come sooner than by the fetching itself.
    """
    seen, line = U(0), 16
    for i in range(first, last):
        for j in range(left, right, line):
            seen = U(seen ^ texture[i, j])
    return seen  # so that no compiler leaves it out


@compiled
def light_up(line: Words, gain: Words) -> None:
    """The colours of a row times those of `gain`, of which 128 is one; the alpha stays."""
    byte, most, half, seven = U(255), U(255), U(64), U(7)
    for i in range(len(line)):
        colour, by = line[i], gain[i]
        red = min(U(U(U(U(colour & byte) * U(by & byte)) + half) >> seven), most)
        green = min(U(U(U(U(U(colour >> U(8)) & byte) * U(U(by >> U(8)) & byte)) + half) >> seven), most)
        blue = min(U(U(U(U(U(colour >> U(16)) & byte) * U(U(by >> U(16)) & byte)) + half) >> seven), most)
        line[i] = U(red | U(green << U(8))) | U(U(blue << U(16)) | U(colour & U(0xFF000000)))


@compiled
def copy(line: Words, to: Words) -> None:
    """As `to[:] = line`, for which numba would compile what it says if their lengths differed, in seconds."""
    for i in range(len(to)):
        to[i] = line[i]


@compiled
def blended(high: U, low: U) -> U:
    """A pixel over another."""
    alpha = U(high >> U(24))
    share = U(alpha + U(alpha >> U(7)))
    rest = U(U(256) - share)
    even = U(U(U(U(high & _EVEN) * share) + U(U(low & _EVEN) * rest)) + _HALVES)
    high, low = U(high >> _BYTE), U(low >> _BYTE)
    odd = U(U(U(U(high & _EVEN) * share) + U(U(low & _EVEN) * rest)) + _HALVES)
    return U(U(even >> _BYTE) & _EVEN) | U(odd & _ODD)


@compiled
def cover(below: Words, above: Words) -> None:
    """A row over another, in place."""
    for i in range(len(below)):
        below[i] = blended(above[i], below[i])


@compiled
def over(picture: Words, layer: Words, top: int, left: int) -> None:
    """`layer` over the part of `picture` that begins at `top`, `left`, in place."""
    for i in range(layer.shape[0]):
        cover(picture[top + i, left : left + layer.shape[1]], layer[i])


@compiled
def under(picture: Words, layer: Words, top: int, left: int) -> None:
    """`layer`, which is opaque, under the part of `picture` that begins at `top`, `left`, which is so too then."""
    for i in range(layer.shape[0]):
        line, below = picture[top + i, left : left + layer.shape[1]], layer[i]
        for j in range(len(line)):
            line[j] = U(blended(line[j], below[j]) | U(0xFF000000))


@compiled
def spans(lattice: Floats, outline: Floats, cell: float, drift: float) -> Ints:
    """[rows, 2]: the columns of a lattice between which anything shows in each of its rows and those beside it.

    Its points come from `lattice` [rows, cols, 2] plus `drift` times where they are themselves. What they show lies, in
    each row of cells there, from the one to the other of `outline` [rows, 2], and goes on beyond the last rows and
    columns; all in units.
    """
    rows, cols = lattice.shape[:2]
    near = np.zeros((rows, 2), np.int64)
    pace, half, size, own = np.float32(1 / cell), np.float32(0.5), np.float32(cell), np.float32(drift * cell)
    wide = (np.float32(cols) - half) * size
    for i in range(rows):
        first, last, found = cols, 0, 0
        for way in range(2):  # from the left, then from the right
            for k in range(cols):
                j = cols - 1 - k if way else k
                x = lattice[i, j, 0] + (np.float32(j) + half) * own
                y = lattice[i, j, 1] + (np.float32(i) + half) * own
                row = min(max(int(y * pace), 0), rows - 1)
                x = min(max(x, np.float32(0)), wide)
                if outline[row, 0] <= x < outline[row, 1]:
                    first, last = min(first, j), max(last, j + 1)
                    found = 1
                    break
            if not found:
                break
        near[i, 0], near[i, 1] = first, last
    out = np.zeros((rows, 2), np.int64)
    for i in range(rows):
        first, last = cols, 0
        for k in range(max(i - 1, 0), min(i + 2, rows)):
            first, last = min(first, near[k, 0]), max(last, near[k, 1])
        if first < last:
            out[i, 0], out[i, 1] = max(first - 1, 0), min(last + 1, cols)
    return out


@compiled
def within(x: Floats, y: Floats, right: float, bottom: float, every: Any) -> tuple[int, int]:
    """From where to where a row's places lie between -1 and `right`, `bottom`; `every` so many are asked.

    `every` is an np.int64: for plain numbers numba would compile it once a number.
    """
    count, first, last = len(x), len(x), 0
    for way in range(2):  # from the left, then from the right
        for k in range(0, count, every):
            i = count - 1 - k if way else k
            if -1 < x[i] < right and -1 < y[i] < bottom:
                first, last = min(first, max(i + 1 - every, 0)), max(last, min(i + every, count))
                break
        if not last:
            break
    return first, last


@compiled
def drape(
    picture: Words,
    texture: Words,
    outline: Floats,
    lattice: Floats,
    cell: float,
    drift: float,
    texels: float,
    origin: tuple[int, int],
    scale: float,
    gain: Words,
    light: tuple[float, float, float],
    onto: bool,
) -> None:
    """What a lattice [rows, cols, 2] shows of a texture, in the light that falls on it there.

    The lattice, its cells of `cell` units, begins at the pixel `origin` (x, y), of `scale` pixels a unit; `spans` says
    what it holds. The texture has `texels` a unit. `gain` has light[0] cells a texel, the first texel at light[1:], and
    changes nothing at its edges. `onto`: over the picture, or in its place, which is clear beside it.
    """
    rows, cols = lattice.shape[:2]
    (left, top), (tall, wide), side = origin, picture.shape, cell * scale
    shown = spans(lattice, outline, cell, drift)
    begin, end = wide, 0
    for i in range(rows):
        start, stop = left + int(shown[i, 0] * side), left + int(np.ceil(shown[i, 1] * side))
        shown[i, 0] = min(max(start, 0), wide)
        shown[i, 1] = max(min(stop, wide), shown[i, 0])
        if start < stop:
            begin, end = min(begin, shown[i, 0]), max(end, shown[i, 1])
    count = max(end - begin, 0)
    step, half, zero, size = np.float32(1 / side), np.float32(0.5), np.float32(0), np.float32(texels)
    own, by = np.float32(drift * texels / scale), np.float32(light[0])
    from_x, from_y = np.float32(light[1]), np.float32(light[2])
    at, share = np.empty(count, np.uint32), np.empty(count, np.float32)
    for j in range(count):
        u = min(max((np.float32(begin + j - left) + half) * step - half, zero), np.float32(cols - 1))
        at[j] = min(int(u), cols - 2)
        share[j] = u - np.float32(at[j])
    lines = np.empty((2, 2, count), np.float32)  # of the lattice's even and odd rows, at the picture's columns
    x, y, scratch = np.empty(count, np.float32), np.empty(count, np.float32), np.empty((_SCRATCH, count), np.uint32)
    line, lights = np.empty(count, np.uint32), np.empty(count, np.uint32)
    pace, ready, near = texels / scale, -1, 0
    first_texel, last_texel = int(begin * pace), min(int(end * pace), texture.shape[1])
    for row in range(max(top, 0), min(top + round(rows * side), tall)):
        down = (np.float32(row - top) + half) * step
        here = min(int(down), rows - 1)
        start, stop = shown[here]
        n, skip = stop - start, start - begin
        if not onto:
            picture[row, :start] = U(0)
            picture[row, stop:] = U(0)
        if n <= 0:
            continue
        if not onto and near < int((row + _AHEAD) * pace):  # what lies over the person has small textures
            first, near = max(near, int(row * pace)), min(int((row + 2 * _AHEAD) * pace), texture.shape[0])
            scratch[0, 0] = draw_near(texture, first, near, first_texel, last_texel)
        down = min(max(down - half, zero), np.float32(rows - 1))
        upper = min(int(down), rows - 2)
        for i in range(max(ready + 1, upper), upper + 2):
            across, values = lines[i % 2], lattice[i]
            for j in range(count):
                a, s = np.uintp(at[j]), share[j]
                b = a + np.uintp(1)
                across[0, j] = values[a, 0] + s * (values[b, 0] - values[a, 0])
                across[1, j] = values[a, 1] + s * (values[b, 1] - values[a, 1])
            ready = i
        t = down - np.float32(upper)
        above, below = lines[upper % 2, :, skip : skip + n], lines[1 - upper % 2, :, skip : skip + n]
        own_x = (np.float32(start - left) + half) * own - half
        own_y = (np.float32(row - top) + half) * own - half
        for j in range(n):
            x[j] = size * (above[0, j] + t * (below[0, j] - above[0, j])) + (np.float32(j) * own + own_x)
            y[j] = size * (above[1, j] + t * (below[1, j] - above[1, j])) + own_y
        fetch(texture, x[:n], y[:n], scratch, line[:n])
        for j in range(n):
            x[j], y[j] = x[j] * by + from_x, y[j] * by + from_y
        first, last = within(x[:n], y[:n], gain.shape[1], gain.shape[0], np.int64(8))
        if first < last:
            fetch(gain, x[first:last], y[first:last], scratch, lights[first:last])
            light_up(line[first:last], lights[first:last])
        if onto:
            cover(picture[row, start:stop], line[:n])
        else:
            copy(line[:n], picture[row, start:stop])


@compiled
def plate(
    picture: Words,
    texture: Words,
    place: Floats,
    scale: float,
    margin: int,
    box: tuple[int, int, int, int],
    corner: tuple[int, int],
    onto: bool,
) -> None:
    """A texture over a box (left, top, right, bottom) of a picture that begins at `corner` (x, y).

    `place` [2, 3] leads from units, of which one is `scale` pixels, to -1..1 on the texture without its margin of so
    many texels. `onto`: over what is there, and nothing beyond the texture's edges; or in its place, and the edges go
    on.
    """
    left, top, right, bottom = box
    count = right - left
    x, y, scratch = np.empty(count, np.float32), np.empty(count, np.float32), np.empty((_SCRATCH, count), np.uint32)
    line = np.empty(count, np.uint32)
    # From pixels to texels, both 0 in the middle of the first.
    half_x, half_y = np.float32(texture.shape[1] / 2 - margin), np.float32(texture.shape[0] / 2 - margin)
    unit, half, edge = np.float32(1 / scale), np.float32(0.5), np.float32(margin - 0.5)
    a, b, d, e = (
        place[0, 0] * half_x * unit,
        place[0, 1] * half_x * unit,
        place[1, 0] * half_y * unit,
        place[1, 1] * half_y * unit,
    )
    c = place[0, 2] * half_x + (a + b) * half + half_x + edge
    f = place[1, 2] * half_y + (d + e) * half + half_y + edge
    for row in range(top, bottom):
        begin_x, begin_y = b * np.float32(row) + c, e * np.float32(row) + f
        for j in range(count):
            x[j] = a * np.float32(left + j) + begin_x
            y[j] = d * np.float32(left + j) + begin_y
        first, last = within(x, y, texture.shape[1], texture.shape[0], np.int64(1)) if onto else (0, count)
        if first < last:
            fetch(texture, x[first:last], y[first:last], scratch, line[first:last])
            part = picture[row - corner[1], left - corner[0] + first : left - corner[0] + last]
            if onto:
                cover(part, line[first:last])
            else:
                copy(line[first:last], part)
