"""A backend that speaks OpenAI's Realtime protocol: every event goes through the types of the official package.

What clients send is validated, what it sends is built and validated, so its shapes are the real ones.
"""

import asyncio
import base64
import itertools
import json
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

from openai.types.realtime import RealtimeClientEvent, RealtimeServerEvent
from pydantic import BaseModel, TypeAdapter
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

CLIENT: TypeAdapter[Any] = TypeAdapter(RealtimeClientEvent)
SERVER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
KEY = "sk-test-9f2c"
PIECE = 4800  # bytes a delta: 0.1 s at 24 kHz


class Backend:
    """`async with Backend().serving() as backend`; then wait for `events`, and `say`."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        """All that clients sent, sound aside."""
        self.microphone = bytearray()
        self.requests: list[Request] = []
        self.socket: ServerConnection | None = None
        self.answers = True
        """Whether it answers `session.update`."""
        self._numbers = itertools.count(1)
        self._came = asyncio.Event()
        self.url = ""

    @asynccontextmanager
    async def serving(self) -> AsyncIterator["Backend"]:
        quiet = logging.getLogger(f"{__name__}.wire")
        quiet.setLevel(logging.WARNING)
        async with serve(self._serve, "127.0.0.1", 0, process_request=self._authorise, logger=quiet) as server:
            self.url = f"ws://127.0.0.1:{port_of(server)}/v1"
            yield self

    async def until(self, type: str, count: int = 1) -> Any:
        """The `count`-th event of this type."""
        async with asyncio.timeout(5):
            while len(found := [event for event in self.events if event.type == type]) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    def count(self, type: str) -> int:
        return sum(event.type == type for event in self.events)

    async def send(self, type: str, **fields: Any) -> None:
        event = {"event_id": f"event_{next(self._numbers)}", "type": type, **fields}
        assert isinstance(SERVER.validate_python(event), BaseModel)
        await self.send_raw(json.dumps(event))

    async def send_raw(self, message: str | bytes) -> None:
        assert self.socket
        await self.socket.send(message)

    async def say(
        self, pcm: bytes, response: str = "resp_1", item: str = "item_1", *, done: bool = True, words: str = ""
    ) -> None:
        """A spoken answer, as fast as the socket takes it; `words` before the sound."""
        await self.begin(response, item)
        if words:
            await self.words(words, response, item)
        await self.sound(pcm, response, item)
        if done:
            await self.finish(response, item)

    async def begin(self, response: str, item: str) -> None:
        message = {"id": item, "type": "message", "role": "assistant", "status": "in_progress", "content": []}
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.created", response=answer(response, "in_progress"))
        await self.send("response.output_item.added", response_id=response, output_index=0, item=message)
        await self.send("conversation.item.added", item=message, previous_item_id=None)
        await self.send("response.content_part.added", **place, part={"type": "audio", "transcript": ""})

    async def sound(self, pcm: bytes, response: str, item: str) -> None:
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        for start in range(0, len(pcm), PIECE):
            delta = base64.b64encode(pcm[start : start + PIECE]).decode()
            await self.send("response.output_audio.delta", **place, delta=delta)

    async def words(self, text: str, response: str, item: str) -> None:
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        await self.send("response.output_audio_transcript.delta", **place, delta=text)

    async def finish(self, response: str, item: str) -> None:
        place = {"response_id": response, "item_id": item, "output_index": 0, "content_index": 0}
        content = [{"type": "output_audio", "transcript": ""}]
        message = {"id": item, "type": "message", "role": "assistant", "status": "completed", "content": content}
        await self.send("response.output_audio.done", **place)
        await self.send("response.output_item.done", response_id=response, output_index=0, item=message)
        await self.send("response.done", response=answer(response, "completed") | {"output": [message]})

    async def call(
        self, arguments: str, response: str = "resp_1", call: str = "call_1", name: str = "set_emotion"
    ) -> None:
        """An answer that is nothing but the use of a tool."""
        item = {"id": f"item_{call}", "type": "function_call", "name": name, "call_id": call, "arguments": arguments}
        place = {"response_id": response, "item_id": item["id"], "output_index": 0, "call_id": call}
        await self.send("response.created", response=answer(response, "in_progress"))
        await self.send("response.function_call_arguments.done", **place, arguments=arguments, name=name)
        await self.send("response.output_item.done", response_id=response, output_index=0, item=item)
        await self.send("response.done", response=answer(response, "completed") | {"output": [item]})

    async def user_speaks(self) -> None:
        await self.send("input_audio_buffer.speech_started", audio_start_ms=0, item_id="item_user")

    # ---- inside

    async def _serve(self, socket: ServerConnection) -> None:
        self.socket = socket
        session = {"id": "sess_1", "object": "realtime.session", "type": "realtime"}
        await self.send("session.created", session=session)
        try:
            async for message in socket:
                await self._hear(CLIENT.validate_json(message))
        except ConnectionClosed:
            pass  # the client is gone, which some tests want

    async def _hear(self, event: Any) -> None:
        if event.type == "input_audio_buffer.append":
            self.microphone += base64.b64decode(event.audio, validate=True)
        else:
            self.events.append(event)
        self._came.set()
        if event.type == "session.update" and self.answers:
            session = event.session.model_dump(exclude_none=True)
            await self.send("session.updated", session=session | {"id": "sess_1", "object": "realtime.session"})

    def _authorise(self, socket: ServerConnection, request: Request) -> Response | None:
        self.requests.append(request)
        good = request.headers.get("Authorization") == f"Bearer {KEY}"
        return None if good else socket.respond(HTTPStatus.UNAUTHORIZED, "wrong key\n")


def answer(id: str, status: str) -> dict[str, Any]:
    return {"id": id, "object": "realtime.response", "status": status, "output": []}


def port_of(server: Server) -> int:
    port = next(iter(server.sockets)).getsockname()[1]
    assert isinstance(port, int)
    return port


async def soon(condition: Callable[[], bool]) -> None:
    """Waits for a state that must come; a TimeoutError if it does not."""
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)
