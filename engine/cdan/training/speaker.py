"""Another speaker out of one: formants moved without the pitch, breath, whisper, blur. Times are kept.

The short-time spectrum is taken apart into an envelope (cepstral smoothing, the vocal tract) and what is left (the
voice); the envelope is stretched along frequency, as vocal tracts differ in length (Jaitly & Hinton 2013), and noise
through the same envelope stands in for the voice where breath is asked for. A statistical voice speaks the means of
what it heard, so its envelope changes less than a person's (Zen, Tokuda & Black 2009): as if averaged over time.
"""

import numpy as np
import numpy.typing as npt
from numpy.lib.stride_tricks import sliding_window_view
from scipy.fft import irfft, rfft
from scipy.ndimage import uniform_filter1d

from engine.units import SAMPLE_RATE

Floats = npt.NDArray[np.float32]
Complex = npt.NDArray[np.complex64]

WINDOW, STEP = 512, 128
LIFTER = 40  # cepstral samples (2.5 ms) that count as vocal tract
LARGEST = np.float32(np.log(10.0))  # of an envelope's change
FREQUENCIES = np.arange(WINDOW // 2 + 1, dtype=np.float32) * SAMPLE_RATE / WINDOW
WEIGHT = np.hanning(WINDOW + 1)[:-1].astype(np.float32)


def changed(
    samples: Floats, formants: float, bend: float, breath: Floats, blur: int, rng: np.random.Generator
) -> Floats:
    """[n] at 16 kHz: formants times `formants` (upper ones times 1 + `bend` more), `breath` [WINDOW/2 + 1] in [0, 1]
    the share of noise at each frequency, and the envelope averaged over `blur` steps of 8 ms (odd; 1 leaves it)."""
    spectrum = _frames_to_bins(samples)
    envelope = _envelope(spectrum)
    source = FREQUENCIES / (formants * (1 + bend * FREQUENCIES / FREQUENCIES[-1]))
    moved = uniform_filter1d(_at(envelope, source * WINDOW / SAMPLE_RATE), blur, axis=0, mode="nearest")
    spectrum *= np.exp(np.clip(moved - envelope, -LARGEST, LARGEST))
    if breath.any():
        noise = _frames_to_bins(rng.normal(size=len(samples)).astype(np.float32)) / np.linalg.norm(WEIGHT)
        spectrum = spectrum * np.sqrt(1 - breath) + np.exp(moved) * noise * np.sqrt(breath)
    return _bins_to_frames(spectrum, len(samples))


def breath(amount: float, above_hz: float) -> Floats:
    """[WINDOW/2 + 1] `amount` above a frequency, fading to nothing an octave under it."""
    return np.asarray(amount * np.clip(np.log2(np.maximum(FREQUENCIES, 1) / above_hz) + 1, 0, 1), np.float32)


def _frames_to_bins(samples: Floats) -> Complex:
    """[frames, bins]: windows every STEP, the first and last reach beyond the sound."""
    padded = np.pad(samples, (WINDOW, WINDOW + -len(samples) % STEP))
    return np.asarray(rfft(sliding_window_view(padded, WINDOW)[::STEP] * WEIGHT, axis=1))


def _bins_to_frames(spectrum: Complex, count: int) -> Floats:
    """[count] by overlap and add: squared Hann windows at a quarter sum to 1.5."""
    frames = irfft(spectrum, WINDOW, axis=1) * (WEIGHT / 1.5)
    quarters = frames.reshape(len(frames), WINDOW // STEP, STEP)
    out = np.zeros((len(frames) + WINDOW // STEP - 1, STEP), np.float32)
    for i in range(WINDOW // STEP):
        out[i : i + len(frames)] += quarters[:, i]
    return out.ravel()[WINDOW : WINDOW + count]


def _envelope(spectrum: Complex) -> Floats:
    """Natural logarithm of the smoothed magnitude [frames, bins]."""
    cepstrum = irfft(np.log(np.abs(spectrum) + np.float32(1e-4)), WINDOW, axis=1)
    cepstrum[:, LIFTER : -LIFTER + 1] = 0
    return np.asarray(rfft(cepstrum, axis=1).real)


def _at(rows: Floats, position: Floats) -> Floats:
    """Rows [frames, bins] read between their bins, the last one held."""
    position = np.clip(position, 0, rows.shape[1] - 1.001)
    below = position.astype(int)
    part = (position - below).astype(np.float32)
    return rows[:, below] * (1 - part) + rows[:, below + 1] * part
