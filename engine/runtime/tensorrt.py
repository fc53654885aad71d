"""TensorRT and TensorRT-RTX: the library, the machine it finds, and plans run by the tensor-name API of 8.5 to 11.

Nothing here has a CUDA stream, a buffer or a workspace of its own: whoever runs a plan owns them.
"""

import ctypes
import importlib
import logging
from collections.abc import Callable, Mapping
from functools import lru_cache
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

import numpy as np

from engine.runtime.network import Launch, Signature, TensorSpec
from engine.runtime.tensorrt_plan import BUILD, Machine, PlanRefused, read_plan

log = logging.getLogger(__name__)

LIBRARIES = {"tensorrt": ("tensorrt",), "tensorrt_rtx": ("tensorrt_rtx", "tensorrt_rtx_bindings")}
"""The modules each may be imported as."""
INSTALL = {"tensorrt": "pip install tensorrt", "tensorrt_rtx": "pip install tensorrt-rtx"}
_MAJOR, _MINOR = 75, 76  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_*


class GpuMissing(Exception):
    """No GPU, driver or library; the message is one line that says what to install."""


class Address(Protocol):
    """A tensor on the device; torch's."""

    @property
    def shape(self) -> Any: ...
    def data_ptr(self) -> int: ...


def library(name: str) -> ModuleType:
    """The Python module of "tensorrt" or "tensorrt_rtx"; GpuMissing if it is not installed, or not whole."""
    why = "is not installed"
    for module in LIBRARIES[name]:
        try:
            return importlib.import_module(module)
        except (ImportError, OSError) as error:
            if getattr(error, "name", None) != module:  # it is there, and lacks something
                why = f"can't be imported ({first_line(error)})"
    raise GpuMissing(f"{name} {why}: {INSTALL[name]}")


def card() -> tuple[str, str]:
    """The first GPU's name and compute capability, as the driver tells; GpuMissing if there is none."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        raise GpuMissing("no NVIDIA driver found (libcuda.so.1): install it, or serve with --runtime cpu") from error
    device, name, part = ctypes.c_int(), ctypes.create_string_buffer(256), ctypes.c_int()
    if driver.cuInit(0) or driver.cuDeviceGet(ctypes.byref(device), 0):
        raise GpuMissing("the NVIDIA driver finds no GPU: see nvidia-smi, or serve with --runtime cpu")
    driver.cuDeviceGetName(name, len(name), device)
    parts = []
    for attribute in (_MAJOR, _MINOR):
        driver.cuDeviceGetAttribute(ctypes.byref(part), attribute, device)
        parts.append(str(part.value))
    return name.value.decode(errors="replace"), ".".join(parts)


def machine(name: str) -> Machine:
    """This machine for a library; GpuMissing says what it lacks."""
    version = str(library(name).__version__)
    return Machine(name, version, *card())


class Plan:
    """A deserialised plan: `engine.runtime.gpu.Executor`."""

    def __init__(self, path: Path, graph: Path, name: str = "tensorrt") -> None:
        """PlanRefused unless the plan was built from `graph`, by the library of that `name`, for this machine."""
        data, manifest = read_plan(path, machine(name), graph)
        self._trt = library(name)
        self._messages = messages(self._trt)
        self._runtime = started(self._trt.Runtime, self._messages)
        self._engine = self._runtime.deserialize_cuda_engine(data)
        if self._engine is None:
            raise GpuMissing(f"{path.name} can't be loaded: {self._messages.first_error()}")
        self._batches = manifest.batches
        self._signature = manifest.signature
        try:
            check_signature(signature_of(self._trt, self._engine), manifest.signature)
        except ValueError as error:
            raise PlanRefused(f"{path.name}: {error}: run {BUILD}") from error

    @property
    def signature(self) -> Signature:
        return self._signature

    @property
    def largest(self) -> int:
        return self._batches[-1]

    def workspace(self, most: int) -> int:
        """What any profile needs that batches up to `most` use (`device_memory_size` for all before 10.1)."""
        if most < self.largest and hasattr(self._engine, "get_device_memory_size_for_profile_v2"):
            used = range(profile_for(most, self._batches) + 1)
            return max(int(self._engine.get_device_memory_size_for_profile_v2(i)) for i in used)
        new = getattr(self._engine, "device_memory_size_v2", None)
        return int(self._engine.device_memory_size if new is None else new)

    def prepare(self, batch: int, tensors: Mapping[str, Address], workspace: Address, stream: int) -> Launch:
        """Binds tensors of one batch size for good."""
        context = new_context(self._trt, self._engine)
        if context is None:
            raise RuntimeError(f"TensorRT refused a context: {self._messages.first_error()}")
        profile = profile_for(batch, self._batches)
        _sure(context.set_optimization_profile_async(profile, stream), f"profile {profile}")
        for spec in self._signature.inputs:
            _sure(context.set_input_shape(spec.name, tuple(tensors[spec.name].shape)), f"the shape of {spec.name}")
        for name, tensor in tensors.items():
            _sure(context.set_tensor_address(name, tensor.data_ptr()), f"the address of {name}")
        _lend(context, workspace)

        def run() -> None:
            if not context.execute_async_v3(stream):
                raise RuntimeError(f"TensorRT refused to run: {self._messages.first_error()}")

        # TensorRT proper captures whatever has no loops and no shapes that depend on values; our graphs have neither.
        told = getattr(context, "is_stream_capturable", None)
        return Launch(run, capturable=told is None or bool(told(stream)))


def new_context(trt: ModuleType, engine: Any) -> Any:
    """A context whose workspace is lent to it: by default each would hold what the largest batch of all needs."""
    strategy = getattr(trt, "ExecutionContextAllocationStrategy", None)  # since 10
    if strategy is None:
        return engine.create_execution_context_without_device_memory()
    if not hasattr(trt, "DynamicShapesKernelSpecializationStrategy"):
        return engine.create_execution_context(strategy.USER_MANAGED)
    # TensorRT-RTX compiles kernels for a shape in the background, and what was recorded before would keep the others.
    config = engine.create_runtime_config()
    config.set_execution_context_allocation_strategy(strategy.USER_MANAGED)
    config.dynamic_shapes_kernel_specialization_strategy = trt.DynamicShapesKernelSpecializationStrategy.EAGER
    return engine.create_execution_context(config)


def _lend(context: Any, workspace: Address) -> None:
    """Contexts may share it, as long as no two of them run at the same time."""
    if hasattr(context, "set_device_memory"):  # since 10.1
        context.set_device_memory(workspace.data_ptr(), workspace.shape[0])
    else:
        context.device_memory = workspace.data_ptr()


def profile_for(batch: int, batches: tuple[int, ...]) -> int:
    """The first profile whose largest batch is enough."""
    found = next((i for i, most in enumerate(batches) if batch <= most), None)
    if found is None:
        raise ValueError(f"a batch of {batch} is more than the plan's {batches[-1]}")
    return found


def signature_of(trt: ModuleType, engine: Any) -> Signature:
    """As the engine itself tells."""
    inputs: list[TensorSpec] = []
    outputs: list[TensorSpec] = []
    for i in range(engine.num_io_tensors):
        name = engine.get_tensor_name(i)
        side = inputs if engine.get_tensor_mode(name) == trt.TensorIOMode.INPUT else outputs
        side.append(tensor_spec(trt, name, engine.get_tensor_shape(name), engine.get_tensor_dtype(name)))
    return Signature(tuple(inputs), tuple(outputs))


def tensor_spec(trt: ModuleType, name: str, shape: Any, dtype: Any) -> TensorSpec:
    """A border tensor in the library's own terms, in ours."""
    free = tuple(None if n < 0 else int(n) for n in shape)
    return TensorSpec(name, free, np.dtype(trt.nptype(dtype)))


