"""`python -m tests.frameworks.measure pipecat|livekit`, in the framework's environment: what its bridge costs in time.

The real engine speaks real speech (flite). Ten times: from the first piece of speech to the first sound that leaves
the bridge, and from the interruption to the last one. And how far apart a picture and its sound leave.
"""

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable

import numpy as np

from engine.avatar import Avatar
from tests.browser import speech

TIMES = 10
WORDS = (
    "Virtual people should stop at once when somebody speaks, and they should never talk over you in a conversation."
)
RATE = 16_000
AUDIBLE = 300


def words() -> bytes:
    """About seven seconds of mono PCM16 at 16 kHz, from the first sample that can be heard."""
    pcm = (speech.speak(WORDS).samples[::3] * 32767).astype("<i2")
    return bytes(pcm[np.argmax(np.abs(pcm) > AUDIBLE) :].tobytes())


def report(name: str, seconds: list[float]) -> None:
    ms = 1000 * np.array(seconds)
    print(f"{name}: median {np.median(ms):.0f} ms, p95 {np.percentile(ms, 95):.0f}, most {ms.max():.0f} ({len(ms)})")


async def pipecat() -> None:
    from pipecat.frames.frames import (
        Frame,
        InterruptionFrame,
        OutputImageRawFrame,
        SpeechOutputAudioRawFrame,
        TTSAudioRawFrame,
        TTSStartedFrame,
        TTSStoppedFrame,
    )
    from pipecat.pipeline.pipeline import Pipeline
    from pipecat.pipeline.worker import PipelineWorker
    from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
    from pipecat.workers.runner import WorkerRunner

    from server.bridges.pipecat import AvatarVideoService

    heard: list[float] = []
    apart: list[float] = []
    seen = [0.0]

    class Ear(FrameProcessor):
        async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
            await super().process_frame(frame, direction)
            if isinstance(frame, OutputImageRawFrame):
                seen[0] = time.monotonic()
            elif isinstance(frame, SpeechOutputAudioRawFrame):
                apart.append(time.monotonic() - seen[0])
                if np.abs(np.frombuffer(frame.audio, "<i2").astype(int)).max() > AUDIBLE:
                    heard.append(time.monotonic())
            await self.push_frame(frame, direction)

    worker = PipelineWorker(Pipeline([AvatarVideoService(portrait="anna"), Ear()]), cancel_on_idle_timeout=False)
    runner = WorkerRunner(handle_sigint=False)
    await runner.add_workers(worker)
    running = asyncio.create_task(runner.run())
    while not apart:
        await asyncio.sleep(0.1)

    async def say(pcm: bytes) -> None:
        await worker.queue_frame(TTSStartedFrame())
        await worker.queue_frame(TTSAudioRawFrame(audio=pcm, sample_rate=RATE, num_channels=1))
        await worker.queue_frame(TTSStoppedFrame())

    async def stop() -> None:
        await worker.queue_frame(InterruptionFrame())

    await interrupt(say, stop, heard)
    report("picture to its sound", apart)
    await worker.cancel()
    await running


async def livekit() -> None:
    from livekit import rtc

    from tests.frameworks.in_livekit import staged

    async with staged(Avatar, "anna", 512) as stage:
        heard: list[float] = []

        async def say(pcm: bytes) -> None:
            for start in range(0, len(pcm), 640):
                piece = pcm[start : start + 640]
                await stage.output.capture_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
            stage.output.flush()

        async def stop() -> None:
            stage.output.clear_buffer()

        async def note() -> None:
            known = 0
            while True:
                await asyncio.sleep(0.001)
                for at, frame in stage.sound[known:]:
                    if np.abs(np.frombuffer(frame.data, np.int16).astype(int)).max() > AUDIBLE:
                        heard.append(at)
                known = len(stage.sound)

        noting = asyncio.create_task(note())
        await interrupt(say, stop, heard)
        pictures = np.array([at for at, _ in stage.pictures])
        report("sound to the nearest picture", [float(np.abs(pictures - at).min()) for at, _ in stage.sound])
        ends = [max(sounded for sounded, _ in stage.sound if sounded <= at) for at, _ in stage.finished]
        report("last sound to the report of it", [at - end for (at, _), end in zip(stage.finished, ends, strict=True)])
        noting.cancel()


async def interrupt(
    say: Callable[[bytes], Awaitable[None]], stop: Callable[[], Awaitable[None]], heard: list[float]
) -> None:
    first, last = [], []
    pcm = words()
    for _ in range(TIMES):
        heard.clear()
        begun = time.monotonic()
        await say(pcm)
        while not heard:
            await asyncio.sleep(0.001)
        first.append(heard[0] - begun)
        await asyncio.sleep(1.0 + 0.01 * len(first))
        asked = time.monotonic()
        await stop()
        await asyncio.sleep(0.7)
        last.append(max(heard[-1] - asked, 0.0))
    report("speech to first sound", first)
    report("interruption to last sound", last)


if __name__ == "__main__":
    asyncio.run({"pipecat": pipecat, "livekit": livekit}[sys.argv[1]]())
