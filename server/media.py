"""What a receiver gets: two tracks, or frames for one that lives in this process.

A call hands out every packet and picture at the moment it is due; a receiver passes it on at once. Every receiver's
media time begins with the slot at which it first asks for something.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from typing import Protocol

import av
import numpy as np
import numpy.typing as npt
from aiortc import MediaStreamTrack
from aiortc.clock import current_ntp_time
from aiortc.mediastreams import MediaStreamError

from server.encoder import Encoded
from server.engine_thread import Picture
from server.line import MOST, Packet, Span
from server.stills import Stills
from server.timeline import AUDIO_RATE, PACKET, PACKETS_PER_SLOT, VIDEO_CLOCK, media_ms, video_pts

Clock = Callable[[], float]
Samples = npt.NDArray[np.float32]

SOUND_BASE, PICTURE_BASE = Fraction(1, AUDIO_RATE), Fraction(1, VIDEO_CLOCK)
MAX_FRAMES = 25  # that a receiver in this process has not fetched; further ones repeat the last picture
MAX_SLOTS = 250  # likewise, of sound; the oldest goes first when there are more


@dataclass(frozen=True)
class Shot:
    """A picture in its slot."""

    slot: int
    picture: Picture
    latencies_from: tuple[float, ...]
    """When the microphone packets whose sound it shows arrived."""


class Receiver(Protocol):
    """Whom a call hands its sound and pictures, in order and in time."""

    def hear(self, number: int, packet: Packet) -> None:
        """The call's 20 ms packet with this number, counted from 0."""

    def see(self, shot: Shot) -> None: ...

    def stop(self) -> None:
        """Nothing more will come."""


@dataclass(frozen=True)
class Measures:
    """Whom a receiver tells how it goes."""

    left: Callable[[Receiver, Shot, float], None]
    """A picture left at this time, or was left out then because the receiver shows the same already."""
    spared: Callable[[Receiver], None]
    """A picture was left out."""
    missed: Callable[[Receiver], None]
    """A picture was not fetched before the next came."""
    encoded: Encoded
    hurried: Callable[[], bool]
    """Whether pictures are to cost as little as can be; any thread may ask."""


class SoundTrack(MediaStreamTrack):
    """Packets of 20 ms."""

    kind = "audio"

    def __init__(self, first: Callable[[], int]) -> None:
        """`first()` is the call's slot with which media time begins."""
        super().__init__()
        self._first = first
        self._packets: deque[tuple[int, Samples]] = deque(maxlen=MOST)  # more means that the connection is stuck
        self._arrived = asyncio.Event()

    def put(self, number: int, samples: Samples) -> None:
        self._packets.append((number, samples))
        self._arrived.set()

    async def recv(self) -> av.AudioFrame:
        first = self._first() * PACKETS_PER_SLOT
        while not self._packets:
            self._arrived.clear()
            await _wait(self, self._arrived)
        number, samples = self._packets.popleft()
        return audio_frame(samples, (number - first) * PACKET, channels=1)

    def stop(self) -> None:
        super().stop()
        self._arrived.set()


class PictureTrack(MediaStreamTrack):
    """The newest picture: one that was not fetched before the next came is not sent, nor one that shows nothing new."""

    kind = "video"

    def __init__(
        self,
        first: Callable[[], int],
        left: Callable[[Shot], None],
        spared: Callable[[], None],
        missed: Callable[[], None],
    ) -> None:
        super().__init__()
        self._first, self._left, self._spared, self._missed = first, left, spared, missed
        self._shot: Shot | None = None
        self._stills = Stills()
        self._arrived = asyncio.Event()

    def put(self, shot: Shot) -> None:
        if self._shot:
            self._missed()
        elif self._stills.spare(shot.slot, shot.picture.i420):
            self._left(shot)
            self._spared()
            return
        self._shot = shot
        self._arrived.set()

    @property
    def waiting(self) -> bool:
        """Whether there is a picture to be fetched."""
        return self._shot is not None

    def renew(self) -> None:
        """The receiver asks for a key frame: the next picture is sent, new or not."""
        self._stills.renew()

    async def recv(self) -> av.VideoFrame:
        first = self._first()
        while self._shot is None:
            self._arrived.clear()
            await _wait(self, self._arrived)
        shot, self._shot = self._shot, None
        self._stills.sent(shot.slot, shot.picture.i420)
        frame = video_frame(shot.picture.i420, video_pts(shot.slot - first))
        self._left(shot)
        return frame

    def stop(self) -> None:
        super().stop()
        self._arrived.set()


