"""Writes a torch module as ONNX: opset 17, which TensorRT 8.5 and later parse, with named tensors and a free batch."""

import warnings
from collections.abc import Sequence
from pathlib import Path

import torch
from torch.jit._trace import TracerWarning

OPSET = 17


def export(
    module: torch.nn.Module,
    example: Sequence[torch.Tensor],
    inputs: Sequence[str],
    outputs: Sequence[str],
    path: Path,
) -> None:
    """Traces `module(*example)` into `path`; dimension 0 of every tensor is the batch."""
    batched = {name: {0: "batch"} for name in (*inputs, *outputs)}
    with warnings.catch_warnings():
        # The tracing exporter is deprecated but is the one that writes this opset without converting down.
        warnings.simplefilter("ignore", DeprecationWarning)
        warnings.simplefilter("ignore", TracerWarning)
        warnings.filterwarnings("ignore", "Constant folding", UserWarning)
        torch.onnx.export(
            module.eval(),
            tuple(example),
            str(path),
            input_names=list(inputs),
            output_names=list(outputs),
            dynamic_axes=batched,
            opset_version=OPSET,
            dynamo=False,
        )
