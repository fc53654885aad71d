"""The mel scale that CDAN listens on. Windows end where their hop ends: nothing of the future is heard."""

import numpy as np
import numpy.typing as npt

from engine.units import SAMPLE_RATE

WINDOW = 400  # samples, 25 ms
BINS = 512  # points of the Fourier transform
BANDS = 64
LOWEST_HZ, HIGHEST_HZ = 60.0, 7600.0
FLOOR = 1e-10  # power of a band; a full-scale sine is near 1


def mel_filters() -> npt.NDArray[np.float64]:
    """[BANDS, BINS / 2 + 1]: triangles of height 1, evenly spaced on O'Shaughnessy's mel scale."""
    frequencies = np.linspace(0, SAMPLE_RATE / 2, BINS // 2 + 1)
    low, high = (2595 * np.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    edges = 700 * (10 ** (np.linspace(low, high, BANDS + 2) / 2595) - 1)
    rising = (frequencies - edges[:-2, None]) / (edges[1:-1] - edges[:-2])[:, None]
    falling = (edges[2:, None] - frequencies) / (edges[2:] - edges[1:-1])[:, None]
    return np.maximum(0, np.minimum(rising, falling))
