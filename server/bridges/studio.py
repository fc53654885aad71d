"""Portraits alive in the caller's own process: one engine for all of them, no web server.

For frameworks that bring their own transport: they join a session as a receiver in this process.
"""

import asyncio
import time
from collections.abc import Callable
from types import TracebackType

from engine.avatar import Avatar
from engine.les import Les
from engine.portrait import Portrait, default_names
from server.commands.sources import checked_size, open_portrait
from server.engine_thread import Engine
from server.engines import Engines
from server.live import LiveSession
from server.portraits import Portraits, prepare_in_process
from server.protocol import CreateSession
from server.sessions import Sessions
from server.settings import Settings


class Studio:
    """`async with Studio() as studio: live = await studio.open("anna")`."""

    def __init__(self, engine: Callable[[], Engine] = Avatar, settings: Settings | None = None) -> None:
        """Of the settings two matter: `max_sessions`, and `portraits_dir`, where prepared defaults are kept."""
        self._factory, self._settings = engine, settings or Settings(max_sessions=16)
        self._portraits = Portraits(self._settings.portraits_dir, prepare_in_process, Portrait.load, 0)
        self._preparing = asyncio.Lock()
        self._engines: Engines | None = None
        self._sessions: Sessions | None = None

    async def __aenter__(self) -> "Studio":
        self._engines = Engines(self._factory)
        await self._engines.ready
        self._sessions = Sessions(self._settings, self._engines, time.monotonic)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._sessions is not None and self._engines is not None:
            await self._sessions.end_all("shutdown")
            await self._engines.close()
        self._sessions = self._engines = None

    @property
    def sessions(self) -> int:
        """How many are open."""
        return 0 if self._sessions is None else len(self._sessions)

    async def open(
        self, portrait: str | Portrait, *, size: int = 512, seed: int = 0, emotion: Les | None = None
    ) -> LiveSession:
        """A session that says what is put into its `conversation`. It ends 30 s from now unless somebody joins it.

        `portrait` is a default portrait's name, a photo's path or a prepared file's, or what one of these was loaded
        to. Raises `server.commands.Refusal` for one that can't be used, `server.sessions.Full`.
        """
        assert self._sessions is not None, "enter the studio first: async with Studio() as studio"
        person = portrait if isinstance(portrait, Portrait) else await self._person(portrait)
        name = portrait if isinstance(portrait, str) else "portrait"
        request = CreateSession(portrait=name[:80], source="push", barge_in=False, seed=seed, size=checked_size(size))
        live, _ = await self._sessions.create(request, person, emotion or Les())
        return live

    async def _person(self, name: str) -> Portrait:
        """Default portraits are prepared once for all, as by the server, and shared between sessions."""
        if name not in default_names():
            return await asyncio.to_thread(open_portrait, name)
        async with self._preparing:
            await self._portraits.prepare_defaults()
            return await self._portraits.load(name)
