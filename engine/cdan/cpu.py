"""The network on any CPU, one stream after the other: `engine.cdan.network` as a list of steps for `kernels.run`.

Large matrices are kept in 8 bits, with a step for each output: a frame takes as long as it takes to read them.
"""

import json
import math
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.audio.mel import BANDS, BINS, WINDOW, mel_filters
from engine.cdan import kernels
from engine.cdan.constants import (
    CONTRAST_HOPS,
    EASE,
    FINE_BINS,
    FINE_FIRST,
    FINE_WINDOW,
    PAST,
    REGIONS,
    Config,
    Floats,
    lip_seal,
    speaks,
)
from engine.face.coefficients import FACE
from engine.face.les_map import LES_TO_FACE
from engine.les import AXES
from engine.runtime import Signature, TensorSpec
from engine.runtime.network import Array
from engine.units import CHUNK, HOP, HOPS_PER_FRAME, MAX_LOOK_AHEAD

LARGE = 1 << 15  # values; smaller matrices cost little as they are, and filter banks among them span decades
MOST = 127
C = Config()
MEMORY = 1 << 16  # numbers that may be remembered; what lies behind them is not
SHAPE, FEATURES = BANDS + 1, 2 * BANDS + 1  # of a hop, as `engine.cdan.spectra` has them


class CpuNetwork:
    """As `Network` has it: inputs `pcm` [N, CHUNK], `les` [N, 41], `look_ahead` [N] and `memory_in`, outputs
    `coefficients` [N, 63], `prosody` [N, 3] and `memory_out`."""

    def __init__(self, weights: Path) -> None:
        values, store = read_weights(weights), Store()
        self._programs = [Program(values, store, ahead) for ahead in range(MAX_LOOK_AHEAD + 1)]
        self._whole, self._floats = store.arrays()
        layout = self._programs[0]
        self._work = np.zeros(layout.size, np.float32)
        floats = partial(TensorSpec, dtype=np.dtype(np.float32))
        self._signature = Signature(
            (
                floats("pcm", (None, CHUNK)),
                floats("les", (None, len(AXES))),
                TensorSpec("look_ahead", (None,), np.dtype(np.int32)),
                floats("memory_in", (None, layout.memory)),
            ),
            (
                floats("coefficients", (None, len(FACE))),
                floats("prosody", (None, 3)),
                floats("memory_out", (None, layout.memory)),
            ),
        )

    @property
    def signature(self) -> Signature:
        return self._signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._signature.check(inputs)
        count = len(inputs["pcm"])
        made = {spec.name: np.empty([n or count for n in spec.shape], spec.dtype) for spec in self._signature.outputs}
        for n, row in enumerate(zip(*(inputs[spec.name] for spec in self._signature.inputs), strict=True)):
            for to, values in zip(made.values(), self._step(*row), strict=True):
                to[n] = values
        return made

    def _step(self, pcm: Floats, les: Floats, look_ahead: int, before: Floats) -> tuple[Floats, Floats, Floats]:
        """Coefficients, prosody and memory of one stream, until the next step."""
        program, work = self._programs[look_ahead], self._work
        work[program.pcm : program.pcm + CHUNK] = pcm
        work[program.les : program.les + len(AXES)] = les
        kernels.run(program.steps, before, work, self._whole, self._floats)
        face, prosody = work[program.face : program.face + len(FACE)], work[program.prosody : program.prosody + 3]
        return face, prosody, work[: program.memory]


class Store:
    """The weights, each once."""

    def __init__(self) -> None:
        self._whole, self._floats = [np.zeros(0, np.int8)], list[Floats]()
        self._found: dict[bytes, int] = {}

    def whole(self, values: Array) -> int:
        """Where they begin."""
        return self._put(self._whole, values)

    def floats(self, *values: Floats) -> int:
        """Where they begin, one behind the other."""
        return self._put(self._floats, np.concatenate([np.ravel(v) for v in values], dtype=np.float32))

    def arrays(self) -> tuple[npt.NDArray[np.int8], Floats]:
        return np.concatenate(self._whole), np.concatenate(self._floats)

    def _put(self, to: list[Array], values: Array) -> int:
        key = values.tobytes()
        if key not in self._found:
            self._found[key] = sum(array.size for array in to)
            to.append(values.ravel())
        return self._found[key]


