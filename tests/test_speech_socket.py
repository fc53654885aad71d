"""The speech socket over real sockets, with a fake engine: what is pushed is heard, seen, told of and interrupted."""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from server.microphone import Samples
from server.timeline import AUDIO_RATE
from tests.server_fakes import LOUD, Caller
from tests.server_running import Running, running, until
from tests.test_server_call import come_into_step


def tone(seconds: float, rate: int = 24_000, pitch: float = 440) -> bytes:
    times = np.arange(round(seconds * rate)) / rate
    return (np.sin(2 * np.pi * pitch * times) * 0.4 * 32767).astype("<i2").tobytes()


class Client:
    """A speech socket, and what it told."""

    def __init__(self, socket: ClientConnection) -> None:
        self._socket = socket
        self.told: list[dict[str, Any]] = []

    async def read(self) -> None:
        try:
            while True:
                self.told.append(json.loads(await self._socket.recv()))
        except ConnectionClosed:
            return

    async def send(self, type: str, **fields: Any) -> None:
        await self._socket.send(json.dumps({"type": type} | fields))

    async def sound(self, pcm: bytes) -> None:
        await self._socket.send(pcm)

    async def raw(self, text: str) -> None:
        await self._socket.send(text)

    def all(self, type: str) -> list[dict[str, Any]]:
        return [message for message in self.told if message["type"] == type]

    async def hear(self, type: str, count: int = 1) -> dict[str, Any]:
        """The message of this type with this number, counted from 1."""
        await until(lambda: len(self.all(type)) >= count)
        return self.all(type)[count - 1]


@asynccontextmanager
async def pushing(caller: Caller, query: str = "") -> AsyncIterator[Client]:
    url = caller.control_url.replace("/control", "/speech") + query
    async with connect(url, max_size=None) as socket:
        client = Client(socket)
        reading = asyncio.create_task(client.read())
        try:
            yield client
        finally:
            await socket.close()
            await reading


@asynccontextmanager
async def push_session(tmp_path: Path, query: str = "", **fields: Any) -> AsyncIterator[tuple[Running, Caller, Client]]:
    """A server, a caller who watches and listens, and a speech socket."""
    async with running(tmp_path) as server, Caller(server.url, None, fields={"source": "push"} | fields) as caller:
        await caller.call()
        async with pushing(caller, query) as client:
            await client.hear("session.state_updated")
            yield server, caller, client


def recorded(caller: Caller) -> Samples:
    """What the caller heard, from media time 0 on, at 48 kHz."""
    samples = np.zeros(round((caller.sound[-1][0] + 0.1) * AUDIO_RATE), np.float32)
    for time, packet in caller.sound:
        at = round(time * AUDIO_RATE)
        samples[at : at + len(packet)] = packet[: len(samples) - at]
    return samples


