"""Sound as the networks want it: 16 kHz, mono, float32 in [-1, 1], chunks of 640 samples; from files and live."""

from engine.audio.chunks import Chunker, Samples, as_chunks
from engine.audio.file import AudioError, load_audio

__all__ = ["AudioError", "Chunker", "Samples", "as_chunks", "load_audio"]
