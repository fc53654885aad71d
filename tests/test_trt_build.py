"""What goes to a GPU: every graph builds (TensorRT-RTX needs no GPU for it), what is halved, and what checks find."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from engine.backend import Backend
from engine.renderer.shot import Image, Shot
from engine.runtime import OpenVinoNetwork, graph_signature
from engine.runtime.network import Array
from engine.runtime.tensorrt import LIBRARIES
from engine.runtime.tensorrt_plan import METHOD, Manifest, sha256
from trt_build import __main__ as command
from trt_build import build as building
from trt_build import check, graphs, half, material
from trt_build.bench import Floor, Peaks, floor, measure, measure_serving
from trt_build.build import BATCHES, Recipe, build, up_to_date

RTX = Recipe("tensorrt_rtx", "fp16", (1, 64))


def chain(scale: float = 1.0) -> onnx.ModelProto:
    """y = x A scale B: two products, of which the first sees what the second's factors are scaled by."""
    random = np.random.default_rng(0)
    weights = {"A": random.standard_normal((8, 8)) / 8, "S": np.array(scale), "B": random.standard_normal((8, 8)) / 8}
    nodes = [
        helper.make_node("MatMul", ["x", "A"], ["xa"], name="first"),
        helper.make_node("Mul", ["xa", "S"], ["scaled"]),
        helper.make_node("MatMul", ["scaled", "B"], ["y"], name="second"),
    ]
    border = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, 8]) for name in "xy"]
    constants = [onnx.numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()]
    graph = helper.make_graph(nodes, "chain", border[:1], border[1:], constants)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


X = {"x": np.random.default_rng(1).standard_normal((4, 8)).astype(np.float32)}


class TestHalf:
    def test_rounding_is_that_of_half_precision_to_the_bit(self) -> None:
        border = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None]) for name in ("v", "r")]
        graph = helper.make_graph(half.rounding("v", "r"), "round", border[:1], border[1:])
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
        random = np.random.default_rng(0)
        values = (random.standard_normal(200_000) * 10 ** random.uniform(-9, 5.5, 200_000)).astype(np.float32)
        with np.errstate(over="ignore"):
            wanted = values.astype(np.float16).astype(np.float32)
        assert np.isinf(wanted).any() and (wanted == 0).any()
        np.testing.assert_array_equal(graphs.OnnxRuntime(model.SerializeToString())({"v": values})["r"], wanted)

    def test_switches_turn_single_products_into_half_ones(self) -> None:
        trial = half.Trial(chain(), X)
        assert trial.names == ["first", "second"]
        assert trial.error([]) == 0
        assert 0 < trial.error(["second"]) <= 2 * trial.error(["first", "second"]) < 1e-3

    def test_products_that_the_budget_does_not_bear_keep_their_precision(self) -> None:
        trial = half.Trial(chain(), X)
        both, first = trial.error(["first", "second"]), trial.error(["first"])
        assert half.may_be_halved(trial, 2 * both) == ["first", "second"]
        assert half.may_be_halved(trial, (both + first) / 2) == ["first"]
        assert half.may_be_halved(trial, first / 1e6) == []

    def test_one_that_overflows_is_never_halved(self) -> None:
        assert half.may_be_halved(half.Trial(chain(scale=1e7), X), budget=1e6) == ["first"]

    def test_halved_products_are_in_half_precision_and_the_border_is_not(self) -> None:
        made = half.halve(chain(), ["second"])
        onnx.checker.check_model(made)
        inferred = onnx.shape_inference.infer_shapes(made).graph
        types = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
        assert types["xa"] == types["y"] == TensorProto.FLOAT
        assert [types[node.output[0]] for node in inferred.node if node.op_type == "MatMul"] == [
            TensorProto.FLOAT,
            TensorProto.FLOAT16,
        ]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("plans")


