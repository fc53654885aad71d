"""A Pipecat app made for telephone calls, as it comes, with our server as its caller: see tests/test_frameworks.py."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, WebSocket
from pipecat.frames.frames import (
    Frame,
    InputAudioRawFrame,
    InterruptionFrame,
    TTSAudioRawFrame,
    TTSStartedFrame,
    TTSStoppedFrame,
)
from pipecat.pipeline.pipeline import Pipeline
from pipecat.pipeline.worker import PipelineWorker
from pipecat.processors.frame_processor import FrameDirection, FrameProcessor
from pipecat.runner.utils import parse_telephony_websocket
from pipecat.serializers.twilio import TwilioFrameSerializer
from pipecat.transports.websocket.fastapi import FastAPIWebsocketParams, FastAPIWebsocketTransport
from pipecat.workers.runner import WorkerRunner

from server.assistants.twilio import TwilioAssistant
from server.conversation import SpeechEnded, SpeechInterrupted
from tests.conversation_fakes import FakeConversation
from tests.frameworks.material import RATE, audible_s, pieces, pitch, tone


class Ear(FrameProcessor):
    """Writes down what the app hears of its caller."""

    def __init__(self) -> None:
        super().__init__()
        self.heard = bytearray()

    async def process_frame(self, frame: Frame, direction: FrameDirection) -> None:
        await super().process_frame(frame, direction)
        if isinstance(frame, InputAudioRawFrame):
            self.heard += frame.audio
        await self.push_frame(frame, direction)


class App:
    """What Pipecat's telephone examples do."""

    def __init__(self) -> None:
        self.ear = Ear()
        self.worker: PipelineWorker | None = None
        self.api = FastAPI()
        self.api.websocket("/ws")(self.answer)

    async def answer(self, socket: WebSocket) -> None:
        await socket.accept()
        kind, call = await parse_telephony_websocket(socket)
        assert kind == "twilio"
        hold = TwilioFrameSerializer.InputParams(auto_hang_up=False)
        serializer = TwilioFrameSerializer(call["stream_id"], call["call_id"], params=hold)
        params = FastAPIWebsocketParams(audio_in_enabled=True, audio_out_enabled=True, serializer=serializer)
        transport = FastAPIWebsocketTransport(socket, params)
        self.worker = PipelineWorker(
            Pipeline([transport.input(), self.ear, transport.output()]), cancel_on_idle_timeout=False
        )
        runner = WorkerRunner(handle_sigint=False)
        await runner.add_workers(self.worker)
        await runner.run()

    async def say(self, hertz: float, seconds: float) -> None:
        """As a text to speech service does: all of it at once."""
        assert self.worker
        await self.worker.queue_frame(TTSStartedFrame())
        for piece in pieces(tone(hertz, seconds)):
            await self.worker.queue_frame(TTSAudioRawFrame(audio=piece, sample_rate=RATE, num_channels=1))
        await self.worker.queue_frame(TTSStoppedFrame())


@asynccontextmanager
async def calling() -> AsyncIterator[tuple[App, FakeConversation]]:
    app, conversation = App(), FakeConversation()
    server = uvicorn.Server(uvicorn.Config(app.api, port=0, log_level="warning"))
    serving = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    url = f"ws://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}/ws"
    talking = asyncio.create_task(TwilioAssistant(url).converse(conversation))
    try:
        await until(lambda: app.worker is not None and conversation.watched == 3)
        async with conversation.playing():
            await asyncio.sleep(0.5)  # until the pipeline has started
            yield app, conversation
    finally:
        conversation.close()
        await talking
        if app.worker:
            await app.worker.cancel()
        server.should_exit = True
        await serving


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.01)


def heard(conversation: FakeConversation) -> np.ndarray:
    return np.frombuffer(b"".join(u.heard for u in conversation.utterances.values()), "<i2")


async def test_what_it_says_is_spoken() -> None:
    async with calling() as (app, conversation):
        await app.say(440, 1.0)
        await until(lambda: any(isinstance(event, SpeechEnded) for event in conversation.events))
        sound = heard(conversation)
        assert audible_s(sound, 8000) == pytest.approx(1.0, abs=0.04)
        assert pitch(sound, 8000) == pytest.approx(440, abs=5)


async def test_it_hears_its_caller() -> None:
    async with calling() as (app, conversation):
        for piece in pieces(tone(1000, 0.4, 8000) + bytes(8000), 0.04, 8000):
            conversation.user(piece)
        await until(lambda: len(app.ear.heard) >= 2 * 0.8 * 16_000)
        assert audible_s(np.frombuffer(app.ear.heard, "<i2"), 16_000) == pytest.approx(0.4, abs=0.04)
        assert pitch(np.frombuffer(app.ear.heard, "<i2"), 16_000) == pytest.approx(1000, abs=5)


async def test_its_interruption_stops_the_portrait() -> None:
    async with calling() as (app, conversation):
        await app.say(440, 5.0)
        await until(lambda: len(heard(conversation)) > 4000)
        assert app.worker
        await app.worker.queue_frame(InterruptionFrame())
        await until(lambda: any(isinstance(event, SpeechInterrupted) for event in conversation.events))
        had = len(heard(conversation))
        await app.say(1000, 0.4)
        await until(lambda: len(heard(conversation)) - had > 0.38 * 8000)
        assert had < 3 * 8000
        assert pitch(heard(conversation)[had:], 8000) == pytest.approx(1000, abs=10)


async def test_an_app_that_hangs_up_is_called_again() -> None:
    async with calling() as (app, conversation):
        first = app.worker
        assert first
        await first.cancel()
        await until(lambda: app.worker is not first)
        assert conversation.reports[0][0] == "assistant_lost"
