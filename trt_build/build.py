"""Graph to plan, by TensorRT 8.6 to 11 or TensorRT-RTX through the API they share.

TensorRT builds for the card it finds and measures on it. TensorRT-RTX needs no card: it builds for all RTX cards at
once and finishes on the one that runs the plan.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from engine.runtime import Signature, graph_signature
from engine.runtime.tensorrt import (
    INSTALL,
    GpuMissing,
    check_signature,
    library,
    machine,
    messages,
    started,
    tensor_spec,
)
from engine.runtime.tensorrt_plan import Machine, Manifest, PlanRefused, read_plan, sha256, write_plan

log = logging.getLogger(__name__)

BATCHES = (1, 4, 16, 64)
PRECISIONS = ("fp16", "fp32")
TURING = 75  # TensorRT-RTX leaves it out of plans that suit several cards


class BuildFailed(Exception):
    """The library could not; the message is its own first error."""


@dataclass(frozen=True)
class Recipe:
    """How plans are built."""

    library: str = "tensorrt"
    precision: str = "fp16"
    batches: tuple[int, ...] = BATCHES
    """A profile each, tuned for that batch and good for all below it."""


@dataclass(frozen=True)
class Built:
    """A plan and what it was made of."""

    path: Path
    manifest: Manifest
    layers: int
    halved: int
    """Matrix products in half precision."""
    products: int


def present_library() -> str:
    """TensorRT where it is installed, else TensorRT-RTX; GpuMissing if neither is."""
    for name in ("tensorrt", "tensorrt_rtx"):
        try:
            library(name)
            return name
        except GpuMissing:
            continue
    raise GpuMissing(f"neither is installed: {INSTALL['tensorrt']}, or for RTX cards {INSTALL['tensorrt_rtx']}")


def builder_machine(name: str) -> Machine:
    """What plans are built on; TensorRT-RTX does without a card."""
    return Machine(name, str(library(name).__version__), "", "") if name == "tensorrt_rtx" else machine(name)


def up_to_date(path: Path, recipe: Recipe, graph: Path) -> str | None:
    """None if the plan there is what `recipe` would build here; else why not."""
    here = builder_machine(recipe.library)
    try:
        manifest = Manifest.from_json(path.with_suffix(".json").read_text())
        suits = here if here.capability else Machine(here.library, here.version, "", manifest.capabilities[0])
        read_plan(path, suits, graph)
    except (OSError, IndexError):
        return "there is none"
    except PlanRefused as refused:
        return str(refused).split(": run ")[0]
    if (manifest.precision, manifest.batches) != (recipe.precision, profiles(manifest.signature, recipe.batches)):
        return f"it is {manifest.precision} for batches {manifest.batches}"
    return None


def build(name: str, graph: Path, folder: Path, recipe: Recipe, report: Callable[[str], None]) -> Built:
    """Builds one network's plan into `folder`, with its manifest; `report` hears of the progress."""
    import onnx

    here = builder_machine(recipe.library)
    trt = library(recipe.library)
    data, border = graph.read_bytes(), graph_signature(graph)  # once: the file may be exported anew meanwhile
    model, halved, products = _in_precision(name, onnx.load_from_string(data), recipe.precision)
    folder.mkdir(parents=True, exist_ok=True)
    plan, layers = _plan(trt, model.SerializeToString(), border, recipe, folder / "timing.cache", report)
    capabilities = (here.capability,) if here.capability else rtx_capabilities(trt)
    manifest = Manifest(
        graph=f"{name}.onnx",
        graph_sha256=sha256(data),
        plan_sha256=sha256(plan),
        library=here.library,
        version=here.version,
        gpu=here.gpu,
        capabilities=capabilities,
        precision=recipe.precision,
        batches=profiles(border, recipe.batches),
        signature=border,
    )
    return Built(write_plan(folder, plan, manifest), manifest, layers, halved, products)


def profiles(of: Signature, batches: tuple[int, ...]) -> tuple[int, ...]:
    """The batch sizes that a network gets profiles for."""
    return batches if any(None in spec.shape for spec in of.inputs) else (1,)


def rtx_capabilities(trt: ModuleType) -> tuple[str, ...]:
    """The compute capabilities that one plan of TensorRT-RTX suits."""
    numbers = sorted(int(each) for each in trt.ComputeCapability.__members__.values())
    return tuple(f"{n // 10}.{n % 10}" for n in numbers if n > TURING)


def _in_precision(name: str, model: Any, precision: str) -> tuple[Any, int, int]:
    """The model in `precision`, how many of its products are in half precision, and how many there are."""
    from trt_build.half import candidates, halve

    chosen = to_be_halved(name, model) if precision == "fp16" else []
    return halve(model, chosen), len(chosen), len(candidates(model))


def to_be_halved(name: str, model: Any) -> list[str]:
    """The products that speech and portraits allow."""
    from trt_build.half import Trial, may_be_halved
    from trt_build.material import sample

    return may_be_halved(Trial(model, sample(name)))