def check_signature(found: Signature, promised: Signature) -> None:
    """ValueError if an engine's border is not what its manifest promises. The order does not matter, nor does a size
    that either side leaves free: a parser may not follow every slice."""
    for side in ("inputs", "outputs"):
        a, b = ({spec.name: spec for spec in getattr(signature, side)} for signature in (found, promised))
        wrong = sorted({*(a.keys() ^ b.keys()), *(name for name in a.keys() & b.keys() if not same(a[name], b[name]))})
        if wrong:
            raise ValueError(f"the engine's {side} differ from its manifest: {', '.join(wrong)}")


def same(a: TensorSpec, b: TensorSpec) -> bool:
    """Whether two specs describe one tensor."""
    sizes = len(a.shape) == len(b.shape) and all(
        None in pair or pair[0] == pair[1] for pair in zip(a.shape, b.shape, strict=True)
    )
    return a.dtype == b.dtype and sizes


def started(factory: Callable[[Any], Any], to: "Messages") -> Any:
    """A library's Runtime or Builder; GpuMissing where it can't use the driver: it makes a null of itself then, which
    its bindings raise as TypeError."""
    to.first_error()
    try:
        return factory(to.sink)
    except TypeError as error:
        why = to.first_error() or first_line(error)
        raise GpuMissing(
            f"TensorRT can't start ({why}): see nvidia-smi; an older driver needs an older TensorRT"
        ) from error


@lru_cache
def messages(trt: ModuleType) -> "Messages":
    """A library's only logger: it stays with the first that it is given, as long as anything made with that lives."""
    return Messages(trt)


class Messages:
    """The library's logger, into ours; it keeps an error, because TensorRT returns None where others raise."""

    def __init__(self, trt: ModuleType) -> None:
        levels = {
            trt.ILogger.Severity.INTERNAL_ERROR: logging.ERROR,
            trt.ILogger.Severity.ERROR: logging.ERROR,
            trt.ILogger.Severity.WARNING: logging.DEBUG,  # TensorRT warns of every cast; nobody can act on it
        }
        self._error = ""
        keeper = self

        class Sink(trt.ILogger):  # type: ignore[misc, name-defined]  # a class of a library without types
            def __init__(self) -> None:
                trt.ILogger.__init__(self)

            def log(self, severity: Any, message: str) -> None:
                level = levels.get(severity, logging.NOTSET)
                if level == logging.ERROR:
                    keeper._error = keeper._error or message.partition("\n")[0]
                log.log(min(level, logging.DEBUG), "%s", message)

        self.sink = Sink()

    def first_error(self) -> str:
        """Since it was last asked for: the others follow from it."""
        error, self._error = self._error, ""
        return error


def first_line(error: BaseException) -> str:
    """What it says, in one."""
    return str(error).partition("\n")[0]


def _sure(worked: bool, what: str) -> None:
    if not worked:
        raise RuntimeError(f"TensorRT refused {what}")
