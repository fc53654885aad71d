"""The Realtime endpoint and a Realtime backend with the running server: real sockets and media, the fake engine."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from openai import AsyncOpenAI
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from server.settings import AssistantSettings, Endpoint
from tests.realtime_backend import KEY, Backend, soon
from tests.realtime_client import Client, speaking
from tests.server_fakes import Caller
from tests.server_running import Running, running


def tone(ms: int) -> bytes:
    times = np.arange(24 * ms) / 24_000
    return (np.sin(2 * np.pi * 440 * times) * 12_000).astype("<i2").tobytes()


@dataclass
class Call:
    server: Running
    caller: Caller

    @property
    def id(self) -> str:
        return str(self.caller.session["id"])

    @property
    def token(self) -> str:
        return str(self.caller.session["token"])


@asynccontextmanager
async def call(directory: Path, source: str = "push", **settings: Any) -> AsyncIterator[Call]:
    async with running(directory, **settings) as server, Caller(server.url, fields={"source": source}) as caller:
        await caller.call()
        yield Call(server, caller)


@asynccontextmanager
async def spoken_to(directory: Path) -> AsyncIterator[tuple[Call, Client]]:
    async with call(directory) as there, speaking(there.server.url, there.id, there.token) as client:
        yield there, client


class TestEndpoint:
    async def test_what_is_said_is_heard_to_its_end(self, tmp_path: Path) -> None:
        async with spoken_to(tmp_path) as (there, client):
            await client.say(tone(1000))
            done = await client.until("response.done")
            assert done.response.status == "completed"
            assert abs(int(done.response.metadata["playback_ms"]) - 1000) <= 40
            await soon(lambda: any(seen.loudness > 0.1 for seen in there.caller.pictures))

    async def test_an_interruption_tells_a_position_between_nothing_and_all(self, tmp_path: Path) -> None:
        async with spoken_to(tmp_path) as (there, client):
            await client.say(tone(20_000))
            await client.until("output_audio_buffer.started")
            await client.connection.response.cancel()
            truncated = await client.until("conversation.item.truncated")
            done = await client.until("response.done")
            assert done.response.status == "cancelled"
            assert 0 <= truncated.audio_end_ms < 20_000
            await client.say(tone(200))
            assert (await client.until("response.done", 2)).response.status == "completed"

    async def test_the_control_socket_stops_it_too(self, tmp_path: Path) -> None:
        async with spoken_to(tmp_path) as (there, client), connect(there.caller.control_url) as control:
            await client.say(tone(20_000))
            await client.until("output_audio_buffer.started")
            await control.send('{"type": "speech.interrupt"}')
            assert (await client.until("response.done")).response.status_details.reason == "turn_detected"

    async def test_the_end_of_the_session_ends_the_connection(self, tmp_path: Path) -> None:
        async with spoken_to(tmp_path) as (there, client):
            await there.caller.http.delete(f"/v1/sessions/{there.id}", headers=there.caller.auth)
            await soon(lambda: client.closed == 1000)

    async def test_a_client_that_leaves_does_not_end_the_session(self, tmp_path: Path) -> None:
        async with call(tmp_path) as there:
            for _ in range(2):
                async with speaking(there.server.url, there.id, there.token) as client:
                    await client.connection.response.create()
                    await client.append(tone(100))
            async with speaking(there.server.url, there.id, there.token) as client:
                await client.say(tone(100))
                assert (await client.until("response.done")).response.status == "completed"

    async def test_a_session_of_the_microphone_refuses_speech(self, tmp_path: Path) -> None:
        async with call(tmp_path, "microphone") as there:
            async with speaking(there.server.url, there.id, there.token) as client:
                await client.append(tone(100))
                await client.connection.input_audio_buffer.commit()
                await client.connection.response.create()
                assert (await client.until("error")).error.code == "wrong_source"


class TestKeys:
    @pytest.mark.parametrize("wrong, status", [("key", 401), ("session", 404), ("origin", 403)])
    async def test_refusals_have_a_status(self, tmp_path: Path, wrong: str, status: int) -> None:
        async with running(tmp_path) as server, Caller(server.url, fields={"source": "push"}) as caller:
            session = await caller.create()
            key = "wrong" if wrong == "key" else session["token"]
            model = "nobody" if wrong == "session" else session["id"]
            headers = {"Origin": "https://evil.example"} if wrong == "origin" else {}
            async with AsyncOpenAI(base_url=f"{server.url}/v1", api_key=key) as openai:
                with pytest.raises(InvalidStatus) as refused:
                    async with openai.realtime.connect(model=model, extra_headers=headers):
                        pass
            assert refused.value.response.status_code == status
            assert json.loads(refused.value.response.body)["error"]["type"] == "invalid_request_error"

    async def test_a_browser_puts_its_key_into_a_subprotocol(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, fields={"source": "push"}) as caller:
            session = await caller.create()
            url = f"{server.url.replace('http', 'ws')}/v1/realtime?model={session['id']}"
            protocols: Any = ["realtime", f"openai-insecure-api-key.{session['token']}"]
            async with connect(url, subprotocols=protocols) as socket:
                assert socket.subprotocol == "realtime"
                assert json.loads(await socket.recv())["type"] == "session.created"
            async with connect(url, subprotocols=[protocols[0], protocols[1] + "x"]) as socket:
                assert json.loads(await socket.recv())["error"]["code"] == "invalid_api_key"
                with pytest.raises(ConnectionClosed):
                    await socket.recv()
                assert socket.close_code == 4401


class TestAssistant:
    """A session whose assistant is a backend of the official types."""

    @asynccontextmanager
    async def conversing(self, directory: Path) -> AsyncIterator[tuple[Backend, Call]]:
        async with Backend().serving() as backend:
            endpoint = Endpoint(backend.url, "gpt-realtime", KEY)
            async with call(directory, "assistant", assistant=AssistantSettings(realtime=endpoint)) as there:
                await backend.until("session.update")
                yield backend, there

    async def test_it_answers_and_is_interrupted(self, tmp_path: Path) -> None:
        async with self.conversing(tmp_path) as (backend, there):
            await soon(lambda: len(backend.microphone) > 4800)
            await backend.say(tone(20_000), done=False)
            await soon(lambda: any(seen.loudness > 0.1 for seen in there.caller.pictures))
            await backend.user_speaks()
            truncate = await backend.until("conversation.item.truncate")
            assert (await backend.until("response.cancel")).response_id == "resp_1"
            assert 0 < truncate.audio_end_ms < 20_000

    async def test_it_dies_and_the_call_goes_on(self, tmp_path: Path) -> None:
        async with self.conversing(tmp_path) as (backend, there), connect(there.caller.control_url) as control:
            assert backend.socket
            backend.socket.transport.abort()
            async with asyncio.timeout(10):
                while (message := json.loads(await control.recv()))["type"] != "error":
                    pass
            assert message["code"] == "assistant_lost"
            await backend.until("session.update", 2)
            await backend.say(tone(300))
            await soon(lambda: any(seen.loudness > 0.1 for seen in there.caller.pictures))
