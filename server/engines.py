"""Engine threads, and which of them a new session gets: the one that carries the fewest.

One thread steps its sessions in turn. A GPU has one, which takes all sessions at once; on a CPU each works through a
process of its own (`server.remote`), so that as many cores draw as there are threads.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

from server.engine_thread import Engine, EngineThread

T = TypeVar("T")


class Engines:
    def __init__(self, factory: Callable[[], Engine], count: int = 1) -> None:
        """`factory` runs in each thread."""
        self._threads = [EngineThread(factory) for _ in range(count)]
        self.ready = asyncio.gather(*(thread.ready for thread in self._threads))

    @property
    def look_ahead(self) -> int:
        return self._threads[0].look_ahead

    def __len__(self) -> int:
        return len(self._threads)

    def least(self, taken: Iterable[EngineThread]) -> EngineThread:
        """The thread that occurs least often in `taken`."""
        carries = Counter(taken)
        return min(self._threads, key=lambda thread: carries[thread])

    @property
    def busy_s(self) -> list[float]:
        """Time that each has spent at work."""
        return [thread.busy_s for thread in self._threads]

    @property
    def failure(self) -> str:
        """Why nothing is drawn any more, if so."""
        return next((thread.failure for thread in self._threads if thread.failure), "")

    async def run_on_each(self, work: Callable[[Engine], Any]) -> list[Any]:
        """`work(engine)` in all threads at once."""
        return await asyncio.gather(*(thread.run(work) for thread in self._threads))

    async def run_on_one(self, work: Callable[[Engine], T]) -> T:
        """`work(engine)` in the first thread."""
        return await self._threads[0].run(work)

    async def close(self) -> None:
        self.ready.cancel()
        await asyncio.wait([self.ready])
        await asyncio.gather(*(thread.close() for thread in self._threads))
