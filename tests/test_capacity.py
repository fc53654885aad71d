"""How many calls the server lets in: measured once on a machine, remembered, and never a reason not to start."""

import json
import os
import time
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

import server.capacity
from engine.cdan.training.voices import Utterance
from engine.evaluation.drivers import NetworkDriver
from engine.les import Les
from engine.units import CHUNK, SAMPLE_RATE
from server.capacity import Capacity
from server.talk import talk
from tests.server_fakes import FakeEngine
from tests.server_running import running

MEASURED = {"frames_per_second": 130.0, "engines": 1, "cores": server.capacity.cores()}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.capacity, "TRIAL_S", 0.1)


async def told(directory: Path, memory: Path) -> dict[str, Any]:
    async with (
        running(directory, max_sessions=None, capacity_file=memory) as server,
        httpx.AsyncClient(base_url=server.url) as http,
    ):
        answer: dict[str, Any] = (await http.get("/v1/capacity")).json()
        assert (await http.get("/readyz")).json()["max_sessions"] == answer["max_sessions"]
        return answer


class TestCapacity:
    async def test_is_measured_and_remembered(self, tmp_path: Path) -> None:
        memory = tmp_path / "home" / "capacity.json"
        first = await told(tmp_path, memory)
        assert first["measured"] == json.loads(memory.read_text())
        assert first["max_sessions"] == first["free"] == Capacity(**first["measured"]).sessions
        faster = first["measured"] | {"frames_per_second": 1300.0}
        memory.write_text(json.dumps(faster))
        assert (await told(tmp_path, memory))["max_sessions"] == Capacity(**faster).sessions > 1

    @pytest.mark.parametrize("content", ["", "[]", '{"sessions": 99}', json.dumps(MEASURED | {"machine": "another"})])
    async def test_what_is_not_of_this_machine_is_measured_anew(self, tmp_path: Path, content: str) -> None:
        (tmp_path / "home").mkdir()
        memory = tmp_path / "home" / "capacity.json"
        memory.write_text(content)
        measured = (await told(tmp_path, memory))["measured"]
        assert measured["machine"] == server.capacity.machine() and measured["frames_per_second"] != 130

    async def test_is_measured_anew_after_a_day(self, tmp_path: Path) -> None:
        memory = tmp_path / "capacity.json"
        known = MEASURED | {"machine": server.capacity.machine()}
        memory.write_text(json.dumps(known))
        assert (await told(tmp_path, memory))["measured"] == known
        os.utime(memory, (0, time.time() - 25 * 3600))
        assert (await told(tmp_path, memory))["measured"] != known
        assert memory.stat().st_mtime > time.time() - 3600

    async def test_a_place_to_keep_it_is_not_needed(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert (await told(tmp_path, tmp_path / "file" / "capacity.json"))["max_sessions"] >= 1

    async def test_what_was_said_is_not_measured(self, tmp_path: Path) -> None:
        async with running(tmp_path, max_sessions=3) as server, httpx.AsyncClient(base_url=server.url) as http:
            answer = (await http.get("/v1/capacity")).json()
            assert answer["max_sessions"] == answer["free"] == 3 and answer["measured"] is None
            (await http.post("/v1/sessions", json={"portrait": "anna", "source": "push"})).raise_for_status()
            assert (await http.get("/v1/capacity")).json()["free"] == 2

    @pytest.mark.parametrize(
        ("rate", "engines", "cores", "sessions"),
        [
            (3.0, 1, 1, 1),
            (142.0, 2, 2, 2),  # two cores of Zen 4, which held two calls and not three
            (290.0, 2, 2, 4),  # two of Zen 5, which held four
            (300.0, 1, 16, 9),  # one engine, which others wait for
            (1e6, 1, 1, 5),  # pictures that cost nothing
        ],
    )
    def test_leaves_room_for_the_rest_of_a_call(self, rate: float, engines: int, cores: int, sessions: int) -> None:
        assert Capacity(rate, engines, cores, "").sessions == sessions

    def test_a_trial_draws_and_encodes(self) -> None:
        engine = FakeEngine()
        assert server.capacity.trial(engine, None) > 0  # type: ignore[arg-type]
        assert engine.streams[0].frame > server.capacity.WARM_FRAMES


class TestTalk:
    def test_is_speech_to_the_network(self) -> None:
        """Pauses cost less: a face that rests half of the time would promise calls that can't be carried."""
        sentence = talk(4.0)
        assert sentence.shape == (100, CHUNK)
        ((_, prosody),) = NetworkDriver().heard([Utterance(sentence.ravel(), SAMPLE_RATE, ())], Les())
        assert np.mean(prosody[:, 0] > 0.5) > 0.85
