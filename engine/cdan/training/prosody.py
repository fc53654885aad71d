"""Loudness and pitch of clean speech, each against the speaker's own middle."""

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.ndimage import gaussian_filter1d, median_filter

from engine.cdan.training.augment import level
from engine.cdan.training.voices import Utterance
from engine.units import HOP, SAMPLE_RATE

Floats = npt.NDArray[np.float32]


def prosody(said: Utterance) -> tuple[Floats, Floats]:
    """Loudness and pitch [hops] as in `Truth`, from clean speech at 16 kHz."""
    hops = len(said.samples) // HOP
    power = np.mean(np.square(said.samples[: hops * HOP].reshape(hops, HOP)), axis=1)
    relative = 10 * np.log10(gaussian_filter1d(power, 2.0) + 1e-12) - 20 * np.log10(level(said.samples))
    loudness = np.clip((relative + 20) / 26, 0, 1)
    return loudness.astype(np.float32), _pitch(said.samples, hops)


def _pitch(samples: Floats, hops: int) -> Floats:
    """Octaves from the median by the autocorrelation's peak between 60 and 400 Hz, windows of 40 ms."""
    size = 640
    padded = np.pad(samples, (size // 2, size))
    index = np.arange(hops)[:, None] * HOP + np.arange(size)
    windows = padded[index] * np.hanning(size).astype(np.float32)
    correlation = irfft(np.abs(rfft(windows, 2 * size)) ** 2, 2 * size)
    low, high = SAMPLE_RATE // 400, SAMPLE_RATE // 60
    lag = low + np.argmax(correlation[:, low:high], axis=1)
    strength = correlation[np.arange(hops), lag] / (correlation[:, 0] + 1e-9)
    voiced = (strength > 0.45) & (correlation[:, 0] > 0.02 * correlation[:, 0].max())
    if voiced.sum() < 5:
        return np.zeros(hops, np.float32)
    octaves = np.log2(SAMPLE_RATE / lag)
    octaves = median_filter(np.interp(np.arange(hops), np.flatnonzero(voiced), octaves[voiced]), 7)
    return np.clip(gaussian_filter1d(octaves - np.median(octaves[voiced]), 3.0), -1, 1).astype(np.float32)
