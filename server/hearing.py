"""From RTP packets of the caller's voice to samples at 48 kHz, with the arrival time of each packet.

aiortc's own audio buffer waits for four packets, and a lost one stalls it for sixteen. Here every packet that is
newer than the last goes on at once; loss and jitter are the business of `Microphone`, which knows when the sound is
needed.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from typing import cast

import av
import numpy as np
from aiortc.codecs import get_decoder
from aiortc.codecs.base import Decoder
from aiortc.codecs.opus import OpusDecoder
from aiortc.jitterbuffer import JitterBuffer, JitterFrame
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpreceiver import RTCRtpReceiver, TimestampMapper
from aiortc.rtp import RtpPacket

from server.microphone import Samples
from server.timeline import AUDIO_RATE

log = logging.getLogger(__name__)

MAX_MISORDER = 100  # packets; farther back is a sender that started over
FULL_SCALE = 1 << 15
AS_HEARD = ("s16", "mono", AUDIO_RATE)  # as a voice's Opus is decoded, in time of the same rate
JITTER_BUFFER, CODECS = "_RTCRtpReceiver__jitter_buffer", "_RTCRtpReceiver__codecs"


Heard = Callable[[int, Samples, float], None]
"""Called with a position in 48 kHz samples of the sender's clock, float32[n] from there on, and when they came."""


class PromptBuffer(JitterBuffer):
    """In the place of an audio receiver's jitter buffer: decodes each packet and passes its sound on at once.

    aiortc's way leads through a thread and back, which takes the event loop longer than to decode.
    """

    def __init__(self, codecs: Mapping[int, RTCRtpCodecParameters], clock: Callable[[], float], heard: Heard) -> None:
        """`codecs` by payload type."""
        super().__init__(capacity=16)
        self._codecs, self._clock, self._heard = codecs, clock, heard
        self._last: int | None = None
        self._pts = TimestampMapper()
        self._decoders: dict[int, Decoder] = {}
        self._resample = Resampler()

    @classmethod
    def install(cls, receiver: RTCRtpReceiver, clock: Callable[[], float], heard: Heard) -> "PromptBuffer":
        """Before the receiver starts."""
        fields = vars(receiver)
        assert isinstance(fields[JITTER_BUFFER], JitterBuffer) and CODECS in fields, "aiortc has changed inside"
        fields[JITTER_BUFFER] = buffer = cls(fields[CODECS], clock, heard)
        return buffer

    def add(self, packet: RtpPacket) -> tuple[bool, JitterFrame | None]:
        """Leaves nothing to aiortc."""
        arrival = self._clock()
        if self._last is None or (self._last - packet.sequence_number) % (1 << 16) >= MAX_MISORDER:
            self._last = packet.sequence_number
            try:
                for frame in self._decoded(packet):
                    for position, samples in self._resample(frame):
                        self._heard(position, samples, arrival)
            except av.FFmpegError as error:
                log.warning("a packet of the microphone's was unusable: %s", error)
        return False, None

    def _decoded(self, packet: RtpPacket) -> Iterable[av.AudioFrame]:
        if not packet.payload:  # some keep a connection alive so; a decoder would take it for the end
            return ()
        if (kind := packet.payload_type) not in self._decoders:
            self._decoders[kind] = decoder_for(self._codecs[kind])
        frame = JitterFrame(packet._data, self._pts.map(packet.timestamp))  # type: ignore[attr-defined]
        return cast(list[av.AudioFrame], self._decoders[kind].decode(frame))


class VoiceDecoder(OpusDecoder):
    """Of one channel, the mean of two where a caller sends two; aiortc's own makes two of one."""

    def __init__(self) -> None:
        super().__init__()
        self.codec.layout = "mono"


def decoder_for(codec: RTCRtpCodecParameters) -> Decoder:
    return VoiceDecoder() if codec.mimeType.lower() == "audio/opus" else get_decoder(codec)


class Resampler:
    """Frames of any rate, format and layout to 48 kHz mono; their kind may change at any time."""

    def __init__(self) -> None:
        self._kind: tuple[str, str, int] | None = None
        self._resampler: av.AudioResampler | None = None

    def __call__(self, frame: av.AudioFrame) -> Iterator[tuple[int, Samples]]:
        """Yields (position in 48 kHz samples of the sender's clock, float32[n])."""
        kind = (frame.format.name, frame.layout.name, frame.sample_rate)
        if kind == AS_HEARD:
            self._kind = None
            pcm = np.frombuffer(bytes(frame.planes[0]), np.int16, frame.samples)
            sound: Samples = np.multiply(pcm, 1 / FULL_SCALE, dtype=np.float32)
            yield frame.pts or 0, sound
            return
        if self._resampler is None or kind != self._kind:
            self._kind = kind
            self._resampler = av.AudioResampler(format="fltp", layout=frame.layout, rate=AUDIO_RATE)
        for resampled in self._resampler.resample(frame):
            # The mean of the channels: swresample's own downmix makes sound that both have 3 dB louder.
            yield _position(resampled), np.nan_to_num(resampled.to_ndarray().mean(axis=0, dtype=np.float32))


def _position(frame: av.AudioFrame) -> int:
    return round((frame.pts or 0) * (frame.time_base or Fraction(1, AUDIO_RATE)) * AUDIO_RATE)
