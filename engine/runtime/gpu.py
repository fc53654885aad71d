"""Runs a network on a GPU: named buffers that stay where they are, one stream, one recorded launch a batch size.

What changes every call is staged; what stays (a portrait's maps and pictures) lies in tables on the device, a row each,
and a call names rows. A launch gathers the rows, runs the network and finishes the result (say, as I420). Calls follow
one another on the stream and each is awaited, so that all batch sizes share one set of buffers and one workspace.
"""

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.runtime.gpu_device import Device
from engine.runtime.network import Array, Launch, Signature, TensorSpec

log = logging.getLogger(__name__)
BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""What is recorded; a batch in between runs in the next larger one, a larger one in several."""
RESIDENT_SHARE, MOST_RESIDENT = 0.25, 512  # of the free memory; portraits, before a background each
T = TypeVar("T")
Key = TypeVar("Key")  # hashable; a protocol cannot say so of itself


class Executor(Protocol):
    """A network that runs over tensors it was bound to: a TensorRT plan or a torch module."""

    @property
    def signature(self) -> Signature: ...

    @property
    def largest(self) -> int | None:
        """The largest batch that it takes; None for any."""
        ...

    def workspace(self, most: int) -> int:
        """Bytes on the device that a run of up to `most` needs besides."""
        ...

    def prepare(self, batch: int, tensors: Mapping[str, Tensor], workspace: Tensor, stream: int) -> Launch:
        """Binds inputs and outputs of one batch size for good."""
        ...


@dataclass(frozen=True)
class Finish:
    """What becomes of an output before it leaves the device."""

    shape: Callable[[tuple[int, ...]], tuple[int, ...]]
    """The finished tensor's shape from the output's, both with their batch."""
    write: Callable[[Tensor, Tensor], None]
    """From the output into the finished tensor, of the same dtype."""


class Rows:
    """Which key has which row of a table: the least recently used gives way."""

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._free = list(range(capacity))[::-1]
        self._rows: OrderedDict[object, int] = OrderedDict()

    def place(self, keys: Sequence[Key]) -> tuple[list[int], dict[Key, int]]:
        """Each key's row, and of these the ones to be filled first. No key of this call gives way to another."""
        wanted = dict.fromkeys(keys)
        if len(wanted) > self._capacity:
            raise ValueError(f"{len(wanted)} at once are more than {self._capacity} rows hold")
        for key in wanted:
            if key in self._rows:
                self._rows.move_to_end(key)
        fresh = {key: self._take() for key in wanted if key not in self._rows}
        for key, row in fresh.items():
            self._rows[key] = row
        return [self._rows[key] for key in keys], fresh

    def drop(self, keys: Iterable[object]) -> None:
        """Their rows hold nothing."""
        self._free += [self._rows.pop(key) for key in keys]

    def _take(self) -> int:
        return self._free.pop() if self._free else self._rows.popitem(last=False)[1]


class Residents:
    """Tables [rows, ...] on the device, one a name, and who lies in which row."""

    def __init__(self, specs: Sequence[TensorSpec], device: Device, capacity: int) -> None:
        self.capacity = capacity
        self.tables = {spec.name: device.zeros([capacity, *sized(spec, 1)[1:]], spec.dtype) for spec in specs}
        self._specs = specs
        self._rows = Rows(capacity)

    def place(self, keys: Sequence[Key], load: Callable[[Key], Mapping[str, Array]]) -> list[int]:
        """Each key's row; `load` gives the tensors, without a batch axis, of a key that is not there."""
        rows, fresh = self._rows.place(keys)
        try:
            for key, row in fresh.items():
                self._fill(row, load(key))
        except BaseException:
            self._rows.drop(fresh)  # or the next to come would be shown whoever lay there before
            raise
        return rows

    def _fill(self, row: int, arrays: Mapping[str, Array]) -> None:
        for spec in self._specs:
            value = np.require(arrays[spec.name], spec.dtype, ["C", "W"])  # torch warns of what may not be written to
            spec.check(value[None])
            self.tables[spec.name][row].copy_(torch.from_numpy(value))