def _plan(
    trt: ModuleType, model: bytes, promised: Signature, recipe: Recipe, cache: Path, report: Callable[[str], None]
) -> tuple[bytes, int]:
    """The plan's bytes, and how many layers the network has."""
    told = messages(trt)
    builder = started(trt.Builder, told)
    network = builder.create_network(network_flags(trt))
    parser = trt.OnnxParser(network, told.sink)
    if not parser.parse(model):
        raise BuildFailed(f"{recipe.library} can't parse the graph: {parser.get_error(0).desc()}")
    check_signature(_border(trt, network), promised)
    config = builder.create_builder_config()
    config.clear_flag(trt.BuilderFlag.TF32)  # or "single precision" would have ten bits on every card since Ampere
    _hold_types(trt, network, config)
    _make_recordable(trt, config)
    if None in promised.inputs[0].shape:
        _add_profiles(builder, network, config, recipe.batches)
    timings = _timing_cache(config, cache) if recipe.library == "tensorrt" else None
    monitor = _monitor(trt, report)
    if monitor:
        config.progress_monitor = monitor
    plan = builder.build_serialized_network(network, config)
    if plan is None:
        raise BuildFailed(f"{recipe.library} can't build the plan: {told.first_error()}")
    if timings:
        cache.write_bytes(memoryview(config.get_timing_cache().serialize()))
    return bytes(plan), network.num_layers


def network_flags(trt: ModuleType) -> int:
    """Types come from the graph where the library knows that (since 9); the batch is explicit where it must be said."""
    members = trt.NetworkDefinitionCreationFlag.__members__
    return sum(1 << int(members[name]) for name in ("STRONGLY_TYPED", "EXPLICIT_BATCH") if name in members)


def _hold_types(trt: ModuleType, network: Any, config: Any) -> None:
    """TensorRT 8 may choose precisions: it gets each layer's from the graph, as an order."""
    if "STRONGLY_TYPED" in trt.NetworkDefinitionCreationFlag.__members__:
        return
    config.set_flag(trt.BuilderFlag.FP16)
    config.set_flag(trt.BuilderFlag.OBEY_PRECISION_CONSTRAINTS)
    for layer in (network.get_layer(i) for i in range(network.num_layers)):
        if layer.num_outputs and layer.get_output(0).dtype in (trt.DataType.FLOAT, trt.DataType.HALF):
            layer.precision = layer.get_output(0).dtype


def _make_recordable(trt: ModuleType, config: Any) -> None:
    """For CUDA graphs, several of which use one profile: flags that only some versions have, or need."""
    if "REQUIRE_USER_ALLOCATION" in trt.BuilderFlag.__members__:  # TensorRT-RTX allocates as it runs unless told
        config.set_flag(trt.BuilderFlag.REQUIRE_USER_ALLOCATION)
    if "PROFILE_SHARING_0806" in trt.PreviewFeature.__members__:  # before 10 only one context may have a profile
        config.set_preview_feature(trt.PreviewFeature.PROFILE_SHARING_0806, True)


def _border(trt: ModuleType, network: Any) -> Signature:
    """What the parser made of the graph's inputs and outputs."""
    sides = (
        [network.get_input(i) for i in range(network.num_inputs)],
        [network.get_output(i) for i in range(network.num_outputs)],
    )
    return Signature(*(tuple(tensor_spec(trt, t.name, t.shape, t.dtype) for t in side) for side in sides))


def _add_profiles(builder: Any, network: Any, config: Any, batches: Sequence[int]) -> None:
    """One a batch size."""
    inputs = [network.get_input(i) for i in range(network.num_inputs)]
    for most in batches:
        profile = builder.create_optimization_profile()
        for tensor in inputs:
            shapes = (tuple(n if d == -1 else d for d in tensor.shape) for n in (1, most, most))
            profile.set_shape(tensor.name, *shapes)
        config.add_optimization_profile(profile)


def _timing_cache(config: Any, path: Path) -> Any:
    """What earlier builds on this card measured; an empty one where the library takes it for another card's."""
    for measured in (path.read_bytes() if path.exists() else b"", b""):
        cache = config.create_timing_cache(measured)
        if cache is not None and config.set_timing_cache(cache, ignore_mismatch=False):
            return cache
    return None


def _monitor(trt: ModuleType, report: Callable[[str], None]) -> Any:
    """Tells of the outer two levels of phases; None for a library that can't (before 10)."""
    if not hasattr(trt, "IProgressMonitor"):
        return None
    depth: dict[str, int] = {}

    class Monitor(trt.IProgressMonitor):  # type: ignore[misc, name-defined]  # a class of a library without types
        def __init__(self) -> None:
            trt.IProgressMonitor.__init__(self)

        def phase_start(self, phase: str, parent: str | None, steps: int) -> None:
            depth[phase] = depth.get(parent or "", 0) + 1
            if depth[phase] == 2:
                report(phase)

        def step_complete(self, phase: str, step: int) -> bool:
            return True

        def phase_finish(self, phase: str) -> None:
            pass

    return Monitor()
