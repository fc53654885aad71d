"""What the request handlers share: settings, engine, portraits, sessions, and whether all of it is ready."""

import asyncio
import gc
import logging
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from fastapi import Request, WebSocket

from engine.units import CHUNK
from server import memory
from server.assistants.registry import Offer
from server.capacity import Capacity, capacity
from server.engine_thread import Engine
from server.engines import Engines
from server.portraits import Portraits
from server.rooms import Rooms
from server.sessions import Sessions
from server.settings import Settings

log = logging.getLogger(__name__)

WARM_STEPS = 3


@dataclass
class Place:
    settings: Settings
    engines: Engines
    portraits: Portraits
    sessions: Sessions
    assistants: Mapping[str, Offer]
    """By name, the default first."""
    rooms: Rooms = field(default_factory=Rooms)
    capacity: Capacity | None = None
    """None where the number of calls was said, and nothing measured."""
    ready: bool = False
    problem: str = ""
    """Why it will never be ready, if so."""
    _governing: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Waits for the engine, prepares the default portraits and warms up."""
        try:
            await self.engines.ready
            await self._prepare()
            await self._measure()
            memory.settle()
            self._governing = asyncio.create_task(self.sessions.govern())
        except Exception as error:  # the root of the start: the page must say what the log says
            self.problem = str(error)
            log.exception("the server can't take calls")
        else:
            self.ready = True
            log.info("ready for calls")

    async def close(self) -> None:
        """After `start` has ended."""
        if self._governing:
            self._governing.cancel()
            await asyncio.wait([self._governing])
        await self.sessions.end_all("shutdown")
        await self.engines.close()
        gc.unfreeze()  # whoever goes on in this process, as tests do, is rid of all this

    async def _measure(self) -> None:
        """How many calls there may be, unless that was said."""
        if self.settings.max_sessions is None:
            portrait = await self.portraits.load(self.portraits.list()[0].id)
            self.capacity = await capacity(self.engines, portrait, self.settings.capacity_file)
            self.sessions.limit = self.capacity.sessions
            calls = f"{self.sessions.limit} call{'s' * (self.sessions.limit > 1)}"
            log.info("%.0f frames a second: %s", self.capacity.frames_per_second, calls)

    async def _prepare(self) -> None:
        """The default portraits; the engines warm up with the first one while the others are prepared."""
        first = asyncio.Event()
        try:
            async with asyncio.TaskGroup() as both:
                both.create_task(self._warm_up(first))
                both.create_task(self.portraits.prepare_defaults(first.set))
        except ExceptionGroup as failed:
            raise failed.exceptions[0] from None

    async def _warm_up(self, first: asyncio.Event) -> None:
        """The first steps of an engine are slow; nobody should wait for them. One engine goes before: what it compiles
        is kept, and the others need not compile it too."""
        await first.wait()
        portrait = await self.portraits.load(self.portraits.list()[0].id)
        silence = np.zeros(CHUNK, np.float32)

        def step(engine: Engine) -> None:
            stream = engine.open(portrait)
            for _ in range(WARM_STEPS):
                engine.step([(stream, silence)])

        await self.engines.run_on_one(step)
        await self.engines.run_on_each(step)


def place_of(connection: Request | WebSocket) -> Place:
    place = connection.app.state.place
    assert isinstance(place, Place)
    return place
