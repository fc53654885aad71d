"""What runs on a GPU, on the host: the same buffers, tables, batches and launches in the same order."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import Tensor

from engine.runtime import OpenVinoNetwork, Signature, TensorSpec, graph_signature, initial_state, next_state
from engine.runtime.gpu import MOST_RESIDENT, GpuNetwork, Rows, fitting, out_of_memory, parts, rows_for
from engine.runtime.gpu_device import WARM_UPS, Cuda, Host
from engine.runtime.gpu_i420 import I420, write_i420
from engine.runtime.gpu_torch import Module
from engine.runtime.network import Array, Launch
from engine.runtime.tensorrt import GpuMissing
from tests.leaky import Leaky, leaky_graph

FLOAT = np.dtype(np.float32)


class Tinted(torch.nn.Module):
    """A picture that stays, times a level that changes."""

    def forward(self, level: Tensor, picture: Tensor) -> Tensor:
        return (picture.float() * level[:, :, None, None]).to(torch.uint8)


TINTED = Signature(
    (TensorSpec("level", (None, 1), FLOAT), TensorSpec("picture", (None, 4, 6, 3), np.dtype(np.uint8))),
    (TensorSpec("drawn", (None, 4, 6, 3), np.dtype(np.uint8)),),
)


class Recorder(Host):
    """Counts what is recorded."""

    def __init__(self) -> None:
        self.recorded = 0

    def record(self, work: Callable[[], None]) -> Callable[[], None]:
        self.recorded += 1
        return super().record(work)


class Capturable(Module):
    """A module that says that it may be recorded, and keeps the batches it was bound for."""

    def __init__(self, module: torch.nn.Module, signature: Signature, largest: int | None = None) -> None:
        super().__init__(module, signature, "cpu")
        self.largest = largest  # type: ignore[assignment]  # of an instance, here
        self.bound: list[tuple[int, dict[str, int], int]] = []

    def workspace(self, most: int) -> int:
        return 256

    def prepare(self, batch: int, tensors: Mapping[str, Tensor], workspace: Tensor, stream: int) -> Launch:
        assert workspace.nbytes == 256
        addresses = {name: tensor.data_ptr() for name, tensor in tensors.items()}
        self.bound.append((batch, addresses, workspace.data_ptr()))
        return super().prepare(batch, tensors, workspace, stream)._replace(capturable=True)


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return leaky_graph(tmp_path_factory.mktemp("graph"))


@pytest.fixture
def leaky(graph: Path) -> GpuNetwork:
    return GpuNetwork(Module(Leaky(), graph_signature(graph), "cpu"), Host())


class TestNetwork:
    def test_agrees_with_another_backend_over_steps_and_batches(self, leaky: GpuNetwork, graph: Path) -> None:
        reference = OpenVinoNetwork(graph)
        for batch in (1, 3, 64):
            mine, theirs = initial_state(leaky.signature, batch), initial_state(leaky.signature, batch)
            for x in np.random.default_rng(0).standard_normal((5, batch, 3)).astype(np.float32):
                a, b = leaky({"x": x, **mine}), reference({"x": x, **theirs})
                np.testing.assert_allclose(a["y"], b["y"], atol=1e-6)
                mine, theirs = next_state(a), next_state(b)

    def test_more_than_the_largest_batch_runs_in_several(self, leaky: GpuNetwork) -> None:
        x = np.arange(3 * 150, dtype=np.float32).reshape(150, 3)
        assert np.array_equal(leaky({"x": x, "memory_in": np.zeros_like(x)})["y"], x)

    def test_rows_beyond_a_batch_are_not_returned_and_leave_no_trace(self, leaky: GpuNetwork) -> None:
        leaky({"x": np.full((4, 3), 9, np.float32), "memory_in": np.zeros((4, 3), np.float32)})
        three = leaky({"x": np.ones((3, 3), np.float32), "memory_in": np.zeros((3, 3), np.float32)})
        assert three["y"].shape == (3, 3) and (three["y"] == 1).all()

    def test_outputs_stay_the_callers(self, leaky: GpuNetwork) -> None:
        zero = np.zeros((1, 3), np.float32)
        first = leaky({"x": np.ones((1, 3), np.float32), "memory_in": zero})["y"]
        leaky({"x": np.full((1, 3), 9, np.float32), "memory_in": zero})
        assert (first == 1).all()

    def test_wrong_inputs_are_named(self, leaky: GpuNetwork) -> None:
        with pytest.raises(ValueError, match="missing \\['memory_in'\\]"):
            leaky({"x": np.zeros((1, 3), np.float32)})


class TestRecording:
    def test_one_recording_and_one_binding_a_batch_size(self, graph: Path) -> None:
        device, executor = Recorder(), Capturable(Leaky(), graph_signature(graph))
        network = GpuNetwork(executor, device)
        for batch in (1, 2, 3, 4, 3, 2, 1):
            x = np.full((batch, 3), batch, np.float32)
            assert (network({"x": x, "memory_in": x})["y"] == 1.5 * batch).all()
        assert [batch for batch, *_ in executor.bound] == [1, 2, 4] and device.recorded == 3

    def test_all_batch_sizes_share_one_set_of_buffers_and_one_workspace(self, graph: Path) -> None:
        executor = Capturable(Leaky(), graph_signature(graph))
        GpuNetwork(executor, Recorder(), batches=(1, 2, 8)).warm()
        assert len(executor.bound) == 3 and len({workspace for *_, workspace in executor.bound}) == 1
        assert all(addresses == executor.bound[0][1] for _, addresses, _ in executor.bound)
        assert len(set(executor.bound[0][1].values())) == 4

    def test_no_batch_is_larger_than_the_executor_takes(self, graph: Path) -> None:
        executor = Capturable(Leaky(), graph_signature(graph), largest=4)
        x = np.arange(33, dtype=np.float32).reshape(11, 3)
        assert np.array_equal(GpuNetwork(executor, Host())({"x": x, "memory_in": np.zeros_like(x)})["y"], x)
        assert [batch for batch, *_ in executor.bound] == [4]

    def test_a_module_that_may_not_be_recorded_is_not(self, graph: Path) -> None:
        device = Recorder()
        GpuNetwork(Module(Leaky(), graph_signature(graph), "cpu"), device).warm()
        assert device.recorded == 0


class Small(Host):
    """Has memory for so many floats at once."""

    def __init__(self, floats: int) -> None:
        self.tidied, self._floats = 0, floats

    def zeros(self, shape: Sequence[int], dtype: npt.DTypeLike) -> Tensor:
        if int(np.prod(shape)) > self._floats:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 17.00 MiB.")
        return super().zeros(shape, dtype)

    def tidy(self) -> None:
        self.tidied += 1


class TestMemory:
    def made(self, graph: Path, device: Small, batches: Sequence[int] = (1, 2, 4, 8)) -> GpuNetwork:
        module = Module(Leaky(), graph_signature(graph), "cpu")
        return fitting(device, batches, lambda sizes: GpuNetwork(module, device, batches=sizes))

    def test_as_many_at_once_as_it_holds_and_the_rest_after_them(
        self, graph: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        device = Small(3 * 2)
        x = np.arange(33, dtype=np.float32).reshape(11, 3)
        assert np.array_equal(self.made(graph, device)({"x": x, "memory_in": np.zeros_like(x)})["y"], x)
        assert device.tidied == 2
        assert [record.getMessage() for record in caplog.records] == [
            "the GPU's memory does not hold batches of 8: 4 at once",
            "the GPU's memory does not hold batches of 4: 2 at once",
        ]

    def test_where_there_is_none_even_for_one_nothing_is_made(self, graph: Path) -> None:
        with pytest.raises(torch.OutOfMemoryError):
            self.made(graph, Small(2))

    def test_other_errors_are_not_taken_for_it(self) -> None:
        device = Small(0)

        def broken(batches: Sequence[int]) -> None:
            raise RuntimeError("no kernel image is available for execution on the device")

        with pytest.raises(RuntimeError, match="no kernel image"):
            fitting(device, (1, 2), broken)
        assert device.tidied == 0 and out_of_memory(RuntimeError("TensorRT refused a context: Out of memory"))


class Captured:
    """Stands for `torch.cuda.CUDAGraph` and `torch.cuda.graph`: what runs while it is entered is kept, not done."""

    def __init__(self) -> None:
        self.replayed = 0

    def replay(self) -> None:
        self.replayed += 1


class Driver:
    """What `Cuda` asks of torch, as on a card; the recordings numbered `broken` are invalidated."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, broken: Sequence[int] = ()) -> None:
        self.graphs: list[Captured] = []
        self.modes: list[str] = []
        self._broken, self.capturing, self.waited = broken, False, 0
        monkeypatch.setattr(torch.version, "cuda", "13.0")
        monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
        monkeypatch.setattr(torch.cuda, "Stream", lambda device: self)
        monkeypatch.setattr(torch.cuda, "graph_pool_handle", lambda: (0, 1))
        monkeypatch.setattr(torch.cuda, "CUDAGraph", Captured)
        monkeypatch.setattr(torch.cuda, "graph", self.graph)
        monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)

    def synchronize(self) -> None:
        assert not self.capturing, "waiting breaks a recording off"
        self.waited += 1

    @contextmanager
    def graph(self, graph: Captured, pool: tuple[int, int], stream: object, capture_error_mode: str) -> Iterator[None]:
        assert stream is self and pool == (0, 1)
        self.graphs.append(graph)
        self.modes.append(capture_error_mode)
        self.capturing = True
        yield
        self.capturing = False
        if len(self.graphs) - 1 in self._broken:
            raise RuntimeError("CUDA error: operation failed due to a previous error during capture\nmore")


