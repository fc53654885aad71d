"""Makes `data/selfie_segmenter.tflite`: `python -m engine.portrait.build_segmenter PATH_OF_THE_ORIGINAL`.

The original is `selfie_segmentation.tflite` of the npm package @mediapipe/selfie_segmentation 0.1.1675465747 (Google,
Apache-2.0). Its last operator but one is MediaPipe's own: a transposed convolution of 2 x 2 with stride 2. It becomes
what it equals and every runtime knows: a convolution of 1 x 1 to four channels, which are then laid out in space.
The weights stay as they are. MediaPipe's wheel brings the schema.
"""

import argparse
import hashlib
from pathlib import Path
from typing import Any

import flatbuffers
import numpy as np
from mediapipe.tasks.metadata import schema_py_generated as schema

from engine.portrait.segment import PATH

SHA256 = "8d13b7fae74af625c641226813616a2117bd6bca19eb3b75574621fc08557f27"  # of the original
_BLOCK = 2  # the transposed convolution's window and stride


def rewritten(original: bytes) -> bytes:
    """The same network without MediaPipe's own operator."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAs(original))
    graph = model.subgraphs[0]
    place, own = next((i, op) for i, op in enumerate(graph.operators) if op.customOptions is not None)
    picture, weights, bias = (int(i) for i in own.inputs)
    _reshape_constants(model, weights, bias)
    graph.tensors.append(_four_channels(graph, picture))
    four = len(graph.tensors) - 1
    convolution = _operator(_convolution_code(model), [picture, weights, bias], [four], _one_by_one())
    spread = _operator(_depth_to_space_code(model), [four], own.outputs, _in_blocks())
    graph.operators[place : place + 1] = [convolution, spread]
    builder = flatbuffers.Builder(len(original))
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def _reshape_constants(model: Any, weights: int, bias: int) -> None:
    """[1, 2, 2, C] -> [4, 1, 1, C], in place; one bias for each of the four. Both come as halves, dequantized."""
    graph, count = model.subgraphs[0], _BLOCK**2
    for index, shape in ((weights, [count, 1, 1, int(graph.tensors[weights].shape[3])]), (bias, [count])):
        source = next(int(op.inputs[0]) for op in graph.operators if index in op.outputs)
        for tensor in (graph.tensors[index], graph.tensors[source]):
            tensor.shape = np.array(shape, np.int32)
        if index == bias:
            held = model.buffers[graph.tensors[source].buffer]
            held.data = np.tile(np.asarray(held.data, np.uint8), count)


def _four_channels(graph: Any, picture: int) -> Any:
    tensor = schema.TensorT()
    rows, cols = graph.tensors[picture].shape[1:3]
    tensor.shape, tensor.type, tensor.name = [1, int(rows), int(cols), _BLOCK**2], schema.TensorType.FLOAT32, "blocks"
    tensor.buffer = 0
    return tensor


def _operator(code: int, inputs: list[int], outputs: list[int], options: tuple[int, Any]) -> Any:
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = code, inputs, outputs
    operator.builtinOptionsType, operator.builtinOptions = options
    return operator


def _one_by_one() -> tuple[int, Any]:
    options = schema.Conv2DOptionsT()
    options.padding, options.strideW, options.strideH = schema.Padding.VALID, 1, 1
    options.dilationWFactor = options.dilationHFactor = 1
    return schema.BuiltinOptions.Conv2DOptions, options


def _in_blocks() -> tuple[int, Any]:
    options = schema.DepthToSpaceOptionsT()
    options.blockSize = _BLOCK
    return schema.BuiltinOptions.DepthToSpaceOptions, options


def _convolution_code(model: Any) -> int:
    codes = [code.deprecatedBuiltinCode for code in model.operatorCodes]
    return codes.index(schema.BuiltinOperator.CONV_2D)


def _depth_to_space_code(model: Any) -> int:
    code = schema.OperatorCodeT()
    code.builtinCode = code.deprecatedBuiltinCode = schema.BuiltinOperator.DEPTH_TO_SPACE
    code.version = 1
    model.operatorCodes.append(code)
    return len(model.operatorCodes) - 1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("original", type=Path)
    original = parser.parse_args().original.read_bytes()
    if hashlib.sha256(original).hexdigest() != SHA256:
        parser.error("this is another file than the one that is described above")
    PATH.write_bytes(rewritten(original))


if __name__ == "__main__":
    main()
