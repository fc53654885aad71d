"""How fast a session's messages are read: whoever sends more is not refused but waits, held back by TCP.

Reading costs the event loop that all calls share. What keeps to the bounds, averaged over a second, is read at once.
"""

from dataclasses import dataclass

MESSAGES = 2000  # a second: a slider that sends every millisecond is served
PIECE = 4096  # bytes that count as one message, so 8 MB a second: three minutes of sound at 24 kHz
TOLD_S = 1.0


@dataclass
class Pace:
    _paid_until: float = 0.0
    """When all that was read will have been read at the bound."""
    _told: float = float("-inf")

    def wait_s(self, size: int, now: float) -> float:
        """How long to read nothing more after a message of `size` bytes."""
        pieces = 1 + size // PIECE
        self._paid_until = max(self._paid_until, now - 1.0) + pieces / MESSAGES
        return max(0.0, self._paid_until - now)

    def tell(self, now: float) -> bool:
        """Whether to say so now; no more often than once a second."""
        due = now - self._told >= TOLD_S
        self._told = now if due else self._told
        return due
