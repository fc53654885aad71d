"""Nothing of a session stays behind: no task, thread, socket or object."""

import asyncio
import gc
import os
import threading
from pathlib import Path

import pytest

from server.call import Call
from server.dialogue import Dialogue
from server.live import LiveSession
from server.peer import Peer
from server.playout import Utterance
from tests.server_fakes import Caller, FakeStream, Tone
from tests.server_running import Running, running, until
from tests.test_speech_socket import pushing, tone
from tests.test_whip_whep import Player, speaking

OURS = (LiveSession, Peer, Call, Dialogue, Utterance, FakeStream)


def alive() -> list[object]:
    gc.collect()
    # By type: isinstance() asks lazy objects of other libraries for their class, and some of them warn.
    return [thing for thing in gc.get_objects() if issubclass(type(thing), OURS)]


def threads() -> set[str]:
    """Names, but for the executor's workers, which stay for the next call."""
    return {thread.name for thread in threading.enumerate() if not thread.name.startswith(("asyncio_", "AnyIO"))}


def sockets() -> int:
    links = (f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd"))
    return sum(os.path.exists(link) and os.readlink(link).startswith("socket:") for link in links)


async def call_once(server: Running) -> None:
    async with Caller(server.url, Tone(lambda second: True)) as caller:
        await caller.call()
        await until(lambda: len(caller.pictures) > 10)


@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="counts sockets by /proc")
class TestAfterACall:
    async def test_everything_is_released(self, tmp_path: Path) -> None:
        before = len(alive())
        async with running(tmp_path) as server:
            await call_once(server)
            server.engine.streams.clear()
            await until(lambda: len(alive()) <= before)
            tasks, names, open_sockets = len(asyncio.all_tasks()), threads(), sockets()
            for _ in range(3):
                await call_once(server)
            server.engine.streams.clear()
            await until(
                lambda: len(alive()) <= before and len(asyncio.all_tasks()) <= tasks and sockets() <= open_sockets
            )
            assert threads() <= names and len(server.place.sessions) == 0

    async def test_a_vanished_client_is_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.live.SILENT_CLIENT_S", 1.0)
        monkeypatch.setattr("server.session.GRACE_S", 0.5)
        async with running(tmp_path) as server, Caller(server.url, Tone(lambda second: True)) as caller:
            await caller.call()
            vanish(caller)
            await until(lambda: len(server.place.sessions) == 0)

    async def test_a_session_that_ends_while_it_answers_is_too(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            await caller.create()
            await caller.http.delete(f"/v1/sessions/{caller.session['id']}", headers=caller.auth)
            offer, before = (await caller.offer())["sdp"], sockets()
            for moments in range(12):
                await caller.create()
                live = server.place.sessions.get(caller.session["id"])
                assert live
                answering = asyncio.ensure_future(live.offer(offer))
                for _ in range(moments):
                    await asyncio.sleep(0)
                await live.end("deleted")
                await asyncio.gather(answering, return_exceptions=True)
            await until(lambda: sockets() <= before)

    async def test_a_room_is_too(self, tmp_path: Path) -> None:
        async def meet(server: Running) -> None:
            voice = Tone(lambda second: True)
            async with Player(server.url) as player, speaking(server, "/whip/anna/room?size=256", voice) as spoken:
                watched = await player.watch("/whep/anna/room")
                for joined in (spoken, watched):
                    await player.http.delete(joined.headers["location"])

        before = len(alive())
        async with running(tmp_path) as server:
            await meet(server)
            tasks = len(asyncio.all_tasks())
            for _ in range(2):
                await meet(server)
            server.engine.streams.clear()
            await until(lambda: len(alive()) <= before and len(asyncio.all_tasks()) <= tasks)
            assert len(server.place.sessions) == 0

    async def test_a_client_that_never_offers_is_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.session.FIRST_OFFER_S", 0.3)
        async with running(tmp_path) as server, Caller(server.url) as caller:
            await caller.create()
            await until(lambda: len(server.place.sessions) == 0)


async def speak_once(server: Running) -> None:
    """A push session with a listener, in which one utterance is heard, one is interrupted and one is in the middle."""
    async with Caller(server.url, None, fields={"source": "push"}) as caller:
        await caller.call()
        live = server.place.sessions.get(caller.session["id"])
        assert live
        with live.conversation.listen() as user:
            async with pushing(caller) as client:
                await client.sound(tone(0.2))
                await client.send("speech.end")
                await client.hear("speech.ended")
                await client.sound(tone(3))
                await client.hear("speech.started", 2)
                await client.send("speech.interrupt")
                await client.hear("speech.interrupted")
                await client.sound(tone(3))
                await client.hear("speech.started", 3)
            assert len(await anext(user)) == 2 * 640


class TestAfterSpeech:
    async def test_everything_is_released(self, tmp_path: Path) -> None:
        before = len(alive())
        async with running(tmp_path) as server:
            await speak_once(server)
            server.engine.streams.clear()
            await until(lambda: len(alive()) <= before)
            tasks = len(asyncio.all_tasks())
            for _ in range(3):
                await speak_once(server)
            server.engine.streams.clear()
            await until(lambda: len(alive()) <= before and len(asyncio.all_tasks()) <= tasks)
            assert len(server.place.sessions) == 0

    async def test_a_sender_that_waits_for_room_is_let_go(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.playout.FULL", 48_000)
        before = len(alive())
        async with running(tmp_path) as server:
            async with Caller(server.url, None, fields={"source": "push"}) as caller:
                await caller.call()
                async with pushing(caller) as client:
                    await client.sound(tone(5))
                    await client.send("ping")
                    await client.hear("speech.started")
                    await server.place.sessions.end_all("deleted")
                    await client.hear("closed")
            server.engine.streams.clear()
            await until(lambda: len(alive()) <= before)


def vanish(caller: Caller) -> None:
    """Pulls the plug: from now on nothing of the client's leaves, not even a goodbye."""
    assert caller.connection
    ice = caller.connection.getTransceivers()[0].receiver.transport.transport._connection
    for protocol in ice._protocols:
        protocol.transport.abort()
