"""The voice as Opus, mono as it is.

aiortc's own encoder makes two channels of it: of a sentence in as many bytes that takes 0.23 ms a packet instead of
0.11, and its spectrum comes out 2.2 dB from what it was instead of 2.0.
"""

import av
from aiortc.codecs.opus import SAMPLE_RATE, TIME_BASE, OpusEncoder
from av.audio.codeccontext import AudioCodecContext
from av.frame import Frame

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
