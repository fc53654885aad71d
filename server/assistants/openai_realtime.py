"""An assistant behind the OpenAI Realtime protocol: the user's microphone goes there, its answers are spoken here.

Any backend that speaks the protocol over a WebSocket will do. What it is asked for is in `RealtimeBackend.session`.
"""

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from websockets.asyncio.client import ClientConnection

from server.assistants import set_emotion
from server.assistants.backend import DELAYS_S, BackendFailure, connected, persist
from server.assistants.openai_answers import Answers
from server.assistants.openai_wire import FORMAT, Event, Garbage
from server.backlog import Backlog
from server.conversation import Conversation, ConversationEvent
from server.side_by_side import until_first

MAX_OUTBOX = 256  # events not yet sent; a backend that reads no more is left


@dataclass(frozen=True)
class RealtimeBackend:
    url: str
    """`wss://host/v1` or `https://host/v1`, with or without `/realtime` at its end."""
    model: str
    key: str = field(default="", repr=False)
    """Sent as a bearer token; empty: none is sent."""
    voice: str | None = None
    instructions: str | None = None
    transcription: str | None = None
    """The backend's model that writes down what the user says, for captions; None: it doesn't."""
    patience_s: float = 20.0
    """A backend that owes an answer and says nothing for as long hangs."""

    @property
    def address(self) -> str:
        parts = urlsplit(self.url)
        path = parts.path.rstrip("/")
        query = dict(parse_qsl(parts.query)) | {"model": self.model}
        scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
        whole = path if path.endswith("/realtime") else f"{path}/realtime"
        return urlunsplit((scheme, parts.netloc, whole, urlencode(query), ""))

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.key}"} if self.key else {}

    @property
    def session(self) -> Event:
        """The `session` of `session.update`. Turn detection stays as the backend has it."""
        format = {"type": "audio/pcm", "rate": FORMAT.rate}
        output = {"format": format} | ({"voice": self.voice} if self.voice else {})
        heard = {"format": format} | ({"transcription": {"model": self.transcription}} if self.transcription else {})
        tool = {"name": set_emotion.NAME, "description": set_emotion.DESCRIPTION, "parameters": set_emotion.PARAMETERS}
        session = {
            "type": "realtime",
            "output_modalities": ["audio"],
            "audio": {"input": heard, "output": output},
            "tools": [{"type": "function", **tool}],
            "tool_choice": "auto",
        }
        return session | ({"instructions": self.instructions} if self.instructions else {})


class RealtimeAssistant:
    """Converses until the session ends, over as many connections as it takes."""

    def __init__(self, backend: RealtimeBackend, delays_s: Sequence[float] = DELAYS_S) -> None:
        """`delays_s`: waits before another connection is tried; the last one is repeated."""
        self._backend, self._delays_s = backend, delays_s

    async def converse(self, conversation: Conversation) -> None:
        await persist(conversation, self._talk, self._delays_s)

    async def _talk(self, conversation: Conversation) -> None:
        """Over one connection; returns when the session ends, raises BackendFailure when the backend fails."""
        backlog, outbox = Backlog(conversation), Outbox(MAX_OUTBOX)
        answers = Answers(conversation, backlog, outbox.add, self._backend.session)
        async with connected(self._backend.address, self._backend.headers) as socket:
            with conversation.subscribe() as events, conversation.listen(FORMAT.rate) as microphone:
                try:
                    await until_first(
                        hear(socket, answers, self._backend.patience_s),
                        tell(socket, outbox),
                        pass_on(socket, microphone),
                        follow(events, answers),
                        backlog.run(),
                    )
                finally:
                    answers.hang_up()


class Outbox(asyncio.Queue[Event]):
    """Events on their way to the backend."""

    def add(self, event: Event) -> None:
        try:
            self.put_nowait(event)
        except asyncio.QueueFull:
            raise BackendFailure("assistant_lost", "the assistant no longer reads what it is told") from None


async def hear(socket: ClientConnection, answers: Answers, patience_s: float) -> None:
    while True:
        try:
            async with asyncio.timeout(patience_s if answers.owed else None):
                message = await socket.recv()
        except TimeoutError:
            problem = f"the assistant owes an answer and has been silent for {patience_s:g} s"
            raise BackendFailure("assistant_silent", problem) from None
        try:
            answers.hear(parse(message))
        except Garbage as garbage:
            raise BackendFailure(
                "assistant_garbage", f"the assistant sends what nobody understands: {garbage}"
            ) from None


def parse(message: str | bytes) -> dict[str, Any]:
    try:
        event = json.loads(message)
    except (ValueError, RecursionError):
        raise Garbage("a message is not JSON") from None
    if not isinstance(event, dict):
        raise Garbage("a message is not an object")
    return event


async def tell(socket: ClientConnection, outbox: Outbox) -> None:
    while True:
        await socket.send(json.dumps(await outbox.get()))


async def pass_on(socket: ClientConnection, microphone: AsyncIterator[bytes]) -> None:
    async for pcm in microphone:
        sound = base64.b64encode(pcm).decode("ascii")
        await socket.send(json.dumps({"type": "input_audio_buffer.append", "audio": sound}))


async def follow(events: AsyncIterator[ConversationEvent], answers: Answers) -> None:
    async for event in events:
        answers.follow(event)
