"""The command that measures sessions on one engine: its clock and its encoders, and the whole of it on a CPU."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event

import numpy as np
import pytest

from engine.avatar import Picture
from engine.les import Les
from engine.thrift import Drawn
from server.cli import main
from server.commands.bench_sessions import Encoders

SIZE = 256


def picture(frame: int) -> Picture:
    face, image = np.zeros(69, np.float32), np.full((SIZE * 3 // 2, SIZE), frame % 200, np.uint8)
    return Picture(frame, Drawn(face[:63], face, image), face, Les())


class TestEncoders:
    def test_every_sessions_pictures_are_encoded(self) -> None:
        with ThreadPoolExecutor(2) as threads:
            encoders = Encoders(threads, 3, SIZE)
            encoders.encode([picture(0)] * 3)
        assert len(encoders.taken) == 3 and min(encoders.taken) > 0

    def test_one_that_is_still_at_work_leaves_a_picture_out(self) -> None:
        busy = Event()
        with ThreadPoolExecutor(1) as threads:
            threads.submit(busy.wait, 10)
            encoders = Encoders(threads, 2, SIZE)
            for frame in range(3):
                encoders.encode([picture(frame)] * 2)
            busy.set()
        assert len(encoders.taken) == 2


class TestCommand:
    def test_prints_ticks_and_what_they_amount_to(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        report = tmp_path / "sessions.json"
        arguments = ["--sessions", "2", "--seconds", "1", "--size", str(SIZE), "--runtime", "cpu"]
        assert main(["bench", *arguments, "--json", str(report)]) == 0
        out, told = capsys.readouterr().out, json.loads(report.read_text())
        alone, beside, encoder = told["rows"]
        assert "tick, engine alone, ms" in out and alone["name"].startswith("tick, engine alone")
        assert 0 < alone["p50"] <= alone["p95"] <= alone["p99"] and 0 < encoder["p50"] and 0 < beside["p50"]
        assert told["sessions"].startswith("2, 256 x 256") and told["sessions"].endswith("cpu")
        assert told["frames a second, engine alone, at most"] == pytest.approx(2000 / alone["p50"], rel=0.01)
