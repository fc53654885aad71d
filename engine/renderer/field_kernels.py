"""The loops of the CPU's fields: sums of maps only where they are not nought, Newton's steps only while they help.

`engine.renderer.fields` defines them. Lattices are [rows, cols, ...] of float32 here, in units of the frame.
"""

import numpy as np
import numpy.typing as npt

from engine.renderer.constants import FIRST_GLINT, FIRST_IRIS, NARROWEST
from engine.runtime.compiled import compiled

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Places = npt.NDArray[np.int32]
CLOSE = np.float32(1e-3)  # units: a point that comes this near its target is there
SOME = 128  # points that Newton's steps take at a time, in the nearest cache


@compiled
def mix(weights: Floats, values: npt.NDArray[np.int16], boxes: Ints, least: float, out: Floats) -> None:
    """Adds to `out` [C, rows, cols] each map times its weight, of weights from `least` on.

    `boxes` [K, 5] tell where a map lies: its first value, top, bottom, left, right.
    """
    for k in range(len(weights)):
        weight = weights[k]
        if abs(weight) < least:
            continue
        at, top, bottom, left, right = boxes[k]
        width = right - left
        for channel in range(out.shape[0]):
            for row in range(top, bottom):
                line = out[channel, row, left:right]
                part = values[at : at + width]
                for i in range(width):
                    line[i] += weight * np.float32(part[i])
                at += width


@compiled
def displace(
    expression: Floats, corner: Floats, cell: float, posed: Floats, turn: Floats, pivot: Floats, shift: Floats
) -> Floats:
    """`Fields._forward`: [rows, cols, 2] from `expression` [3, rows, cols] and `posed` [2, rows, cols]."""
    rows, cols = expression.shape[1:]
    out = np.empty((rows, cols, 2), np.float32)
    step = np.float32(cell)
    for i in range(rows):
        y = corner[1] + (np.float32(i) + np.float32(0.5)) * step
        for j in range(cols):
            ex, ey, ez = expression[0, i, j], expression[1, i, j], expression[2, i, j]
            mx, my = corner[0] + (np.float32(j) + np.float32(0.5)) * step + ex, y + ey
            dx, dy, dz = mx - pivot[0], my - pivot[1], posed[0, i, j] + ez - pivot[2]
            weight = posed[1, i, j]
            tx = turn[0, 0] * dx + turn[0, 1] * dy + turn[0, 2] * dz + pivot[0] + shift[0]
            ty = turn[1, 0] * dx + turn[1, 1] * dy + turn[1, 2] * dz + pivot[1] + shift[1]
            out[i, j, 0] = ex + weight * (tx - mx)
            out[i, j, 1] = ey + weight * (ty - my)
    return out


@compiled
def jacobian(forward: Floats, cell: float) -> tuple[Floats, float]:
    """[rows, cols, 6]: forward [rows, cols, 2], then dx/dx, dy/dx, dx/dy, dy/dy of x + forward(x).

    With them the lowest of their determinants.
    """
    rows, cols = forward.shape[:2]
    out = np.empty((rows, cols, 6), np.float32)
    scale = np.float32(1 / (2 * cell))
    one = np.float32(1)
    tightest = np.inf
    for i in range(rows):
        above, below = forward[max(i - 1, 0)], forward[min(i + 1, rows - 1)]
        here = forward[i]
        for j in range(cols):
            left, right = max(j - 1, 0), min(j + 1, cols - 1)
            a, c = one + (here[right, 0] - here[left, 0]) * scale, (here[right, 1] - here[left, 1]) * scale
            b, d = (below[j, 0] - above[j, 0]) * scale, one + (below[j, 1] - above[j, 1]) * scale
            out[i, j, 0], out[i, j, 1] = here[j, 0], here[j, 1]
            out[i, j, 2], out[i, j, 3], out[i, j, 4], out[i, j, 5] = a, c, b, d
            tightest = min(tightest, float(a * d - b * c))
    return out, tightest


