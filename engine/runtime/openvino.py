"""The default backend: OpenVINO on any x86 or ARM CPU."""

import platform
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import openvino as ov

from engine.runtime.eight_bits import in_eight_bits
from engine.runtime.network import Array, Signature, TensorSpec

X86 = ("x86_64", "AMD64")  # elsewhere nobody has measured what OpenVINO makes of matrices in 8 bits


class OpenVinoNetwork:
    """An ONNX file compiled for the CPU, for fixed numbers of rows of the batch.

    With a free batch every node would ask for its shape at every step, which takes a small network as long again as its
    arithmetic. `rows` are the numbers that are stepped at once, 1 among them; what is read from memory is read once for
    all. `precision` is "f32" or "bf16"; bf16 is faster where the CPU has it and is ignored where it has not.
    `eight_bits`: large matrices are kept so, and results differ by as much.
    """

    def __init__(
        self,
        path: Path,
        *,
        threads: int = 1,
        precision: str = "f32",
        eight_bits: bool = False,
        rows: Sequence[int] = (1,),
    ) -> None:
        self._signature = graph_signature(path)
        self._compiled = {
            count: _Compiled(path, self._signature, count, threads, precision, eight_bits)
            for count in sorted(rows, reverse=True)
        }

    @property
    def signature(self) -> Signature:
        return self._signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._signature.check(inputs)
        values = [inputs[spec.name] for spec in self._signature.inputs]
        done, at, total = list[list[Array]](), 0, len(values[0])
        while at < total:
            count = next(count for count in self._compiled if count <= total - at)
            done.append(self._compiled[count]([value[at : at + count] for value in values]))
            at += count
        names = (spec.name for spec in self._signature.outputs)
        if len(done) == 1:
            return dict(zip(names, done[0], strict=True))
        return dict(zip(names, map(np.concatenate, zip(*done, strict=True)), strict=True))


class _Compiled:
    """For so many rows."""

    def __init__(
        self, path: Path, signature: Signature, rows: int, threads: int, precision: str, eight_bits: bool
    ) -> None:
        model = ov.Core().read_model(path)
        shapes = {spec.name: [rows if n is None else n for n in spec.shape] for spec in signature.inputs}
        model.reshape(shapes)
        if eight_bits and platform.machine() in X86:
            in_eight_bits(model)
        compiled = ov.compile_model(
            model,
            "CPU",
            {
                "INFERENCE_NUM_THREADS": threads,
                "NUM_STREAMS": 1,
                "PERFORMANCE_HINT": "LATENCY",
                "INFERENCE_PRECISION_HINT": precision,
                "ENABLE_CPU_PINNING": False,
                "DYNAMIC_QUANTIZATION_GROUP_SIZE": 0,  # what is multiplied keeps its bits
            },
        )
        self._request = compiled.create_infer_request()
        # Bound once: handing a tensor over takes longer than copying it.
        self._inputs = [np.zeros(shapes[spec.name], spec.dtype) for spec in signature.inputs]
        self._outputs = [np.zeros(port.shape, port.get_element_type().to_dtype()) for port in compiled.outputs]
        for i, array in enumerate(self._inputs):
            self._request.set_input_tensor(i, ov.Tensor(array, shared_memory=True))
        for i, array in enumerate(self._outputs):
            self._request.set_output_tensor(i, ov.Tensor(array, shared_memory=True))

    def __call__(self, values: Sequence[Array]) -> list[Array]:
        for bound, value in zip(self._inputs, values, strict=True):
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