class Matrix(NamedTuple):
    values: Floats
    """[inputs, outputs]"""
    bias: Floats
    """[outputs]"""


class Program:
    """The steps for one look-ahead, and where things lie, which is the same for all: what is remembered comes first."""

    def __init__(self, weights: Mapping[str, Floats], store: Store, look_ahead: int) -> None:
        self._w, self._store, self._ahead = weights, store, look_ahead
        self._steps: list[list[int]] = []
        self.memory, self.size = 0, MEMORY
        self.les = self._room(len(AXES))
        self._step(kernels.CLEAN, self.les, len(AXES), 0)
        samples, filled = self._memory(PAST, CHUNK), self._memory(C.window - 1, 1)
        self.pcm, present = samples + PAST, filled + C.window - 1
        self._step(kernels.FILL, present, 1)
        self._step(kernels.CLEAN, self.pcm, CHUNK, -1)
        bands, noise = self._features(samples, present - 1)
        seen = self._seen(*self._frames_seen(bands, "glance"), "glance")
        in_noise = self._frames_seen(bands, "noise_glance")
        x = self._hops(self._convolved(bands, "ear.conv", HOPS_PER_FRAME, FEATURES))
        self._voice(samples, x)
        context = self._frames(x, filled)
        self.prosody = self._hints(context, seen, noise, in_noise)
        self.face = self._decode(context, self.prosody)
        self.steps = np.array(self._steps, np.int64)

    def _features(self, samples: int, known: int) -> tuple[int, int]:
        """The sound's features at 100 Hz, behind those of the two hops before; and how far noise masks consonants."""
        filters = np.asarray(mel_filters().T, np.float32)
        used = filters.any(1)
        power = self._power(samples + PAST + HOP - WINDOW // 2, WINDOW, np.flatnonzero(used) / BINS, HOPS_PER_FRAME)
        mel = self._linear(power, plain(filters[used]), HOPS_PER_FRAME)
        self._step(kernels.DECIBELS, mel, HOPS_PER_FRAME * BANDS)
        levels, noise = self._memory(CONTRAST_HOPS - HOPS_PER_FRAME, HOPS_PER_FRAME), self._room(1)
        self._step(kernels.MASKED, mel, HOPS_PER_FRAME * BANDS, levels, HOPS_PER_FRAME, CONTRAST_HOPS, noise)
        floor, bands = self._memory(BANDS, 0), self._memory(2 * FEATURES, HOPS_PER_FRAME * FEATURES)
        now = bands + 2 * FEATURES
        self._step(kernels.FEATURES, mel, HOPS_PER_FRAME * BANDS, floor, HOPS_PER_FRAME, BANDS, known, now)
        return bands, noise

    def _power(self, middle: int, window: int, cycles: npt.NDArray[np.float64], rows: int) -> int:
        """[rows, bins] of windows a hop apart, the first about `middle`, at so many cycles a sample."""
        reach = window // 2
        even = self._room(2 * rows * reach)
        self._step(kernels.FOLD, middle, reach, even, HOP, rows)
        real, imaginary = (
            self._linear(even + i * rows * reach, plain(half_waves(window, cycles, wave)), rows, exact=True)
            for i, wave in enumerate((np.cos, np.sin))
        )
        self._step(kernels.POWER, real, rows * len(cycles), imaginary)
        return real

    def _frames_seen(self, bands: int, name: str) -> tuple[int, int]:
        """The frames of a glance's window, and how many numbers they are."""
        matrix = self._matrix(f"{name}.first.conv")
        taps = self._taps(bands, HOPS_PER_FRAME, SHAPE, 3, FEATURES, FEATURES)
        width = matrix.values.shape[1]
        hops = self._memory(4 * width, HOPS_PER_FRAME * width)
        now = self._linear(taps, matrix, HOPS_PER_FRAME, out=hops + 4 * width)
        self._step(kernels.GELU, now, HOPS_PER_FRAME * width)
        x = self._convolved(hops, f"{name}.second.conv", HOPS_PER_FRAME, width)
        self._step(kernels.GELU, x, HOPS_PER_FRAME * width)
        patch, whole = self._matrix(f"{name}.patch"), self._w[f"{name}.window.weight"].shape[1]
        frame = len(patch.bias)
        frames = self._memory(whole - frame, frame)
        self._linear(x, patch, out=frames + whole - frame)
        unheard = (MAX_LOOK_AHEAD - self._ahead) * frame  # of the window's end
        return frames + unheard, whole - unheard

    def _seen(self, frames: int, size: int, name: str) -> int:
        window = self._matrix(f"{name}.window")
        seen = self._linear(frames, window, inputs=size)
        self._step(kernels.GELU, seen, window.values.shape[1])
        return seen

    def _hops(self, x: int) -> int:
        """What goes on at 100 Hz from [4, stem], and what a frame makes of it [width]."""
        size = HOPS_PER_FRAME * C.stem
        for i in range(C.stems):
            past = self._memory(4 * C.stem, size)
            self._step(kernels.GELU, self._norm(x, f"stem.{i}.norm", HOPS_PER_FRAME, past + 4 * C.stem), size)
            self._convolved(past, f"stem.{i}.conv.conv", HOPS_PER_FRAME, C.stem, onto=x)
        for i, dilation in enumerate(C.dilations):
            before = 2 * dilation * C.stem
            past = self._memory(before, size)
            self._norm(x, f"hops.{i}.norm", HOPS_PER_FRAME, past + before)
            wide = self._convolved(past, f"hops.{i}.conv.conv", HOPS_PER_FRAME, C.stem, dilation)
            self._step(kernels.GELU, wide, 2 * size)
            self._linear(wide, self._matrix(f"hops.{i}.down"), HOPS_PER_FRAME, onto=x)
        return self._linear(self._norm(x, "stem_norm", HOPS_PER_FRAME), self._matrix("patch"))

    def _voice(self, samples: int, x: int) -> None:
        """Adds the pitch, and how far ahead is heard."""
        cycles = (FINE_FIRST + np.arange(FINE_BINS)) / FINE_WINDOW
        fine = self._power(samples + FINE_WINDOW // 2, FINE_WINDOW, cycles, 1)
        self._step(kernels.DECIBELS, fine, FINE_BINS)
        lags, voice = self._matrix("lags"), self._matrix("voice")
        centred = lags._replace(values=lags.values - lags.values.mean(0))  # what all bins share is not heard
        heard = self._linear(fine, centred)
        self._step(kernels.GELU, heard, len(lags.bias))
        self._linear(heard, voice._replace(bias=voice.bias + self._w["look_ahead.weight"][self._ahead]), onto=x)

    def _frames(self, x: int, filled: int) -> int:
        """What goes on at 25 Hz [width]."""
        for i in range(C.layers):
            name, past = f"layers.{i}", self._memory(2 * C.width, C.width)
            self._attended(self._norm(x, f"{name}.attention_norm"), f"{name}.attention", filled, x)
            self._norm(x, f"{name}.local_norm", out=past + 2 * C.width)
            wide = self._convolved(past, f"{name}.local.conv", 1, C.width)
            self._step(kernels.GELU, wide, 2 * C.width)
            self._linear(wide, self._matrix(f"{name}.down"), onto=x)
        return self._norm(x, "norm")

    def _attended(self, x: int, name: str, filled: int, onto: int) -> None:
        before = (C.window - 1) * C.width
        keys, values = self._memory(before, C.width), self._memory(before, C.width)
        query, out = self._room(C.width), self._room(C.width)
        parts = split(self._matrix(f"{name}.query_key_value"))
        for part, to in zip(parts, (query, keys + before, values + before), strict=True):
            self._linear(x, part, out=to)
        bias = self._store.floats(self._w[f"{name}.age_bias"][:, ::-1])
        self._step(kernels.ATTEND, query, C.width, keys, C.window, C.heads, values, bias, filled, out)
        self._linear(out, self._matrix(f"{name}.out"), onto=onto)

    def _hints(self, context: int, seen: int, noise: int, in_noise: tuple[int, int]) -> int:
        """As `kernels.hints` has them. In quiet, what is seen `in_noise` is not looked at."""
        told = self._linear(context, self._matrix("glance.told"))
        self._linear(seen, self._matrix("glance.seen"), onto=told)
        self._step(kernels.GELU, told, C.glance)
        opinion, said = self._linear(told, self._matrix("opinion")), self._linear(context, self._matrix("heads"))
        skip = self._skip(noise)
        added = self._linear(self._seen(*in_noise, "noise_glance"), self._matrix("noise_glance.opinion"))
        self._step(kernels.ADD, opinion, 1, added, noise)
        self._skipped(skip)
        out = self._room(5)
        self._step(kernels.HINTS, said, 4, opinion, self._memory(EASE - 1, 1), out)
        return out

    def _decode(self, context: int, hints: int) -> int:
        """The face's coefficients."""
        keys = self._w["unit_keys"].T * np.float32(C.token**-0.5)
        given = self._linear(context, self._asked("yielding", keys, self._w["yielding_bias"]))
        self._step(kernels.LEAVE, self.les, len(AXES), hints + 4, given)
        face = self._linear(given, plain(LES_TO_FACE))
        skip = self._skip(hints)
        r = self._linear(context, self._matrix("regions"))
        for i in range(C.crossings):
            self._cross(r, f"crossings.{i}", keys)
        read = self._linear(self._norm(r, "token_norm", len(REGIONS)), plain(self._w["read"].T), len(REGIONS))
        size = len(REGIONS) * len(FACE)
        self._step(kernels.SPEAK, face, len(FACE), hints, read, size, self._store.floats(speaks()))
        self._skipped(skip)
        self._step(kernels.CLEAN, face, len(FACE), 0)
        shut = self._linear(face, Matrix(*lip_seal()))
        self._step(kernels.SEAL, face, len(FACE), shut, hints + 3)
        self._step(kernels.CLEAN, face, len(FACE), 0)
        return face

    def _cross(self, r: int, name: str, keys: Floats) -> None:
        """Regions [R, token] ask the units, then one another."""
        rows = len(REGIONS)
        x = self._norm(r, f"{name}.norms.0", rows)
        scores = self._linear(x, self._asked(f"{name}.unit_query", keys), rows)
        self._step(kernels.WEIGH, scores, rows * len(AXES), self.les, len(AXES))
        answers = self._w[f"{name}.unit_value"] @ self._matrix(f"{name}.unit_out").values * len(AXES) ** 0.5
        self._linear(scores, plain(answers), rows, onto=r)
        x, out = self._norm(r, f"{name}.norms.1", rows), self._room(rows * C.token)
        query, key, value = (self._linear(x, part, rows) for part in split(self._matrix(f"{name}.regions")))
        alike = self._store.floats(np.zeros(rows, np.float32))
        for at in range(0, rows * C.token, C.token):
            self._step(kernels.ATTEND, query + at, C.token, key, rows, 1, value, alike, 0, out + at)
        self._linear(out, self._matrix(f"{name}.regions_out"), rows, onto=r)
        wide = self._linear(self._norm(r, f"{name}.norms.2", rows), self._matrix(f"{name}.up"), rows)
        self._step(kernels.GELU, wide, rows * 2 * C.token)
        self._linear(wide, self._matrix(f"{name}.down"), rows, onto=r)

    def _room(self, size: int) -> int:
        """For what is forgotten: where it begins."""
        self.size += size
        return self.size - size

    def _memory(self, before: int, now: int) -> int:
        """Room for what was and behind it for what comes in this frame; what was moves up by as much."""
        begin, self.memory = self.memory, self.memory + before + now
        self._step(kernels.SHIFT, begin, before, begin + now)
        return begin

    def _step(self, which: int, *fields: int) -> None:
        self._steps.append([which, *fields, *[0] * (kernels.FIELDS - 1 - len(fields))])

    def _skip(self, unless: int) -> int:
        """Begins what is left out where that is 0; where it begins."""
        self._step(kernels.SKIP, unless, 1, 0)
        return len(self._steps)

    def _skipped(self, begun: int) -> None:
        self._steps[begun - 1][3] = len(self._steps) - begun

    def _matrix(self, name: str) -> Matrix:
        """A linear layer, or a convolution as the product with its taps side by side, the oldest first."""
        weight = self._w[f"{name}.weight"]
        values = weight.T if weight.ndim == 2 else weight.transpose(2, 1, 0).reshape(-1, len(weight))
        return Matrix(values, self._w.get(f"{name}.bias", np.zeros(len(weight), np.float32)))

    def _asked(self, name: str, keys: Floats, bias: Floats | float = 0) -> Matrix:
        """How well the keys [token, 41] answer what a linear layer asks."""
        values, own = self._matrix(name)
        return Matrix(values @ keys, own @ keys + bias)

    def _linear(
        self,
        x: int,
        matrix: Matrix,
        rows: int = 1,
        *,
        stride: int | None = None,
        inputs: int | None = None,
        out: int | None = None,
        onto: int | None = None,
        exact: bool = False,
    ) -> int:
        """[rows, inputs] -> [rows, outputs] at `out`, or added `onto` what is there. `inputs`: the first so many."""
        values, bias = matrix
        count, outputs = values.shape
        eight = not exact and values.size >= LARGE
        if eight:
            steps = np.maximum(np.abs(values).max(0) / np.float32(MOST), np.float32(1e-30))
            begin = self._store.whole(np.rint(values / steps).astype(np.int8))
            rest = self._store.floats(bias, steps)
        else:
            begin, rest = self._store.floats(values), self._store.floats(bias)
        to = onto if onto is not None else out if out is not None else self._room(rows * outputs)
        how = eight + 2 * (onto is not None)
        self._step(kernels.LINEAR, x, stride or count, rows, inputs or count, outputs, begin, rest, to, how)
        return to

    def _convolved(
        self, x: int, name: str, rows: int, channels: int, dilation: int = 1, onto: int | None = None
    ) -> int:
        """Of rows that lie behind those before them."""
        matrix = self._matrix(name)
        if dilation > 1:
            x = self._taps(x, rows, channels, len(matrix.values) // channels, channels, dilation * channels)
        return self._linear(x, matrix, rows, stride=channels if dilation == 1 else None, onto=onto)

    def _taps(self, x: int, rows: int, size: int, count: int, apart: int, further: int) -> int:
        """[rows, count * size] of rows `apart`, whose taps are `further` apart."""
        out = self._room(rows * count * size)
        self._step(kernels.TAPS, x, size, out, rows, apart, count, further)
        return out

    def _norm(self, x: int, name: str, rows: int = 1, out: int | None = None) -> int:
        gain, shift = self._w[f"{name}.weight"], self._w[f"{name}.bias"]
        size = rows * len(gain)
        to = self._room(size) if out is None else out
        self._step(kernels.NORM, x, size, to, self._store.floats(gain, shift), len(gain))
        return to


def plain(values: Floats) -> Matrix:
    return Matrix(values, np.zeros(values.shape[1], np.float32))


def split(matrix: Matrix) -> list[Matrix]:
    """Queries, keys and values apart."""
    return [Matrix(*part) for part in zip(np.split(matrix.values, 3, 1), np.split(matrix.bias, 3), strict=True)]


def half_waves(window: int, cycles: npt.NDArray[np.float64], wave: Callable[..., Array]) -> Floats:
    """[window / 2, bins]: waves of so many cycles a sample from the middle of a Hann window on; a full-scale sine has a
    power near 1. The middle itself is there twice."""
    n = np.arange(window // 2)
    hann = (0.5 + 0.5 * np.cos(2 * math.pi * n / window)) * (4 / window)
    hann[0] /= 2
    return np.asarray(wave(2 * math.pi * np.outer(n, cycles)) * hann[:, None], np.float32)


def read_weights(path: Path) -> dict[str, Floats]:
    """A .safetensors file of half precision: the length of its heading, the heading, the numbers."""
    data = path.read_bytes()
    begin = 8 + int.from_bytes(data[:8], "little")
    heading = json.loads(data[8:begin])
    heading.pop("__metadata__", None)
    found = {}
    for name, entry in heading.items():
        if entry["dtype"] != "F16":
            raise ValueError(f"{path}: {name} must be F16, not {entry['dtype']}")
        first, last = entry["data_offsets"]
        half = np.frombuffer(data[begin + first : begin + last], "<f2")
        found[name] = half.astype(np.float32).reshape(entry["shape"])
    return found
