"""OpenVINO on any x86 or ARM CPU: for networks that prepare portraits, and to check exported graphs by."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from engine.runtime.network import Array, Signature, TensorSpec


class OpenVinoNetwork:
    """An ONNX file compiled for the CPU, for one row of the batch: the rows are stepped one after the other.

    With a free batch every node would ask for its shape at every step, which takes a small network as long again as its
    arithmetic. `precision` is "f32" or "bf16"; bf16 is faster where the CPU has it and is ignored where it has not.
    """

    def __init__(self, path: Path, *, threads: int = 1, precision: str = "f32") -> None:
        self._signature = graph_signature(path)
        model = ov.Core().read_model(path)
        shapes = {spec.name: [1 if n is None else n for n in spec.shape] for spec in self._signature.inputs}
        model.reshape(shapes)
        compiled = ov.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": precision,
                "ENABLE_CPU_PINNING": False,
            },
        )
        self._request = compiled.create_infer_request()
        # Bound once: handing a tensor over takes longer than copying it.
        self._inputs = [np.zeros(shapes[spec.name], spec.dtype) for spec in self._signature.inputs]
        self._outputs = [np.zeros(port.shape, port.get_element_type().to_dtype()) for port in compiled.outputs]
        for i, array in enumerate(self._inputs):
            self._request.set_input_tensor(i, ov.Tensor(array, shared_memory=True))
        for i, array in enumerate(self._outputs):
            self._request.set_output_tensor(i, ov.Tensor(array, shared_memory=True))

    @property
    def signature(self) -> Signature:
        return self._signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._signature.check(inputs)
        values = [inputs[spec.name] for spec in self._signature.inputs]
        rows = [self._step([value[n] for value in values]) for n in range(len(values[0]))]
        names = (spec.name for spec in self._signature.outputs)
        return dict(zip(names, map(np.concatenate, zip(*rows, strict=True)), strict=True))

    def _step(self, row: list[Array]) -> list[Array]:
        for bound, value in zip(self._inputs, row, strict=True):
            np.copyto(bound, value)
        self._request.infer(share_outputs=True)
        return [bound.copy() for bound in self._outputs]


def graph_signature(path: Path) -> Signature:
    """Of an ONNX file as it is: a port of what is compiled may answer to the names of what was fused into it."""
    model = ov.Core().read_model(path)
    return Signature(tuple(map(_spec, model.inputs)), tuple(map(_spec, model.outputs)))


def _spec(port: ov.ConstOutput) -> TensorSpec:
    shape = tuple(None if n.is_dynamic else n.get_length() for n in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), shape, port.get_element_type().to_dtype())
