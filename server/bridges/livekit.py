"""LiveKit Agents: a `VideoGenerator` for the official `AvatarRunner`.

    generator = AvatarGenerator(live)
    runner = AvatarRunner(room, audio_recv=receiver, video_gen=generator, options=generator.options)

Speech goes in as fast as it likes and comes out in real time: a picture in every slot of 40 ms, sound only where
somebody speaks, because the runner takes what it is given for the playback position. So that the position it reports
is the true one, sound is cut to the sample where words end; a segment's end follows one slot later, when its last
sound has left; the next segment waits for that, because the runner counts one at a time; and `clear_buffer` returns
only when the frame under way has been counted and nothing of the cleared speech can follow.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator

import numpy as np
from livekit import rtc
from livekit.agents.voice.avatar import AudioSegmentEnd, AvatarOptions, VideoGenerator

from engine.units import FPS
from server.bridges.stage import Over, performed
from server.conversation import SpeechEnded
from server.live import LiveSession
from server.media import Shown
from server.timeline import AUDIO_RATE

LATE_S = 0.080
CLEARED_S = 1.0  # a runner that fetches nothing for that long does not count frames either


class AvatarGenerator(VideoGenerator):
    def __init__(self, live: LiveSession, size: int = 512) -> None:
        """`live`: of `Studio.open`, with the same `size`. Iterate once; the session ends with `aclose`."""
        self.options = AvatarOptions(
            video_width=size, video_height=size, video_fps=FPS, audio_sample_rate=AUDIO_RATE, audio_channels=1
        )
        self._live = live
        self._utterance: str | None = None
        self._rate = 0
        self._clears = 0
        self._over = asyncio.Event()
        """Whether the runner has counted all of the segment that began last."""
        self._over.set()
        self._watched = asyncio.Event()

    async def push_audio(self, frame: rtc.AudioFrame | AudioSegmentEnd) -> None:
        if isinstance(frame, AudioSegmentEnd):
            self._end()
            return
        if self._utterance is None or frame.sample_rate != self._rate:
            self._end()
            clears = self._clears
            await self._watched.wait()  # until then a runner publishes its tracks, and words would be lost
            await self._over.wait()
            if clears != self._clears:
                return  # cleared before it began
            self._utterance = self._live.conversation.begin(rate=frame.sample_rate)
            self._rate = frame.sample_rate
            self._over.clear()
        utterance = self._utterance
        self._live.conversation.append(utterance, mono(frame))
        await self._live.conversation.room(utterance)

    async def clear_buffer(self) -> None:
        self._utterance = None
        self._clears += 1
        self._live.conversation.interrupt()
        try:
            await asyncio.wait_for(self._over.wait(), CLEARED_S)
        except TimeoutError:
            self._over.set()

    async def aclose(self) -> None:
        """Frees the session; iteration ends."""
        self._watched.set()
        await self._live.end("deleted")

    async def __aiter__(self) -> AsyncIterator[rtc.VideoFrame | rtc.AudioFrame | AudioSegmentEnd]:
        last: Over | None = None
        late = Lateness()
        try:
            async with performed(self._live) as slots:
                async for slot in slots:
                    if not isinstance(slot, Shown):
                        last = slot
                        continue
                    if late(slot) <= LATE_S:  # else the sound comes first, which is what a position counts
                        yield video(slot)
                    self._watched.set()
                    for sound in spoken(slot):
                        yield sound
                    if last:
                        if isinstance(last, SpeechEnded) and not self._over.is_set():
                            yield AudioSegmentEnd()
                        last = None
                        self._over.set()
        finally:
            self._over.set()
            self._watched.set()

    def _end(self) -> None:
        if self._utterance:
            self._live.conversation.end(self._utterance)
        self._utterance = None


class Lateness:
    """By how many seconds a receiver lags behind slots that come in real time."""

    def __init__(self) -> None:
        self._least = float("inf")

    def __call__(self, shown: Shown) -> float:
        lag = time.monotonic() - shown.media_ms / 1000
        self._least = min(self._least, lag)
        return lag - self._least


def video(shown: Shown) -> rtc.VideoFrame:
    height, width, _ = shown.picture.shape
    return rtc.VideoFrame(width, height, rtc.VideoBufferType.RGB24, shown.picture.tobytes())


def spoken(shown: Shown) -> Iterator[rtc.AudioFrame]:
    """Of the slot's sound what is words, a frame for each utterance."""
    for span in shown.said:
        samples = shown.sound[span.offset : span.offset + span.end - span.begin]
        pcm = (np.clip(samples, -1, 1) * 32767).astype("<i2").tobytes()
        yield rtc.AudioFrame(pcm, AUDIO_RATE, 1, len(samples))


def mono(frame: rtc.AudioFrame) -> bytes:
    """PCM16 of one channel: the mean of all."""
    if frame.num_channels == 1:
        return bytes(frame.data)
    samples = np.frombuffer(frame.data, "<i2").reshape(-1, frame.num_channels)
    return bytes(samples.mean(axis=1).round().astype("<i2").tobytes())
