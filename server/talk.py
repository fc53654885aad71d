"""A voice to measure with: one sentence, over and over. A buzz would be cheaper to draw than what people say.

`talk.ogg` is "My mother bought a big bowl of pumpkin soup, and Peter put some pepper in it." by hibari-tts
(Apache-2.0).
"""

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.audio import as_chunks, load_audio
from engine.units import FPS

SENTENCE = Path(__file__).with_suffix(".ogg")
Floats = npt.NDArray[np.float32]


def talk(seconds: float) -> Floats:
    """[frames, 640] of speech at 16 kHz."""
    chunks = _sentence()
    return chunks[np.arange(int(seconds * FPS)) % len(chunks)]


@cache
def _sentence() -> Floats:
    return as_chunks(load_audio(SENTENCE))
