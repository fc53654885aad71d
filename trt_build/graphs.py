"""The engine's networks as ONNX: the ones that ship, or fresh exports; what their borders are; torch's own of each."""

import json
from collections.abc import Callable, Mapping
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from engine.cdan import CDAN_GRAPH
from engine.runtime import Network, Signature, TensorSpec, graph_signature
from engine.runtime.network import Array
from engine.runtime.tensorrt_plan import sha256, signature_to_plain
from engine.units import FRAME_SIZE

if TYPE_CHECKING:
    import torch

Entry = dict[str, Any]
NAMES = ("cdan", "renderer")


class ExportNeeds(Exception):
    """A package that only exporting and comparing need; the message is one line that says how to install it."""


def shipped(name: str) -> Path:
    """The graph in the package."""
    return CDAN_GRAPH if name == "cdan" else Path(str(files("engine.renderer") / "data" / f"{name}.onnx"))


def find(name: str, folder: Path | None) -> Path:
    """The graph in a folder of exports, or the one that ships."""
    path = folder / f"{name}.onnx" if folder else shipped(name)
    if not path.is_file():
        raise ExportNeeds(f"{path} is missing: run python -m trt_build export -o {path.parent}")
    return path


def export_all(folder: Path, size: int = FRAME_SIZE) -> dict[str, Entry]:
    """Writes cdan.onnx, renderer.onnx for pictures of `size`, and manifest.json; returns the manifest."""
    try:
        from engine.cdan.training.export import load, write_graph
        from engine.renderer.export import export_renderer
    except ImportError as error:
        raise ExportNeeds(f"exporting needs torch and onnx ({error}): pip install 'les-avatar[train]'") from error
    folder.mkdir(parents=True, exist_ok=True)
    write_graph(load(), folder / "cdan.onnx")
    export_renderer(folder / "renderer.onnx", size)
    manifest = {path.name: describe(path) for path in sorted(folder.glob("*.onnx"))}
    (folder / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n")
    return manifest


def describe(path: Path) -> Entry:
    """A graph's hash, size and signature."""
    data = path.read_bytes()
    return {"sha256": sha256(data), "bytes": len(data), **signature_to_plain(graph_signature(path))}


def module(name: str, size: int = FRAME_SIZE) -> "torch.nn.Module":
    """The torch module that `name` was traced from."""
    if name == "cdan":
        from engine.cdan.training.export import OneFrame, load

        return OneFrame(load())
    from engine.renderer.module import Renderer

    return Renderer(size)


def picture_size(name: str, of: Signature) -> int:
    """Pixels a side of what a renderer draws."""
    return int(of.outputs[0].shape[1] or FRAME_SIZE) if name == "renderer" else FRAME_SIZE


class OnnxRuntime:
    """`engine.runtime.Network` by ONNX Runtime on one thread of the CPU: an independent judge, not for serving."""

    def __init__(self, model: Path | bytes) -> None:
        try:
            import onnxruntime
        except ImportError as error:
            raise ExportNeeds(f"comparing needs onnxruntime ({error}): pip install onnxruntime") from error
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        source = model if isinstance(model, bytes) else str(model)
        self._session = onnxruntime.InferenceSession(source, options, ["CPUExecutionProvider"])
        sides = (self._session.get_inputs(), self._session.get_outputs())
        self._signature = Signature(*(tuple(map(_runtime_spec, side)) for side in sides))

    @property
    def signature(self) -> Signature:
        return self._signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._signature.check(inputs)
        names = [spec.name for spec in self._signature.outputs]
        return dict(zip(names, self._session.run(names, dict(inputs)), strict=True))


_DTYPES = {
    "tensor(float)": "float32",
    "tensor(float16)": "float16",
    "tensor(uint8)": "uint8",
    "tensor(int32)": "int32",
    "tensor(int64)": "int64",
    "tensor(bool)": "bool",
}


def _runtime_spec(border: Any) -> TensorSpec:
    shape = tuple(n if isinstance(n, int) else None for n in border.shape)
    return TensorSpec(border.name, shape, np.dtype(_DTYPES[border.type]))


def backends(name: str, graph: Path) -> dict[str, Callable[[], Network]]:
    """How to make a network on each backend that needs no plan; torch, the reference, first."""
    from engine.runtime import OpenVinoNetwork

    return {
        "torch": lambda: on_torch(name, graph),
        "openvino": lambda: OpenVinoNetwork(graph),
        "onnxruntime": lambda: OnnxRuntime(graph),
    }


def plan(name: str, graph: Path, folder: Path, library: str) -> Network:
    """The plan of a network on the GPU."""
    from engine.runtime.gpu import GpuNetwork
    from engine.runtime.gpu_device import Cuda
    from engine.runtime.tensorrt import Plan

    return GpuNetwork(Plan(folder / f"{name}.plan", graph, library), Cuda())


def on_torch(name: str, graph: Path, device: str = "cpu", *, compiled: bool = False) -> Network:
    """Torch's module, eager or compiled; then, on a GPU, with CUDA graphs."""
    from engine.runtime.torch import TorchNetwork

    border = graph_signature(graph)
    made = module(name, picture_size(name, border)).to(device)
    if compiled:
        made.compile(mode="reduce-overhead" if device == "cuda" else "default")
    return TorchNetwork(made, border, device)
