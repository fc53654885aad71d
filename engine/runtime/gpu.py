"""Runs a network on a GPU: named buffers that stay where they are, one stream, one recorded launch a batch size.

What changes every call is staged; what stays (a portrait's maps and pictures) lies in tables on the device, a row each,
and a call names rows. A launch gathers the rows, runs the network and finishes the result (say, as I420).
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
import torch
from torch import Tensor

from engine.runtime.gpu_device import Device
from engine.runtime.network import Array, Signature, TensorSpec

BATCHES = (1, 2, 4, 8, 16, 32, 64)
"""What is recorded; a batch in between runs in the next larger one, a larger one in several."""
Key = TypeVar("Key")  # hashable; a protocol cannot say so of itself


class Executor(Protocol):
    """A network that runs over tensors it was bound to: a TensorRT plan or a torch module."""

    @property
    def capturable(self) -> bool:
        """Whether a run may be recorded: it allocates nothing of its own and never waits."""
        ...

    @property
    def signature(self) -> Signature: ...

    def prepare(self, batch: int, tensors: Mapping[str, Tensor], stream: int) -> Callable[[], None]:
        """Binds inputs and outputs of one batch size for good; the function returned runs once over them."""
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

    def _take(self) -> int:
        return self._free.pop() if self._free else self._rows.popitem(last=False)[1]


class Residents:
    """Tables [rows, ...] on the device, one a name, and who lies in which row."""

    def __init__(self, specs: Sequence[TensorSpec], device: Device, capacity: int) -> None:
        self.tables = {spec.name: device.zeros([capacity, *sized(spec, 1)[1:]], spec.dtype) for spec in specs}
        self._specs = specs
        self._rows = Rows(capacity)

    def place(self, keys: Sequence[Key], load: Callable[[Key], Mapping[str, Array]]) -> list[int]:
        """Each key's row; `load` gives the tensors, without a batch axis, of a key that is not there."""
        rows, fresh = self._rows.place(keys)
        for key, row in fresh.items():
            arrays = load(key)
            for spec in self._specs:
                value = np.ascontiguousarray(arrays[spec.name], spec.dtype)
                spec.check(value[None])
                self.tables[spec.name][row].copy_(torch.from_numpy(value))
        return rows


class Lane:
    """One batch size: its buffers on both sides, and its launch."""

    def __init__(
        self,
        executor: Executor,
        device: Device,
        batch: int,
        tables: Mapping[str, Tensor],
        finish: Mapping[str, Finish],
    ) -> None:
        inputs, outputs = executor.signature.inputs, executor.signature.outputs
        self._device = device
        self._buffers = {spec.name: device.zeros(sized(spec, batch), spec.dtype) for spec in (*inputs, *outputs)}
        self._fresh = {
            spec.name: device.staging(sized(spec, batch), spec.dtype) for spec in inputs if spec.name not in tables
        }
        self._rows, self._staged_rows = device.zeros([batch], np.int64), device.staging([batch], np.int64)
        self._staged_rows.zero_()
        results = {spec.name: (spec.dtype, self._buffers[spec.name]) for spec in outputs}
        for name, how in finish.items():
            dtype, raw = results[name]
            results[name] = dtype, device.zeros(how.shape(tuple(raw.shape)), dtype)
        self._results = results
        network = executor.prepare(batch, self._buffers, device.stream)

        def work() -> None:
            for name, table in tables.items():
                torch.index_select(table, 0, self._rows, out=self._buffers[name])
            network()
            for name, how in finish.items():
                how.write(self._buffers[name], results[name][1])

        self._launch = device.record(work) if executor.capturable else work

    def run(self, inputs: Mapping[str, Array], rows: Sequence[int]) -> dict[str, Array]:
        """Outputs by name of the streams whose inputs these are; page-locked, and the caller's to keep."""
        count = len(next(iter(inputs.values())))
        for name, staged in self._fresh.items():
            staged[:count] = torch.from_numpy(np.ascontiguousarray(inputs[name]))
            self._buffers[name].copy_(staged, non_blocking=True)
        self._staged_rows[: len(rows)] = torch.as_tensor(rows, dtype=torch.int64)
        self._rows.copy_(self._staged_rows, non_blocking=True)
        self._launch()
        landed = {}
        for name, (dtype, result) in self._results.items():
            landed[name] = self._device.staging(result[:count].shape, dtype)
            landed[name].copy_(result[:count], non_blocking=True)
        self._device.wait()
        return {name: value.numpy() for name, value in landed.items()}


class GpuNetwork:
    """`engine.runtime.Network` on a GPU; calls come from one thread at a time."""

    def __init__(
        self,
        executor: Executor,
        device: Device,
        *,
        batches: Sequence[int] = BATCHES,
        resident: Sequence[str] = (),
        capacity: int = 64,
        finish: Mapping[str, Finish] | None = None,
    ) -> None:
        """`resident` inputs lie in tables of `capacity` rows and are named by key in `run`."""
        self._executor, self._device, self._batches = executor, device, batches
        self._capacity, self._finish = capacity, finish or {}
        with device.at_work():
            kept = [spec for spec in executor.signature.inputs if spec.name in resident]
            self._residents = Residents(kept, device, capacity)
        self._lanes: dict[int, Lane] = {}

    @property
    def signature(self) -> Signature:
        return self._executor.signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self.signature.check(inputs)
        count = len(next(iter(inputs.values())))
        return self.run(inputs, [None] * count, lambda _: {})

    def run(
        self, inputs: Mapping[str, Array], keys: Sequence[Key], load: Callable[[Key], Mapping[str, Array]]
    ) -> dict[str, Array]:
        """The other inputs [N, ...] with the residents of N keys; `load` gives a key's tensors when they are needed."""
        pieces = []
        for part in parts(len(keys), min(self._batches[-1], self._capacity)):
            with self._device.at_work():
                rows = self._residents.place(keys[part], load)
                piece = {name: value[part] for name, value in inputs.items()}
                pieces.append(self._lane(len(rows)).run(piece, rows))
        if len(pieces) == 1:
            return pieces[0]
        return {name: np.concatenate([piece[name] for piece in pieces]) for name in pieces[0]}

    def warm(self) -> None:
        """Records every batch size now, rather than in the first tick that needs it."""
        with self._device.at_work():
            for batch in self._batches:
                self._lane(batch)

    def _lane(self, count: int) -> Lane:
        batch = next(size for size in self._batches if size >= count)
        if batch not in self._lanes:
            tables = self._residents.tables
            self._lanes[batch] = Lane(self._executor, self._device, batch, tables, self._finish)
        return self._lanes[batch]


def sized(spec: TensorSpec, batch: int) -> tuple[int, ...]:
    """The shape with `batch` for what is free."""
    return tuple(batch if n is None else n for n in spec.shape)


def parts(count: int, most: int) -> list[slice]:
    """`count` in order, in pieces of at most `most`."""
    return [slice(start, min(start + most, count)) for start in range(0, count, most)]
