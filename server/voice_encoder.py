"""The voice as Opus, mono as it is.

aiortc's own encoder makes two channels of it: of a sentence in as many bytes that takes 0.23 ms a packet instead of
0.11, and its spectrum comes out 2.2 dB from what it was instead of 2.0.
"""

from typing import Any

import av
from aiortc import MediaStreamTrack, RTCRtpSender
from aiortc.codecs import get_encoder
from aiortc.codecs.base import Encoder
from aiortc.codecs.opus import SAMPLE_RATE, TIME_BASE, OpusEncoder
from aiortc.rtcrtpparameters import RTCRtpCodecParameters
from aiortc.rtcrtpsender import RTCEncodedFrame
from av.audio.codeccontext import AudioCodecContext
from av.frame import Frame

from server.loudness import loudness

BITRATE = 72_000  # bits a second
COMPLEXITY = 5  # of 10


class VoiceEncoder(OpusEncoder):
    """Of mono frames of 20 ms at 48 kHz."""

    def __init__(self) -> None:
        self.codec = codec = av.CodecContext.create("libopus", "w")
        assert isinstance(codec, AudioCodecContext)
        codec.bit_rate, codec.sample_rate, codec.time_base = BITRATE, SAMPLE_RATE, TIME_BASE
        codec.format, codec.layout = "s16", "mono"
        codec.options = {"application": "voip", "compression_level": str(COMPLEXITY)}
        self.first_packet_pts = None

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        assert isinstance(frame, av.AudioFrame) and frame.layout.nb_channels == 1
        [packet] = self.codec.encode(frame)
        assert packet.pts is not None
        if self.first_packet_pts is None:
            self.first_packet_pts = packet.pts  # negative, by the encoder's delay
        return [bytes(packet)], packet.pts - self.first_packet_pts


def say_at_once(sender: RTCRtpSender, track: MediaStreamTrack, codec: RTCRtpCodecParameters) -> None:
    """Has a sender of sound encode where it sends, before it starts: the way to a thread and back takes longer."""
    encoder: Encoder = VoiceEncoder() if codec.mimeType.lower() == "audio/opus" else get_encoder(codec)

    async def next_encoded_frame(_: Any) -> RTCEncodedFrame | None:
        frame = await track.recv()
        if not sender._enabled:
            return None
        assert isinstance(frame, av.AudioFrame)
        payloads, timestamp = encoder.encode(frame)
        return RTCEncodedFrame(payloads, timestamp, loudness(frame)) if payloads else None

    assert hasattr(sender, "_next_encoded_frame"), "aiortc has changed inside"
    vars(sender)["_next_encoded_frame"] = next_encoded_frame
