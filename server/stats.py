"""What a connection measures of itself, gathered frame by frame and summed up once a second. Pure: reads no clock."""

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import chain
from statistics import fmean, median

from engine.units import FPS

LATE_S = 0.010
MOST_FRAMES = 10 * FPS  # remembered: nobody may ever ask for a summary


@dataclass
class Meter:
    """Times in seconds come in, milliseconds go out."""

    began: float
    _frames: int = 0
    _spared: int = 0
    _bytes: int = 0
    _due: int = 0
    _late: int = 0
    _renders: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    _encodes: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    _offsets: deque[float] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    _latencies: deque[tuple[float, ...]] = field(default_factory=lambda: deque(maxlen=MOST_FRAMES))
    """Of each of the last frames; those that no microphone's sound belongs to have none."""

    def rendered(self, seconds: float) -> None:
        self._renders.append(seconds)

    def encoded(self, seconds: float, size: int) -> None:
        self._encodes.append(seconds)
        self._bytes += size

    def expected(self) -> None:
        """A slot began; a picture of it is owed."""
        self._due += 1

    def spared(self) -> None:
        """A picture that left was not sent: the receiver shows the same already."""
        self._spared += 1

    def missed(self) -> None:
        """A slot's picture was dropped, or never made."""
        self._late += 1

    def left(self, lateness: float, behind_sound: float, latencies: Iterable[float]) -> None:
        """A picture went to the encoder, or was spared, `lateness` after it was due, `behind_sound` after its sound."""
        self._frames += 1
        self._late += lateness > LATE_S
        self._offsets.append(behind_sound)
        self._latencies.append(tuple(latencies))

    @property
    def owed(self) -> tuple[int, int]:
        """Pictures since the beginning: all that were owed, and those of them that came late or never."""
        return self._due, self._late

    def summary(self, now: float) -> dict[str, float | None]:
        """The `stats` message's numbers since the last summary."""
        span = max(now - self.began, 1e-3)
        ordered = sorted(chain.from_iterable(self._latencies))
        numbers: dict[str, float | None] = {
            "fps": round(self._frames / span, 1),
            "still_fps": round(self._spared / span, 1),
            "render_ms": _ms(median(self._renders)) if self._renders else None,
            "encode_ms": _ms(median(self._encodes)) if self._encodes else None,
            "latency_ms": _ms(median(ordered)) if ordered else None,
            "latency_p95_ms": _ms(ordered[int(0.95 * (len(ordered) - 1))]) if ordered else None,
            "av_offset_ms": _ms(fmean(self._offsets)) if self._offsets else None,
            "bitrate_kbps": round(self._bytes * 8 / span / 1000),
            "late_share": round(self._late / self._due, 4) if self._due else 0.0,
        }
        self.began, self._frames, self._spared, self._bytes = now, 0, 0, 0
        for values in (self._renders, self._encodes, self._offsets):
            values.clear()
        return numbers


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 2)
