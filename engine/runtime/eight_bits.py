"""Learned matrices in 8 bits: one step of one stream takes little longer than it takes to read them from memory.

OpenVINO multiplies by such matrices as they are where the processor has the instructions, and unfolds them where it has
not.
"""

import numpy as np
import numpy.typing as npt
import openvino as ov
from openvino import opset13 as op
from openvino.passes import ConstantFolding, Manager

LARGE = 1 << 15  # values; smaller ones cost little as they are, and filter banks among them span decades
MOST = 127


def in_eight_bits(model: ov.Model) -> None:
    """In place: large matrices that something is multiplied by become whole numbers of steps, which fit each output."""
    folding = Manager()
    folding.register_pass(ConstantFolding())  # a matrix may be stored in another shape or precision
    folding.run_passes(model)
    for node in model.get_ordered_ops():
        if node.get_type_name() != "MatMul":
            continue
        source = node.input_value(1).get_node()
        if source.get_type_name() == "Constant" and len(source.shape) == 2 and np.prod(source.shape) >= LARGE:
            inputs = 1 if node.get_attributes()["transpose_b"] else 0  # the axis that is summed over
            node.input(1).replace_source_output(_rounded(source.data.astype(np.float32), inputs).output(0))
    model.validate_nodes_and_infer_types()


def _rounded(values: npt.NDArray[np.float32], axis: int) -> ov.Node:
    """A matrix as whole numbers times steps, of which each line along `axis` has its own."""
    most = np.abs(values).max(axis, keepdims=True)
    steps = np.where(most > 0, most / np.float32(MOST), np.float32(1))
    whole = op.constant(np.rint(values / steps).astype(np.int8))
    return op.multiply(op.convert(whole, "f32"), op.constant(steps))
