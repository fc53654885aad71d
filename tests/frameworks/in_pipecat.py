"""The avatar in a real Pipecat pipeline. Runs where Pipecat is installed: see tests/test_frameworks.py."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass

import numpy as np
import pytest
import pytest_asyncio
from pipecat.frames.frames import (
    ErrorFrame,
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
from pipecat.tests.utils import SleepFrame, run_test
from pipecat.workers.runner import WorkerRunner

from server.bridges.pipecat import AvatarEmotionFrame, AvatarVideoService
from server.bridges.studio import Studio
from server.timeline import AUDIO_RATE
from tests.frameworks.material import RATE, audible_s, nobody, pieces, pitch, shows, tone
from tests.server_fakes import LOUD, FakeEngine

SIZE = 256


@pytest_asyncio.fixture
async def studio() -> AsyncIterator[Studio]:
    async with Studio(FakeEngine) as studio:
        yield studio


def service(studio: Studio) -> AvatarVideoService:
    return AvatarVideoService(portrait=nobody(), size=SIZE, studio=studio)


def speech(hertz: float, seconds: float) -> list[Frame]:
    """As a text to speech service says it: all of it at once."""
    audio = [TTSAudioRawFrame(audio=piece, sample_rate=RATE, num_channels=1) for piece in pieces(tone(hertz, seconds))]
    return [TTSStartedFrame(), *audio, TTSStoppedFrame()]


@dataclass
class Slot:
    picture: OutputImageRawFrame
    sound: SpeechOutputAudioRawFrame

    @property
    def level(self) -> float:
        return float(np.sqrt(np.mean((np.frombuffer(self.sound.audio, "<i2") / 32768) ** 2)))

    @property
    def shown(self) -> float:
        return shows(self.picture.image, SIZE)[1]


def slots_of(frames: Sequence[Frame]) -> list[Slot]:
    """Every picture comes right before its sound, with the same time."""
    media = [frame for frame in frames if isinstance(frame, (OutputImageRawFrame, SpeechOutputAudioRawFrame))]
    slots = []
    for picture, sound in zip(media[::2], media[1::2], strict=False):
        assert isinstance(picture, OutputImageRawFrame) and isinstance(sound, SpeechOutputAudioRawFrame)
        assert picture.pts == sound.pts and picture.size == (SIZE, SIZE) and picture.sync_with_audio
        slots.append(Slot(picture, sound))
    return slots


def sound_of(slots: Sequence[Slot]) -> np.ndarray:
    return np.concatenate([np.frombuffer(slot.sound.audio, "<i2") for slot in slots])


class TestAnUtterance:
    async def test_comes_back_whole_with_its_pictures(self, studio: Studio) -> None:
        frames, _ = await run_test(service(studio), frames_to_send=speech(440, 1.0), start_timeout=10)
        slots = slots_of(frames)
        heard = sound_of(slots)
        assert audible_s(heard, AUDIO_RATE) == pytest.approx(1.0, abs=0.04)
        assert pitch(heard[np.abs(heard) > 0], AUDIO_RATE) == pytest.approx(440, abs=5)
        steady = [slot for before, slot in zip(slots, slots[1:], strict=False) if abs(before.level - slot.level) < 0.01]
        agree = [(slot.shown > LOUD / 2) == (slot.level > LOUD / 2) for slot in steady]
        assert np.mean(agree) > 0.9 and len(agree) >= 20

    async def test_stops_when_its_last_word_is_heard(self, studio: Studio) -> None:
        frames, _ = await run_test(service(studio), frames_to_send=speech(440, 0.5), start_timeout=10)
        stopped = next(i for i, frame in enumerate(frames) if isinstance(frame, TTSStoppedFrame))
        assert audible_s(sound_of(slots_of(frames[:stopped])), AUDIO_RATE) == pytest.approx(0.5, abs=0.04)
        assert not any(isinstance(frame, TTSAudioRawFrame) for frame in frames)

    async def test_an_emotion_goes_with_the_words_behind_it(self, studio: Studio) -> None:
        sent = [*speech(440, 0.4), AvatarEmotionFrame("AU1=1, AU4=1", transition_s=0), *speech(1000, 0.4)]
        frames, _ = await run_test(service(studio), frames_to_send=sent, start_timeout=10)
        slots = slots_of(frames)
        felt = [float(np.frombuffer(s.picture.image, np.uint8).reshape(SIZE, SIZE, 3)[160, 128, 0]) > 60 for s in slots]
        first = next(i for i, slot in enumerate(slots) if slot.level > LOUD / 2)
        assert not any(felt[: first + 7]) and any(felt[first + 9 :])


class TestAnInterruption:
    async def test_nothing_of_the_old_is_heard_and_the_new_is_whole(self, studio: Studio) -> None:
        sent = [*speech(440, 5.0), SleepFrame(1.0), InterruptionFrame(), SleepFrame(0.4), *speech(1000, 0.4)]
        frames, _ = await run_test(service(studio), frames_to_send=sent, start_timeout=10)
        cut = next(i for i, frame in enumerate(frames) if isinstance(frame, InterruptionFrame))
        before, after = slots_of(frames[: cut + 1]), slots_of(trimmed(frames[cut:]))
        assert 0.5 < audible_s(sound_of(before), AUDIO_RATE) < 1.3
        late = next(i for i, slot in enumerate(after) if slot.level < 0.01)
        assert late <= 2  # slots of 40 ms until it is silent
        rest = after[late:]
        assert audible_s(sound_of(rest), AUDIO_RATE) == pytest.approx(0.4, abs=0.04)
        assert pitch(sound_of(rest), AUDIO_RATE) == pytest.approx(1000, abs=5)
        assert sum(isinstance(frame, TTSStoppedFrame) for frame in frames) == 1  # of the new one


def trimmed(frames: Sequence[Frame]) -> list[Frame]:
    """From the next picture on."""
    first = next(i for i, frame in enumerate(frames) if isinstance(frame, OutputImageRawFrame))
    return list(frames[first:])


class TestTheEnd:
    async def test_a_cancelled_pipeline_leaves_nothing(self, studio: Studio) -> None:
        tasks = asyncio.all_tasks()
        worker = PipelineWorker(Pipeline([service(studio), Sink()]), cancel_on_idle_timeout=False)
        runner = WorkerRunner()
        await runner.add_workers(worker)
        running = asyncio.create_task(runner.run())
        await asyncio.sleep(0.5)
        for frame in speech(440, 5.0):
            await worker.queue_frame(frame)
        await asyncio.sleep(0.5)
        assert studio.sessions == 1
        await worker.cancel()
        await running
        await asyncio.sleep(0.1)
        assert studio.sessions == 0
        assert asyncio.all_tasks() - tasks == set()

    async def test_a_failing_engine_costs_the_face_and_not_the_voice(self) -> None:
        def fault(_: object) -> None:
            raise RuntimeError("a scripted fault")

        async with Studio(lambda: FakeEngine(fault=fault)) as studio:
            sent = [SleepFrame(0.5), *speech(440, 0.4)]
            frames, errors = await run_test(service(studio), frames_to_send=sent, start_timeout=10)
            assert sum(isinstance(error, ErrorFrame) for error in errors) == 1
            assert sum(len(frame.audio) for frame in frames if isinstance(frame, TTSAudioRawFrame)) == 0.4 * RATE * 2


class Sink(FrameProcessor):
    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        await self.push_frame(frame, direction)
