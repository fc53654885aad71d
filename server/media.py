"""The two tracks a client receives. Each `recv` waits for the next thing and for the moment it is due, no more."""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction

import av
import cv2
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.mediastreams import MediaStreamError

from server.engine_thread import Picture
from server.timeline import AUDIO_RATE, PACKET, VIDEO_CLOCK, Timeline, video_pts

Clock = Callable[[], float]
Samples = npt.NDArray[np.float32]

MAX_PICTURES = 4  # rendered and not yet due; the oldest goes first when there are more
MAX_PACKETS = 100  # 2 s of sound not yet sent: more means that the client's connection is stuck


@dataclass(frozen=True)
class Shot:
    """A picture in its slot."""

    slot: int
    picture: Picture
    latencies_from: tuple[float, ...]
    """When the microphone packets whose sound it shows arrived."""


class SoundTrack(MediaStreamTrack):
    """The delayed sound in packets of 20 ms. Nothing is dropped while the connection lives."""

    kind = "audio"

    def __init__(self, timeline: Callable[[], Timeline], clock: Clock, left: Callable[[int, float], None]) -> None:
        super().__init__()
        self._timeline, self._clock, self._left = timeline, clock, left
        self._packets: deque[Samples] = deque()
        self._arrived = asyncio.Event()
        self._number = 0

    def put(self, slot: Samples) -> None:
        """float32[1920] in [-1, 1] at 48 kHz."""
        self._packets.extend(slot.reshape(-1, PACKET))
        while len(self._packets) > MAX_PACKETS:
            self._packets.popleft()
            self._number += 1
        self._arrived.set()

    async def recv(self) -> av.AudioFrame:
        timeline = self._timeline()
        while not self._packets:
            self._arrived.clear()
            await _wait(self, self._arrived)
        await asyncio.sleep(timeline.packet_due(self._number) - self._clock())
        frame = audio_frame(self._packets.popleft(), self._number * PACKET)
        self._left(self._number, self._clock())
        self._number += 1
        return frame

    def stop(self) -> None:
        super().stop()
        self._arrived.set()


class PictureTrack(MediaStreamTrack):
    """The pictures, each when it is due, or as soon as it is there; of two that are due the older is dropped."""

    kind = "video"

    def __init__(
        self,
        timeline: Callable[[], Timeline],
        clock: Clock,
        left: Callable[[Shot, float], None],
        missed: Callable[[], None],
    ) -> None:
        super().__init__()
        self._timeline, self._clock, self._left, self._missed = timeline, clock, left, missed
        self._shots: deque[Shot] = deque()
        self._arrived = asyncio.Event()

    def put(self, shot: Shot) -> None:
        if len(self._shots) == MAX_PICTURES:
            self._shots.popleft()
            self._missed()
        self._shots.append(shot)
        self._arrived.set()

    async def recv(self) -> av.VideoFrame:
        timeline = self._timeline()
        while not self._shots:
            self._arrived.clear()
            await _wait(self, self._arrived)
        await asyncio.sleep(timeline.due(self._shots[0].slot) - self._clock())
        while len(self._shots) > 1 and timeline.due(self._shots[1].slot) <= self._clock():
            self._shots.popleft()
            self._missed()
        shot = self._shots.popleft()
        frame = video_frame(shot.picture.rgb, video_pts(shot.slot))
        self._left(shot, self._clock())
        return frame

    def stop(self) -> None:
        super().stop()
        self._arrived.set()


async def _wait(track: MediaStreamTrack, event: asyncio.Event) -> None:
    if track.readyState == "live":
        await event.wait()
    if track.readyState != "live":
        raise MediaStreamError


def audio_frame(samples: Samples, pts: int) -> av.AudioFrame:
    """float32[n] in [-1, 1] at 48 kHz as 16-bit stereo; making stereo of mono, the Opus encoder takes 3 dB away."""
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    frame = av.AudioFrame.from_ndarray(np.repeat(pcm, 2)[None], format="s16", layout="stereo")
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, pts, Fraction(1, AUDIO_RATE)
    return frame


def video_frame(rgb: npt.NDArray[np.uint8], pts: int) -> av.VideoFrame:
    """uint8[h,w,3] as a new I420 frame; cv2 converts 30 times faster than swscale."""
    frame = av.VideoFrame.from_ndarray(cv2.cvtColor(rgb, cv2.COLOR_RGB2YUV_I420), format="yuv420p")
    frame.pts, frame.time_base = pts, Fraction(1, VIDEO_CLOCK)
    return frame
