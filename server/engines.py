"""Engine threads, and which of them a new session gets: the one that carries the fewest.

One thread steps its sessions in turn, so a core is all that it can use; its networks are shared with the others.
"""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable
from typing import Any

from server.engine_thread import Engine, EngineThread


class Engines:
    def __init__(self, factory: Callable[[], Engine], count: int = 1) -> None:
        """`factory` runs in the first thread; the others work with its twins."""
        self._count = count
        self._threads = [EngineThread(factory)]
        self.ready = asyncio.ensure_future(self._start())

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

    async def run_on_each(self, work: Callable[[Engine], Any]) -> list[Any]:
        """`work(engine)` in all threads at once."""
        return await asyncio.gather(*(thread.run(work) for thread in self._threads))

    async def close(self) -> None:
        self.ready.cancel()
        await asyncio.wait([self.ready])
        await asyncio.gather(*(thread.close() for thread in self._threads))

    async def _start(self) -> None:
        engine = await self._threads[0].ready
        self._threads += [EngineThread(engine.twin) for _ in range(self._count - 1)]
        await asyncio.gather(*(thread.ready for thread in self._threads))