class TestBuild:
    """With TensorRT-RTX on the CPU. Measuring what may be halved takes a minute: here all products but the last are."""

    @pytest.mark.parametrize("name", graphs.NAMES)
    def test_every_graph_parses_and_builds_with_its_border(
        self, name: str, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(building, "to_be_halved", lambda name, model: half.candidates(model)[:-1])
        phases: list[str] = []
        graph, recipe = graphs.shipped(name), RTX
        built = build(name, graph, folder, recipe, phases.append)
        assert built.path.stat().st_size > 1e6 and built.layers > 100 and phases
        assert built.halved == built.products - 1
        manifest = Manifest.from_json(built.path.with_suffix(".json").read_text())
        assert manifest == built.manifest
        assert manifest.signature == graph_signature(graph)
        assert (manifest.graph_sha256, manifest.plan_sha256) == tuple(
            sha256(path.read_bytes()) for path in (graph, built.path)
        )
        assert {"8.6", "8.9", "12.0"} <= set(manifest.capabilities) and manifest.gpu == ""
        assert up_to_date(built.path, recipe, graph) is None

    def test_a_plan_is_built_anew_when_anything_changed(self, folder: Path, tmp_path: Path) -> None:
        plan, graph = folder / "cdan.plan", graphs.shipped("cdan")
        assert up_to_date(plan, RTX, graph) is None
        assert up_to_date(plan, Recipe("tensorrt_rtx", "fp32", (1, 64)), graph) == "it is fp16 for batches (1, 64)"
        assert up_to_date(plan, Recipe("tensorrt_rtx", "fp16", BATCHES), graph) == "it is fp16 for batches (1, 64)"
        other = tmp_path / "cdan.onnx"
        other.write_bytes(graph.read_bytes() + b" ")
        assert "another cdan.onnx" in (up_to_date(plan, RTX, other) or "")
        assert up_to_date(tmp_path / "cdan.plan", RTX, graph) == "there is none"
        text = plan.with_suffix(".json").read_text()
        plan.with_suffix(".json").write_text(text.replace(f'"method": {METHOD}', f'"method": {METHOD - 1}'))
        assert "another method" in (up_to_date(plan, RTX, graph) or "")
        plan.with_suffix(".json").write_text(text.replace(building.builder_machine("tensorrt_rtx").version, "1.0.0"))
        assert "built by tensorrt_rtx 1.0.0" in (up_to_date(plan, RTX, graph) or "")

    def test_timings_that_the_library_does_not_take_are_begun_anew(self, tmp_path: Path) -> None:
        class Config:
            def create_timing_cache(self, serialized_timing_cache: bytes) -> bytes | None:
                return None if serialized_timing_cache == b"damaged" else serialized_timing_cache

            def set_timing_cache(self, cache: bytes, ignore_mismatch: bool) -> bool:
                assert not ignore_mismatch
                return cache != b"another card's"

        path = tmp_path / "timing.cache"
        assert building._timing_cache(Config(), path) == b""
        for kept, used in ((b"damaged", b""), (b"another card's", b""), (b"this card's", b"this card's")):
            path.write_bytes(kept)
            assert building._timing_cache(Config(), path) == used

    def test_a_graph_that_can_not_be_parsed_is_one_line(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        model = chain()
        model.graph.node[0].op_type = "NoSuchOperator"
        onnx.save(model, tmp_path / "chain.onnx")
        monkeypatch.setattr(building, "graph_signature", lambda path: graph_signature(graphs.shipped("cdan")))
        with pytest.raises(building.BuildFailed, match="tensorrt_rtx can't parse the graph") as failed:
            build("chain", tmp_path / "chain.onnx", tmp_path, Recipe("tensorrt_rtx", "fp32", (1,)), print)
        assert "\n" not in str(failed.value)


class Bent:
    """A network whose coefficients are a little off."""

    def __init__(self, by: float) -> None:
        self._network, self._by = OpenVinoNetwork(graphs.shipped("cdan")), by
        self.signature = self._network.signature

    def __call__(self, inputs: Mapping[str, Array]) -> dict[str, Array]:
        outputs = self._network(inputs)
        return {**outputs, "coefficients": outputs["coefficients"] + np.float32(self._by)}


class TestCheck:
    def test_a_stream_agrees_with_torch_and_a_bent_one_does_not(self) -> None:
        networks = {name: make() for name, make in graphs.backends("cdan", graphs.shipped("cdan")).items()}
        results, faces = check.check_stream({**networks, "bent": Bent(0.01)}, 2.0)
        assert faces.shape == (50, 69)
        failed = {result.backend for result in results if result.failure("fp32")}
        assert failed == {"bent"}
        assert {(r.backend, r.of, r.count) for r in results} >= {("openvino", "coefficients", 50)}
        assert next(r for r in results if r.backend == "bent").largest == pytest.approx(0.01, abs=1e-3)

    def test_the_worst_picture_counts_not_the_mean(self) -> None:
        differences, picture = check.Differences(), np.zeros((1, 64, 64, 3), np.uint8)
        for shift in (0, 0, 3):
            differences.add(picture + np.uint8(shift), picture)
        result = differences.result("bent", "pictures", 255.0)
        assert result.psnr == pytest.approx(20 * np.log10(255 / 3)) and result.failure("fp16")
        assert differences.result("bent", "pictures").largest == 3

    def test_what_is_no_number_fails(self) -> None:
        differences = check.Differences()
        differences.add(np.array([np.nan], np.float32), np.array([0], np.float32))
        assert differences.result("bent", "coefficients").failure("fp16")


@pytest.fixture(scope="module")
def feeds() -> dict[str, Array]:
    return material.sample("cdan")


class TestBench:
    def test_every_batch_is_timed_and_none_beats_the_floor(self, feeds: dict[str, Array]) -> None:
        best = Peaks(gigabytes_per_second=1e3, gigaflops=1e4)
        floors = [floor("cdan", graphs.module("cdan"), feeds, batch, best) for batch in (1, 2)]
        timings = [*measure("cdan", "openvino", lambda: OpenVinoNetwork(graphs.shipped("cdan")), feeds, (1, 2))]
        assert [timing.batch for timing in timings] == [1, 2]
        for timing, least in zip(timings, floors, strict=True):
            assert timing.ms > least.ms > 0
            assert timing.frames_per_second == pytest.approx(1000 * timing.batch / timing.ms)
        assert floors[1].megaflops == pytest.approx(2 * floors[0].megaflops)

    def test_what_serves_is_timed_with_several_people(self) -> None:
        drawn: list[int] = []

        class Counting:
            def draw(self, shots: Sequence[Shot]) -> list[Image]:
                drawn.append(len({id(shot.portrait) for shot in shots}))
                return []

        serving = Backend("counting", OpenVinoNetwork(graphs.shipped("cdan")), lambda size: Counting(), aligned=True)
        timings = [*measure_serving(serving, 256, material.shots(2), (1, 5))]
        assert [(t.backend, t.batch) for t in timings] == [("counting, as served", 1), ("counting, as served", 5)]
        assert set(drawn) == {1, 2} and all(timing.ms > 0 for timing in timings)

    def test_the_floor_is_the_slower_of_bytes_and_arithmetic(self, feeds: dict[str, Array]) -> None:
        module = graphs.module("cdan")
        by_bytes, by_flops = (floor("cdan", module, feeds, 1, Peaks(*p)) for p in ((1.0, 1e9), (1e9, 1.0)))
        assert isinstance(by_bytes, Floor)
        assert by_bytes.ms == pytest.approx(by_bytes.megabytes) and by_flops.ms == pytest.approx(by_flops.megaflops)


class TestMaterial:
    def test_feelings_come_and_go_within_bounds_and_without_jumps(self) -> None:
        les = material.feelings(500)
        assert les.min() >= 0 and les.max() <= 1 and les.max() > 0.5
        assert np.abs(np.diff(les, axis=0)).max() <= 1 / material.EASE + 1e-6

    def test_the_built_in_voice_is_heard(self) -> None:
        sound = material.speech(4)
        assert sound.shape == (100, 640) and 0.02 < float(np.sqrt((sound**2).mean())) < 0.5


class TestCommand:
    def test_what_is_missing_is_one_line_and_status_2(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
    ) -> None:
        monkeypatch.setitem(LIBRARIES, "tensorrt", ("no_such_module",))
        assert command.main(["build", "-o", str(tmp_path), "--library", "tensorrt"]) == 2
        assert capsys.readouterr().err == "trt_build: tensorrt is not installed: pip install tensorrt\n"
        assert command.main(["build", "-o", str(tmp_path), "--graphs", str(tmp_path)]) == 2
        assert f"run python -m trt_build export -o {tmp_path}" in capsys.readouterr().err

    @pytest.mark.parametrize(("text", "sizes"), [("16,1,4", (1, 4, 16)), ("2,2", (2,))])
    def test_batches_are_sorted_and_single(self, text: str, sizes: tuple[int, ...]) -> None:
        assert command.batch_sizes(text) == sizes

    def test_a_batch_of_none_is_refused(self) -> None:
        with pytest.raises(argparse.ArgumentTypeError):
            command.batch_sizes("0,4")