class Buffers:
    """One set for all batch sizes, as large as the largest: on the device, and page-locked for what is staged."""

    def __init__(
        self, executor: Executor, device: Device, tables: Mapping[str, Tensor], finish: Mapping[str, Finish], batch: int
    ) -> None:
        inputs, outputs = executor.signature.inputs, executor.signature.outputs
        self.tables, self.finish = tables, finish
        self.tensors = {spec.name: device.zeros(sized(spec, batch), spec.dtype) for spec in (*inputs, *outputs)}
        self.staged = {
            spec.name: device.staging(sized(spec, batch), spec.dtype) for spec in inputs if spec.name not in tables
        }
        self.rows, self.staged_rows = device.zeros([batch], np.int64), device.staging([batch], np.int64)
        self.staged_rows.zero_()
        self.dtypes = {spec.name: spec.dtype for spec in outputs}
        self.finished = {
            name: device.zeros(how.shape(sized(spec, batch)), spec.dtype)
            for spec in outputs
            if (how := finish.get(name := spec.name))
        }
        self.workspace = device.zeros([executor.workspace(batch)], np.uint8)

    @property
    def results(self) -> dict[str, Tensor]:
        return {name: self.finished.get(name, self.tensors[name]) for name in self.dtypes}


class Lane:
    """One batch size and its launch."""

    def __init__(
        self, executor: Executor, device: Device, buffers: Buffers, batch: int, apart: Collection[str]
    ) -> None:
        self._device, self._buffers, self._apart = device, buffers, apart
        tensors = {name: tensor[:batch] for name, tensor in buffers.tensors.items()}
        finished = {name: tensor[:batch] for name, tensor in buffers.finished.items()}
        network, rows = executor.prepare(batch, tensors, buffers.workspace, device.stream), buffers.rows[:batch]

        def work() -> None:
            for name, table in buffers.tables.items():
                torch.index_select(table, 0, rows, out=tensors[name])
            network.run()
            for name, how in buffers.finish.items():
                how.write(tensors[name], finished[name])

        self._launch = device.record(work) if network.capturable else work

    def warm(self) -> None:
        """The first launch is slow."""
        self._launch()
        self._device.wait()

    def run(self, inputs: Mapping[str, Array], rows: Sequence[int]) -> dict[str, list[Array]]:
        """Of every output the rows of the streams whose inputs these are: page-locked, and the caller's to keep."""
        count, buffers = len(rows), self._buffers
        for name, staged in buffers.staged.items():
            staged[:count] = torch.from_numpy(np.ascontiguousarray(inputs[name]))
            buffers.tensors[name][:count].copy_(staged[:count], non_blocking=True)
        buffers.staged_rows[:count] = torch.as_tensor(rows, dtype=torch.int64)
        buffers.rows[:count].copy_(buffers.staged_rows[:count], non_blocking=True)
        self._launch()
        landed = {name: self._landing(name, result[:count]) for name, result in buffers.results.items()}
        self._device.wait()
        return {name: [piece.numpy() for piece in pieces] for name, pieces in landed.items()}

    def _landing(self, name: str, result: Tensor) -> list[Tensor]:
        """On its way to the host, in one piece or row by row."""
        pieces = list(torch.split(result, 1)) if name in self._apart else [result]
        landing = [self._device.staging(piece.shape, self._buffers.dtypes[name]) for piece in pieces]
        for target, piece in zip(landing, pieces, strict=True):
            target.copy_(piece, non_blocking=True)
        return landing


