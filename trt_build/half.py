"""Matrix products in half precision where the pictures allow it.

TensorRT 11 and TensorRT-RTX take precisions from the graph and nowhere else, so they are written into it: casts around
the products that may be halved. Everything else, above all the places that pictures are sampled at, keeps 24 bits.
Which may is measured, on a CPU: one graph carries both precisions of every product and a switch for each. There, half
precision is the rounding of a product's factors and of its result (as tensor cores do, which sum in single precision),
written as arithmetic, because runtimes for CPUs take casts to half and back for nothing and leave them out.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnx.parser
from onnx import TensorProto, helper

from engine.runtime.network import Array
from trt_build.graphs import OnnxRuntime

PRODUCTS = ("MatMul", "Gemm", "Conv")
_HALF = TensorProto.FLOAT16
SWITCHES = "half_switches"
BUDGET = 1e-3  # root mean square error that halving may add, of full scale: 60 dB


def candidates(model: onnx.ModelProto) -> list[str]:
    """Names of the nodes that multiply matrices."""
    return [node.name for node in model.graph.node if node.op_type in PRODUCTS]


def halve(model: onnx.ModelProto, names: Collection[str]) -> onnx.ModelProto:
    """The model with these products in half precision, its border as it was."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        nodes += _halved(node, node.output[0]) if node.name in names else [node]
    return _with_nodes(model, nodes)


def switched(model: onnx.ModelProto, names: Sequence[str]) -> onnx.ModelProto:
    """The model with both precisions of these products and an input `half_switches` bool [len(names)] to choose."""
    nodes: list[onnx.NodeProto] = []
    for node in model.graph.node:
        if node.name in names:
            full, half = (f"{node.output[0]}.{which}" for which in ("full", "half"))
            nodes += [_renamed(node, node.input, full), *_rounded(node, half), *_switch(node, names.index(node.name))]
        else:
            nodes.append(node)
    made = _with_nodes(model, nodes)
    made.graph.input.append(helper.make_tensor_value_info(SWITCHES, TensorProto.BOOL, [len(names)]))
    return made


def _switch(node: onnx.NodeProto, at: int) -> list[onnx.NodeProto]:
    out = node.output[0]
    index = helper.make_node("Constant", [], [f"{out}.at"], value_int=at)
    pick = helper.make_node("Gather", [SWITCHES, f"{out}.at"], [f"{out}.which"], axis=0)
    return [index, pick, helper.make_node("Where", [f"{out}.which", f"{out}.half", f"{out}.full"], [out])]


def _halved(node: onnx.NodeProto, output: str) -> list[onnx.NodeProto]:
    """The product between casts."""
    casts = [helper.make_node("Cast", [name], [f"{output}.in{i}"], to=_HALF) for i, name in enumerate(node.input)]
    product = _renamed(node, [cast.output[0] for cast in casts], f"{output}.product")
    return [*casts, product, helper.make_node("Cast", [f"{output}.product"], [output], to=TensorProto.FLOAT)]


def _rounded(node: onnx.NodeProto, output: str) -> list[onnx.NodeProto]:
    """The product of factors rounded to half precision, itself rounded, all in single precision."""
    names = [f"{output}.in{i}" for i in range(len(node.input))]
    factors = [made for a, b in zip(node.input, names, strict=True) for made in rounding(a, b)]
    return [*factors, _renamed(node, names, f"{output}.product"), *rounding(f"{output}.product", output)]


_ROUNDING = onnx.parser.parse_graph(f"""
rounding (float[n] x) => (float[n] y) {{
    s = Constant <value_float = {2.0**13 + 1}> ()
    sx = Mul (x, s)
    low = Sub (sx, x)
    upper = Sub (sx, low)
    up = Constant <value_float = {2.0**112}> ()
    down = Constant <value_float = {2.0**-112}> ()
    raised = Mul (upper, up)
    normal = Mul (raised, down)
    beside = Constant <value_float = 0.75> ()
    stepped = Add (x, beside)
    small = Sub (stepped, beside)
    size = Abs (x)
    least = Constant <value_float = {2.0**-14}> ()
    tiny = Less (size, least)
    y = Where (tiny, small, normal)
}}
""")
"""To half precision in single precision's arithmetic, for every value: `numpy.float16` agrees to the bit.

s x - (s x - x) keeps the upper 11 of 24 bits for s = 2^13 + 1 (Dekker 1971); what reaches 2^16 becomes infinite, as
2^128 does; below 2^-14 half precision counts in steps of 2^-24, as single precision does beside 0.75.
"""


def rounding(value: str, into: str) -> list[onnx.NodeProto]:
    """_ROUNDING from one tensor to another."""

    def name(local: str) -> str:
        return {"x": value, "y": into}.get(local, f"{into}.{local}")

    return [_renamed(node, map(name, node.input), name(node.output[0])) for node in _ROUNDING.node]


def _renamed(node: onnx.NodeProto, inputs: Iterable[str], output: str) -> onnx.NodeProto:
    made = onnx.NodeProto.FromString(node.SerializeToString())
    made.name = output
    made.input[:], made.output[:] = list(inputs), [output]
    return made


def _with_nodes(model: onnx.ModelProto, nodes: Sequence[onnx.NodeProto]) -> onnx.ModelProto:
    made = onnx.ModelProto.FromString(model.SerializeToString())
    del made.graph.node[:]
    made.graph.node.extend(nodes)
    return made


class Trial:
    """What halving some of a model's products does to what is seen, on given inputs."""

    def __init__(self, model: onnx.ModelProto, feeds: Mapping[str, Array]) -> None:
        self.names = candidates(model)
        self._network = OnnxRuntime(switched(model, self.names).SerializeToString())
        self._feeds = feeds
        self._full = self._run(())

    def error(self, names: Collection[str]) -> float:
        """Root mean square, of full scale, of the worst output; infinite if one is no number.

        What a network only tells itself does not count.
        """
        found = self._run(names)
        error = max(rms(found[name], full) for name, full in self._full.items())
        return error if np.isfinite(error) else float("inf")

    def _run(self, names: Collection[str]) -> dict[str, npt.NDArray[np.float64]]:
        switches = np.array([name in names for name in self.names])
        outputs = self._network({**self._feeds, SWITCHES: switches})
        return {name: of_full_scale(value) for name, value in outputs.items() if not name.endswith("_out")}


def may_be_halved(trial: Trial, budget: float = BUDGET) -> list[str]:
    """Products whose halving stays within `budget` all together: every group that does, and of others their halves."""
    chosen: list[str] = []

    def consider(names: Sequence[str]) -> None:
        if trial.error([*chosen, *names]) <= budget:
            chosen.extend(names)
        elif len(names) > 1:
            consider(names[: len(names) // 2])
            consider(names[len(names) // 2 :])

    consider(trial.names)
    return chosen


def of_full_scale(value: Array) -> npt.NDArray[np.float64]:
    """Bytes as 0..1; coefficients are so already."""
    return value / 255 if value.dtype == np.uint8 else value.astype(np.float64)


def rms(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    return float(np.sqrt(np.mean((a - b) ** 2)))