@compiled
def sprites(
    points: Floats, moved: Floats, size: Floats, radius: float, turn: Floats, shift: Floats, pivot: Floats
) -> Floats:
    """[SPRITES, 2, 3]: from a point of the picture to -1..1 over each sprite.

    `points` and `moved` [SPRITES, 3] are their middles and how far those have moved, `size` [SPRITES, 2] their widths
    and heights. An iris that turns away, on an eyeball of this radius, grows narrow; nothing else does.
    """
    out = np.empty((len(points), 2, 3), np.float32)
    zero, one, two = np.float32(0), np.float32(1), np.float32(2)
    least, most, ball = np.float32(1e-6), np.float32(NARROWEST), np.float32(radius**2)
    for k in range(len(points)):
        x, y = moved[k, 0], moved[k, 1]
        dx, dy, dz = points[k, 0] + x - pivot[0], points[k, 1] + y - pivot[1], points[k, 2] + moved[k, 2] - pivot[2]
        to_x = turn[0, 0] * dx + turn[0, 1] * dy + turn[0, 2] * dz + pivot[0] + shift[0]
        to_y = turn[1, 0] * dx + turn[1, 1] * dy + turn[1, 2] * dz + pivot[1] + shift[1]
        far = x * x + y * y
        less = (one - np.sqrt(one - min(far / ball, most))) / (far + least)
        if not FIRST_IRIS <= k < FIRST_GLINT:
            less = zero
        xx, xy, yy = one - less * x * x, -less * x * y, one - less * y * y
        a, b = turn[0, 0] * xx + turn[0, 1] * xy, turn[0, 0] * xy + turn[0, 1] * yy
        c, d = turn[1, 0] * xx + turn[1, 1] * xy, turn[1, 0] * xy + turn[1, 1] * yy
        pace = two / (a * d - b * c)
        wide, high = pace / size[k, 0], pace / size[k, 1]
        out[k, 0, 0], out[k, 0, 1], out[k, 0, 2] = d * wide, -b * wide, (b * to_y - d * to_x) * wide
        out[k, 1, 0], out[k, 1, 1], out[k, 1, 2] = -c * high, a * high, (c * to_x - a * to_y) * high
    return out


@compiled
def between(flat: Floats, cols: int, at: Places, across: Floats, down: Floats, out: Floats) -> None:
    """`out` [6, n]: bilinear values of `flat` [rows * cols, 6] at shares `across` and `down` [n] beyond points `at`."""
    beside, below, one = np.uintp(1), np.uintp(cols), np.float32(1)
    for i in range(len(at)):
        p, s, t = np.uintp(at[i]), across[i], down[i]
        w11 = s * t
        w01, w10 = s - w11, t - w11
        w00 = one - s - w10
        f00, f01, f10, f11 = flat[p], flat[p + beside], flat[p + below], flat[p + below + beside]
        out[0, i] = w00 * f00[0] + w01 * f01[0] + w10 * f10[0] + w11 * f11[0]
        out[1, i] = w00 * f00[1] + w01 * f01[1] + w10 * f10[1] + w11 * f11[1]
        out[2, i] = w00 * f00[2] + w01 * f01[2] + w10 * f10[2] + w11 * f11[2]
        out[3, i] = w00 * f00[3] + w01 * f01[3] + w10 * f10[3] + w11 * f11[3]
        out[4, i] = w00 * f00[4] + w01 * f01[4] + w10 * f10[4] + w11 * f11[4]
        out[5, i] = w00 * f00[5] + w01 * f01[5] + w10 * f10[5] + w11 * f11[5]


