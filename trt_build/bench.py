"""Milliseconds and frames a second by batch and backend, memory, and the floor that bytes and arithmetic set."""

import json
import resource
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from engine.backend import Backend
from engine.renderer.shot import Shot
from engine.runtime import Network
from engine.runtime.network import Array

if TYPE_CHECKING:
    import torch

WARM_UPS, RUNS, MOST_RUNS, LEAST_S = 3, 10, 1000, 0.5


@dataclass(frozen=True)
class Timing:
    """One backend of one network at one batch size."""

    network: str
    backend: str
    batch: int
    ms: float
    """Median of the calls, host to host: inputs staged, outputs brought back. On a CPU, of its own time."""
    megabytes: float
    """Most that the device held (a GPU), or that the process grew by (a CPU)."""

    @property
    def frames_per_second(self) -> float:
        return 1000 * self.batch / self.ms

    def __str__(self) -> str:
        return (
            f"{self.network:<10}{self.backend:<22}{self.batch:>5}{self.ms:>10.2f}{self.frames_per_second:>11.1f}"
            f"{self.megabytes:>9.0f}"
        )


HEAD = f"{'network':<10}{'backend':<22}{'batch':>5}{'ms':>10}{'frames/s':>11}{'MB':>9}"


def measure(
    name: str, backend: str, make: Callable[[], Network], feeds: Mapping[str, Array], batches: Sequence[int]
) -> Iterator[Timing]:
    """At every batch size, in a network made for this."""
    before = held_megabytes()
    network = make()
    for batch in batches:
        ms = median_ms(partial(network, of_batch(feeds, batch)))
        yield Timing(name, backend, batch, ms, held_megabytes() - before)


def measure_serving(serving: Backend, size: int, shots: Sequence[Shot], batches: Sequence[int]) -> Iterator[Timing]:
    """The renderer as sessions use it: on a GPU, portraits stay there and pictures leave it as I420."""
    before = held_megabytes()
    renderer = serving.renderer(size)
    for batch in batches:
        ms = median_ms(partial(renderer.draw, [*islice(cycle(shots), batch)]))
        yield Timing("renderer", f"{serving.name}, as served", batch, ms, held_megabytes() - before)


def of_batch(feeds: Mapping[str, Array], batch: int) -> dict[str, Array]:
    """The samples over and over."""
    return {name: np.ascontiguousarray(np.resize(value, (batch, *value.shape[1:]))) for name, value in feeds.items()}


def median_ms(call: Callable[[], object]) -> float:
    """Of at least ten calls and half a second of them, or of a thousand."""
    for _ in range(WARM_UPS):
        call()
    spent, clock = np.zeros(MOST_RUNS), clock_of_device()
    begun, done = clock(), 0
    while done < RUNS or (clock() - begun < LEAST_S and done < MOST_RUNS):
        start = clock()
        call()
        spent[done] = clock() - start
        done += 1
    return float(np.median(spent[:done])) * 1000


def clock_of_device() -> Callable[[], float]:
    """A CPU may have other things to do: there only this process's time counts."""
    import torch

    return time.perf_counter if torch.cuda.is_available() else time.process_time


def held_megabytes() -> float:
    """The peak so far, of the GPU's memory where torch finds one, else of this process."""
    import torch

    if torch.cuda.is_available():
        free, total = torch.cuda.mem_get_info()
        return float(total - free) / 1e6
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3


@dataclass(frozen=True)
class Peaks:
    """What the device does at best, measured by a copy and by a product of large matrices."""

    gigabytes_per_second: float
    gigaflops: float


def peaks(device: str) -> Peaks:
    import torch

    def wait() -> None:
        if device == "cuda":
            torch.cuda.synchronize()

    kind = torch.float16 if device == "cuda" else torch.float32
    side = 8192 if device == "cuda" else 1024
    a, b = (torch.ones(side, side, dtype=kind, device=device) for _ in range(2))
    source, target = (torch.ones(64 << 20, dtype=torch.float32, device=device) for _ in range(2))

    def copy() -> None:
        target.copy_(source)
        wait()

    def product() -> None:
        torch.mm(a, b)
        wait()

    copy_ms, product_ms = median_ms(copy), median_ms(product)
    return Peaks(2 * source.nbytes / copy_ms / 1e6, 2 * side**3 / product_ms / 1e6)


@dataclass(frozen=True)
class Floor:
    """What a network can't do without, whatever runs it."""

    network: str
    batch: int
    megabytes: float
    """Inputs, weights and outputs, each moved once."""
    megaflops: float
    """Of products and convolutions, as torch counts them; other arithmetic is bound by bytes."""
    ms: float
    """The larger of both at the device's peaks."""

    def __str__(self) -> str:
        return (
            f"{self.network:<10}{'floor':<22}{self.batch:>5}{self.ms:>10.3f}{1000 * self.batch / self.ms:>11.1f}"
            f"{self.megabytes:>9.1f}   {self.megaflops:.0f} MFLOP"
        )


def floor(name: str, module: "torch.nn.Module", feeds: Mapping[str, Array], batch: int, best: Peaks) -> Floor:
    import torch
    from torch.utils.flop_counter import FlopCounterMode

    inputs = [torch.from_numpy(value) for value in of_batch(feeds, batch).values()]
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        outputs = module.requires_grad_(False)(*inputs)  # the counter follows gradients where there are any
    flops = float(counter.get_total_flops())
    moved = [*inputs, *module.parameters(), *module.buffers(), *(outputs if isinstance(outputs, tuple) else (outputs,))]
    size = float(sum(tensor.nbytes for tensor in moved))
    ms = max(size / best.gigabytes_per_second / 1e6, flops / best.gigaflops / 1e6)
    return Floor(name, batch, size / 1e6, flops / 1e6, ms)


def write_json(path: Path, machine: Mapping[str, str], timings: Sequence[Timing], floors: Sequence[Floor]) -> None:
    """All that was measured, for other programs."""
    every = {"machine": dict(machine), "timings": [*map(asdict, timings)], "floors": [*map(asdict, floors)]}
    path.write_text(json.dumps(every, indent=1) + "\n")
