"""The loops of the network on a CPU, and the one that goes through its steps: `engine.cdan.cpu` writes them down.

All that a step reads and writes lies in one array, from an address on. One frame of one stream has few rows, so that a
product of matrices takes as long as its matrix takes to be read: that happens once, in the order in which it lies, and
in 8 bits where it is kept so.
"""

import math
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.audio.mel import FLOOR
from engine.cdan.constants import (
    ACTIVITY_HIGH,
    ACTIVITY_LOW,
    CONTRAST_BANDS,
    CONTRAST_HIGH,
    CONTRAST_LOW,
    EASE,
    FALL,
    RISE,
    SEAL_HALF,
    SEAL_SLOPE,
)
from engine.runtime.compiled import compiled

Floats = npt.NDArray[np.float32]
Ints = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.int8]

SHIFT, FILL, CLEAN, FOLD, LINEAR, POWER, DECIBELS, FEATURES, NORM, GELU, TAPS, ATTEND, WEIGH = range(13)
HINTS, LEAVE, SKIP, SPEAK, SEAL, MASKED, ADD = range(13, 20)
FIELDS = 10  # of a step: which it is, and what `run` hands to its loop
_ZERO, _HALF, _ONE = np.float32(0), np.float32(0.5), np.float32(1)
_SILENCE = np.float32(0.5 * math.log10(FLOOR) + 2.5)
_FIRST, _LAST = CONTRAST_BANDS.start, CONTRAST_BANDS.stop
_SILENT, _SPEAKING, _SHUT = (np.float32(math.log(p / (1 - p))) for p in (ACTIVITY_LOW, ACTIVITY_HIGH, SEAL_HALF))


