"""What ships is what the weights and modules say: fresh exports equal the graphs in the package."""

import json
from pathlib import Path

import numpy as np
import onnx
import pytest

from engine.cdan import CDAN_GRAPH
from engine.renderer.export import DATA
from engine.runtime import OpenVinoNetwork
from trt_build.graphs import export_all

SHIPPED = {"cdan.onnx": CDAN_GRAPH, "renderer.onnx": DATA / "renderer.onnx"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("graphs")
    export_all(path)
    return path


@pytest.mark.parametrize("name", SHIPPED)
class TestShippedGraphs:
    def test_opset_that_tensorrt_parses_and_no_custom_operator(self, folder: Path, name: str) -> None:
        model = onnx.load(folder / name)
        assert [(opset.domain, opset.version) for opset in model.opset_import] == [("", 17)]
        onnx.checker.check_model(model)

    def test_same_operators_and_weights(self, folder: Path, name: str) -> None:
        fresh, shipped = onnx.load(folder / name).graph, onnx.load(SHIPPED[name]).graph
        assert [node.op_type for node in fresh.node] == [node.op_type for node in shipped.node]
        for a, b in zip(fresh.initializer, shipped.initializer, strict=True):
            np.testing.assert_allclose(onnx.numpy_helper.to_array(a), onnx.numpy_helper.to_array(b), atol=1e-6)

    def test_manifest_holds_the_signature(self, folder: Path, name: str) -> None:
        entry = json.loads((folder / "manifest.json").read_text())[name]
        signature = OpenVinoNetwork(SHIPPED[name]).signature
        assert [(spec["name"], tuple(spec["shape"]), spec["dtype"]) for spec in entry["inputs"]] == [
            (spec.name, spec.shape, str(spec.dtype)) for spec in signature.inputs
        ]
        assert [spec["name"] for spec in entry["outputs"]] == [spec.name for spec in signature.outputs]
