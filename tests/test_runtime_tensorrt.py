"""Plans: refused unless they fit, and run by names alone. A stand-in for the library runs them on real addresses; that
it has the library's own surface is checked against TensorRT-RTX, which is the same API and installs without a GPU."""

import ctypes
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import torch

import engine.runtime.tensorrt as runtime
from engine.backend import choose
from engine.runtime import OpenVinoNetwork, Signature, graph_signature, initial_state
from engine.runtime.gpu import GpuNetwork
from engine.runtime.gpu_device import Host
from engine.runtime.tensorrt import GpuMissing, Plan, card, check_signature, library, profile_for
from engine.runtime.tensorrt_plan import Machine, Manifest, PlanRefused, read_plan, sha256, write_plan
from tests.leaky import leaky_graph

HERE = Machine("tensorrt", "10.9.0", "NVIDIA L4", "8.9")


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return leaky_graph(tmp_path_factory.mktemp("graph"))


def manifest(graph: Path, plan: bytes) -> Manifest:
    return Manifest(
        graph="leaky.onnx",
        graph_sha256=sha256(graph.read_bytes()),
        plan_sha256=sha256(plan),
        library=HERE.library,
        version=HERE.version,
        gpu=HERE.gpu,
        capabilities=(HERE.capability,),
        precision="fp16",
        batches=(1, 4),
        signature=graph_signature(graph),
    )


@pytest.fixture
def plan(graph: Path, tmp_path: Path) -> Path:
    """For the stand-in a plan is the graph itself."""
    data = graph.read_bytes()
    return write_plan(tmp_path, data, manifest(graph, data))


def edit(plan: Path, **changed: Any) -> None:
    """Alters the manifest on the disk."""
    path = plan.with_suffix(".json")
    path.write_text(json.dumps({**json.loads(path.read_text()), **changed}))


class TestManifest:
    def test_is_the_same_after_the_disk(self, graph: Path, plan: Path) -> None:
        data, read = read_plan(plan, HERE, graph)
        assert data == graph.read_bytes() and read == manifest(graph, data)
        assert read.signature == graph_signature(graph)

    @pytest.mark.parametrize(
        ("changed", "reason"),
        [
            ({"plan_sha256": "0" * 64}, "leaky.plan is not the file its manifest describes"),
            ({"graph_sha256": "0" * 64}, "leaky.plan was built from another leaky.onnx"),
            ({"version": "8.6.1"}, "leaky.plan was built by tensorrt 8.6.1, here is tensorrt 10.9.0"),
            ({"library": "tensorrt_rtx"}, "leaky.plan was built by tensorrt_rtx 10.9.0, here is tensorrt 10.9.0"),
            ({"gpu": "NVIDIA T4"}, "leaky.plan was built for NVIDIA T4 .*, here is NVIDIA L4"),
            ({"capabilities": ["7.5", "9.0"]}, "compute capability 7.5, 9.0.*here is NVIDIA L4 \\(8.9\\)"),
            ({"signature": []}, "the plan's manifest can't be read"),
            ({"unknown": 1}, "the plan's manifest can't be read"),
        ],
    )
    def test_a_plan_that_does_not_fit_is_refused_in_one_line(
        self, plan: Path, graph: Path, changed: dict[str, Any], reason: str
    ) -> None:
        edit(plan, **changed)
        with pytest.raises(PlanRefused, match=reason) as refused:
            read_plan(plan, HERE, graph)
        assert "\n" not in str(refused.value) and "run python -m trt_build build" in str(refused.value)

    def test_a_changed_graph_is_seen(self, plan: Path, graph: Path, tmp_path: Path) -> None:
        other = tmp_path / "other.onnx"
        other.write_bytes(graph.read_bytes() + b" ")
        with pytest.raises(PlanRefused, match="another leaky.onnx"):
            read_plan(plan, HERE, other)

    def test_a_damaged_or_missing_plan_is_seen(self, plan: Path, graph: Path) -> None:
        plan.write_bytes(plan.read_bytes()[:-1])
        with pytest.raises(PlanRefused, match="not the file"):
            read_plan(plan, HERE, graph)
        plan.unlink()
        with pytest.raises(PlanRefused, match="leaky.plan can't be read"):
            read_plan(plan, HERE, graph)

    def test_no_card_suits_no_plan(self, plan: Path, graph: Path) -> None:
        with pytest.raises(PlanRefused, match="here is no NVIDIA GPU"):
            read_plan(plan, replace(HERE, gpu="", capability=""), graph)

    def test_a_plan_for_any_card_suits_those_of_its_capabilities(self, plan: Path, graph: Path) -> None:
        edit(plan, gpu="", capabilities=["8.6", "8.9"])
        assert read_plan(plan, replace(HERE, gpu="NVIDIA RTX 4090"), graph)[1].gpu == ""


