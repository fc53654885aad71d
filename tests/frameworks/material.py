"""What the tests of framework bridges share: speech that can be told apart, and how to find it again."""

import numpy as np
import numpy.typing as npt

from engine.portrait import Portrait
from tests.server_fakes import BITS, LOUD

Pcm = npt.NDArray[np.int16]
RATE = 24_000


def nobody() -> Portrait:
    """A portrait for the fake engine, which does not look at it."""
    return object.__new__(Portrait)


def tone(hertz: float, seconds: float, rate: int = RATE) -> bytes:
    """Mono PCM16, loud from the first sample to the last."""
    times = np.arange(round(seconds * rate)) / rate
    return (np.cos(2 * np.pi * hertz * times) * 0.4 * 32767).astype("<i2").tobytes()


def pieces(pcm: bytes, seconds: float = 0.02, rate: int = RATE) -> list[bytes]:
    step = 2 * round(seconds * rate)
    return [pcm[start : start + step] for start in range(0, len(pcm), step)]


def audible_s(sound: Pcm, rate: int) -> float:
    """From the first to the last sample that anybody can hear."""
    loud = np.flatnonzero(np.abs(sound.astype(np.int32)) > 300)
    return 0.0 if len(loud) == 0 else float(loud[-1] - loud[0] + 1) / rate


def pitch(sound: Pcm, rate: int) -> float:
    """Hertz of the strongest tone."""
    spectrum = np.abs(np.fft.rfft(sound.astype(np.float64)))
    return float(np.argmax(spectrum) * rate / len(sound))


def shows(picture: bytes, size: int) -> tuple[int, float]:
    """A fake engine's picture, RGB: its frame's number and the loudness of its sound."""
    grey = np.frombuffer(picture, np.uint8).reshape(size, size, 3)[:, :, 0].astype(float)
    rows = [row.mean(axis=0) for row in np.array_split(grey, 4)]
    number = sum(int(block.mean() > 126) << i for i, block in enumerate(np.split(rows[0], BITS)))
    return number, float(rows[1].mean() - 16) / 220 * LOUD
