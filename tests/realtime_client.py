"""The official `openai` client at our Realtime endpoint; every event it receives must be of the official types."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from openai import AsyncOpenAI, DefaultAsyncHttpxClient
from openai.resources.realtime.realtime import AsyncRealtimeConnection
from openai.types.realtime import RealtimeServerEvent
from pydantic import TypeAdapter
from websockets.exceptions import ConnectionClosed

SERVER: TypeAdapter[Any] = TypeAdapter(RealtimeServerEvent)
PIECE = 4800  # bytes an event: 0.1 s at 24 kHz


class Client:
    def __init__(self, connection: AsyncRealtimeConnection) -> None:
        self.connection = connection
        self.events: list[Any] = []
        self.closed: int | None = None
        """The close code."""
        self._came = asyncio.Event()

    async def read(self) -> None:
        try:
            while True:
                self.events.append(SERVER.validate_json(await self.connection.recv_bytes()))
                self._came.set()
        except ConnectionClosed as closed:
            self.closed = closed.rcvd.code if closed.rcvd else 1006

    async def until(self, type: str, count: int = 1) -> Any:
        """The `count`-th event of this type."""
        async with asyncio.timeout(8):
            while len(found := self.all(type)) < count:
                self._came.clear()
                await self._came.wait()
        return found[count - 1]

    def all(self, type: str) -> list[Any]:
        return [event for event in self.events if event.type == type]

    @property
    def types(self) -> list[str]:
        return [event.type for event in self.events]

    async def append(self, pcm: bytes) -> None:
        for start in range(0, len(pcm), PIECE):
            audio = base64.b64encode(pcm[start : start + PIECE]).decode()
            await self.connection.input_audio_buffer.append(audio=audio)

    async def say(self, pcm: bytes) -> Any:
        """The `response.created` of a response that speaks `pcm`."""
        count = len(self.all("response.created")) + 1
        await self.append(pcm)
        await self.connection.input_audio_buffer.commit()
        await self.connection.response.create()
        return await self.until("response.created", count)


@asynccontextmanager
async def speaking(url: str, session: str, token: str) -> AsyncIterator[Client]:
    """`url`: of our server, `http://host:port`."""
    plain = DefaultAsyncHttpxClient(verify=False)  # loading certificates takes longer than most tests
    async with AsyncOpenAI(base_url=f"{url}/v1", api_key=token, http_client=plain) as openai:
        async with openai.realtime.connect(model=session) as connection:
            client = Client(connection)
            reading = asyncio.create_task(client.read())
            try:
                await client.until("session.created")
                yield client
            finally:
                await connection.close()
                await asyncio.wait_for(reading, 5)