class TestRecordingOnACard:
    def test_runs_a_few_times_before_and_is_one_launch_after(self, monkeypatch: pytest.MonkeyPatch) -> None:
        driver, done = Driver(monkeypatch), list[bool]()
        launch = Cuda().record(lambda: done.append(driver.capturing))
        assert done == [False] * WARM_UPS + [True] and driver.waited == 1
        launch()
        assert driver.graphs[0].replayed == 1 and len(done) == WARM_UPS + 1
        assert driver.modes == ["thread_local"]  # other threads may use the card meanwhile

    def test_after_one_that_broke_off_there_is_no_other(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        driver, done, cuda = Driver(monkeypatch, broken=[1]), list[int](), Cuda()
        launches = [cuda.record(lambda i=i: done.append(i)) for i in range(4)]  # type: ignore[misc]
        assert len(driver.graphs) == 2 and len(caplog.records) == 1
        assert caplog.records[0].getMessage().endswith("previous error during capture")
        done.clear()
        for launch in launches:
            launch()
        assert done == [1, 2, 3] and driver.graphs[0].replayed == 1

    def test_single_precision_is_that(self, monkeypatch: pytest.MonkeyPatch) -> None:
        Driver(monkeypatch)
        Cuda()
        assert not torch.backends.cudnn.allow_tf32

    def test_what_torch_lacks_is_one_line(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
        for built_for, words in ((None, "is for CPUs: install a build"), ("13.0", "for CUDA 13.0 can't .* its driver")):
            monkeypatch.setattr(torch.version, "cuda", built_for)
            with pytest.raises(GpuMissing, match=words):
                Cuda()


class TestRows:
    def test_the_least_recently_used_gives_way(self) -> None:
        rows = Rows(2)
        (a, b), fresh = rows.place(["a", "b"])
        assert fresh == {"a": a, "b": b} and a != b
        assert rows.place(["a"]) == ([a], {})
        assert rows.place(["c"]) == ([b], {"c": b})
        assert rows.place(["a", "c", "a"]) == ([a, b, a], {})

    def test_none_of_one_call_gives_way_to_another_of_it(self) -> None:
        rows = Rows(2)
        rows.place(["a", "b"])
        placed, fresh = rows.place(["c", "a"])
        assert len(set(placed)) == 2 and set(fresh) == {"c"}

    def test_more_at_once_than_there_are_rows_is_refused_and_changes_nothing(self) -> None:
        rows = Rows(2)
        before = rows.place(["a", "b"])[0]
        with pytest.raises(ValueError, match="3 at once"):
            rows.place(["c", "d", "e"])
        assert rows.place(["a", "b"]) == (before, {})


class TestResidents:
    def network(self, capacity: int = 64, finish: bool = False) -> GpuNetwork:
        how = {"drawn": I420} if finish else None
        module = Module(Tinted(), TINTED, "cpu")
        return GpuNetwork(module, Host(), resident=["picture"], capacity=capacity, finish=how)

    @staticmethod
    def pictures(count: int) -> dict[str, Array]:
        random = np.random.default_rng(1)
        return {f"p{i}": random.integers(0, 256, (4, 6, 3), np.uint8) for i in range(count)}

    @staticmethod
    def draw(network: GpuNetwork, keys: Sequence[str], pictures: dict[str, Array], loads: list[str]) -> Array:
        def load(key: str) -> dict[str, Array]:
            loads.append(key)
            return {"picture": pictures[key]}

        level = np.linspace(0, 1, len(keys), dtype=np.float32)[:, None]
        return np.concatenate(network.run({"level": level}, keys, load)["drawn"])

    def test_each_is_loaded_once_and_every_session_sees_its_own(self) -> None:
        network, pictures, loads = self.network(), self.pictures(3), []  # type: ignore[var-annotated]
        for keys in (["p0", "p1", "p0", "p2", "p1"], ["p2", "p0"]):
            drawn = self.draw(network, keys, pictures, loads)
            for i, (key, level) in enumerate(zip(keys, np.linspace(0, 1, len(keys), dtype=np.float32), strict=True)):
                np.testing.assert_array_equal(drawn[i], (pictures[key] * level).astype(np.uint8))
        assert loads == ["p0", "p1", "p2"]

    def test_what_gave_way_is_loaded_again_and_is_right(self) -> None:
        network, pictures, loads = self.network(capacity=2), self.pictures(5), []  # type: ignore[var-annotated]
        keys = ["p0", "p1", "p2", "p3", "p4", "p0"]
        drawn = self.draw(network, keys, pictures, loads)
        for i, level in enumerate(np.linspace(0, 1, len(keys), dtype=np.float32)):
            np.testing.assert_array_equal(drawn[i], (pictures[keys[i]] * level).astype(np.uint8))
        assert loads == keys

    def test_a_picture_that_does_not_fit_is_named(self) -> None:
        with pytest.raises(ValueError, match="tensor 'picture'"):
            self.draw(self.network(), ["p"], {"p": np.zeros((4, 4, 3), np.uint8)}, [])

    def test_one_that_can_not_be_loaded_leaves_nobody_else_in_its_row(self) -> None:
        network, pictures = self.network(capacity=1), self.pictures(2)
        self.draw(network, ["p0"], pictures, [])
        with pytest.raises(KeyError):
            self.draw(network, ["lost"], pictures, [])
        loads: list[str] = []
        for key in ("p1", "p0"):
            np.testing.assert_array_equal(self.draw(network, [key, key], pictures, loads)[1], pictures[key])
        assert loads == ["p1", "p0"]

    def test_a_picture_that_is_kept_does_not_keep_its_batch(self) -> None:
        module = Module(Tinted(), TINTED, "cpu")
        network = GpuNetwork(module, Host(), resident=["picture"], capacity=4, apart=["drawn"])
        pictures = self.pictures(3)
        level = np.ones((3, 1), np.float32)
        pieces = network.run({"level": level}, list(pictures), lambda key: {"picture": pictures[key]})["drawn"]
        for piece, picture in zip(pieces, pictures.values(), strict=True):
            np.testing.assert_array_equal(piece, picture[None])
        assert not any(np.shares_memory(a, b) for a, b in combinations(pieces, 2))

    def test_as_many_as_a_share_of_the_memory_holds(self) -> None:
        specs = [TensorSpec("picture", (None, 100, 100), np.dtype(np.float32))]
        assert rows_for(specs, 16_000_000) == 100
        assert rows_for(specs, 1) == 1 and rows_for(specs, 1 << 40) == MOST_RESIDENT and rows_for([], 1 << 40) == 1

    def test_finished_frames_are_what_the_host_would_have_made(self) -> None:
        pictures = self.pictures(3)
        plain = self.draw(self.network(), list(pictures), pictures, [])
        finished = self.draw(self.network(finish=True), list(pictures), pictures, [])
        for rgb, i420 in zip(plain, finished, strict=True):
            np.testing.assert_array_equal(i420, cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420))


class TestI420:
    def test_same_bytes_as_opencv_for_every_colour_it_meets(self) -> None:
        steps = np.array([0, 1, 15, 16, 64, 127, 128, 200, 235, 254, 255], np.uint8)
        colours = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
        rgb = np.random.default_rng(0).permutation(np.resize(colours, (48 * 64, 3))).reshape(1, 48, 64, 3)
        i420 = torch.zeros(1, 72, 64, dtype=torch.uint8)
        write_i420(torch.from_numpy(rgb), i420)
        np.testing.assert_array_equal(i420[0].numpy(), cv2.cvtColor(rgb[0], cv2.COLOR_RGB2YUV_I420))


@pytest.mark.parametrize(("count", "most", "lengths"), [(0, 4, []), (4, 4, [4]), (9, 4, [4, 4, 1])])
def test_parts(count: int, most: int, lengths: list[int]) -> None:
    found = parts(count, most)
    assert [part.stop - part.start for part in found] == lengths
    assert [i for part in found for i in range(part.start, part.stop)] == list(range(count))