MOST = (1, 4)  # of each profile's batches
NEEDS = (1024, 4096)  # bytes of workspace, likewise


class Context:
    """Runs the graph on whatever lies at the addresses that it was given."""

    def __init__(self, engine: "Engine") -> None:
        self._engine, self._addresses, self._shapes = engine, dict[str, int](), dict[str, tuple[int, ...]]()
        self._profile, self.workspace = -1, (0, 0)

    def set_optimization_profile_async(self, profile_index: int, stream_handle: int) -> bool:
        self._profile = profile_index
        return True

    def set_input_shape(self, name: str, shape: tuple[int, ...]) -> bool:
        """False for what the profile does not cover, and before one is chosen."""
        self._shapes[name] = shape
        return self._profile >= 0 and 1 <= shape[0] <= MOST[self._profile]

    def set_tensor_address(self, name: str, memory: int) -> bool:
        self._addresses[name] = memory
        return True

    def set_device_memory(self, memory: int, size: int) -> None:
        self.workspace = memory, size

    def is_stream_capturable(self, stream: int) -> bool:
        return self._engine.capturable

    def execute_async_v3(self, stream_handle: int) -> bool:
        assert self.workspace[1] >= NEEDS[self._profile]
        network, batch = self._engine.network, next(iter(self._shapes.values()))[0]
        outputs = network({name: self._at(name, shape).copy() for name, shape in self._shapes.items()})
        for spec in network.signature.outputs:
            self._at(spec.name, (batch, *outputs[spec.name].shape[1:]))[:] = outputs[spec.name]
        self._engine.runs += 1
        return True

    def _at(self, name: str, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.float32]]:
        floats = (ctypes.c_float * int(np.prod(shape))).from_address(self._addresses[name])
        return np.ctypeslib.as_array(floats).reshape(shape)


class Engine:
    def __init__(self, network: OpenVinoNetwork) -> None:
        self.network, self.runs, self.capturable, self.device_memory_size_v2 = network, 0, True, max(NEEDS)
        self.contexts: list[Context] = []
        self._specs = (*network.signature.inputs, *network.signature.outputs)
        self.num_io_tensors = len(self._specs)

    def create_execution_context(self, strategy: str) -> Context:
        assert strategy == "lent"
        self.contexts.append(Context(self))
        return self.contexts[-1]

    def get_device_memory_size_for_profile_v2(self, profile_index: int) -> int:
        return NEEDS[profile_index]

    def get_tensor_name(self, index: int) -> str:
        return self._specs[index].name

    def get_tensor_mode(self, name: str) -> str:
        return "input" if name in {spec.name for spec in self.network.signature.inputs} else "output"

    def get_tensor_shape(self, name: str) -> tuple[int, ...]:
        spec = next(spec for spec in self._specs if spec.name == name)
        return tuple(-1 if n is None else n for n in spec.shape)

    def get_tensor_dtype(self, name: str) -> str:
        return "float"


class Runtime:
    def __init__(self, logger: Any) -> None:
        pass

    def deserialize_cuda_engine(self, serialized_engine: bytes) -> Engine:
        path = Path(self.folder) / "engine.onnx"
        path.write_bytes(serialized_engine)
        return Engine(OpenVinoNetwork(path))

    folder = ""


class Logger:
    Severity = SimpleNamespace(INTERNAL_ERROR=0, ERROR=1, WARNING=2)

    def log(self, severity: int, message: str) -> None:
        raise NotImplementedError


