"""From RTP packets of the caller's voice to samples at 48 kHz, with the arrival time of each packet.

aiortc's own audio buffer waits for four packets, and a lost one stalls it for sixteen. Here every packet that is
newer than the last goes on at once; loss and jitter are the business of `Microphone`, which knows when the sound is
needed.
"""

from collections.abc import Callable, Iterator
from fractions import Fraction

import av
import numpy as np
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcrtpreceiver import RTCRtpReceiver
from aiortc.rtp import RtpPacket

from server.microphone import Samples
from server.timeline import AUDIO_RATE

MAX_MISORDER = 100  # packets; farther back is a sender that started over
REMEMBERED = 64  # arrival times, of packets on their way through the decoder
WRAP = 1 << 32
FULL_SCALE = 1 << 15
JITTER_BUFFER = "_RTCRtpReceiver__jitter_buffer"


class PromptBuffer(JitterBuffer):
    """In the place of an audio receiver's jitter buffer: passes packets on at once and notes when they came."""

    def __init__(self, clock: Callable[[], float]) -> None:
        super().__init__(capacity=16)
        self._clock = clock
        self._last: int | None = None
        self._first_timestamp = 0
        self._arrivals: dict[int, float] = {}

    @classmethod
    def install(cls, receiver: RTCRtpReceiver, clock: Callable[[], float]) -> "PromptBuffer":
        """Before the receiver starts."""
        fields = vars(receiver)
        assert isinstance(fields[JITTER_BUFFER], JitterBuffer), "aiortc has changed inside"
        fields[JITTER_BUFFER] = buffer = cls(clock)
        return buffer

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        if self._last is None:
            self._first_timestamp = packet.timestamp
        elif (self._last - packet.sequence_number) % (1 << 16) < MAX_MISORDER:
            return False, None
        self._last = packet.sequence_number
        self._arrivals[(packet.timestamp - self._first_timestamp) % WRAP] = self._clock()
        while len(self._arrivals) > REMEMBERED:
            del self._arrivals[next(iter(self._arrivals))]
        return False, JitterFrame(packet._data, packet.timestamp)  # type: ignore[attr-defined]

    def arrival(self, pts: int) -> float:
        """When the packet came that was decoded to a frame with these pts."""
        return self._arrivals.pop(pts % WRAP, self._clock())


class Resampler:
    """Frames of any rate, format and layout to 48 kHz mono; their kind may change at any time."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame) -> Iterator[tuple[int, Samples]]:
        """Yields (position in 48 kHz samples of the sender's clock, float32[n])."""
        if (frame.sample_rate, frame.format.name) == (AUDIO_RATE, "s16"):  # as Opus is decoded
            self._kind = None
            yield _position(frame), _mean(frame)
            return
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if self._resampler is None or kind != self._kind:
            self._kind = kind
            self._resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=AUDIO_RATE)
        for resampled in self._resampler.resample(frame):
            # The mean of the channels: swresample's own downmix makes sound that both have 3 dB louder.
            yield _position(resampled), np.nan_to_num(resampled.to_ndarray().mean(axis=0, dtype=np.float32))


def _position(frame: av.AudioFrame) -> int:
    return round((frame.pts or 0) * (frame.time_base or Fraction(1, AUDIO_RATE)) * AUDIO_RATE)


def _mean(frame: av.AudioFrame) -> Samples:
    """Of the channels of 16-bit samples."""
    channels = frame.layout.nb_channels
    pcm = np.frombuffer(bytes(frame.planes[0]), np.int16, frame.samples * channels).reshape(-1, channels)
    mean: Samples = pcm.astype(np.float32) @ np.full(channels, 1 / (channels * FULL_SCALE), np.float32)
    return mean
