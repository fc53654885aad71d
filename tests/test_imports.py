"""What may depend on what: no arrow points back."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
# A part may import itself and what stands here beside it; nothing else of the project.
ALLOWED: dict[str, set[str]] = {
    "engine.units": set(),
    "engine.les": {"engine.units"},
    "engine.face": {"engine.units"},
    "engine.audio": {"engine.units"},
    "engine.places": set(),
    "engine.runtime": {"engine.places"},
    "engine.cdan.training.sheet": {
        f"engine.{p}" for p in "units les face audio cdan portrait renderer film tracks".split()
    },
    "engine.cdan": {"engine.units", "engine.les", "engine.face", "engine.audio", "engine.runtime"},
    "engine.portrait": {"engine.units", "engine.les", "engine.face", "engine.runtime"},
    "engine.renderer": {"engine.units", "engine.les", "engine.face", "engine.runtime", "engine.portrait"},
    "engine.capture": {f"engine.{p}" for p in "units face portrait runtime".split()},
    "engine.motion": {"engine.units", "engine.les", "engine.face", "engine.runtime"},
    "engine.tracks": {"engine.units", "engine.les", "engine.face"},
    "engine.film": {"engine.units"},
    "engine.background": {"engine.portrait"},
    "engine.thrift": {"engine.face", "engine.runtime"},
    "engine.avatar": {
        f"engine.{p}"
        for p in "units les face audio backend background cdan portrait renderer motion thrift tracks".split()
    },
    "engine.backend": {f"engine.{p}" for p in "units cdan renderer runtime".split()},
    "engine.evaluation": {
        f"engine.{p}"
        for p in "units les face audio cdan portrait capture renderer motion runtime tracks avatar".split()
    },
    "engine.refiner": {f"engine.{p}" for p in "units face portrait capture renderer runtime tracks evaluation".split()},
    "trt_build": {"engine"},
    "client_web": set(),
}
# The server reaches the engine at its worker, its commands and the few facts that both sides of the protocol share.
SERVER_MAY: dict[str, set[str]] = {
    "server.commands": {"engine"},
    "server.cli": {"engine"},
    "server.worker": {"engine"},
    "server.talk": {"engine.audio"},  # reads the sentence that machines are measured with
    "server.bridges.studio": {"engine.avatar"},  # frameworks that start no server start the engine there
}
# Assistants see a session as a conversation; queues, calls and sockets are none of their business.
ASSISTANTS_MAY = {
    f"server.{p}"
    for p in "assistants conversation settings backlog side_by_side sound_format bridges.twilio_stream".split()
} | {"engine.les"}
SERVER_SHARED = {f"engine.{p}" for p in "background units places les portrait face motion".split()}


def modules() -> Iterator[tuple[str, Path]]:
    for top in ("engine", "server", "trt_build", "client_web"):
        for path in sorted((ROOT / top).rglob("*.py")):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            yield name.removesuffix(".__init__"), path


def imported(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path.name}: imports are absolute"
            yield node.module or ""


def within(name: str, parts: set[str]) -> bool:
    return any(name == part or name.startswith(part + ".") for part in parts)


def part_of(name: str) -> str:
    return next((part for part in ALLOWED if within(name, {part})), "")


def ours(path: Path) -> list[str]:
    return [name for name in imported(path) if name.split(".")[0] in ("engine", "server", "trt_build", "client_web")]


class TestArrows:
    def test_every_engine_module_belongs_to_a_part(self) -> None:
        homeless = [name for name, _ in modules() if name.startswith("engine.") and not part_of(name)]
        assert homeless == []

    @pytest.mark.parametrize("part", ALLOWED)
    def test_part_imports_only_what_stands_below_it(self, part: str) -> None:
        wrong = [
            f"{name} -> {target}"
            for name, path in modules()
            if part_of(name) == part
            for target in ours(path)
            if not within(target, ALLOWED[part] | {part})
        ]
        assert wrong == []

    def test_server_meets_the_engine_at_its_edges_only(self) -> None:
        wrong = [
            f"{name} -> {target}"
            for name, path in modules()
            if name.startswith("server")
            for target in ours(path)
            if not within(target, {"server"} | SERVER_SHARED)
            if not any(within(name, {edge}) and within(target, may) for edge, may in SERVER_MAY.items())
        ]
        assert wrong == []


class TestAdapters:
    """An assistant knows a session by its conversation alone; each framework has one home."""

    HOMES = {"pipecat": "server.bridges.pipecat", "livekit": "server.bridges.livekit", "openai": "tests"}

    @pytest.mark.parametrize("framework", HOMES)
    def test_a_framework_is_imported_by_its_own_bridge_only(self, framework: str) -> None:
        users = {name for name, path in modules() if any(within(target, {framework}) for target in imported(path))}
        assert {name for name in users if not within(name, {self.HOMES[framework]})} == set()

    def test_assistants_know_conversations_only(self) -> None:
        wrong = [
            f"{name} -> {target}"
            for name, path in modules()
            if within(name, {"server.assistants"})
            for target in ours(path)
            if not within(target, ASSISTANTS_MAY)
        ]
        assert wrong == []


class TestPureParts:
    """Rules that say "pure" know no clock, task or socket: time is an argument."""

    PURE = (
        "bargein conversation floor foresight line load loudness microphone playout protocol "
        "session session_actions session_events speech timeline"
    ).split()
    IMPURE = {"aiortc", "asyncio", "fastapi", "socket", "threading", "time", "uvicorn"}

    @pytest.mark.parametrize("part", PURE)
    def test_import_nothing_that_happens(self, part: str) -> None:
        found = {name for name in imported(ROOT / "server" / f"{part}.py") if within(name, self.IMPURE)}
        reached = {target for target in ours(ROOT / "server" / f"{part}.py") if target.startswith("server.")}
        assert found == set() and {target.removeprefix("server.") for target in reached} <= {*self.PURE, "targets"}


class TestServingNeedsNoTorch:
    """The torch leaves are for training, for reference and for export; nothing on the serving path imports them."""

    LEAVES = {
        "engine.cdan.causal",
        "engine.cdan.glance",
        "engine.cdan.network",
        "engine.cdan.spectra",
        "engine.cdan.training",
        "engine.evaluation.sealing",
        "engine.evaluation.teacher",
        "engine.refiner.evaluate",
        "engine.refiner.network",
        "engine.refiner.train",
        "engine.renderer.export",
        "engine.renderer.fields",
        "engine.renderer.module",
        "engine.runtime.export",
        "engine.runtime.gpu",
        "engine.runtime.gpu_device",
        "engine.runtime.gpu_i420",
        "engine.runtime.gpu_torch",
        "engine.runtime.torch",
    }

    def test_only_leaves_import_torch(self) -> None:
        users = {name for name, path in modules() if within("torch", set(imported(path)))}
        assert {name for name in users if not within(name, self.LEAVES | {"trt_build"})} == set()

    def test_the_server_starts_where_torch_is_not_installed(self) -> None:
        code = "import sys; sys.modules['torch'] = None; import server.app, server.cli, engine.avatar"
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


class TestWhatTheGpuExtraBrings:
    """Whoever installs `les-avatar[gpu]` can build plans, check them and serve by torch: nothing else is needed."""

    CODE = """
import sys
sys.modules.update(dict.fromkeys({missing!r}))
import trt_build.__main__, trt_build.half, engine.runtime.gpu_i420
from engine.backend import CDAN_GRAPH, RENDERER_GRAPH, module
module(CDAN_GRAPH, 512, "cpu"), module(RENDERER_GRAPH, 512, "cpu")
"""

    def test_building_checking_and_torch_work_with_it_alone(self) -> None:
        project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
        extras = {name: packages(lines) for name, lines in project["optional-dependencies"].items()}
        others = set().union(*extras.values()) - extras["gpu"] - packages(project["dependencies"])
        assert "babel" in others
        code = self.CODE.format(missing=sorted(others))
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


def packages(requirements: list[str]) -> set[str]:
    """Their names as modules have them."""
    return {re.split(r"[^\w-]", line)[0].replace("-", "_").lower() for line in requirements}