class Outlet:
    """A pair of tracks for one connection."""

    def __init__(self, begin: Callable[[], int], clock: Clock, measures: Measures) -> None:
        """`begin()` sets the call going if need be, and returns the slot that leaves next."""
        self._begin, self._clock, self._measures = begin, clock, measures
        self._first: int | None = None
        self._began_ntp = 0
        self.sound = SoundTrack(self._begun)
        self.pictures = PictureTrack(
            self._begun, self._left, partial(measures.spared, self), partial(measures.missed, self)
        )

    @property
    def encoded(self) -> Encoded:
        """To be told of every frame that was encoded."""
        return self._measures.encoded

    @property
    def hurried(self) -> Callable[[], bool]:
        """See `Measures`."""
        return self._measures.hurried

    def began_ntp(self) -> int:
        """When media time 0 of these tracks left, on the wall clock, for the reports to the receiver."""
        return self._began_ntp

    def hear(self, number: int, packet: Packet) -> None:
        if self._first is not None and number >= self._first * PACKETS_PER_SLOT:
            self.sound.put(number, packet.sound)

    def see(self, shot: Shot) -> None:
        if self._first is not None and shot.slot >= self._first:
            self.pictures.put(shot)

    def stop(self) -> None:
        self.sound.stop()
        self.pictures.stop()

    def _left(self, shot: Shot) -> None:
        self._measures.left(self, shot, self._clock())

    def _begun(self) -> int:
        if self._first is None:
            self._first = self._begin()
            self._began_ntp = current_ntp_time()
        return self._first


@dataclass(frozen=True)
class Shown:
    """40 ms of a performance."""

    picture: npt.NDArray[np.uint8]
    """[size, size, 3]; the one before, where the engine was late"""
    sound: Samples
    """float32[1920] at 48 kHz"""
    media_ms: int
    said: tuple[Span, ...] = ()
    """Which of the sound is whose words."""


class Frames:
    """A receiver in this process: picture and sound of every slot together, in real time; idle slots too."""

    def __init__(self, clock: Clock, measures: Measures) -> None:
        self._clock, self._measures = clock, measures
        self._shot: Shot | None = None
        self._half: Packet | None = None
        self._unseen: deque[tuple[int, Samples, tuple[Span, ...]]] = deque(maxlen=MAX_SLOTS)
        """What is heard before the first picture: it waits for it."""
        self._queue: asyncio.Queue[Shown | None] = asyncio.Queue()
        self._last = np.zeros((0, 0, 3), np.uint8)

    def hear(self, number: int, packet: Packet) -> None:
        slot, second = divmod(number, PACKETS_PER_SLOT)
        if not second:
            self._half = packet
        elif self._half:
            sound = np.concatenate([self._half.sound, packet.sound])
            said = (*self._half.said, *(span._replace(offset=span.offset + PACKET) for span in packet.said))
            self._unseen.append((slot, sound, said))
            self._show()

    def see(self, shot: Shot) -> None:
        self._shot = shot
        self._show()
        self._measures.left(self, shot, self._clock())

    def stop(self) -> None:
        self._put(None)

    def _show(self) -> None:
        while self._shot and self._unseen:
            slot, sound, said = self._unseen.popleft()
            self._put(Shown(self._shot.picture.rgb, sound, media_ms(slot), said))

    def _put(self, shown: Shown | None) -> None:
        while self._queue.qsize() >= MAX_SLOTS:
            self._queue.get_nowait()
        if shown and self._queue.qsize() < MAX_FRAMES:
            self._last = shown.picture
        self._queue.put_nowait(shown and replace(shown, picture=self._last))

    async def __aiter__(self) -> AsyncIterator[Shown]:
        while shown := await self._queue.get():
            yield shown


async def _wait(track: MediaStreamTrack, event: asyncio.Event) -> None:
    if track.readyState == "live":
        await event.wait()
    if track.readyState != "live":
        raise MediaStreamError


def audio_frame(samples: Samples, pts: int, channels: int = 2) -> av.AudioFrame:
    """float32[n] in [-1, 1] at 48 kHz as 16 bits in one channel or two that are alike.

    aiortc's own encoder wants two: making them of one, it takes 3 dB away.
    """
    pcm = (np.minimum(np.maximum(samples, -1), 1) * 32767).astype(np.int16)  # np.clip takes three times as long
    frame = av.AudioFrame("s16", "stereo" if channels == 2 else "mono", len(samples))
    frame.planes[0].update(pcm.repeat(channels).tobytes())
    frame.sample_rate, frame.pts, frame.time_base = AUDIO_RATE, pts, SOUND_BASE
    return frame


def video_frame(i420: npt.NDArray[np.uint8], pts: int) -> av.VideoFrame:
    """uint8[h * 3 / 2, w] as a frame of the same memory."""
    frame = av.VideoFrame.from_numpy_buffer(i420, format="yuv420p")
    frame.pts, frame.time_base = pts, PICTURE_BASE
    return frame