@compiled
def invert(
    fields: Floats, cell: float, offset: Floats, leap: bool, steps: int, stride: float, steepest: float
) -> Floats:
    """The points x [rows, cols, 2] with x + forward(x) = target, by Newton's steps from the lattice's centres.

    `fields` are `jacobian`'s; the target is the centres plus `offset` [2]. `leap`: before the steps, points go where
    forward itself leads. The first step goes `stride` units at most, the others half. Each takes the points that the
    last one left apart from their targets, some at a time in loops that do one thing each, so that all but the fetching
    of fields works on several points at once.
    """
    rows, cols = fields.shape[:2]
    out, apart = np.empty((rows * cols, 2), np.float32), np.empty(rows * cols, np.int32)
    flat = fields.reshape(rows * cols, 6)
    size, far, least = np.float32(cell), np.float32(stride), np.float32(steepest)
    inverse, half, zero, one = np.float32(1 / cell), np.float32(0.5), np.float32(0), np.float32(1)
    last_x, last_y, width = np.float32(cols - 1), np.float32(rows - 1), np.float32(cols)
    row_share = np.float32(1 / cols)
    count = 0
    for i in range(rows):  # the first step, from where there is nothing to interpolate
        for j in range(cols):
            p = i * cols + j
            f = flat[p]
            rest_x, rest_y = f[0] - offset[0], f[1] - offset[1]
            steep = one / max(f[2] * f[5] - f[4] * f[3], least)
            off = max(abs(rest_x), abs(rest_y)) >= CLOSE
            step_x = min(max((f[5] * rest_x - f[4] * rest_y) * steep, -far), far)
            step_y = min(max((f[2] * rest_y - f[3] * rest_x) * steep, -far), far)
            if leap:
                step_x, step_y = rest_x, rest_y
            out[p, 0] = (np.float32(j) + half) * size - np.float32(off) * step_x
            out[p, 1] = (np.float32(i) + half) * size - np.float32(off) * step_y
            apart[count] = p
            count += int(off)
    x, y = np.empty(SOME, np.float32), np.empty(SOME, np.float32)
    across, down = np.empty(SOME, np.float32), np.empty(SOME, np.float32)
    at, open_, found = np.empty(SOME, np.int32), np.empty(SOME, np.int32), np.empty((6, SOME), np.float32)
    for step in range(0 if leap else 1, steps):
        if step:
            far = np.float32(stride / 2)
        kept = 0
        for begin in range(0, count, SOME):
            some = apart[begin : min(begin + SOME, count)]
            for i in range(len(some)):
                p = np.uintp(some[i])  # without a sign, which would be asked for at every access
                x[i], y[i] = out[p, 0], out[p, 1]
            for i in range(len(some)):
                u, v = min(max(x[i] * inverse - half, zero), last_x), min(max(y[i] * inverse - half, zero), last_y)
                left, top = min(np.int32(u), np.int32(cols - 2)), min(np.int32(v), np.int32(rows - 2))
                across[i], down[i] = u - np.float32(left), v - np.float32(top)
                at[i] = top * np.int32(cols) + left
            between(flat, cols, at[: len(some)], across, down, found)
            for i in range(len(some)):
                row = np.float32(np.int32((np.float32(some[i]) + half) * row_share))
                rest_x = x[i] - (np.float32(some[i]) - row * width + half) * size - offset[0] + found[0, i]
                rest_y = y[i] - (row + half) * size - offset[1] + found[1, i]
                a, c, b, d = found[2, i], found[3, i], found[4, i], found[5, i]
                steep = one / max(a * d - b * c, least)
                open_[i] = max(abs(rest_x), abs(rest_y)) >= CLOSE
                x[i] -= np.float32(open_[i]) * min(max((d * rest_x - b * rest_y) * steep, -far), far)
                y[i] -= np.float32(open_[i]) * min(max((a * rest_y - c * rest_x) * steep, -far), far)
            for i in range(len(some)):
                p = np.uintp(some[i])
                out[p, 0], out[p, 1] = x[i], y[i]
                apart[kept] = p
                kept += open_[i]
        count = kept
    return out.reshape(rows, cols, 2)


@compiled
def sample(field: Floats, places: Floats, cell: float) -> Floats:
    """Bilinear values [rows, cols, 2] of `field` [2, ...] at places [rows, cols, 2]."""
    rows, cols = field.shape[1:]
    out = np.empty_like(places)
    inverse, half, zero = np.float32(1 / cell), np.float32(0.5), np.float32(0)
    for i in range(places.shape[0]):
        for j in range(places.shape[1]):
            u = min(max(places[i, j, 0] * inverse - half, zero), np.float32(cols - 1))
            v = min(max(places[i, j, 1] * inverse - half, zero), np.float32(rows - 1))
            left, top = min(int(u), cols - 2), min(int(v), rows - 2)
            s, t = u - np.float32(left), v - np.float32(top)
            for k in range(2):
                above = field[k, top, left] + s * (field[k, top, left + 1] - field[k, top, left])
                below = field[k, top + 1, left] + s * (field[k, top + 1, left + 1] - field[k, top + 1, left])
                out[i, j, k] = above + t * (below - above)
    return out
