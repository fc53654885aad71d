"""The default backend: OpenVINO on any x86 or ARM CPU."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import openvino as ov

from engine.runtime.network import Array, Signature, TensorSpec


class OpenVinoNetwork:
    """An ONNX file compiled for the CPU.

    `precision` is "f32" or "bf16"; bf16 is faster where the CPU has it and is ignored where it has not.
    """

    def __init__(self, path: Path, *, threads: int = 1, precision: str = "f32") -> None:
        model = ov.Core().read_model(path)
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
        # The model, not what was compiled: a port of that may answer to the names of what was fused into it.
        self._signature = Signature(tuple(map(_spec, model.inputs)), tuple(map(_spec, model.outputs)))

    @property
    def signature(self) -> Signature:
        return self._signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        self._signature.check(inputs)
        contiguous = {name: np.ascontiguousarray(value) for name, value in inputs.items()}
        result = self._request.infer(contiguous, share_inputs=True, share_outputs=False)
        return {spec.name: result[i] for i, spec in enumerate(self._signature.outputs)}


def graph_signature(path: Path) -> Signature:
    """Of an ONNX file, without compiling it."""
    model = ov.Core().read_model(path)
    return Signature(tuple(map(_spec, model.inputs)), tuple(map(_spec, model.outputs)))


def _spec(port: ov.ConstOutput) -> TensorSpec:
    shape = tuple(None if n.is_dynamic else n.get_length() for n in port.get_partial_shape())
    return TensorSpec(port.get_any_name(), shape, port.get_element_type().to_dtype())
