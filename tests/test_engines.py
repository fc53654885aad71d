"""Several engine threads: who gets a session, what happens when one of them can't work."""

import asyncio
import threading
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.engine_thread import EngineThread
from server.engines import Engines
from tests.server_fakes import FakeEngine
from tests.server_running import running


class Where(FakeEngine):
    """Notes in which thread it works."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()

    def open(self, *args: Any, **options: Any) -> Any:
        self.threads.add(threading.get_ident())
        return super().open(*args, **options)


class TestEngines:
    async def test_the_next_session_goes_where_the_fewest_are(self) -> None:
        engines = Engines(FakeEngine, 3)
        await engines.ready
        taken: list[EngineThread] = []
        for _ in range(5):
            taken.append(engines.least(taken))
        assert len(engines) == 3 and [taken.count(thread) for thread in set(taken)] in ([2, 2, 1], [2, 1, 2], [1, 2, 2])
        taken.remove(lonely := next(thread for thread in taken if taken.count(thread) == 1))
        assert engines.least(taken) is lonely
        await engines.close()

    async def test_each_works_in_a_thread_of_its_own(self) -> None:
        engines = Engines(FakeEngine, 2)
        await engines.ready
        assert len(set(await engines.run_on_each(lambda _: threading.get_ident()))) == 2
        await engines.close()

    async def test_an_engine_that_can_not_be_made_is_told(self) -> None:
        made: list[FakeEngine] = []

        def lonely() -> FakeEngine:
            if made:
                raise MemoryError("no room for two")
            made.append(FakeEngine())
            return made[0]

        engines = Engines(lonely, 2)
        with pytest.raises(MemoryError, match="no room"):
            await engines.ready
        await engines.close()

    async def test_sessions_are_shared_out(self, tmp_path: Path) -> None:
        engine = Where()
        async with running(tmp_path, engine, engines=2) as server, httpx.AsyncClient(base_url=server.url) as http:
            engine.threads.clear()
            for _ in range(2):
                (await http.post("/v1/sessions", json={"portrait": "anna", "source": "push"})).raise_for_status()
            assert len(engine.threads) == 2

    async def test_sessions_that_come_at_the_same_moment_are_too(self, tmp_path: Path) -> None:
        engine = Where()
        async with running(tmp_path, engine, engines=2) as server, httpx.AsyncClient(base_url=server.url) as http:
            engine.threads.clear()
            wish = {"portrait": "anna", "source": "push"}
            answers = await asyncio.gather(*(http.post("/v1/sessions", json=wish) for _ in range(2)))
            assert all(answer.is_success for answer in answers) and len(engine.threads) == 2
