"""Where a known sound, or a known movement, lies in what was received."""

import numpy as np
import numpy.typing as npt
from scipy.signal import correlate, resample_poly

from tests.browser.harness import Sound
from tests.browser.speech import MICROPHONE_RATE, Clip

Curve = npt.NDArray[np.float64]

RATE = 8_000  # Hz, enough to place speech to a fraction of a millisecond
GRID_MS = 1.0
MAX_LAG_MS = 300


class NotFound(Exception):
    """The clip is not in the recording."""


def locate(heard: Sound, clip: Clip, start: float = 0.0, end: float | None = None) -> float:
    """When the clip began (ms on the page's clock), judged by its part from `start` to `end` (seconds)."""
    part = clip.samples[int(start * MICROPHONE_RATE) : None if end is None else int(end * MICROPHONE_RATE)]
    known = resample_poly(part, 1, MICROPHONE_RATE // RATE)
    recorded = resample_poly(heard.samples, 1, heard.rate // RATE)
    if len(recorded) < len(known):
        raise NotFound("the recording is shorter than what is looked for; listen longer")
    likeness = _likeness(recorded, known)
    best = int(np.argmax(likeness))
    if likeness[best] < 0.3:
        raise NotFound(f"the clip was not heard (likeness {likeness[best]:.2f}); is the microphone live?")
    return heard.start + best * 1000 / RATE - start * 1000


def _likeness(recorded: npt.NDArray[np.float32], known: npt.NDArray[np.float32]) -> Curve:
    """Normalised cross-correlation, 0 to 1, of `known` at every place of `recorded`."""
    power = np.cumsum(np.concatenate([[0.0], recorded.astype(np.float64) ** 2]))
    local = np.sqrt(np.maximum(power[len(known) :] - power[: -len(known)], 1e-6))
    raw = correlate(recorded.astype(np.float64), known.astype(np.float64), "valid", "fft")
    return np.asarray(np.abs(raw) / (local * np.linalg.norm(known)))


def lag(times: Curve, values: Curve, known_times: Curve, known_values: Curve) -> float:
    """By how many ms the curve comes after the known one: the shift at which they correlate best. Times in ms."""
    grid = np.arange(known_times[0] + MAX_LAG_MS, known_times[-1] - MAX_LAG_MS, GRID_MS)
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
