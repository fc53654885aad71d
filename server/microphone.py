"""The caller's sound between network and engine: packets of any size and clock go in, exact 40 ms slots come out.

A slot is taken when the server's clock says so, whether or not the packets have come; what is missing is silence.
`slew` moves the server's slots after the microphone's clock, so that the last packet a slot needs comes shortly
before it: the delay is no longer than the network demands, and clocks that drift apart need no resampling. A delay
left over from a stall is given back at once in silence, else by squeezing slots by 0.4 %, which no ear notices. Where
slots can't move, because all sessions of an engine are due at once, sound is stretched as little instead. Pure: reads
no clock.
"""

from collections import deque

import numpy as np
import numpy.typing as npt

from engine.units import FPS, SAMPLE_RATE, exact_div
from server.loudness import rms
from server.timeline import AUDIO_RATE, FRAME_S, SLOT

Samples = npt.NDArray[np.float32]

LEAD_S = 0.008  # how long before its slot the last packet should have come, in the worst case of the last two seconds
STALE_S = 0.032  # more lead than this is a stall's remainder
SLEW_S = FRAME_S / 250  # a slot may be this much longer or shorter
SQUEEZE = SLOT // 240  # samples a slot may lose while someone speaks
DROP = SLOT // 4  # and while nobody does
MAX_GAP = AUDIO_RATE // 5  # lost packets up to 200 ms are bridged by as much silence; a longer gap is a fresh start
MAX_HELD = AUDIO_RATE  # 1 s: more can only come from a clock gone wild
FADE = AUDIO_RATE // 400  # 2.5 ms, where sound meets a hole
QUIET = 0.004  # RMS below which nobody speaks
STALLED_S = 1.0


class Microphone:
    """Sound in: `push`. Slots out: `take`, then `slew`, every 40 ms."""

    def __init__(self, *, fixed: bool = False) -> None:
        """`fixed`: slots keep their time."""
        self._fixed = fixed
        self.last_arrival: float | None = None
        self._held = np.zeros(0, np.float32)
        self._next_position: int | None = None  # of the packet that would follow without a hole
        self._packets: deque[tuple[int, float]] = deque()  # (offset in `_held`, arrival) of each packet's first sample
        self._last_taken = 0.0  # arrival of the last packet of which samples were taken
        self._leads: deque[float] = deque(maxlen=2 * FPS)  # seconds from the arrival of a slot's last packet to `take`
        self._bridged = 0  # samples of silence given out for want of packets since the last one

    def push(self, position: int, samples: Samples, arrival: float, next_take: float) -> None:
        """A packet that begins at `position` (48 kHz samples of the sender's clock) came; next `take`: `next_take`."""
        self.last_arrival = arrival
        gap = MAX_GAP + 1 if self._next_position is None else position - self._next_position
        if gap < 0:
            return  # repeated or out of order: its place has passed
        self._next_position = position + len(samples)
        if gap > MAX_GAP:
            samples = self._start_over(samples, next_take - arrival)
        elif gap > self._bridged:
            self._append(np.zeros(gap - self._bridged, np.float32))
        self._packets.append((len(self._held), arrival))
        self._append(_faded_in(samples) if gap or self._bridged else samples)
        self._bridged = 0

    def take(self, now: float) -> tuple[Samples, list[float]]:
        """The next slot, float32[1920] at 48 kHz, and when the packets that begin in it arrived."""
        if self._next_position is None:
            return np.zeros(SLOT, np.float32), []
        if len(self._held) < SLOT:
            return self._underrun()
        needed = [arrival for offset, arrival in self._packets if offset < SLOT]
        self._leads.append(now - (needed[-1] if needed else self._last_taken))
        surplus = self._surplus()
        slot, arrivals = self._remove(SLOT + surplus)
        return (_resized(slot, SLOT) if surplus else slot), arrivals

    def slew(self) -> float:
        """Seconds by which all later slots should be taken later (or, negative, earlier) than planned."""
        if self._fixed or self._next_position is None or not self._leads:
            return 0.0
        slew = min(max(LEAD_S - min(self._leads), -SLEW_S), SLEW_S)
        self._leads = deque((lead + slew for lead in self._leads), self._leads.maxlen)
        return slew

    def stalled(self, now: float) -> bool:
        """Whether sound came once but no longer does."""
        return self.last_arrival is not None and now - self.last_arrival > STALLED_S

    def _start_over(self, samples: Samples, until_take: float) -> Samples:
        """Fits the first packet, so that the next slot ends with the last packet that comes `LEAD_S` before it."""
        more = max(0, int((until_take - LEAD_S) * AUDIO_RATE)) // len(samples)
        surplus = len(samples) * (1 + more) - SLOT
        self._held = np.zeros(max(0, -surplus), np.float32)
        self._packets.clear()
        self._leads.clear()
        return samples[min(max(0, surplus), len(samples) - 1) :]

    def _append(self, samples: Samples) -> None:
        self._held = np.concatenate([self._held, samples])
        if (excess := len(self._held) - MAX_HELD) > 0:
            self._remove(excess)

    def _remove(self, count: int) -> tuple[Samples, list[float]]:
        removed, self._held = self._held[:count], self._held[count:]
        arrivals = [arrival for offset, arrival in self._packets if offset < count]
        self._last_taken = arrivals[-1] if arrivals else self._last_taken
        self._packets = deque((offset - count, arrival) for offset, arrival in self._packets if offset >= count)
        return removed, arrivals

    def _underrun(self) -> tuple[Samples, list[float]]:
        rest, arrivals = self._remove(len(self._held))
        missing = SLOT - len(rest)
        self._bridged += missing
        if self._bridged > MAX_GAP:
            self._next_position = None
        else:
            self._leads.append(-missing / AUDIO_RATE)
        return _faded_out(rest, SLOT), arrivals

    def _surplus(self) -> int:
        """Samples to take beyond a slot, to shorten the delay; negative, to lengthen it where slots can't wait."""
        if self._fixed and min(self._leads) < LEAD_S:
            self._leads = deque((lead + SQUEEZE / AUDIO_RATE for lead in self._leads), self._leads.maxlen)
            return -SQUEEZE
        excess = int((min(self._leads) - STALE_S) * AUDIO_RATE)
        if excess <= 0 or len(self._leads) < FPS:
            return 0
        quiet = rms(self._held[: SLOT + DROP]) < QUIET
        return min(excess, DROP if quiet else SQUEEZE, len(self._held) - SLOT)


