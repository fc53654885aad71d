"""A caller talks to an assistant of three services over WebRTC, and what the call looks like when they fail."""

import asyncio
import fractions
import json
import shutil
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from aiortc import MediaStreamTrack
from websockets.asyncio.client import ClientConnection, connect

from engine.les import EMOTIONS
from server.settings import AssistantSettings
from tests.browser.speech import Samples, join, silence, speak
from tests.openai_services import DIE, KEY, Services, services, tone
from tests.server_fakes import Caller
from tests.server_running import running, until

pytestmark = pytest.mark.skipif(shutil.which("flite") is None, reason="needs Debian's flite")
RATE, PACKET = 48_000, 960


class Voice(MediaStreamTrack):
    """A microphone that plays samples (float32, 48 kHz) once, then silence, in real time."""

    kind = "audio"

    def __init__(self, samples: Samples) -> None:
        super().__init__()
        self._samples, self._number, self._begun = samples, 0, time.monotonic()

    async def recv(self) -> av.AudioFrame:
        at, self._number = self._number * PACKET, self._number + 1
        await asyncio.sleep(self._begun + at / RATE - time.monotonic())
        piece = np.zeros(PACKET, np.int16)
        said = (self._samples[at : at + PACKET] * 32767).astype(np.int16)
        piece[: len(said)] = said
        frame = av.AudioFrame.from_ndarray(piece.reshape(1, -1), format="s16", layout="mono")
        frame.sample_rate, frame.pts, frame.time_base = RATE, at, fractions.Fraction(1, RATE)
        return frame


@pytest.fixture(scope="module")
def question() -> Samples:
    """Again and again, with time for an answer between."""
    return join([silence(1.0), *20 * [speak("What do you think of the weather?"), silence(3.5)]]).samples


class Heard:
    """What the control socket tells, in order."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.messages: list[dict[str, Any]] = []

    async def until(self, type: str, **fields: Any) -> dict[str, Any]:
        """The next of this kind; AssertionError with all that came instead if there is none."""
        async with asyncio.timeout(90) as patience:
            while True:
                try:
                    message: dict[str, Any] = json.loads(await self._socket.recv())
                except asyncio.CancelledError:
                    assert not patience.expired(), [m for m in self.messages if m["type"] not in ("stats", "state")]
                    raise
                self.messages.append(message)
                if message["type"] == type and all(message.get(name) == value for name, value in fields.items()):
                    return message


@asynccontextmanager
async def called(directory: Path, found: Services, question: Samples) -> AsyncIterator[tuple[Caller, Heard]]:
    settings = AssistantSettings(found.endpoint(), found.endpoint(), found.endpoint())
    fields = {"source": "assistant"}
    async with running(directory, assistant=settings) as server:
        async with Caller(server.url, microphone=Voice(question), fields=fields) as caller:
            await caller.create()
            async with connect(caller.control_url) as socket:
                await caller.call()
                yield caller, Heard(socket)


def loudest(caller: Caller, since: float) -> float:
    return max((float(np.abs(samples).max()) for at, samples in caller.sound if at >= since), default=0.0)


class TestCall:
    async def test_an_answer_is_heard_shown_and_captioned(self, tmp_path: Path, question: Samples) -> None:
        async with services(chat=["[happiness] Quite ", "nice. It rains."]) as found:
            async with called(tmp_path, found, question) as (caller, heard):
                await heard.until("caption", speaker="user", text="What time is it?")
                begun = await heard.until("speech.started")
                await heard.until("caption", speaker="assistant", text="Quite nice.")
                await heard.until("caption", speaker="assistant", text="Quite nice. It rains.", final=True)
                ended = next(m for m in heard.messages if m["type"] == "speech.ended")
                assert ended["playback_ms"] == pytest.approx(50 * len("Quite nice.It rains.") + 200, abs=60)
                activities = [m["activity"] for m in heard.messages if m["type"] == "activity"]
                assert activities[-4:] in (
                    ["listening", "thinking", "speaking", "listening"],
                    ["thinking", "listening", "speaking", "listening"],
                )
                smile = EMOTIONS["happiness"]["AU12"]
                assert any(m["units"].get("AU12") == smile for m in heard.messages if m["type"] == "state")
                await until(lambda: loudest(caller, begun["media_ms"] / 1000) > 0.1)

    @pytest.mark.parametrize(
        ("told", "code"),
        [
            ({"rounds": [["It ", DIE]]}, "chat_lost"),
            ({"raw_chat": b"data: {oops\n\n"}, "chat_garbage"),
            ({"speech": [tone(0.2), DIE]}, "speech_lost"),
            ({"transcript": "<html>"}, "transcription_garbage"),
        ],
    )
    async def test_a_service_that_fails_costs_one_answer(
        self, tmp_path: Path, question: Samples, told: dict[str, Any], code: str
    ) -> None:
        async with services(**told) as found:
            async with called(tmp_path, found, question) as (caller, heard):
                error = await heard.until("error")
                assert error["code"] == code and KEY not in json.dumps(heard.messages)
                found.raw_chat, found.speech, found.transcript = None, [], {"text": "And now?"}
                await heard.until("caption", speaker="assistant", text="Hello there. How are you?", final=True)
                pictures = len(caller.pictures)
                await until(lambda: len(caller.pictures) > pictures)