class GpuNetwork:
    """`engine.runtime.Network` on a GPU; calls come from one thread at a time."""

    def __init__(
        self,
        executor: Executor,
        device: Device,
        *,
        batches: Sequence[int] = BATCHES,
        resident: Sequence[str] = (),
        capacity: int | None = None,
        finish: Mapping[str, Finish] | None = None,
        apart: Collection[str] = (),
    ) -> None:
        """`resident` inputs lie in tables of `capacity` rows, or as many as a share of the memory holds, and are named
        by key in `run`. Rows of outputs `apart` have memory of their own: who keeps one does not keep its batch."""
        self._executor, self._device, self._apart = executor, device, apart
        self._batches = [size for size in batches if size <= (executor.largest or size)]
        kept = [spec for spec in executor.signature.inputs if spec.name in resident]
        with device.at_work():
            self._residents = Residents(kept, device, capacity or rows_for(kept, device.free))
            self._most = min(self._batches[-1], self._residents.capacity) if kept else self._batches[-1]
            tables, largest = self._residents.tables, self._size(self._most)
            self._buffers = Buffers(executor, device, tables, finish or {}, largest)
        self._lanes: dict[int, Lane] = {}

    @property
    def signature(self) -> Signature:
        return self._executor.signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.signature.check(inputs)
        count = len(next(iter(inputs.values())))
        pieces = self.run(inputs, [None] * count, lambda _: {})
        return {name: of[0] if len(of) == 1 else np.concatenate(of) for name, of in pieces.items()}

    def run(
        self, inputs: Mapping[str, Array], keys: Sequence[Key], load: Callable[[Key], Mapping[str, Array]]
    ) -> dict[str, list[Array]]:
        """The other inputs [N, ...] with the residents of N keys; `load` gives a key's tensors when they are needed.

        Each output comes in pieces [n, ...], N rows in all.
        """
        pieces: dict[str, list[Array]] = {spec.name: [] for spec in self.signature.outputs}
        for part in parts(len(keys), self._most):
            with self._device.at_work():
                rows = self._residents.place(keys[part], load)
                piece = {name: value[part] for name, value in inputs.items()}
                for name, landed in self._lane(len(rows)).run(piece, rows).items():
                    pieces[name] += landed
        return pieces

    def warm(self) -> None:
        """Records and launches every batch size now, rather than in the first tick that needs it."""
        with self._device.at_work():
            for batch in self._batches:
                if batch <= self._size(self._most):
                    self._lane(batch).warm()

    def _size(self, count: int) -> int:
        """The batch that so many run in."""
        return next(size for size in self._batches if size >= count)

    def _lane(self, count: int) -> Lane:
        batch = self._size(count)
        if batch not in self._lanes:
            self._lanes[batch] = Lane(self._executor, self._device, self._buffers, batch, self._apart)
        return self._lanes[batch]


def fitting(device: Device, batches: Sequence[int], make: Callable[[Sequence[int]], T]) -> T:
    """What `make` makes for these batches, or for as many of them as the device's memory holds."""
    while True:
        try:
            return make(batches)
        except RuntimeError as error:
            if len(batches) == 1 or not out_of_memory(error):
                raise
            log.warning("the GPU's memory does not hold batches of %d: %d at once", *batches[:-3:-1])
        batches = batches[:-1]
        device.tidy()  # here, where nothing of the error holds any of it


def out_of_memory(error: RuntimeError) -> bool:
    """Torch has a class for it, except where memory is page-locked; TensorRT has words."""
    return isinstance(error, torch.OutOfMemoryError) or "out of memory" in str(error).lower()


def rows_for(specs: Sequence[TensorSpec], free: int) -> int:
    """How many residents a share of the free memory holds."""
    row = sum(int(np.prod(sized(spec, 1))) * spec.dtype.itemsize for spec in specs)
    return min(max(int(RESIDENT_SHARE * free / row), 1), MOST_RESIDENT) if row else 1


def sized(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    """The shape with `batch` for what is free."""
    return tuple(batch if n is None else n for n in spec.shape)


def parts(count: int, most: int) -> list[slice]:
    """`count` in order, in pieces of at most `most`."""
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]
