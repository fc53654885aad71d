"""The backends: one signature, checked at the border, the same numbers from each."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from engine.runtime import OpenVinoNetwork, initial_state, next_state
from engine.runtime.torch import TorchNetwork
from tests.leaky import Leaky, leaky_graph


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return leaky_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture
def network(graph: Path) -> OpenVinoNetwork:
    return OpenVinoNetwork(graph)


class TestSignature:
    def test_names_and_free_batch(self, network: OpenVinoNetwork) -> None:
        assert [(spec.name, spec.shape) for spec in network.signature.inputs] == [
            ("x", (None, 3)),
            ("memory_in", (None, 3)),
        ]
        assert [spec.name for spec in network.signature.outputs] == ["y", "memory_out"]

    def test_missing_and_unknown_names_are_named(self, network: OpenVinoNetwork) -> None:
        with pytest.raises(ValueError, match="missing \\['memory_in'\\], unknown \\['memory'\\]"):
            network({"x": np.zeros((1, 3), np.float32), "memory": np.zeros((1, 3), np.float32)})

    @pytest.mark.parametrize("bad", [np.zeros((1, 3)), np.zeros((1, 4), np.float32), np.zeros(3, np.float32)])
    def test_wrong_dtype_size_or_rank_is_refused(self, network: OpenVinoNetwork, bad: np.ndarray) -> None:
        with pytest.raises(ValueError, match="tensor 'x' must be float32\\[None, 3\\]"):
            network({"x": bad, "memory_in": np.zeros((1, 3), np.float32)})


class TestBackendsAgree:
    def test_over_steps_and_batches(self, network: OpenVinoNetwork) -> None:
        reference = TorchNetwork(Leaky(), network.signature)
        state = {"a": initial_state(network.signature, 2), "b": initial_state(network.signature, 2)}
        for x in np.random.default_rng(0).standard_normal((20, 2, 3)).astype(np.float32):
            a, b = network({"x": x, **state["a"]}), reference({"x": x, **state["b"]})
            np.testing.assert_allclose(a["y"], b["y"], atol=1e-6)
            state = {"a": next_state(a), "b": next_state(b)}

    def test_outputs_stay_the_callers(self, network: OpenVinoNetwork) -> None:
        first = network({"x": np.ones((1, 3), np.float32), **initial_state(network.signature)})["y"]
        network({"x": np.full((1, 3), 9, np.float32), **initial_state(network.signature)})
        np.testing.assert_array_equal(first, np.ones((1, 3)))


class TestPrivacy:
    def test_nobody_is_told_that_openvino_is_used(self, tmp_path: Path) -> None:
        """Its package, as it comes, makes a file with an identity at home, and reports every import."""
        code = "import engine.runtime, sys; print(sys.modules.get('openvino_telemetry'))"
        environment = {name: value for name, value in os.environ.items() if name != "CI"} | {"HOME": str(tmp_path)}
        told = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
        assert told.stdout == "None\n" and not list(tmp_path.iterdir())
