"""When the sound and the pictures of a call leave: one timeline anchors both, and the sound is its master.

A slot is 40 ms, counted from the start of the call's media. At `tick(s)` slot s of the microphone is heard, and the
engine is asked for the picture of out slot s. With a live voice that is the sound heard `look_ahead` slots before, the
sound being delayed by as much; with pushed speech, of which more is known, it is the sound taken now. Out slot s (that
sound, that picture) leaves at `due(s)`: one `hold` after the tick, time enough to render. Pure: reads no clock.
"""

from collections import deque
from dataclasses import dataclass, field

from engine.units import FPS, FRAME_MS, exact_div

AUDIO_RATE = 48_000  # Hz, of the sound sent
PACKETS_PER_SLOT = 2
PACKET = exact_div(AUDIO_RATE, FPS * PACKETS_PER_SLOT)  # samples of 20 ms
SLOT = PACKET * PACKETS_PER_SLOT
VIDEO_CLOCK = 90_000  # Hz
VIDEO_TICKS = exact_div(VIDEO_CLOCK, FPS)
FRAME_S = 1 / FPS
MAX_LAG_S = 1.0  # a server that was asleep for longer starts anew instead of catching up

MIN_HOLD_S, FIRST_HOLD_S, MAX_HOLD_S, HOLD_STEP_S = 0.020, 0.030, 0.060, 0.005
OBSERVED = 10 * FPS  # pictures by which the hold is set
OUTLIERS = 10  # of them, which one hiccup of the machine may cause, don't count


@dataclass
class Hold:
    """How long sound and picture wait after the tick: more soon when pictures are late, less after ten seconds."""

    seconds: float = FIRST_HOLD_S
    _taken: deque[float] = field(default_factory=lambda: deque(maxlen=OBSERVED))
    _warming: int = FPS  # pictures that don't count: everything is slower the first time

    def observe(self, render_s: float) -> None:
        """A picture was ready `render_s` after its tick."""
        if self._warming:
            self._warming -= 1
            return
        self._taken.append(render_s)
        usual = sorted(self._taken)[-OUTLIERS - 1] if len(self._taken) > OUTLIERS else 0.0
        if usual > self.seconds - HOLD_STEP_S / 2:
            self.seconds = min(usual + HOLD_STEP_S, MAX_HOLD_S)
        elif len(self._taken) == OBSERVED and usual < self.seconds - 2 * HOLD_STEP_S:
            self.seconds = max(usual + HOLD_STEP_S, MIN_HOLD_S)
            self._taken.clear()


@dataclass
class Timeline:
    """Anchored at `start` (seconds of the monotonic clock)."""

    start: float
    hold: Hold = field(default_factory=Hold)

    def tick(self, slot: int) -> float:
        """When the engine is to get the sound of `slot`."""
        return self.start + slot * FRAME_S

    def due(self, slot: int) -> float:
        """When the picture of out slot `slot`, and the first packet of its sound, leave."""
        return self.tick(slot) + self.hold.seconds

    def packet_due(self, packet: int) -> float:
        """When the 20 ms packet with this number, counted from 0, leaves."""
        return self.start + packet * FRAME_S / PACKETS_PER_SLOT + self.hold.seconds

    def catch_up(self, slot: int, now: float) -> None:
        """Moves the anchor when `slot` is overdue beyond hope, by whole slots: the phase among others stays."""
        lag = now - self.tick(slot)
        if lag > MAX_LAG_S:
            self.start += lag // FRAME_S * FRAME_S


def media_ms(slot: int) -> int:
    return slot * FRAME_MS


def packet_ms(packet: int) -> int:
    return packet * FRAME_MS // PACKETS_PER_SLOT


def video_pts(slot: int) -> int:
    return slot * VIDEO_TICKS


def widest_gap(phases: list[float], period: float = FRAME_S) -> float:
    """The phase in [0, period) farthest from all others, so that sessions take turns at one engine."""
    if not phases:
        return 0.0
    ordered = sorted(phase % period for phase in phases)
    gaps = [
        (after - before, before) for before, after in zip(ordered, ordered[1:] + [ordered[0] + period], strict=True)
    ]
    width, before = max(gaps)
    return (before + width / 2) % period