@compiled
def multiply(x: Floats, stride: int, matrix: npt.NDArray[Any], out: Floats) -> None:
    """`out` [rows, outputs] = rows of x, `stride` apart, @ matrix [inputs, outputs] of whichever type.

    Eight of its lines at a time, which stay near for the next row."""
    inputs, outputs = matrix.shape
    out[:] = _ZERO
    for k in range(0, inputs - 7, 8):
        lines = matrix[k : k + 8]
        for i in range(out.shape[0]):
            at, to = i * stride + k, out[i]
            a, b, c, d = x[at], x[at + 1], x[at + 2], x[at + 3]
            e, f, g, h = x[at + 4], x[at + 5], x[at + 6], x[at + 7]
            for j in range(outputs):
                near = a * np.float32(lines[0, j]) + b * np.float32(lines[1, j])
                near += c * np.float32(lines[2, j]) + d * np.float32(lines[3, j])
                far = e * np.float32(lines[4, j]) + f * np.float32(lines[5, j])
                far += g * np.float32(lines[6, j]) + h * np.float32(lines[7, j])
                to[j] += near + far
    for k in range(inputs // 8 * 8, inputs):
        for i in range(out.shape[0]):
            for j in range(outputs):
                out[i, j] += x[i * stride + k] * np.float32(matrix[k, j])


@compiled
def linear(m: Floats, step: Ints, whole: Bytes, floats: Floats) -> None:
    """A product and its bias; in steps of its outputs if the matrix is of whole numbers; added if so asked."""
    x, stride, rows, inputs, outputs = step[1], step[2], step[3], step[4], step[5]
    begin, rest, out, how = step[6], step[7], step[8], step[9]
    size, made = inputs * outputs, np.empty((rows, outputs), np.float32)
    bias, steps = floats[rest : rest + outputs], floats[rest + outputs : rest + 2 * outputs]
    if how & 1:
        multiply(m[x:], stride, whole[begin : begin + size].reshape(inputs, outputs), made)
        for i in range(rows):
            for j in range(outputs):
                made[i, j] *= steps[j]
    else:
        multiply(m[x:], stride, floats[begin : begin + size].reshape(inputs, outputs), made)
    for i in range(rows):
        to = m[out + i * outputs : out + (i + 1) * outputs]
        for j in range(outputs):
            to[j] = made[i, j] + bias[j] + (to[j] if how & 2 else _ZERO)


@compiled
def copy(what: Floats, to: Floats) -> None:
    for i in range(len(to)):
        to[i] = what[i]


@compiled
def clean(x: Floats, least: float) -> None:
    """NaN is 0, and all lies between `least` and 1."""
    for i in range(len(x)):
        x[i] = min(max(x[i], np.float32(least)), _ONE) if x[i] == x[i] else _ZERO


@compiled
def fold(m: Floats, middle: int, hop: int, rows: int, even: Floats, odd: Floats) -> None:
    """What of windows `hop` apart, the first about `middle`, is even and odd about their own: waves are either there,
    so that each needs half of a window only."""
    reach = len(even) // rows
    for i in range(rows):
        for k in range(reach):
            later, sooner = m[middle + i * hop + k], m[middle + i * hop - k]
            even[i * reach + k], odd[i * reach + k] = later + sooner, later - sooner


@compiled
def decibels(x: Floats) -> None:
    """In units of 20 dB, 2.5 at full scale."""
    for i in range(len(x)):
        x[i] = _HALF * np.log10(max(x[i], np.float32(FLOOR))) + np.float32(2.5)


@compiled
def features(mel: Floats, rows: int, floor: Floats, known: float, out: Floats) -> None:
    """[rows, BANDS] -> [rows, FEATURES]: the spectrum's shape and level, and its height over the noise floor, which
    goes on."""
    bands = len(floor)
    for j in range(bands):
        frame = _ZERO
        for i in range(rows):
            frame += mel[i * bands + j]
        frame /= np.float32(rows)
        low = floor[j] if known else frame
        above = frame - low
        floor[j] = low + (np.float32(FALL) * above if above < 0 else min(above, np.float32(RISE)))
    for i in range(rows):
        line, to = mel[i * bands : (i + 1) * bands], out[i * (2 * bands + 1) :]
        level = _ZERO
        for j in range(bands):
            level += line[j] / np.float32(bands)
        to[bands] = level
        for j in range(bands):
            to[j] = np.float32(2) * (line[j] - level)
            to[bands + 1 + j] = line[j] - floor[j]


@compiled
def masked(mel: Floats, rows: int, levels: Floats) -> np.float32:
    """How far noise masks consonants: as `engine.cdan.spectra.masked` has it. The last `levels` are of now, `rows`."""
    for i in range(rows):
        level, line = _ZERO, mel[i * len(mel) // rows :]
        for j in range(_FIRST, _LAST):
            level += line[j]
        levels[len(levels) - rows + i] = level / np.float32(_LAST - _FIRST) - _SILENCE
    least, most = levels[0], levels[0]
    for i in range(len(levels)):
        least, most = min(least, levels[i]), max(most, levels[i])
    share = (np.float32(CONTRAST_HIGH) - (most - least)) / np.float32(CONTRAST_HIGH - CONTRAST_LOW)
    return np.float32(min(max(share, _ZERO), _ONE))


@compiled
def norm(x: Floats, gain: Floats, shift: Floats, out: Floats) -> None:
    """Each row less its mean, over its deviation."""
    size = len(gain)
    for at in range(0, len(out), size):
        mean, square = _ZERO, _ZERO
        for j in range(size):
            mean += x[at + j]
        mean /= np.float32(size)
        for j in range(size):
            square += (x[at + j] - mean) * (x[at + j] - mean)
        scale = _ONE / np.sqrt(square / np.float32(size) + np.float32(1e-5))
        for j in range(size):
            out[at + j] = (x[at + j] - mean) * scale * gain[j] + shift[j]


@compiled
def gelu(x: Floats) -> None:
    """In place. The error function is a quotient of polynomials fitted to it, off by 4e-7 at most."""
    most = np.float32(5.2)
    for i in range(len(x)):
        v = x[i]
        z = min(max(v, -most), most)
        t = z * z
        p, q = np.float32(4.94640344e-8), np.float32(1.25889013e-6)
        p, q = np.float32(1.28156611e-5) + t * p, np.float32(7.04928593e-5) + t * q
        p, q = np.float32(3.13702603e-4) + t * p, np.float32(0.00181714465) + t * q
        p, q = np.float32(0.00921716707) + t * p, np.float32(0.0279261074) + t * q
        p, q = np.float32(0.0650870665) + t * p, np.float32(0.248240883) + t * q
        p, q = np.float32(0.797884522) + t * p, _ONE + t * q
        x[i] = _HALF * v * (_ONE + z * p / q)


@compiled
def softmax(line: Floats) -> None:
    most, total = line[0], _ZERO
    for j in range(len(line)):
        most = max(most, line[j])
    for j in range(len(line)):
        line[j] = np.exp(line[j] - most)
        total += line[j]
    for j in range(len(line)):
        line[j] /= total


@compiled
def power(real: Floats, imaginary: Floats) -> None:
    """Of both parts, into the first."""
    for i in range(len(real)):
        real[i] = real[i] * real[i] + imaginary[i] * imaginary[i]


@compiled
def attend(query: Floats, keys: Floats, values: Floats, bias: Floats, filled: Floats, out: Floats) -> None:
    """`out` [width]: of `values` [slots, width] as much as `keys` [slots, width] answer the query, apart from a bias
    [heads, slots]; of slots that are `filled`, if that is told."""
    width, slots = len(out), len(values) // len(out)
    heads = len(bias) // slots
    each = width // heads
    scale, share = _ONE / np.sqrt(np.float32(each)), np.empty(slots, np.float32)
    out[:] = _ZERO
    for h in range(heads):
        first, last = h * each, (h + 1) * each
        for s in range(slots):
            score = _ZERO
            for d in range(first, last):
                score += query[d] * keys[s * width + d]
            share[s] = score * scale + bias[h * slots + s]
        for s in range(len(filled)):
            share[s] -= np.float32(1e4) * (_ONE - filled[s])
        softmax(share)
        for s in range(slots):
            for d in range(first, last):
                out[d] += share[s] * values[s * width + d]


@compiled
def weigh(scores: Floats, by: Floats) -> None:
    """The softmax of each row, times `by`."""
    for at in range(0, len(scores), len(by)):
        line = scores[at : at + len(by)]
        softmax(line)
        for j in range(len(by)):
            line[j] *= by[j]


@compiled
def sigmoid(x: np.float32) -> np.float32:
    return np.float32(_ONE / (_ONE + np.exp(-x)))


@compiled
def hints(said: Floats, opinion: float, active: Floats, out: Floats) -> None:
    """`out`: speech activity, loudness, pitch; how far the lips are shut; the activity eased over the last frames.

    From logits of activity, closure, loudness and pitch, and what else is thought of the closure."""
    activity = min(max((said[0] - _SILENT) / (_SPEAKING - _SILENT), _ZERO), _ONE)
    active[EASE - 1] = activity
    out[0], out[1], out[2] = activity, activity * sigmoid(said[2]), activity * np.tanh(said[3])
    out[3] = activity * sigmoid(np.float32(SEAL_SLOPE) * (said[1] + opinion - _SHUT))
    out[4] = _ZERO
    for i in range(EASE):
        out[4] += active[i] / np.float32(EASE)


@compiled
def leave(les: Floats, eased: float, logits: Floats) -> None:
    """What units leave to speech, in place of `logits` of how readily they do."""
    for k in range(len(les)):
        logits[k] = les[k] * (_ONE - eased * sigmoid(logits[k]))


@compiled
def speak(face: Floats, activity: float, read: Floats, speaks: Floats) -> None:
    """Adds to the face [63] what regions say of it, `read` [R, 63], where each of them `speaks` [R, 63]."""
    for at in range(0, len(read), len(face)):
        for j in range(len(face)):
            face[j] += activity * speaks[at + j] * read[at + j]


@compiled
def add(x: Floats, what: Floats, share: float) -> None:
    for i in range(len(x)):
        x[i] += share * what[i]


@compiled
def seal(face: Floats, shut: Floats, share: float) -> None:
    """On the way to what it is with shut lips."""
    for j in range(len(face)):
        face[j] += share * (shut[j] - face[j])


@compiled
def run(program: Ints, before: Floats, m: Floats, whole: Bytes, floats: Floats) -> None:
    """Goes through the steps [n, FIELDS]. `before` is what m was a frame ago; `whole` and `floats` are the weights."""
    following = 0
    for n in range(len(program)):
        if n < following:
            continue
        step = program[n]
        kind, x, size, y, a, b = step[0], step[1], step[2], step[3], step[4], step[5]
        c, d, e, f = step[6], step[7], step[8], step[9]
        here = m[x : x + size]
        if kind == LINEAR:
            linear(m, step, whole, floats)
        elif kind == SHIFT:
            copy(before[y : y + size], here)
        elif kind == NORM:
            norm(here, floats[a : a + b], floats[a + b : a + 2 * b], m[y : y + size])
        elif kind == GELU:
            gelu(here)
        elif kind == TAPS:  # of `a` rows, `b` apart: `c` pieces, `d` apart
            for i in range(a):
                for k in range(c):
                    at, to = x + i * b + k * d, y + (i * c + k) * size
                    copy(m[at : at + size], m[to : to + size])
        elif kind == ATTEND:  # `a` slots, `b` heads
            filled = m[e : e + (a if e else 0)]
            attend(here, m[y : y + a * size], m[c : c + a * size], floats[d : d + a * b], filled, m[f : f + size])
        elif kind == FILL:
            here[:] = _ONE
        elif kind == CLEAN:
            clean(here, y)
        elif kind == FOLD:
            fold(m, x, a, b, m[y : y + b * size], m[y + b * size : y + 2 * b * size])
        elif kind == POWER:
            power(here, m[y : y + size])
        elif kind == DECIBELS:
            decibels(here)
        elif kind == FEATURES:
            features(here, a, m[y : y + b], m[c], m[d : d + size + a * (b + 1)])
        elif kind == WEIGH:
            weigh(here, m[y : y + a])
        elif kind == HINTS:
            hints(here, m[y], m[a : a + EASE], m[b : b + 5])
        elif kind == LEAVE:
            leave(here, m[y], m[a : a + size])
        elif kind == SKIP:
            following = n + 1 + (0 if here[0] > _ZERO else y)
        elif kind == SPEAK:
            speak(here, m[y], m[a : a + b], floats[c : c + b])
        elif kind == SEAL:
            seal(here, m[y : y + size], m[a])
        elif kind == MASKED:
            m[c] = masked(here, a, m[y : y + b])
        elif kind == ADD:
            add(here, m[y : y + size], m[a])
