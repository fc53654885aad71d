"""Sessions that several connections find by a name: the first to come opens it, and all others bring the same key.

An encoder and a player that know nothing of our sessions meet so: one brings the voice, others watch.
"""

import asyncio
import hmac
import weakref
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from server.live import LiveSession


@dataclass(frozen=True)
class Room:
    session: weakref.ref[LiveSession]
    """Its sessions hold it; a room keeps none alive."""
    key: str

    @property
    def live(self) -> LiveSession | None:
        """None for one that has ended."""
        live = self.session()
        return None if live is None or live.closed else live


class Rooms:
    def __init__(self) -> None:
        self._rooms: dict[str, Room] = {}
        self._entering = asyncio.Lock()

    async def enter(self, name: str, key: str, open: Callable[[], Awaitable[LiveSession]]) -> LiveSession:
        """The session behind `name`; `open` makes one if there is none. PermissionError for another key."""
        async with self._entering:
            self._rooms = {name: room for name, room in self._rooms.items() if room.live}
            room = self._rooms.get(name)
            if room is None or (live := room.live) is None:
                live = await open()
                self._rooms[name] = Room(weakref.ref(live), key)
            elif not hmac.compare_digest(room.key.encode(), key.encode()):
                raise PermissionError
            return live

    async def leave(self, live: LiveSession) -> None:
        """Ends a session of ours that nobody is left in."""
        if live.deserted and any(room.live is live for room in self._rooms.values()):
            await live.end("deleted")
