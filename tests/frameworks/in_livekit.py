"""The avatar under LiveKit's official `AvatarRunner` with its `QueueAudioOutput`. See tests/test_frameworks.py.

The runner, its native audio and video sources and its synchronizer are real; there is no room to join offline, so the
room is a fake that accepts tracks. What the runner captures is recorded on its way to its sources.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from livekit import rtc
from livekit.agents import Agent, AgentSession
from livekit.agents.voice.avatar import AvatarRunner, QueueAudioOutput
from livekit.agents.voice.io import PlaybackFinishedEvent

from engine.portrait import Portrait
from server.bridges.livekit import AvatarGenerator
from server.bridges.studio import Studio
from server.engine_thread import Engine
from server.timeline import AUDIO_RATE
from tests.frameworks.material import RATE, nobody, pieces, pitch, shows, tone
from tests.server_fakes import LOUD, FakeEngine

SIZE = 256


class Publication:
    async def wait_for_subscription(self) -> None:
        await asyncio.sleep(0.05)


class Participant:
    async def publish_track(self, *_: Any) -> Publication:
        return Publication()


class Room:
    local_participant = Participant()

    def isconnected(self) -> bool:
        return True

    def on(self, *_: Any) -> None: ...

    off = on


@dataclass
class Stage:
    studio: Studio
    output: QueueAudioOutput
    runner: AvatarRunner
    finished: list[tuple[float, PlaybackFinishedEvent]] = field(default_factory=list)
    started: list[float] = field(default_factory=list)
    sound: list[tuple[float, rtc.AudioFrame]] = field(default_factory=list)
    pictures: list[tuple[float, rtc.VideoFrame]] = field(default_factory=list)

    async def say(self, hertz: float, seconds: float) -> None:
        """As an agent does: all of it at once."""
        async for frame in frames(hertz, seconds):
            await self.output.capture_frame(frame)
        self.output.flush()

    @property
    def heard(self) -> np.ndarray:
        return np.concatenate([np.frombuffer(frame.data, np.int16) for _, frame in self.sound])

    @property
    def heard_s(self) -> float:
        return float(sum(frame.duration for _, frame in self.sound))

    def record(self) -> None:
        capture_sound, capture_picture = (
            self.runner._audio_source.capture_frame,
            self.runner._video_source.capture_frame,
        )

        async def sound(frame: rtc.AudioFrame) -> None:
            self.sound.append((time.monotonic(), frame))
            await capture_sound(frame)

        def picture(frame: rtc.VideoFrame, **more: Any) -> None:
            self.pictures.append((time.monotonic(), frame))
            capture_picture(frame, **more)

        vars(self.runner._audio_source)["capture_frame"] = sound
        vars(self.runner._video_source)["capture_frame"] = picture
        self.output.on("playback_finished", lambda event: self.finished.append((time.monotonic(), event)))
        self.output.on("playback_started", lambda event: self.started.append(time.monotonic()))


@asynccontextmanager
async def staged(
    engine: Callable[[], Engine] = FakeEngine, portrait: str | Portrait | None = None, size: int = SIZE
) -> AsyncIterator[Stage]:
    async with Studio(engine) as studio:
        generator = AvatarGenerator(await studio.open(portrait or nobody(), size=size), size)
        output = QueueAudioOutput(sample_rate=RATE, wait_playback_start=True)
        room: Any = Room()
        runner = AvatarRunner(room, audio_recv=output, video_gen=generator, options=generator.options)
        stage = Stage(studio, output, runner)
        stage.record()
        await runner.start()
        try:
            await until(lambda: len(stage.pictures) > 2)
            yield stage
        finally:
            await runner.aclose()
            await generator.aclose()


async def until(condition: Callable[[], bool], seconds: float = 20.0) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


class TestAnUtterance:
    async def test_its_position_is_its_length(self) -> None:
        async with staged() as stage:
            await stage.say(440, 1.01)
            await until(lambda: len(stage.finished) == 1)
            at, event = stage.finished[0]
            assert event.playback_position == pytest.approx(1.01, abs=0.001) and not event.interrupted
            assert len(stage.started) == 1
            last, frame = stage.sound[-1]
            assert at >= last + frame.duration - 0.02  # told when it has been heard, not before
            assert pitch(stage.heard, AUDIO_RATE) == pytest.approx(440, abs=2)

    async def test_pictures_go_with_it_and_on_without_it(self) -> None:
        async with staged() as stage:
            await stage.say(440, 1.0)
            await until(lambda: len(stage.finished) == 1)
            count = len(stage.pictures)
            await until(lambda: len(stage.pictures) > count + 10)
            loud = [at for at, frame in stage.pictures if shows(bytes(frame.data), SIZE)[1] > LOUD / 2]
            first, last = stage.sound[0][0], stage.sound[-1][0]
            assert len(loud) > 8  # of 25; a crowded machine drops pictures, never sound
            assert all(first - 0.2 < at < last + 0.4 for at in loud)  # tests/frameworks/measure.py has the milliseconds

    async def test_two_that_were_sent_at_once_are_counted_one_by_one(self) -> None:
        async with staged() as stage:
            await stage.say(440, 0.5)
            await stage.say(1000, 0.7)
            await until(lambda: len(stage.finished) == 2)
            positions = [event.playback_position for _, event in stage.finished]
            assert positions == pytest.approx([0.5, 0.7], abs=0.001) and len(stage.started) == 2


class TestAnInterruption:
    async def test_position_is_what_was_heard_and_nothing_follows(self) -> None:
        async with staged() as stage:
            await stage.say(440, 5.0)
            await until(lambda: len(stage.sound) > 20)
            asked = time.monotonic()
            stage.output.clear_buffer()
            await until(lambda: len(stage.finished) == 1)
            heard_s, count = stage.heard_s, len(stage.sound)
            told, event = stage.finished[0]
            assert event.interrupted and event.playback_position == pytest.approx(heard_s, abs=0.001)
            await asyncio.sleep(0.5)
            assert len(stage.sound) == count and len(stage.finished) == 1 and len(stage.started) == 1
            silent_ms, told_ms = 1000 * (stage.sound[-1][0] - asked), 1000 * (told - asked)
            print(f"interrupted: last sound after {silent_ms:.0f} ms, reported after {told_ms:.0f} ms")
            await stage.say(1000, 0.6)
            await until(lambda: len(stage.finished) == 2)
            assert stage.finished[1][1].playback_position == pytest.approx(0.6, abs=0.001)
            assert len(stage.started) == 2
            new = np.concatenate([np.frombuffer(frame.data, np.int16) for _, frame in stage.sound[count:]])
            assert pitch(new, AUDIO_RATE) == pytest.approx(1000, abs=3)

    async def test_in_silence_is_no_event(self) -> None:
        async with staged() as stage:
            stage.output.clear_buffer()
            await asyncio.sleep(0.2)
            assert stage.finished == []
            await stage.say(440, 0.3)
            await until(lambda: len(stage.finished) == 1)
            assert stage.finished[0][1].playback_position == pytest.approx(0.3, abs=0.001)


class TestAnAgent:
    async def test_its_session_waits_and_interrupts_as_with_any_output(self) -> None:
        async with staged() as stage:
            session: AgentSession[None] = AgentSession()
            session.output.audio = stage.output
            await session.start(Agent(instructions="You are polite."))
            await session.say("Good day.", audio=frames(440, 0.5)).wait_for_playout()
            assert stage.finished[-1][1].playback_position == pytest.approx(0.5, abs=0.001)
            story = session.say("Once upon a time.", audio=frames(440, 5.0))
            await until(lambda: stage.heard_s > 1.0)
            story.interrupt()
            await until(lambda: len(stage.finished) == 2)
            event = stage.finished[-1][1]
            assert story.interrupted and event.interrupted
            assert event.playback_position == pytest.approx(stage.heard_s - 0.5, abs=0.002)
            await session.say("Good bye.", audio=frames(1000, 0.4)).wait_for_playout()
            assert stage.finished[-1][1].playback_position == pytest.approx(0.4, abs=0.001)
            await session.aclose()


async def frames(hertz: float, seconds: float) -> AsyncIterator[rtc.AudioFrame]:
    for piece in pieces(tone(hertz, seconds)):
        yield rtc.AudioFrame(piece, RATE, 1, len(piece) // 2)


class TestTheEnd:
    async def test_a_runner_that_is_closed_in_mid_sentence_leaves_nothing(self) -> None:
        tasks = asyncio.all_tasks()
        async with staged() as stage:
            await stage.say(440, 5.0)
            await until(lambda: len(stage.sound) > 5)
            studio = stage.studio
            assert studio.sessions == 1
        assert studio.sessions == 0
        await until(lambda: asyncio.all_tasks() <= tasks)