def loud_ms(caller: Caller) -> float:
    """How long the sound was loud, to the millisecond."""
    peaks = np.abs(recorded(caller))
    return float((peaks[: len(peaks) // 48 * 48].reshape(-1, 48).max(1) > 0.1).sum())


def order(client: Client) -> list[tuple[str, str]]:
    return [(m["type"], m["utterance"]) for m in client.told if "utterance" in m]


class TestUtterances:
    @pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
    async def test_are_heard_and_seen_at_any_rate(self, tmp_path: Path, rate: int) -> None:
        async with push_session(tmp_path, f"&rate={rate}") as (_, caller, client):
            await client.sound(tone(0.8, rate))
            await client.send("speech.end")
            ended = await client.hear("speech.ended")
            started = await client.hear("speech.started")
            await until(lambda: caller.sound[-1][0] * 1000 > ended["media_ms"] + 100)
            assert ended["playback_ms"] == pytest.approx(800, abs=4)
            assert ended["media_ms"] - started["media_ms"] == pytest.approx(800, abs=4)
            assert loud_ms(caller) == pytest.approx(800, abs=20)
            assert sum(seen.loudness > LOUD / 2 for seen in caller.pictures) == pytest.approx(20, abs=2)

    async def test_keep_their_order_and_end_one_after_the_other(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            for name in "abc":
                await client.send("speech.begin", utterance=name, rate=16_000)
                await client.sound(tone(0.2, 16_000))
                await client.send("speech.end", utterance=name)
            await client.hear("speech.ended", 3)
            assert order(client) == [(f"speech.{what}", name) for name in "abc" for what in ("started", "ended")]

    async def test_marks_tell_when_the_sound_before_them_was_heard(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            await client.sound(tone(0.3))
            await client.send("speech.mark", name="first")
            await client.sound(tone(0.3))
            await client.send("speech.mark", name="second")
            await client.send("speech.end")
            await client.hear("speech.ended")
            marks = client.all("speech.mark")
            assert [mark["name"] for mark in marks] == ["first", "second"]
            assert [mark["playback_ms"] for mark in marks] == pytest.approx([300, 600], abs=20)

    async def test_cues_show_when_their_words_are_heard(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client):
            await client.sound(tone(0.4))
            await client.send("speech.cue", units={"AU4": 1, "AU1": 1}, transition_ms=0)
            await client.sound(tone(0.4))
            await client.send("speech.end")
            ended, started = await client.hear("speech.ended"), await client.hear("speech.started")
            await until(lambda: caller.pictures[-1].time_s * 1000 > ended["media_ms"])
            first = next(seen for seen in caller.pictures if seen.les > 1.8)
            assert first.time_s * 1000 - started["media_ms"] == pytest.approx(400, abs=41)


class TestInterruption:
    async def test_ends_sound_and_picture_and_tells_the_position(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client):
            await client.sound(tone(5))
            await client.hear("speech.started")
            await asyncio.sleep(0.7)
            await client.send("speech.interrupt")
            interrupted = await client.hear("speech.interrupted")
            await until(lambda: caller.sound[-1][0] * 1000 > interrupted["media_ms"] + 400)
            assert loud_ms(caller) == pytest.approx(interrupted["playback_ms"], abs=20)
            last = max(seen.time_s for seen in caller.pictures if seen.loudness > LOUD / 4) * 1000
            assert last < interrupted["media_ms"] + 100
            assert client.all("speech.ended") == []

    async def test_of_one_lets_the_next_begin(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            for name in "ab":
                await client.send("speech.begin", utterance=name)
                await client.sound(tone(1))
                await client.send("speech.end", utterance=name)
            await client.hear("speech.started")
            await client.send("speech.interrupt", utterance="a")
            await client.hear("speech.ended")
            assert order(client) == [
                ("speech.started", "a"), ("speech.interrupted", "a"), ("speech.started", "b"), ("speech.ended", "b"),
            ]  # fmt: skip
            assert client.all("speech.ended")[0]["playback_ms"] == pytest.approx(1000, abs=4)

    async def test_by_the_control_socket_drops_what_is_still_on_its_way(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client), connect(caller.control_url) as control:
            await client.sound(tone(1))
            await client.hear("speech.started")
            await control.send(json.dumps({"type": "speech.interrupt"}))
            await client.hear("speech.interrupted")
            await client.sound(tone(1))
            await client.send("speech.end")
            await client.send("speech.begin", utterance="next")
            await client.sound(tone(0.2))
            await client.send("speech.end")
            assert (await client.hear("speech.ended"))["utterance"] == "next"
            assert client.all("error") == []

    async def test_of_a_stranger_by_the_control_socket_is_told(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client), connect(caller.control_url) as control:
            await client.sound(tone(0.3))
            await control.send(json.dumps({"type": "speech.interrupt", "utterance": "nobody"}))
            assert (await client.hear("error"))["code"] == "unknown_utterance"
            await client.send("speech.end")
            await client.hear("speech.ended")

    async def test_of_nothing_is_no_error(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            await client.send("speech.interrupt")
            await client.send("ping", id=1)
            await client.hear("pong")
            assert client.all("error") == []


class TestPause:
    async def test_nothing_is_lost_or_said_twice(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client):
            await client.sound(tone(1))
            await client.send("speech.end")
            started = await client.hear("speech.started")
            await asyncio.sleep(0.4)
            await client.send("speech.pause")
            await client.send("ping")
            await client.hear("pong")
            at = caller.sound[-1][0]
            await until(lambda: caller.sound[-1][0] > at + 0.5)
            assert client.all("speech.ended") == []
            await client.send("speech.resume")
            ended = await client.hear("speech.ended")
            await until(lambda: caller.sound[-1][0] * 1000 > ended["media_ms"] + 100)
            assert ended["media_ms"] - started["media_ms"] > 1450
            assert loud_ms(caller) == pytest.approx(1000, abs=30)


class TestActivity:
    async def test_follows_the_speech(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (server, _, client):
            await client.send("activity.set", activity="thinking")
            await client.hear("activity")
            await client.sound(tone(0.3))
            await client.send("speech.end")
            await client.hear("activity", 3)
            assert [m["activity"] for m in client.all("activity")] == ["thinking", "speaking", "listening"]
            await until(lambda: server.engine.streams[-1].activities[-3:] == ["thinking", "speaking", "listening"])


class TestMany:
    async def test_keep_order_and_sound_and_picture_together(self, tmp_path: Path) -> None:
        chance = random.Random(4)
        async with push_session(tmp_path) as (server, caller, client):
            for number in range(30):
                await client.send("speech.begin", utterance=f"{number:02}")
                await client.sound(tone(chance.uniform(0.1, 0.3)) + bytes(2 * 2400))  # ends in 0.1 s of silence
                await client.send("speech.end")
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.uniform(0, 0.2))
                    await client.send("speech.interrupt", **({"utterance": f"{number:02}"} if number % 2 else {}))
            await until(lambda: len(client.all("speech.ended")) + len(client.all("speech.interrupted")) == 30)
            over = [m for m in client.told if m["type"] in ("speech.ended", "speech.interrupted")]
            started = [m["utterance"] for m in client.all("speech.started")]
            assert sorted(m["utterance"] for m in over) == [f"{number:02}" for number in range(30)]
            assert started == sorted(started) and client.all("error") == []
            silent = max(m["media_ms"] for m in over) / 1000 + 0.06
            await until(lambda: caller.sound[-1][0] > silent + 0.3)
            await client.sound(20 * (tone(0.2) + bytes(2 * 9600)))
            begun = (await client.hear("speech.started", len(started) + 1))["media_ms"] / 1000
            await come_into_step(caller, since=begun - 0.06)
            between = [abs(packet).max() for time, packet in caller.sound if silent < time < begun - 0.06]
            assert between and max(between) < 0.01


class TestBadInput:
    """Told, and the call goes on."""

    async def refused(self, client: Client, code: str) -> None:
        error = await client.hear("error")
        assert error["code"] == code and len(error["message"]) > 10
        await client.send("speech.interrupt")
        await client.send("speech.begin", utterance="afterwards", rate=24_000)
        await client.sound(tone(0.2))
        await client.send("speech.end", utterance="afterwards")
        assert (await client.hear("speech.ended"))["utterance"] == "afterwards"
        assert [m["activity"] for m in client.all("activity")][-1] == "listening"

    @pytest.mark.parametrize(
        ("message", "code"),
        [
            ("RIFF....WAVEfmt ", "malformed"),
            ('{"type": "speech.begin", "rate": 96000}', "unsupported_rate"),
            ('{"type": "speech.begin", "rate": "fast"}', "invalid"),
            ('{"type": "speech.end", "utterance": "nobody"}', "unknown_utterance"),
            ('{"type": "speech.mark", "name": "x"}', "no_utterance"),
            ('{"type": "speech.cue", "emotion": {"glee": 1}}', "unknown_emotion"),
            ('{"type": "agent.speak", "audio": "*?*"}', "invalid"),
            ('{"type": "speech.shout"}', "unknown_type"),
        ],
    )
    async def test_messages(self, tmp_path: Path, message: str, code: str) -> None:
        async with push_session(tmp_path) as (_, _, client):
            await client.raw(message)
            await self.refused(client, code)

    async def test_an_odd_byte_at_the_end(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            await client.sound(tone(0.1) + b"x")
            await client.send("speech.end")
            await client.hear("speech.ended")
            assert (await client.hear("error"))["code"] == "odd_bytes"

    async def test_odd_pieces_are_joined(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client):
            pcm = tone(0.5)
            for start in range(0, len(pcm), 333):
                await client.sound(pcm[start : start + 333])
            await client.send("speech.end")
            ended = await client.hear("speech.ended")
            await until(lambda: caller.sound[-1][0] * 1000 > ended["media_ms"] + 100)
            assert loud_ms(caller) == pytest.approx(500, abs=20)

    @pytest.mark.parametrize("rate", ["7", "-1", "%C2%B2", "9" * 5000])
    async def test_a_rate_that_no_sound_has(self, tmp_path: Path, rate: str) -> None:
        async with push_session(tmp_path, f"&rate={rate}") as (_, _, client):
            await client.sound(tone(0.1))
            await self.refused(client, "unsupported_rate")

    async def test_ten_seconds_at_once_neither_stall_nor_fail(self, tmp_path: Path) -> None:
        async with push_session(tmp_path, "&rate=48000") as (_, caller, client):
            await client.sound(tone(10, 48_000))
            await client.hear("speech.started")
            count = len(caller.pictures)
            await until(lambda: len(caller.pictures) > count + 25)
            await client.send("speech.interrupt")
            await client.hear("speech.interrupted")
            assert client.all("error") == []

    async def test_a_session_with_a_voice_of_its_own(self, tmp_path: Path) -> None:
        async with push_session(tmp_path, source="microphone") as (_, _, client):
            await client.sound(tone(0.1))
            assert (await client.hear("error"))["code"] == "wrong_source"


class TestLiveAvatar:
    async def test_speaks_ends_and_is_interrupted(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            assert client.told[0] == {"type": "session.state_updated", "state": "connected"}
            for _ in range(2):
                audio = base64.b64encode(tone(0.3)).decode()
                await client.send("agent.speak", event_id="e1", audio=audio)
            await client.send("agent.speak_end", event_id="e1")
            await client.hear("agent.speak_ended")
            await client.send(
                "agent.speak", event_id="e2", audio=base64.b64encode(tone(3)).decode(), sample_rate=24_000
            )
            await client.hear("agent.speak_started", 2)
            await client.send("agent.interrupt", event_id=None)
            assert (await client.hear("agent.speak_interrupted"))["event_id"] == "e2"
            await client.hear("agent.audio_buffer_cleared")
            assert len(client.all("agent.audio_buffer_appended")) == 3
            assert client.all("agent.speak_ended")[0]["event_id"] == "e1"
            assert client.all("speech.ended")[0]["playback_ms"] == pytest.approx(600, abs=4)
            states = [(m["previous_state"], m["new_state"]) for m in client.all("agent.state_updated")]
            assert states[:2] == [("listening", "talking"), ("talking", "listening")]

    async def test_listening_by_message(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, _, client):
            await client.send("session.keep_alive", event_id="k")
            await client.send("activity.set", activity="idle")
            await client.hear("activity")
            await client.send("agent.start_listening", event_id="l")
            assert (await client.hear("activity", 2))["activity"] == "listening"
            assert client.all("error") == []


class TestTheEnd:
    async def test_a_client_that_dies_in_mid_sentence_is_heard_out(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (_, caller, client):
            async with pushing(caller) as other:
                await other.sound(tone(0.5))
                await client.hear("speech.started")
            ended = await client.hear("speech.ended")
            assert ended["playback_ms"] == pytest.approx(500, abs=4)

    async def test_nor_does_it_matter_how_often_it_was_interrupted(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.playout.REMEMBERED", 2)
        async with push_session(tmp_path) as (_, caller, client):
            async with pushing(caller) as other:
                for _ in range(10):
                    await other.send("speech.begin")
                    await other.send("speech.interrupt")
                await other.sound(tone(0.5))
                await client.hear("speech.started")
            ended = await client.hear("speech.ended")
            assert ended["playback_ms"] == pytest.approx(500, abs=4) and not client.all("error")

    async def test_sound_that_never_comes_ends_the_utterance(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("server.dialogue.STALLED_S", 1)
        async with push_session(tmp_path) as (_, _, client):
            await client.send("speech.begin", utterance="stuck")
            await client.sound(tone(0.2))
            assert (await client.hear("speech.ended"))["utterance"] == "stuck"
            assert (await client.hear("error"))["code"] == "speech_stalled"
            assert [m["activity"] for m in client.all("activity")][-1] == "listening"

    async def test_the_session_says_goodbye(self, tmp_path: Path) -> None:
        async with push_session(tmp_path) as (server, _, client):
            await server.place.sessions.end_all("deleted")
            assert await client.hear("closed") == {"type": "closed", "reason": "deleted"}
