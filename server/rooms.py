"""Sessions that several connections find by a name: the first to come opens it, and all others bring the same key.

An encoder and a player that know nothing of our sessions meet so: one brings the voice, others watch.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.live import LiveSession


@dataclass(frozen=True)
class Room:
    live: LiveSession
    key: str


class Rooms:
    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._entering = asyncio.Lock()

    async def enter(self, name: str, key: str, open: Callable[[], Awaitable[LiveSession]]) -> LiveSession:
        """The session behind `name`; `open` makes one if there is none. PermissionError for another key."""
        async with self._entering:
            self._rooms = {name: room for name, room in self._rooms.items() if not room.live.closed}
            room = self._rooms.get(name)
            if room is None:
                room = self._rooms[name] = Room(await open(), key)
            elif not hmac.compare_digest(room.key.encode(), key.encode()):
                raise PermissionError
            return room.live

    async def leave(self, live: LiveSession) -> None:
        """Ends a session of ours that nobody is left in."""
        if live.deserted and any(room.live is live for room in self._rooms.values()):
            await live.end("deleted")
