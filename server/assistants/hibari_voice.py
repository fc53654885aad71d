"""Speaks offline, with hibari-tts: sentence by sentence, far faster than real time. All sessions share one voice."""

import asyncio
from collections.abc import AsyncGenerator
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from server.assistants.slots import Offline, SlotFailure

RATE = 24_000
QUIET = 0.006  # of full scale: softer sound before the first word and after the last is silence
LEAD_S, TAIL_S = (
    0.03,
    0.22,
)  # of such silence that stays: the first word comes at once, the next sentence after a breath
GAIN = 1.5
Samples = npt.NDArray[np.float32]


@cache
def worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "hibari")


@cache
def voice() -> Any:
    """In the worker only. Loading takes about a second."""
    from hibari import Hibari

    loaded = Hibari()
    loaded("Ready.")
    return loaded


class HibariVoice(Offline):
    """`server.assistants.slots.Speak`."""

    rate = RATE

    def __init__(self) -> None:
        worker().submit(voice)

    async def speak(self, text: str) -> AsyncGenerator[bytes, None]:
        loop = asyncio.get_running_loop()
        try:
            yield await loop.run_in_executor(worker(), lambda: pcm16(trimmed(voice()(text))))
        except ImportError:
            raise SlotFailure("voice_missing", "the built-in voice is not installed: pip install hibari-tts") from None


def trimmed(samples: Samples) -> Samples:
    """With little silence at the ends."""
    loud = np.flatnonzero(np.abs(samples) > QUIET)
    if not len(loud):
        return samples[:0]
    begin, end = loud[0] - round(LEAD_S * RATE), loud[-1] + round(TAIL_S * RATE)
    return samples[max(0, begin) : end]


def pcm16(samples: Samples) -> bytes:
    return bytes((np.tanh(GAIN * samples) * 32767).astype("<i2").tobytes())
