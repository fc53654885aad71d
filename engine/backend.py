"""What the engine runs on: the networks and renderers of one runtime, chosen once at the start.

On a GPU every session is part of one batch. `auto` takes the best that the machine has and says why it is no better.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np
import numpy.typing as npt

from engine.cdan import CDAN_GRAPH, on_cpu
from engine.renderer import CpuRenderer
from engine.renderer.cpu import Layered
from engine.renderer.shot import Image, Shot
from engine.runtime import Network, Signature, graph_signature
from engine.runtime.network import Array
from engine.runtime.tensorrt import GpuMissing, Plan, card, first_line
from engine.runtime.tensorrt_plan import PlanRefused, plans_home
from engine.units import FRAME_SIZE

if TYPE_CHECKING:
    from engine.runtime.gpu import Executor
    from engine.runtime.gpu_device import Device
    from engine.runtime.gpu_torch import Module

log = logging.getLogger(__name__)
Floats = npt.NDArray[np.float32]

RENDERER_GRAPH = Path(str(files("engine.renderer") / "data" / "renderer.onnx"))
RUNTIMES = {
    "auto": ("tensorrt", "tensorrt_rtx", "torch", "cpu"),
    "tensorrt": ("tensorrt", "tensorrt_rtx"),
    "torch": ("torch",),
    "cpu": ("cpu",),
}
"""What each choice tries, in order."""


class Renderer(Protocol):
    def draw(self, shots: Sequence[Shot]) -> Sequence[Array]:
        """As `engine.thrift.Drawn` has them."""
        ...


@dataclass(frozen=True)
class OneByOne:
    """A CPU draws one picture after the other."""

    renderer: CpuRenderer

    def draw(self, shots: Sequence[Shot]) -> Sequence[Array]:
        return [self._one(*shot) for shot in shots]

    def _one(self, portrait: Layered, coefficients: Floats, plate: Image | None, cut_out: bool) -> Array:
        if cut_out:
            return self.renderer.cut_out(portrait, coefficients)
        return self.renderer.words(portrait, coefficients, plate)


@dataclass(frozen=True)
class Backend:
    """Made by `choose`."""

    name: str
    cdan: Network
    renderer: Callable[[int], Renderer]
    """Of pictures of a size."""
    aligned: bool
    """Whether all sessions are best stepped at once, as one batch: on a GPU, which is one thread's."""
    check: Callable[[], None] = lambda: None
    """Raises what is wrong with the device where it can do nothing any more."""


def choose(runtime: str = "auto", *, plans: Path | None = None) -> Backend:
    """The first of RUNTIMES[runtime] that this machine can run; GpuMissing or PlanRefused, in one line, if none."""
    reasons: list[Exception] = []
    for name in RUNTIMES[runtime]:
        try:
            made = cpu() if name == "cpu" else gpu(name, plans or plans_home())
        except (GpuMissing, PlanRefused) as reason:
            reasons.append(type(reason)(str(reason)))  # its traceback would keep what it had on the card
            continue
        for better in reasons if has_card() else ():
            log.warning("%s serves: %s", name, better)
        return made
    raise reasons[0]


def cpu() -> Backend:
    return Backend("cpu", on_cpu(), lambda size: OneByOne(CpuRenderer(size)), aligned=False)


def gpu(name: str, plans: Path) -> Backend:
    """By a library's plans, and by torch for sizes that have none; or by torch alone."""
    card()
    try:
        from engine.runtime.gpu_device import Cuda
    except ImportError as error:
        raise GpuMissing(f"a GPU needs torch for its memory ({error}): pip install 'les-avatar[gpu]'") from error
    cuda = Cuda()

    def executor(graph: Path, size: int) -> "Executor":
        if name == "torch" or size != FRAME_SIZE:
            return module(graph, size, cuda.name)
        return Plan(plans / f"{graph.stem}.plan", graph, name)

    try:
        return on_device(name, executor, cuda)
    except RuntimeError as error:  # what torch and TensorRT say of a driver, a card or its memory
        log.debug("%s can't serve", name, exc_info=True)
        raise GpuMissing(f"{name} can't serve on this card: {first_line(error)}") from error


def on_device(
    name: str,
    executor: Callable[[Path, int], "Executor"],
    device: "Device",
    size: int = FRAME_SIZE,
    most: int | None = None,
) -> Backend:
    """One batch of all sessions: portraits stay on the device, pictures leave it as I420.

    `executor` makes one of a graph for pictures of a size; that for `size` is made now, and is ready for every batch of
    up to `most`, or of as many as the device's memory holds.
    """
    from engine.renderer.gpu import PORTRAIT, GpuRenderer
    from engine.runtime.gpu import BATCHES, GpuNetwork, fitting
    from engine.runtime.gpu_i420 import I420

    batches = [batch for batch in BATCHES if batch <= (most or batch)]
    on_this = partial(GpuNetwork, device=device)
    drawing = partial(on_this, resident=PORTRAIT, finish={"picture": I420}, apart=("picture",))
    graphs = executor(RENDERER_GRAPH, size), executor(CDAN_GRAPH, size)  # if one is refused, none has taken memory

    def both(batches: Sequence[int]) -> tuple[GpuNetwork, GpuNetwork]:
        made = drawing(graphs[0], batches=batches), on_this(graphs[1], batches=batches)
        for network in made:
            network.warm()
        return made

    def other(size: int) -> GpuRenderer:
        graph = executor(RENDERER_GRAPH, size)
        return GpuRenderer(fitting(device, batches, lambda batches: drawing(graph, batches=batches)))

    first, hearing = fitting(device, batches, both)
    renderer = GpuRenderer(first)
    return Backend(name, hearing, lambda n: renderer if n == size else other(n), aligned=True, check=device.wait)


def module(graph: Path, size: int, device: str) -> "Module":
    """Torch's own of a graph that ships, for pictures of a size."""
    from engine.runtime.gpu_torch import Module

    border = graph_signature(graph)
    if graph == CDAN_GRAPH:
        from engine.cdan.training.export import OneFrame, load

        return Module(OneFrame(load()), border, device)
    from engine.renderer import module as renderer

    return Module(renderer.Renderer(size), of_size(border, size), device)


def of_size(border: Signature, size: int) -> Signature:
    """The renderer's signature for pictures of another size."""
    picture = replace(border.outputs[0], shape=(None, size, size, 3))
    return Signature(border.inputs, (picture,))


def has_card() -> bool:
    """Whether a driver finds a GPU."""
    try:
        card()
    except GpuMissing:
        return False
    return True
