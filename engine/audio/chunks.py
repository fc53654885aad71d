"""Cuts any live sound into chunks. Nothing is lost between calls: what does not fill a chunk waits for the next one."""

from typing import Any

import av
import numpy as np
import numpy.typing as npt

from engine.units import CHUNK, SAMPLE_RATE

Samples = npt.NDArray[np.float32]


def to_network_rate() -> av.AudioResampler:
    """Keeps the channels: ffmpeg's own way to mono is 3 dB louder for float samples than for integers."""
    return av.AudioResampler("fltp", None, SAMPLE_RATE)


def mono(frame: av.AudioFrame) -> Samples:
    """[n] the mean of a planar float frame's channels."""
    return np.asarray(frame.to_ndarray().mean(axis=0), np.float32)


class Chunker:
    """Any rate, channels and sample type -> chunks float32[640] at 16 kHz. The source may change its format."""

    def __init__(self) -> None:
        self._resampler: av.AudioResampler | None = None
        self._format: tuple[int, str, str] | None = None
        self._rest: Samples = np.zeros(0, np.float32)

    def push(self, samples: npt.NDArray[Any], rate: int) -> list[Samples]:
        """`samples` [n] or [n, channels] (1 or 2), int16 or float in [-1, 1], at `rate` Hz."""
        return self.push_frame(_frame(samples, rate)) if len(samples) else []

    def push_frame(self, frame: av.AudioFrame) -> list[Samples]:
        """The chunks that this frame completes, in order."""
        pieces = self._changed(frame)
        assert self._resampler is not None
        frame.pts = None  # only the order counts; a gap or jump in time stamps is the caller's to see
        pieces += [mono(f) for f in self._resampler.resample(frame)]
        return self._cut(pieces)

    def flush(self) -> list[Samples]:
        """The end: what is left, the last chunk filled with silence. The chunker is as new afterwards."""
        chunks = self._cut(self._drained())
        if len(self._rest):
            chunks.append(np.pad(self._rest, (0, CHUNK - len(self._rest))))
        self.__init__()  # type: ignore[misc]
        return chunks

    def _changed(self, frame: av.AudioFrame) -> list[Samples]:
        """A resampler for the frame's format, and what the one before still held."""
        found = (frame.sample_rate, frame.layout.name, frame.format.name)
        if found == self._format:
            return []
        pieces = self._drained()
        self._resampler, self._format = to_network_rate(), found
        return pieces

    def _drained(self) -> list[Samples]:
        return [mono(f) for f in self._resampler.resample(None)] if self._resampler else []

    def _cut(self, pieces: list[Samples]) -> list[Samples]:
        sound = np.concatenate([self._rest, *pieces])
        whole = len(sound) // CHUNK * CHUNK
        self._rest = sound[whole:]
        return list(sound[:whole].reshape(-1, CHUNK))


def _frame(samples: npt.NDArray[Any], rate: int) -> av.AudioFrame:
    """[n] or [n, channels] -> a planar float frame."""
    scale = 2.0**-15 if samples.dtype == np.int16 else 1.0
    planes = np.ascontiguousarray(samples.reshape(len(samples), -1).T * scale, np.float32)
    frame = av.AudioFrame.from_ndarray(planes, format="fltp", layout={1: "mono", 2: "stereo"}[len(planes)])
    frame.sample_rate = rate
    return frame


def as_chunks(samples: Samples) -> npt.NDArray[np.float32]:
    """[n] at 16 kHz -> [chunks, 640], the last one filled with silence."""
    return np.pad(samples, (0, -len(samples) % CHUNK)).reshape(-1, CHUNK)
