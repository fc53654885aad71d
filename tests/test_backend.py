"""What the engine runs on: chosen by what there is, and drawing the same."""

import argparse
import logging
from copy import copy
from dataclasses import replace
from pathlib import Path
from weakref import ref

import numpy as np
import pytest

import engine.backend as backends
import engine.runtime.gpu_device as gpu_device
from engine.backend import RENDERER_GRAPH, Backend, choose, module
from engine.cdan import CDAN_GRAPH
from engine.face.coefficients import INDEX
from engine.portrait import Portrait, default_photo, prepare
from engine.renderer import CpuRenderer
from engine.renderer.gpu import PORTRAIT, GpuRenderer, Stage
from engine.renderer.shot import Shot
from engine.runtime import OpenVinoNetwork, graph_signature
from engine.runtime.gpu import GpuNetwork
from engine.runtime.gpu_device import Host
from engine.runtime.tensorrt import GpuMissing
from engine.runtime.tensorrt_plan import PlanRefused
from engine.tracks import rest
from server.commands import serve

SIZE = 256


@pytest.fixture(scope="module")
def people() -> list[Portrait]:
    return [prepare(default_photo(who)) for who in ("anna", "zola")]


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return float(10 * np.log10(255**2 / max(np.mean((a.astype(np.float64) - b) ** 2), 1e-9)))


class TestRenderer:
    """The GPU's renderer with torch's module, on the host."""

    def test_a_batch_of_people_and_backgrounds_is_what_the_cpu_draws(self, people: list[Portrait]) -> None:
        network = GpuNetwork(module(RENDERER_GRAPH, SIZE, "cpu"), Host(), resident=PORTRAIT, capacity=4)
        green = np.full((SIZE, SIZE, 3), (10, 200, 30), np.uint8)
        speaking = rest()
        speaking[[INDEX["jawOpen"], INDEX["headYaw"]]] = 0.4, 6
        shots = [Shot(people[0], rest()), Shot(people[1], speaking), Shot(people[0], speaking, green)]
        renderer = CpuRenderer(SIZE)
        for drawn, shot in zip(GpuRenderer(network).draw(shots), shots, strict=True):
            wanted = renderer.render(shot.portrait, shot.coefficients, shot.plate)
            assert drawn.shape == (SIZE, SIZE, 3) and psnr(drawn, wanted) > 40

    def test_what_lies_on_the_device_keeps_nobody_in_memory_and_is_nobody_elses(self, people: list[Portrait]) -> None:
        passing, plate = replace(people[0]), np.zeros((SIZE, SIZE, 3), np.uint8)
        stages = [Stage(passing, None), Stage(passing, plate), Stage(people[0], None), Stage(people[0], plate)]
        assert len(set(stages)) == 4 and stages[0] == Stage(passing, None) and stages[1] == Stage(passing, plate)
        gone = ref(passing)
        del passing
        assert gone() is None and stages[0] in stages and len(set(stages)) == 4
        assert stages[0] != Stage(people[0], None) and stages[0] != copy(stages[0])

    def test_a_cut_out_is_refused(self, people: list[Portrait]) -> None:
        network = GpuNetwork(module(RENDERER_GRAPH, SIZE, "cpu"), Host(), resident=PORTRAIT, capacity=4)
        with pytest.raises(ValueError, match="no cut-outs"):
            GpuRenderer(network).draw([Shot(people[0], rest(), cut_out=True)])


class TestChoice:
    def test_without_a_card_the_cpu_serves_unless_a_gpu_was_asked_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(backends, "card", _no_card)
        assert choose("auto").name == "cpu"
        for runtime in ("tensorrt", "torch"):
            with pytest.raises(GpuMissing, match="no NVIDIA driver"):
                choose(runtime)

    def test_with_a_card_the_log_says_why_the_next_best_serves(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        reasons = {
            "tensorrt": PlanRefused("stale"),
            "tensorrt_rtx": GpuMissing("absent"),
            "torch": GpuMissing("no CUDA"),
        }

        def refuse(name: str, plans: Path) -> Backend:
            raise reasons[name]

        monkeypatch.setattr(backends, "gpu", refuse)
        monkeypatch.setattr(backends, "card", lambda: ("NVIDIA L4", "8.9"))
        with caplog.at_level(logging.WARNING):
            assert choose("auto").name == "cpu"
        assert [record.getMessage() for record in caplog.records] == [
            f"cpu serves: {reason}" for reason in ("stale", "absent", "no CUDA")
        ]
        with pytest.raises(PlanRefused, match="stale"):
            choose("tensorrt")

    def test_an_error_of_the_card_is_a_reason_like_any_other(
        self, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        def broken(*of: object) -> Backend:
            raise RuntimeError("CUDA error: no kernel image is available for execution on the device\nCompile with")

        monkeypatch.setattr(backends, "card", lambda: ("NVIDIA K80", "3.7"))
        monkeypatch.setattr(gpu_device, "Cuda", lambda: Host())
        monkeypatch.setattr(backends, "on_device", broken)
        with caplog.at_level(logging.WARNING):
            assert choose("auto").name == "cpu"
        assert caplog.records[-1].getMessage() == (
            "cpu serves: torch can't serve on this card: CUDA error: no kernel image is available for execution on the"
            " device"
        )
        with pytest.raises(GpuMissing, match="tensorrt can't serve"):
            choose("tensorrt")

    def test_the_first_that_can_is_the_last_that_is_tried(self, monkeypatch: pytest.MonkeyPatch) -> None:
        asked = []

        def made(name: str, plans: Path) -> Backend:
            asked.append((name, plans))
            return Backend(name, OpenVinoNetwork(CDAN_GRAPH), lambda size: None, aligned=True)  # type: ignore[arg-type, return-value]

        monkeypatch.setattr(backends, "gpu", made)
        assert choose("auto", plans=Path("here")).name == "tensorrt" and asked == [("tensorrt", Path("here"))]

    def test_a_gpu_is_one_threads(self, monkeypatch: pytest.MonkeyPatch) -> None:
        gpu = Backend("tensorrt", OpenVinoNetwork(CDAN_GRAPH), lambda size: None, aligned=True)  # type: ignore[arg-type, return-value]
        monkeypatch.setattr(serve, "has_card", lambda: True)
        monkeypatch.setattr(serve, "choose", lambda runtime, plans: gpu)
        options = {"engines": 4, "look_ahead": 1, "plans": None}
        factory, count = serve.engines(argparse.Namespace(runtime="auto", **options))
        assert count == 1 and factory().aligned
        assert serve.engines(argparse.Namespace(runtime="cpu", **options))[1] == 4

    def test_other_sizes_have_the_graphs_border(self) -> None:
        border = graph_signature(RENDERER_GRAPH)
        other = backends.of_size(border, 384)
        assert other.inputs == border.inputs and other.outputs[0].shape == (None, 384, 384, 3)


def _no_card() -> tuple[str, str]:
    raise GpuMissing("no NVIDIA driver")