@pytest.fixture
def tensorrt(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """A library and a card as HERE says."""
    runtime_class = type("Runtime", (Runtime,), {"folder": str(tmp_path)})
    module = ModuleType("tensorrt")
    vars(module).update(
        __version__=HERE.version,
        ILogger=Logger,
        Runtime=runtime_class,
        ExecutionContextAllocationStrategy=SimpleNamespace(USER_MANAGED="lent"),
        TensorIOMode=SimpleNamespace(INPUT="input"),
        nptype=lambda dtype: {"float": np.float32}[dtype],
    )
    monkeypatch.setattr(runtime, "library", lambda name: module)
    monkeypatch.setattr(runtime, "card", lambda: (HERE.gpu, HERE.capability))
    return module


class TestPlan:
    def test_runs_by_names_over_the_callers_buffers(self, tensorrt: ModuleType, plan: Path, graph: Path) -> None:
        network, reference = GpuNetwork(Plan(plan, graph), Host(), batches=(1, 2, 4)), OpenVinoNetwork(graph)
        for batch in (1, 3, 9):
            x = np.random.default_rng(batch).standard_normal((batch, 3)).astype(np.float32)
            inputs = {"x": x, "memory_in": 2 * x}
            np.testing.assert_allclose(network(inputs)["y"], reference(inputs)["y"], atol=1e-6)

    def test_all_batches_work_in_one_workspace_and_none_is_larger_than_the_plans(
        self, tensorrt: ModuleType, plan: Path, graph: Path
    ) -> None:
        made = Plan(plan, graph)
        network = GpuNetwork(made, Host())
        network.warm()
        contexts = made._engine.contexts
        assert len(contexts) == 3 and len({context.workspace for context in contexts}) == 1  # for 1, 2 and 4
        assert contexts[0].workspace[1] == made.workspace(4) == max(NEEDS)

    def test_smaller_batches_need_the_workspace_of_their_profiles_only(
        self, tensorrt: ModuleType, plan: Path, graph: Path
    ) -> None:
        made = Plan(plan, graph)
        network = GpuNetwork(made, Host(), batches=(1,))
        network(dict.fromkeys(("x", "memory_in"), np.ones((3, 3), np.float32)))
        assert {context.workspace[1] for context in made._engine.contexts} == {NEEDS[0]}

    def test_what_the_library_can_not_capture_is_not_recorded(
        self, tensorrt: ModuleType, plan: Path, graph: Path
    ) -> None:
        made = Plan(plan, graph)
        tensors = {spec.name: torch.zeros(1, 3) for spec in (*made.signature.inputs, *made.signature.outputs)}
        for capturable in (True, False):
            made._engine.capturable = capturable
            assert made.prepare(1, tensors, torch.zeros(4096, dtype=torch.uint8), 0).capturable is capturable

    def test_older_libraries_lend_their_workspace_too(self) -> None:
        context, lent = SimpleNamespace(), torch.zeros(256, dtype=torch.uint8)
        older = SimpleNamespace(create_execution_context_without_device_memory=lambda: context)
        runtime._lend(runtime.new_context(cast(ModuleType, SimpleNamespace()), older), lent)
        assert context.device_memory == lent.data_ptr()

    def test_kernels_of_rtx_are_ready_before_they_are_recorded(self) -> None:
        rtx = library("tensorrt_rtx")
        config = SimpleNamespace(set_execution_context_allocation_strategy=lambda strategy: None)
        engine = SimpleNamespace(create_runtime_config=lambda: config, create_execution_context=lambda given: given)
        runtime.new_context(rtx, engine)
        assert (
            config.dynamic_shapes_kernel_specialization_strategy == rtx.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        assert {*vars(config)} <= {*dir(rtx.IRuntimeConfig)} and hasattr(rtx.ICudaEngine, "create_runtime_config")

    def test_a_batch_gets_the_profile_that_covers_it(self) -> None:
        assert [profile_for(batch, (1, 4, 16)) for batch in (1, 2, 4, 5, 16)] == [0, 1, 1, 2, 2]
        with pytest.raises(ValueError, match="a batch of 17 is more than the plan's 16"):
            profile_for(17, (1, 4, 16))

    def test_one_that_does_not_fit_is_not_even_deserialised(
        self, tensorrt: ModuleType, plan: Path, graph: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        edit(plan, version="8.6.1")
        monkeypatch.setattr(tensorrt, "Runtime", None)
        with pytest.raises(PlanRefused, match="built by tensorrt 8.6.1"):
            Plan(plan, graph)

    def test_a_refusal_of_the_library_is_an_error(
        self, tensorrt: ModuleType, plan: Path, graph: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Context, "set_tensor_address", lambda self, name, memory: False)
        network = GpuNetwork(Plan(plan, graph), Host(), batches=(1,))
        with pytest.raises(RuntimeError, match="refused the address of"):
            network({"x": np.zeros((1, 3), np.float32), **initial_state(network.signature)})

    def test_no_memory_for_a_context_is_said_in_the_librarys_words(
        self, tensorrt: ModuleType, plan: Path, graph: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made = Plan(plan, graph)

        def none(strategy: str) -> None:
            for message in ("Cuda Runtime (out of memory)\nin allocate", "can't create a context"):
                made._messages.sink.log(Logger.Severity.ERROR, message)

        monkeypatch.setattr(made._engine, "create_execution_context", none)
        with pytest.raises(RuntimeError, match="refused a context: Cuda Runtime .out of memory.$"):
            GpuNetwork(made, Host()).warm()

    def test_all_plans_of_a_library_have_one_logger(self, tensorrt: ModuleType, plan: Path, graph: Path) -> None:
        assert Plan(plan, graph)._messages is Plan(plan, graph)._messages

    def test_an_engine_that_is_not_what_its_manifest_says_is_refused(
        self, tensorrt: ModuleType, plan: Path, graph: Path
    ) -> None:
        kept = json.loads(plan.with_suffix(".json").read_text())["signature"]
        edit(plan, signature={**kept, "outputs": kept["outputs"][:1]})
        with pytest.raises(PlanRefused, match="leaky.plan: the engine's outputs differ .*: run python -m trt_build"):
            Plan(plan, graph)

    @pytest.mark.parametrize(
        "change",
        [
            lambda s: Signature(s.inputs[:1], s.outputs),
            lambda s: Signature(s.inputs, (replace(s.outputs[0], shape=(None, 4)), *s.outputs[1:])),
            lambda s: Signature((replace(s.inputs[0], dtype=np.dtype(np.float16)), *s.inputs[1:]), s.outputs),
        ],
        ids=["missing", "shape", "dtype"],
    )
    def test_an_engine_with_another_border_is_an_error(
        self, graph: Path, change: Callable[[Signature], Signature]
    ) -> None:
        promised = graph_signature(graph)
        check_signature(Signature(promised.inputs[::-1], promised.outputs), promised)
        with pytest.raises(ValueError, match="differ from its manifest"):
            check_signature(change(promised), promised)


class TestStandIn:
    @pytest.mark.parametrize(
        ("mine", "theirs"), [(Context, "IExecutionContext"), (Engine, "ICudaEngine"), (Runtime, "Runtime")]
    )
    def test_has_nothing_that_the_library_lacks(self, mine: type, theirs: str) -> None:
        surface = {name for name in vars(mine) if not name.startswith("_")} - {"folder"}
        surface |= {"device_memory_size_v2"} if mine is Engine else set()
        assert {name for name in surface if not hasattr(getattr(library("tensorrt_rtx"), theirs), name)} == set()


class TestMissing:
    def test_no_driver_is_one_line_that_says_what_to_do(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def none(name: str) -> None:
            raise OSError(name)

        monkeypatch.setattr(ctypes, "CDLL", none)
        with pytest.raises(GpuMissing, match="no NVIDIA driver.*install it, or serve with --runtime cpu"):
            card()
        with pytest.raises(GpuMissing, match="no NVIDIA driver"):
            choose("tensorrt")

    def test_a_driver_that_is_too_old_is_one_line(self) -> None:
        told = runtime.Messages(cast(ModuleType, SimpleNamespace(ILogger=Logger)))

        def null(sink: Logger) -> None:
            sink.log(Logger.Severity.ERROR, "CUDA initialization failure with error: 35\nsee the guide")
            raise TypeError("pybind11::init(): factory function returned nullptr")

        with pytest.raises(GpuMissing, match="^TensorRT can't start .CUDA initialization failure with error: 35.: .*"):
            runtime.started(null, told)

    def test_a_library_that_is_not_whole_says_what_it_lacks(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        (tmp_path / "halfway.py").write_text("raise ImportError('libnvinfer.so.11: no such file')")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.setitem(runtime.LIBRARIES, "tensorrt", ("halfway",))
        with pytest.raises(
            GpuMissing, match="tensorrt can't be imported .libnvinfer.so.11: no such file.: pip install"
        ):
            library("tensorrt")

    def test_no_library_names_the_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(runtime.LIBRARIES, "tensorrt", ("no_such_module",))
        with pytest.raises(GpuMissing, match="tensorrt is not installed: pip install tensorrt"):
            library("tensorrt")
