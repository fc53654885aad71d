"""Where a known sound, or a known movement, lies in what was received."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.signal import correlate, resample_poly

from tests.browser.harness import Sound
from tests.browser.speech import MICROPHONE_RATE, Clip

Curve = npt.NDArray[np.float64]

RATE = 8_000  # Hz, enough to place speech to a fraction of a millisecond
HOP_MS = 5  # of the loudness that finds the clip as a whole
PIECE_S, SEARCH_S = 0.6, 0.25  # pieces that are then placed one by one, and how far from there
ALIKE = 0.5  # normalised correlation of a piece that was found
MAX_LAG_MS = 300


class NotFound(Exception):
    """The clip is not in the recording."""


@dataclass(frozen=True)
class Timing:
    """When each moment of a clip was heard. A player stretches time to hide late packets, so one offset will not do."""

    seconds: Curve
    """Of the clip, where a piece of it was found."""
    offsets: Curve
    """By how many ms the page's clock, then, was ahead of the clip's."""

    def at(self, second: float) -> float:
        """ms on the page's clock."""
        return 1000 * second + float(np.interp(second, self.seconds, self.offsets))

    def within(self, times: Curve) -> Curve:
        """ms on the page's clock as ms from the clip's start."""
        about = (times - np.median(self.offsets)) / 1000
        return np.asarray(times - np.interp(about, self.seconds, self.offsets))


def locate(heard: Sound, clip: Clip) -> Timing:
    """NotFound if the clip is not in what was heard as a whole."""
    known = resample_poly(clip.samples, 1, MICROPHONE_RATE // RATE)
    recorded = resample_poly(heard.samples, 1, heard.rate // RATE)
    if len(recorded) < len(known):
        raise NotFound("the recording is shorter than the clip; listen longer")
    hop = RATE * HOP_MS // 1000
    begun = int(np.argmax(_likeness(_loudness(recorded, hop), _loudness(known, hop)))) * hop
    found = [(at / RATE, place) for at in _pieces(known) if (place := _place(recorded, known, begun, at)) is not None]
    if len(found) < 3:
        raise NotFound("the clip was not heard; is the microphone live?")
    seconds, places = np.array(found).T
    return Timing(seconds, heard.start + 1000 * (places / RATE - seconds))


def _pieces(known: Curve) -> list[int]:
    """Where pieces begin that hold sound."""
    length = int(PIECE_S * RATE)
    return [at for at in range(0, len(known) - length, length) if np.std(known[at : at + length]) > 0.02]


def _place(recorded: Curve, known: Curve, begun: int, at: int) -> int | None:
    """Where in the recording the piece that begins at `at` was heard."""
    reach, piece = int(SEARCH_S * RATE), known[at : at + int(PIECE_S * RATE)]
    low = max(0, begun + at - reach)
    likeness = _likeness(recorded[low : begun + at + len(piece) + reach], piece)
    best = int(np.argmax(likeness))
    return low + best if likeness[best] > ALIKE else None


def _loudness(samples: Curve, hop: int) -> Curve:
    """RMS of each hop, less its mean."""
    rms = np.sqrt(np.mean(samples[: len(samples) // hop * hop].reshape(-1, hop) ** 2, axis=1))
    return np.asarray(rms - rms.mean())


def _likeness(recorded: Curve, known: Curve) -> Curve:
    """Normalised correlation, at most 1, of `known` at every place of `recorded`."""
    power = np.cumsum(np.concatenate([[0.0], recorded.astype(np.float64) ** 2]))
    local = np.sqrt(np.maximum(power[len(known) :] - power[: -len(known)], 1e-6))
    raw = correlate(recorded.astype(np.float64), known.astype(np.float64), "valid", "fft")
    return np.asarray(raw / (local * np.linalg.norm(known)))


def lag(times: Curve, values: Curve, known_times: Curve, known_values: Curve) -> float:
    """By how many ms the curve comes after the known one: the shift at which they correlate best. Times in ms."""
    grid = np.arange(known_times[0] + MAX_LAG_MS, known_times[-1] - MAX_LAG_MS)
    known = np.interp(grid, known_times, known_values)
    shifts = np.arange(-MAX_LAG_MS, MAX_LAG_MS + 1)
    likeness = [np.corrcoef(np.interp(grid + shift, times, values), known)[0, 1] for shift in shifts]
    return float(shifts[int(np.argmax(likeness))])


def rise(times: Curve, values: Curve, begin: float, end: float) -> float | None:
    """When the curve, between `begin` and `end`, has risen half way from its minimum to the maximum after it."""
    inside = (times >= begin) & (times <= end)
    t, v = times[inside], values[inside]
    if len(v) < 4:
        return None
    low = int(np.argmin(v[: max(1, int(np.argmax(v)) + 1)]))
    high = low + int(np.argmax(v[low:]))
    half = (v[low] + v[high]) / 2
    above = low + int(np.argmax(v[low : high + 1] >= half))
    if above == 0 or v[high] - v[low] < 1e-6:
        return None
    share = (half - v[above - 1]) / (v[above] - v[above - 1])
    return float(t[above - 1] + share * (t[above] - t[above - 1]))
