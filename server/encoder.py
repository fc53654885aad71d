"""Video encoders for one connection: fast enough to share a core with the renderer, and steady in their rate.

aiortc's own H.264 encoder runs x264 without a preset (25 ms a frame) and starts anew, with a key frame, whenever the
receiver's estimate moves by a tenth. Here x264 runs `superfast`, which keeps the grain of skin and hair for half a
millisecond more than `ultrafast` (1.2 dB at the same rate), and a new rate reaches the running encoder: FFmpeg passes a
changed `bit_rate` on to x264 as long as the rate control is buffer-constrained from the outset. aiortc's VP8 starts
anew likewise, and takes the grain for noise: without its denoiser it is cheaper, and 1.3 dB better.
"""

import time
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import av
from aiortc.codecs.base import Encoder
from aiortc.codecs.h264 import H264Encoder
from aiortc.codecs.vpx import Vp8Encoder
from av.frame import Frame
from av.packet import Packet
from av.video.codeccontext import VideoCodecContext
from av.video.frame import PictureType

from engine.units import FPS
from server.timeline import VIDEO_CLOCK, VIDEO_TICKS

MIN_BITRATE, START_BITRATE, MAX_BITRATE = 250_000, 800_000, 4_000_000  # bits a second
MAX_PER_PIXEL = 6  # bits a second: 1.5 Mb/s at 512 x 512
LEAST_CHANGE = 0.1  # of the rate, before the encoder hears of it
MOST_SLOTS = 2  # whose bits one picture may have, lest it fill a slow line
KEY_FRAME_DISTANCE = 60 * FPS  # receivers ask for key frames when they need one
PRESET, HURRIED_PRESET = "superfast", "ultrafast"  # x264's
SPEED, HURRIED_SPEED = 8, 12  # libvpx's, of 16
PICTURE_IDS = 1 << 15

Encoded = Callable[[float, int], None]
"""Called (in the encoding thread) with the seconds a frame took and the bytes it became."""


def bounded(bitrate: float) -> int:
    return round(min(max(bitrate, MIN_BITRATE), MAX_BITRATE))


def highest_rate(frame: av.VideoFrame) -> int:
    """Bits a second that pictures of this size are worth."""
    return min(MAX_BITRATE, MAX_PER_PIXEL * frame.width * frame.height)


