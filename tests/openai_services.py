"""Local services in OpenAI's shapes: chat completions, speech and transcriptions, well-behaved or broken as told.

That the shapes are right is shown by the official `openai` package, which talks to them in the tests.
"""

import asyncio
import io
import json
import wave
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import uvicorn
from fastapi import Depends, FastAPI, HTTPException, Request
from fastapi.responses import Response, StreamingResponse

from server.settings import Endpoint
from tests.server_running import until

KEY = "sk-local-secret"
HANG = "hang"
"""In a stream: from here on nothing comes."""
DIE = "die"
"""In a stream: the connection breaks here."""


@dataclass
class Services:
    """What they are to say, and what they were asked."""

    url: str = ""
    chat: list[Any] = field(default_factory=lambda: ["Hello ", "there. ", "How are you?"])
    """Pieces of text, whole deltas, HANG or DIE; or a list of such lists, one a round."""
    rounds: list[list[Any]] = field(default_factory=list)
    raw_chat: bytes | None = None
    """Sent in the place of a stream of chunks."""
    speech: list[Any] = field(default_factory=list)
    """Pieces of sound, HANG or DIE; empty: 50 ms of a tone for each letter."""
    speech_type: str = "audio/pcm"
    transcript: Any = field(default_factory=lambda: {"text": " What time is it? "})
    asked: list[dict[str, Any]] = field(default_factory=list)
    heard_s: list[float] = field(default_factory=list)
    """Length of the sounds that were to be transcribed."""
    ports: set[int] = field(default_factory=set)
    """Of the clients' ends of the connections."""
    left: int = 0
    """Streams that the client did not hear to their end."""

    @property
    def callers(self) -> int:
        """Connections so far."""
        return len(self.ports)

    def endpoint(self, key: str = KEY) -> Endpoint:
        return Endpoint(f"{self.url}/v1", "local", key)


class Broken(Exception):
    """Ends a response in the middle."""


@asynccontextmanager
async def services(**told: Any) -> AsyncIterator[Services]:
    """On a port of this machine, while the block runs."""
    found = Services(**told)
    config = uvicorn.Config(application(found), host="127.0.0.1", port=0, log_level="critical", lifespan="off")
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started)
        found.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
        yield found
    finally:
        server.should_exit = server.force_exit = True
        await serving


def application(told: Services) -> FastAPI:
    def guard(request: Request) -> None:
        assert request.client
        told.ports.add(request.client.port)
        if request.headers.get("authorization") != f"Bearer {KEY}":
            raise HTTPException(401, "no such key")

    app = FastAPI(dependencies=[Depends(guard)])

    @app.post("/v1/chat/completions")
    async def chat(request: Request) -> Response:
        told.asked.append(await request.json())
        if told.raw_chat is not None:
            return Response(told.raw_chat, media_type="text/event-stream")
        pieces = told.rounds.pop(0) if told.rounds else told.chat
        return StreamingResponse(told_of(told, chunks(pieces)), media_type="text/event-stream")

    @app.post("/v1/audio/speech")
    async def speech(request: Request) -> Response:
        asked = await request.json()
        told.asked.append(asked)
        pieces = told.speech or [tone(0.05 * len(asked["input"]))]
        return StreamingResponse(told_of(told, pieces), media_type=told.speech_type)

    @app.post("/v1/audio/transcriptions")
    async def transcriptions(request: Request) -> Response:
        async with request.form() as form:
            file: Any = form["file"]
            with wave.open(io.BytesIO(await file.read())) as sound:
                told.heard_s.append(sound.getnframes() / sound.getframerate())
            told.asked.append({"model": form["model"]})
        return Response(json.dumps(told.transcript) if isinstance(told.transcript, dict) else told.transcript)

    return app


async def told_of(told: Services, pieces: list[Any]) -> AsyncIterator[bytes]:
    ended = False
    try:
        for piece in pieces:
            if piece == HANG:
                await asyncio.sleep(60)
            elif piece == DIE:
                raise Broken
            else:
                yield piece
                await asyncio.sleep(0.001)
        ended = True
    finally:
        told.left += not ended


def chunks(pieces: list[Any]) -> list[Any]:
    """As server-sent events, with the end that OpenAI sends."""
    whole = bool(pieces) and pieces[-1] not in (HANG, DIE)
    reason = "tool_calls" if any(isinstance(piece, dict) and "tool_calls" in piece for piece in pieces) else "stop"
    events = [p if p in (HANG, DIE) else chunk(p if isinstance(p, dict) else {"content": p}) for p in pieces]
    end = [chunk({}, reason), b"data: [DONE]\n\n"] if whole else []
    return [chunk({"role": "assistant", "content": ""}), *events, *end]


def chunk(delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    whole = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1, "model": "local", "choices": [choice]}
    return f"data: {json.dumps(whole)}\n\n".encode()


def call(name: str, *arguments: str) -> list[dict[str, Any]]:
    """The deltas of a tool call whose arguments come in pieces."""
    first = {"index": 0, "id": "call_1", "type": "function", "function": {"name": name, "arguments": ""}}
    later = [{"index": 0, "function": {"arguments": piece}} for piece in arguments]
    return [{"tool_calls": [piece]} for piece in [first, *later]]


def tone(seconds: float, rate: int = 24_000) -> bytes:
    at = np.arange(round(seconds * rate)) / rate
    return bytes((8000 * np.sin(2 * np.pi * 220 * at)).astype("<i2").tobytes())
