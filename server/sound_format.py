"""How foreign protocols write mono sound: linear PCM16 (little endian) or the two laws of ITU-T G.711, at some rate."""

from dataclasses import dataclass
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

Encoding = Literal["pcm16", "mulaw", "alaw"]
Levels = npt.NDArray[np.int16]


@dataclass(frozen=True)
class SoundFormat:
    encoding: Encoding
    rate: int
    """Samples a second."""

    @property
    def bytes_per_second(self) -> int:
        return self.rate * (2 if self.encoding == "pcm16" else 1)

    def decode(self, sound: bytes) -> bytes:
        """To PCM16 at the same rate."""
        if self.encoding == "pcm16":
            return sound
        return levels(self.encoding)[np.frombuffer(sound, np.uint8)].tobytes()

    def encode(self, pcm: bytes) -> bytes:
        """From PCM16 at the same rate."""
        if self.encoding == "pcm16":
            return pcm
        return codes(self.encoding)[np.frombuffer(pcm, "<i2").astype(np.int32) + 32768].tobytes()


REALTIME = {
    "audio/pcm": SoundFormat("pcm16", 24_000),
    "audio/pcmu": SoundFormat("mulaw", 8_000),
    "audio/pcma": SoundFormat("alaw", 8_000),
}
"""By the names of OpenAI's Realtime protocol."""


def rate_in(text: str) -> int:
    """Samples a second as an address says them; 0, which nobody takes, if that can be no rate."""
    return int(text) if text.isascii() and text.isdigit() and len(text) < 7 else 0


@cache
def levels(encoding: Encoding) -> Levels:
    """int16[256]: the sample that each code stands for (G.711 tables 1 and 2, scaled to 16 bits)."""
    code = np.arange(256) ^ (0xFF if encoding == "mulaw" else 0x55)
    segment, step = code >> 4 & 7, code & 15
    if encoding == "mulaw":
        size = ((step << 3) + 132 << segment) - 132
        return np.where(code & 128, -size, size).astype(np.int16)
    size = np.where(segment > 0, (step << 4) + 264 << np.maximum(segment - 1, 0), (step << 4) + 8)
    return np.where(code & 128, size, -size).astype(np.int16)


@cache
def codes(encoding: Encoding) -> npt.NDArray[np.uint8]:
    """uint8[65536]: the code with the nearest level, for the samples -32768 to 32767."""
    known = levels(encoding).astype(np.int32)
    order = np.argsort(known, kind="stable")
    middles = (known[order][1:] + known[order][:-1] + 1) // 2
    return order[np.searchsorted(middles, np.arange(-32768, 32768), side="right")].astype(np.uint8)