def open_x264(width: int, height: int, ceiling: int, preset: str = PRESET, peak: int = 1) -> VideoCodecContext:
    """An encoder that holds nothing back, in BT.601 as the conversion from RGB makes it.

    It runs at `peak` times the ceiling, and may be told any rate below, within a buffer of a quarter of a second.
    """
    codec = av.CodecContext.create("libx264", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.framerate, codec.time_base = Fraction(FPS), Fraction(1, FPS)
    codec.gop_size, codec.thread_count = KEY_FRAME_DISTANCE, 1
    codec.profile = "Baseline"
    codec.options = {
        "preset": preset,
        "tune": "zerolatency",
        "level": "31" if width * height <= 720 * 1280 else "40",
        "maxrate": str(peak * ceiling),
        "bufsize": str(ceiling // 4),
        "sc_threshold": "0",  # no key frame but when asked for one
        "x264-params": "colormatrix=smpte170m:colorprim=smpte170m:transfer=smpte170m:fullrange=off",
    }
    codec.bit_rate = peak * ceiling  # equal to maxrate when it opens, else later changes don't reach x264
    codec.open()
    return codec


def open_vp8(width: int, height: int, ceiling: int, speed: int = SPEED) -> VideoCodecContext:
    """An encoder that holds nothing back and runs at the ceiling on the clock of its pictures, of VIDEO_CLOCK."""
    codec = av.CodecContext.create("libvpx", "w")
    assert isinstance(codec, VideoCodecContext)
    codec.width, codec.height, codec.pix_fmt = width, height, "yuv420p"
    codec.framerate, codec.time_base = Fraction(FPS), Fraction(1, VIDEO_CLOCK)
    codec.gop_size, codec.thread_count = KEY_FRAME_DISTANCE, 1
    codec.qmin, codec.qmax = 2, 56
    codec.options = {
        "deadline": "realtime",
        "cpu-used": str(-speed),
        "lag-in-frames": "0",
        "minrate": str(ceiling),  # equal to maxrate and bit_rate: else it is not held to the rate
        "maxrate": str(ceiling),
        "bufsize": str(ceiling // 4),
        "rc_init_occupancy": str(ceiling),  # what the first picture is made from: less shows a blurred face at first
        "undershoot-pct": "100",
        "overshoot-pct": "15",
    }
    codec.bit_rate = ceiling
    codec.open()
    return codec


class Budget:
    """What an encoder may spend on a picture. First among the bases, before aiortc's encoder."""

    def __init__(self, hurried: Callable[[], bool] = lambda: False) -> None:
        """`hurried` tells (in the encoding thread) whether a frame is to cost as little as can be."""
        super().__init__()
        self._bitrate, self._hurried = START_BITRATE, hurried
        self._opened: tuple[int, int, object] | None = None
        """With what the encoder runs: width, height, preset."""
        self._before: int | None = None
        """The time of the picture before."""

    @property
    def target_bitrate(self) -> int:
        return self._bitrate

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._bitrate = bounded(bitrate)

    def _slots(self, pts: int | None) -> int:
        """How many slots' bits this picture may have: those left out before it cost none."""
        before, self._before = self._before, pts
        if pts is None or before is None:
            return 1
        return min(max((pts - before) // VIDEO_TICKS, 1), MOST_SLOTS)


class FastH264Encoder(Budget, H264Encoder):
    """H.264 in about 1.5 ms for 512 by 512."""

    def _encode_frame(self, frame: av.VideoFrame, force_keyframe: bool) -> Iterator[bytes]:
        codec = self.codec
        highest = highest_rate(frame)
        bitrate = min(self._bitrate, highest) * self._slots(frame.pts)  # x264 counts pictures, not time
        wanted = frame.width, frame.height, HURRIED_PRESET if self._hurried() else PRESET
        if codec is None or wanted != self._opened:
            self.codec = codec = open_x264(frame.width, frame.height, highest, wanted[2], MOST_SLOTS)
            self._opened = wanted
        if abs(bitrate - (codec.bit_rate or 0)) > LEAST_CHANGE * bitrate:
            codec.bit_rate = bitrate
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        yield from self._split_bitstream(b"".join(bytes(packet) for packet in codec.encode(frame)))


class FastVp8Encoder(Budget, Vp8Encoder):
    """VP8 in about 2.5 ms for 512 by 512, for clients without H.264.

    FFmpeg tells a running libvpx of no new rate, and aiortc starts anew, with a key frame. But libvpx counts time, not
    pictures: it runs at the ceiling all along, and for a lower rate its clock goes slower.
    """

    _clock = 0
    """What libvpx takes for the time, in VIDEO_CLOCK."""

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        assert isinstance(frame, av.VideoFrame) and frame.pts is not None
        highest, timestamp = highest_rate(frame), frame.pts
        wanted = frame.width, frame.height, HURRIED_SPEED if self._hurried() else SPEED
        if self.codec is None or wanted != self._opened:
            self.codec, self._clock = open_vp8(frame.width, frame.height, highest, wanted[2]), 0
            self._opened = wanted
        frame.pts = self._clock
        frame.duration = self._slots(timestamp) * VIDEO_TICKS * min(self._bitrate, highest) // highest
        self._clock += frame.duration
        frame.pict_type = PictureType.I if force_keyframe else PictureType.NONE
        payloads = self._packetize(b"".join(bytes(packet) for packet in self.codec.encode(frame)), self.picture_id)
        self.picture_id = (self.picture_id + 1) % PICTURE_IDS
        return payloads, timestamp


class MeasuredEncoder(Encoder):
    """Passes everything on and reports every frame's time and size."""

    def __init__(self, inner: FastH264Encoder | FastVp8Encoder, encoded: Encoded) -> None:
        self._inner = inner
        self._encoded = encoded

    @property
    def target_bitrate(self) -> int:
        return self._inner.target_bitrate

    @target_bitrate.setter
    def target_bitrate(self, bitrate: int) -> None:
        self._inner.target_bitrate = bitrate

    def encode(self, frame: Frame, force_keyframe: bool = False) -> tuple[list[bytes], int]:
        begun = time.perf_counter()
        payloads, timestamp = self._inner.encode(frame, force_keyframe)
        self._encoded(time.perf_counter() - begun, sum(map(len, payloads)))
        return payloads, timestamp

    def pack(self, packet: "Packet[Any]") -> tuple[list[bytes], int]:
        return self._inner.pack(packet)


def encoder_for(mime_type: str, encoded: Encoded, hurried: Callable[[], bool] = lambda: False) -> MeasuredEncoder:
    kind = FastH264Encoder if mime_type.lower() == "video/h264" else FastVp8Encoder
    return MeasuredEncoder(kind(hurried), encoded)
