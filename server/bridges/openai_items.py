"""The items of a Realtime client's conversation: what was committed or said, and what still waits to be spoken."""

from collections.abc import Iterable
from dataclasses import dataclass, field

from engine.les import Les
from server.backlog import MAX_BYTES
from server.bridges.openai_events import EventError, Object

REMEMBERED = 256  # items that can still be asked for

Part = bytes | Les
"""PCM16, or the emotion of what follows it."""


@dataclass
class Known:
    """An item, as its creator or we describe it."""

    object: Object
    parts: list[Part] = field(default_factory=list)
    """What it will say; empty once a response has it."""
    length_ms: int = 0
    """How much of an answer was heard."""


class Items:
    def __init__(self) -> None:
        self._known: dict[str, Known] = {}
        self._waiting: list[str] = []
        """Those that no response has spoken yet."""

    def __contains__(self, id: str) -> bool:
        return id in self._known

    def __getitem__(self, id: str) -> Known:
        if id not in self._known:
            raise EventError("item_not_found", f"there is no item {id[:40]!r}", "item_id")
        return self._known[id]

    @property
    def last(self) -> str | None:
        return next(reversed(self._known), None)

    @property
    def waiting(self) -> list[Part]:
        """All that is not spoken yet, in order."""
        return [part for id in self._waiting for part in self._known[id].parts]

    def add(self, item: Object, parts: Iterable[Part]) -> None:
        known = self._known[item["id"]] = Known(item, list(parts))
        if known.parts:
            self._waiting.append(item["id"])
        while len(self._known) > REMEMBERED:
            self.forget(next(iter(self._known)))

    def forget(self, id: str) -> None:
        """Raises EventError if there is none."""
        gone = self[id]
        self._known = {other: known for other, known in self._known.items() if known is not gone}
        self._waiting = [other for other in self._waiting if other != id]

    def spoken(self) -> None:
        """A response has all that waited."""
        for id in self._waiting:
            self._known[id].parts.clear()
        self._waiting.clear()

    def check_room(self, more: int) -> None:
        """Raises EventError if so many bytes more are too many."""
        if sum(sizes(self.waiting)) + more > MAX_BYTES:
            raise EventError("buffer_full", "too much sound waits; create a response that speaks it")


def sizes(parts: Iterable[Part]) -> Iterable[int]:
    """Bytes of the sound among them."""
    return (len(part) for part in parts if isinstance(part, bytes))
