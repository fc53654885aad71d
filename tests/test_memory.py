"""What calls held goes back to the system when they have left."""

import gc
import os
import sys
from pathlib import Path

import pytest

from server import memory
from server.commands.watch import usage
from tests.server_fakes import Caller
from tests.server_running import running, until

PIECE, PIECES = 100_000, 400  # bytes: too small to be mapped one by one


def resident_mb() -> float:
    return usage(os.getpid()).memory_mb


@pytest.mark.skipif(sys.platform != "linux", reason="as glibc does it")
def test_what_is_freed_below_something_kept_goes_back() -> None:
    pieces = [bytearray(b"\1" * PIECE) for _ in range(PIECES)]
    kept, held = pieces[-1], resident_mb()
    del pieces
    memory.give_back()
    assert held - resident_mb() > 0.8 * PIECE * PIECES / 2**20 and kept


async def test_a_session_that_has_left_gives_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    async with running(tmp_path) as server, Caller(server.url) as caller:
        monkeypatch.setattr("server.memory.give_back", lambda: given.append(len(server.place.sessions)))
        await caller.create()
        await caller.http.delete(f"/v1/sessions/{caller.session['id']}", headers=caller.auth)
        await until(lambda: given == [0])


async def test_what_a_server_begins_with_is_not_searched_while_it_runs(tmp_path: Path) -> None:
    async with running(tmp_path):
        assert gc.get_freeze_count() > len(gc.get_objects())
    assert gc.get_freeze_count() == 0
