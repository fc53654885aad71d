"""Where a network's tensors live: memory, one stream and recorded launches, of a CUDA device or of the host.

The host does the same in the same order, without a graph: it is how the rules are tested where there is no GPU.
"""

import gc
import logging
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from engine.runtime.tensorrt import GpuMissing, first_line

log = logging.getLogger(__name__)
WARM_UPS = 3  # runs before a recording: libraries allocate and choose in the first ones


class Device(Protocol):
    """One stream of one device. Everything below it happens in the order it was asked for."""

    @property
    def stream(self) -> int:
        """The stream's handle for other libraries; 0 on the host."""
        ...

    @property
    def free(self) -> int:
        """Bytes of its memory that nobody has."""
        ...

    def zeros(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        """On the device."""
        ...

    def staging(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        """On the host, page-locked: the device reads and writes it while the host goes on. Contents are arbitrary."""
        ...

    def at_work(self) -> AbstractContextManager[object]:
        """Within it, work goes to the stream."""
        ...

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """`work` once over, as one launch; it must use the same tensors every time and none of the host's."""
        ...

    def wait(self) -> None:
        """Until everything asked for is done."""
        ...

    def tidy(self) -> None:
        """Gives back the memory of what nobody holds any more."""
        ...


class Host:
    """The CPU as a device."""

    stream = 0
    free = 4 << 30

    def zeros(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        return torch.zeros(tuple(shape), dtype=torch_dtype(dtype))

    def staging(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        return torch.empty(tuple(shape), dtype=torch_dtype(dtype))

    def at_work(self) -> AbstractContextManager[object]:
        return nullcontext()

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        work()
        return work

    def wait(self) -> None:
        pass

    def tidy(self) -> None:
        gc.collect()


class Cuda:
    """The first CUDA device. Torch allocates: from its pools, a page-locked array takes microseconds."""

    name = "cuda:0"

    def __init__(self) -> None:
        """GpuMissing if torch was built for CPUs only, or for a newer driver."""
        if torch.version.cuda is None:
            raise GpuMissing(f"torch {torch.__version__} is for CPUs: install a build for CUDA, see pytorch.org")
        if not torch.cuda.is_available():
            cuda = torch.version.cuda
            raise GpuMissing(
                f"torch for CUDA {cuda} can't use the GPU: update its driver or install torch for its CUDA"
            )
        # Torch lets convolutions round to ten bits; the batch would then not be what its members are alone.
        torch.backends.cudnn.allow_tf32 = False
        self._device = torch.device(self.name)
        self._stream = torch.cuda.Stream(self._device)  # type: ignore[no-untyped-call]  # torch has no types here
        self._pool = torch.cuda.graph_pool_handle()  # of all recordings: what they allocate dies within each
        self._records = True

    @property
    def stream(self) -> int:
        return int(self._stream.cuda_stream)

    @property
    def free(self) -> int:
        return int(torch.cuda.mem_get_info(self._device)[0])

    def zeros(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        return torch.zeros(tuple(shape), dtype=torch_dtype(dtype), device=self._device)

    def staging(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        return torch.empty(tuple(shape), dtype=torch_dtype(dtype), pin_memory=True)

    def at_work(self) -> AbstractContextManager[object]:
        return torch.cuda.stream(self._stream)

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        """A CUDA graph; where something in `work` can't be captured after all, `work` itself."""
        for _ in range(WARM_UPS):
            work()
        self._stream.synchronize()
        if not self._records:
            return work
        graph = torch.cuda.CUDAGraph()
        try:
            # Other threads (encoders, a second server) may go on using CUDA meanwhile.
            with torch.cuda.graph(graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"):
                work()
        except RuntimeError as error:
            log.warning("no CUDA graphs, every launch is made anew: %s", first_line(error))
            self._records = False  # torch does not take another recording into the pool of one that broke off
            return work
        return graph.replay

    def wait(self) -> None:
        self._stream.synchronize()

    def tidy(self) -> None:
        gc.collect()
        torch.cuda.empty_cache()


def torch_dtype(dtype: npt.DTypeLike) -> torch.dtype:
    return torch.from_numpy(np.empty(0, dtype)).dtype
