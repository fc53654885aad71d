"""LiveKit's own plug-in for LiveAvatar, with our speech socket in LiveAvatar's place. See tests/test_frameworks.py.

The plug-in's session, its audio output and its WebSocket are real. There is no room to join and no service to create
sessions offline: a fake room is never joined, and the two HTTP answers name a session of ours.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from livekit import rtc
from livekit.agents.voice.io import PlaybackFinishedEvent
from livekit.plugins.liveavatar import AvatarSession

from tests.frameworks.material import RATE, pieces, tone
from tests.server_fakes import Caller
from tests.server_running import running, until


class Participant:
    identity = "agent"


class Room:
    name = "room"
    local_participant = Participant()
    remote_participants: dict[str, Any] = {}

    def isconnected(self) -> bool:
        return True

    def on(self, *_: Any) -> None: ...

    off = on


class Output:
    def replace_audio_tail(self, _: Any) -> None: ...


class AgentSession:
    """What the plug-in asks of an agent."""

    output = Output()

    def on(self, event: str, handler: Any = None) -> Any:
        return handler or (lambda handler: handler)


class Agent:
    def __init__(self, session: AvatarSession) -> None:
        self.session = session
        self.finished: list[PlaybackFinishedEvent] = []
        self.started = 0
        session._audio_buffer.on("playback_finished", self.finished.append)
        session._audio_buffer.on("playback_started", lambda _: setattr(self, "started", self.started + 1))

    async def say(self, seconds: float) -> None:
        """As an agent does: all of it at once."""
        for piece in pieces(tone(440, seconds)):
            await self.session._audio_buffer.capture_frame(rtc.AudioFrame(piece, RATE, 1, len(piece) // 2))
        self.session._audio_buffer.flush()


@asynccontextmanager
async def speaking(tmp_path: Path) -> AsyncIterator[tuple[Agent, Caller]]:
    async with running(tmp_path) as server, Caller(server.url, None, fields={"source": "push"}) as caller:
        await caller.call()
        async with aiohttp.ClientSession() as http:
            session = AvatarSession(avatar_id="anna", api_key="none")
            session._api._session = http
            url = caller.control_url.replace("/control", "/speech")

            async def create(**_: Any) -> dict[str, Any]:
                return {"data": {"session_id": caller.session["id"], "session_token": caller.session["token"]}}

            async def start(*_: Any) -> dict[str, Any]:
                return {"data": {"ws_url": url}}

            async def stop(*_: Any) -> dict[str, Any]:
                return {"code": 200}

            session._api.create_streaming_session = create
            session._api.start_streaming_session = start
            session._api.stop_streaming_session = stop
            keys = {"livekit_url": "ws://none", "livekit_api_key": "key", "livekit_api_secret": "s" * 32}
            await session.start(AgentSession(), Room(), **keys)
            yield Agent(session), caller
            session._msg_ch.close()
            await asyncio.wait([session._main_atask])
            if session._wait_avatar_join_task:
                session._wait_avatar_join_task.cancel()


def loud_s(caller: Caller) -> float:
    return sum(float(abs(packet).max()) > 0.1 for _, packet in caller.sound) * 0.02


async def test_what_the_agent_says_is_heard_and_its_end_told(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (agent, caller):
        await agent.say(1.5)
        await until(lambda: bool(agent.finished))
        assert agent.started == 1
        assert agent.finished[0].playback_position == pytest.approx(1.5, abs=0.02)
        assert not agent.finished[0].interrupted
        await until(lambda: loud_s(caller) > 1.4)
        await agent.say(0.7)
        await until(lambda: len(agent.finished) == 2)
        assert agent.finished[1].playback_position == pytest.approx(0.7, abs=0.02)


async def test_an_interruption_stops_it(tmp_path: Path) -> None:
    async with speaking(tmp_path) as (agent, caller):
        await agent.say(5)
        await until(lambda: agent.started == 1)
        await asyncio.sleep(0.6)
        agent.session._audio_buffer.clear_buffer()
        await until(lambda: bool(agent.finished))
        assert agent.finished[0].interrupted
        await asyncio.sleep(0.3)
        loud = loud_s(caller)
        await asyncio.sleep(0.5)
        assert loud_s(caller) == loud < 1.5
        await agent.say(0.8)
        await until(lambda: len(agent.finished) == 2)
        assert agent.started == 2 and not agent.finished[1].interrupted