class Decimator:
    """48 kHz to a part of it, slot by slot, with 0.2 ms times `ratio` of delay; the filter's past is its only state.

    Only the samples that are kept are reckoned, some at a time as one product of matrices.
    """

    TAPS = 21  # times the ratio
    ROW = 20  # samples kept, of those that one row of the product gives

    def __init__(self, ratio: int = exact_div(AUDIO_RATE, SAMPLE_RATE)) -> None:
        taps = self.TAPS * ratio
        at = np.arange(taps) - (taps - 1) / 2
        kernel = np.sinc(at * 0.92 / ratio) * np.blackman(taps)
        kernel /= kernel.sum()
        self._hop = self.ROW * ratio
        self._matrix = np.zeros((self._hop - ratio + taps, self.ROW), np.float32)
        for i in range(self.ROW):
            self._matrix[i * ratio : i * ratio + taps, i] = kernel
        self.past = np.zeros(taps - 1, np.float32)
        """The last samples: all it knows."""

    def __call__(self, slot: Samples) -> Samples:
        """float32[1920] -> float32[640] for the ratio 3."""
        signal = np.concatenate([self.past, slot])
        self.past = signal[-len(self.past) :]
        rows, length = len(slot) // self._hop, len(self._matrix)
        windows = np.ndarray((rows, length), np.float32, signal, strides=(4 * self._hop, 4))
        chunk: Samples = windows.dot(self._matrix).ravel()
        return chunk


def _faded_out(samples: Samples, length: int) -> Samples:
    """`samples`, then silence, without a click."""
    faded = np.zeros(length, np.float32)
    faded[: len(samples)] = samples
    n = min(FADE, len(samples))
    faded[len(samples) - n : len(samples)] *= np.linspace(1, 0, n, dtype=np.float32)
    return faded


def _faded_in(samples: Samples) -> Samples:
    faded = samples.copy()
    n = min(FADE, len(samples))
    faded[:n] *= np.linspace(0, 1, n, dtype=np.float32)
    return faded


def _resized(samples: Samples, length: int) -> Samples:
    at = np.linspace(0, len(samples) - 1, length)
    return np.interp(at, np.arange(len(samples)), samples).astype(np.float32)
