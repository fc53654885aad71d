"""An app made for Twilio's media streams drives the portrait: it dials us, or we dial it."""

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.asyncio.server import ServerConnection, serve
from websockets.exceptions import ConnectionClosed

from engine.les import Les
from server.assistants.twilio import TwilioAssistant
from server.bridges.twilio_stream import LINGER_S, Garbage, carry, media_format
from server.conversation import SpeechEnded, SpeechInterrupted
from server.sound_format import Encoding, SoundFormat
from tests.conversation_fakes import FakeConversation, FakeUtterance
from tests.realtime_backend import port_of, soon
from tests.server_fakes import Caller
from tests.server_running import running

MULAW = SoundFormat("mulaw", 8_000)


def sound(ms: int, seed: int = 0) -> bytes:
    """Noise in mu-law, so that every sample has its place."""
    return np.random.default_rng(seed).integers(0, 256, 8 * ms).astype(np.uint8).tobytes()


class App:
    """What a telephone app does, after Twilio's documentation of its media streams."""

    def __init__(self) -> None:
        self.socket: ServerConnection | None = None
        self.messages: list[dict[str, Any]] = []
        self.calls = 0

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[str]:
        async with serve(self._serve, "127.0.0.1", 0) as server:
            yield f"ws://127.0.0.1:{port_of(server)}/stream"

    async def _serve(self, socket: ServerConnection) -> None:
        self.socket, self.calls = socket, self.calls + 1
        try:
            async for message in socket:
                self.messages.append(json.loads(message))
        except ConnectionClosed:
            pass  # the caller is gone, which some tests want

    def all(self, event: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["event"] == event]

    @property
    def marks(self) -> list[str]:
        return [message["mark"]["name"] for message in self.all("mark")]

    async def send(self, event: str, **fields: Any) -> None:
        sid = self.all("start")[-1]["streamSid"]
        await self.send_raw(json.dumps({"event": event, "streamSid": sid, **fields}))

    async def send_raw(self, message: str | bytes) -> None:
        assert self.socket
        await self.socket.send(message)

    async def say(self, payload: bytes, mark: str | None = None) -> None:
        for start in range(0, len(payload), 160):
            piece = base64.b64encode(payload[start : start + 160]).decode()
            await self.send("media", media={"payload": piece})
        if mark:
            await self.send("mark", mark={"name": mark})


class Call:
    def __init__(self, app: App, conversation: FakeConversation) -> None:
        self.app, self.conversation = app, conversation

    async def spoken(self, size: int, number: int = 1) -> FakeUtterance:
        """The utterance, once it has so many samples."""
        utterances = self.conversation.utterances
        await soon(lambda: len(utterances) >= number)
        await soon(lambda: len(list(utterances.values())[number - 1].pcm) >= 2 * size)
        return list(utterances.values())[number - 1]

    async def over(self, utterance: FakeUtterance) -> None:
        """Plays on until it is."""
        async with asyncio.timeout(5):
            while not utterance.over:
                self.conversation.play(20)
                await asyncio.sleep(0.01)


@asynccontextmanager
async def calling() -> AsyncIterator[Call]:
    app, conversation = App(), FakeConversation()
    async with app.serving() as url:
        task = asyncio.create_task(TwilioAssistant(url, delays_s=(0.01,)).converse(conversation))
        try:
            await soon(lambda: bool(app.all("start")) and conversation.watched == 3)
            yield Call(app, conversation)
        finally:
            conversation.close()
            await asyncio.wait_for(task, 5)
            assert conversation.watched == 0


class TestCaller:
    async def test_the_call_begins_as_twilio_begins_it(self) -> None:
        async with calling() as call:
            connected, start = call.app.messages[:2]
            assert connected == {"event": "connected", "protocol": "Call", "version": "1.0.0"}
            format = start["start"]["mediaFormat"]
            assert format == {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1}
            assert start["start"]["streamSid"] == start["streamSid"] and start["sequenceNumber"] == "1"

    async def test_the_user_is_heard_in_messages_of_20_ms(self) -> None:
        async with calling() as call:
            pcm = MULAW.decode(sound(40))
            call.conversation.user(pcm)
            call.conversation.user(pcm)
            await soon(lambda: len(call.app.all("media")) == 4)
            media = [message["media"] for message in call.app.all("media")]
            assert b"".join(base64.b64decode(each["payload"]) for each in media) == MULAW.encode(pcm) * 2
            assert [(each["chunk"], each["timestamp"]) for each in media] == [
                ("1", "0"), ("2", "20"), ("3", "40"), ("4", "60"),
            ]  # fmt: skip
            assert set(call.conversation.listeners.values()) == {8000}

    async def test_no_task_is_left(self) -> None:
        before = asyncio.all_tasks()
        async with calling() as call:
            await call.app.say(sound(100))
        await soon(lambda: asyncio.all_tasks() == before)


class TestSpeaking:
    async def test_it_is_heard_to_its_last_sample_and_marks_come_back_when_heard(self) -> None:
        async with calling() as call:
            await call.app.say(sound(1000), mark="said")
            utterance = await call.spoken(8000)
            call.conversation.play(900)
            await asyncio.sleep(0.02)
            assert call.app.marks == []
            call.conversation.play(101)
            await soon(lambda: call.app.marks == ["said"])
            await call.over(utterance)
            assert utterance.heard == MULAW.decode(sound(1000))
            ends = [event for event in call.conversation.events if isinstance(event, SpeechEnded)]
            assert [(end.utterance, end.playback_ms) for end in ends] == [(utterance.id, 1000)]

    async def test_a_short_gap_does_not_end_what_it_says_a_long_one_does(self) -> None:
        async with calling() as call:
            await call.app.say(sound(100, 1))
            first = await call.spoken(800)
            call.conversation.play(150)
            await asyncio.sleep(LINGER_S / 3)
            await call.app.say(sound(100, 2))
            await call.spoken(1600)
            await call.over(first)
            await call.app.say(sound(100, 3))
            second = await call.spoken(800, 2)
            assert (first.heard, len(call.conversation.utterances)) == (MULAW.decode(sound(100, 1) + sound(100, 2)), 2)
            assert second.pcm == MULAW.decode(sound(100, 3))

    async def test_an_app_that_sends_all_the_time_is_silent_after_a_while(self) -> None:
        async with calling() as call:
            silence = MULAW.encode(bytes(2 * 8 * 3000))
            await call.app.say(silence + sound(100, 1) + silence + sound(100, 2))
            await call.spoken(800, 2)
            first, second = call.conversation.utterances.values()
            assert first.pcm == MULAW.decode(sound(100, 1)) + bytes(2 * 8 * 2000) and first.ended
            assert second.pcm == MULAW.decode(sound(100, 2))

    async def test_a_mark_in_silence_comes_back_at_once(self) -> None:
        async with calling() as call:
            await call.app.send("mark", mark={"name": "here"})
            await soon(lambda: call.app.marks == ["here"])

    async def test_another_format_may_be_announced(self) -> None:
        async with calling() as call:
            law = SoundFormat("pcm16", 16_000)
            await call.app.send("start", start={"mediaFormat": {"encoding": "audio/l16", "sampleRate": 16_000}})
            await call.app.say(law.encode(b"\x01\x02" * 1600))
            utterance = await call.spoken(1600)
            assert utterance.rate == 16_000 and utterance.pcm == b"\x01\x02" * 1600

    @pytest.mark.parametrize(
        "given, format",
        [
            (None, MULAW),
            ({"encoding": "audio/x-alaw"}, SoundFormat("alaw", 8_000)),
            ({"encoding": "audio/x-mulaw", "sampleRate": 16_000, "channels": 1}, SoundFormat("mulaw", 16_000)),
        ],
    )
    def test_formats(self, given: Any, format: SoundFormat) -> None:
        assert media_format(given) == format

    @pytest.mark.parametrize("given", [{"encoding": "audio/opus"}, {"sampleRate": "8k"}, {"channels": 2}])
    def test_formats_that_nobody_speaks(self, given: Any) -> None:
        with pytest.raises(Garbage):
            media_format(given)

    async def test_an_emotion_in_a_mark_shows_with_the_sound_that_follows(self) -> None:
        async with calling() as call:
            await call.app.say(sound(200, 1), mark="[happy 0.6]")
            await call.app.say(sound(200, 2))
            utterance = await call.spoken(3200)
            await call.over(utterance)
            assert call.conversation.shown == [(utterance.id, Les.of(emotion={"happiness": 0.6}), 200)]
            assert call.app.marks == ["[happy 0.6]"]


class TestInterruption:
    """Three seconds are there with two marks, the first of them at 500 ms; 300 ms were heard."""

    async def start(self, call: Call) -> FakeUtterance:
        await call.app.say(sound(500, 1), mark="first")
        await call.app.say(sound(2500, 2), mark="second")
        utterance = await call.spoken(24_000)
        call.conversation.play(300)
        return utterance

    async def test_clear_stops_at_once_and_gives_the_marks_back(self) -> None:
        async with calling() as call:
            first = await self.start(call)
            await call.app.send("clear")
            await call.app.say(sound(100, 3))
            await soon(lambda: call.app.marks == ["first", "second"])
            second = await call.spoken(800, 2)
            await call.over(second)
            assert second.heard == MULAW.decode(sound(100, 3))
            over = [event for event in call.conversation.events if isinstance(event, SpeechEnded | SpeechInterrupted)]
            assert [(event.utterance, event.playback_ms) for event in over] == [(first.id, 300), (second.id, 100)]

    async def test_what_an_app_goes_on_to_send_after_the_user_interrupted_is_dropped(self) -> None:
        async with calling() as call:
            await self.start(call)
            call.conversation.interrupt()
            await soon(lambda: call.app.marks == ["first", "second"])
            await call.app.say(sound(500, 2), mark="third")
            await soon(lambda: call.app.marks == ["first", "second", "third"])
            assert len(call.conversation.utterances) == 1

    @pytest.mark.parametrize("cleared", [True, False], ids=["clear", "silence"])
    async def test_and_then_it_is_heard_again(self, cleared: bool) -> None:
        async with calling() as call:
            await self.start(call)
            call.conversation.interrupt()
            await soon(lambda: bool(call.app.marks))
            await call.app.say(sound(100, 2))
            await (call.app.send("clear") if cleared else asyncio.sleep(LINGER_S + 0.2))
            await call.app.say(sound(100, 3))
            assert (await call.spoken(800, 2)).pcm == MULAW.decode(sound(100, 3))


class TestFailure:
    async def test_an_app_that_hangs_up_in_mid_sentence_is_called_again(self) -> None:
        async with calling() as call:
            await call.app.say(sound(500))
            utterance = await call.spoken(4000)
            assert call.app.socket
            call.app.socket.transport.abort()
            await soon(lambda: bool(call.conversation.reports))
            assert call.conversation.reports[0][0] == "assistant_lost"
            await soon(lambda: utterance.ended and call.app.calls > 1)
            call.conversation.play(600)
            assert utterance.over and utterance.heard == MULAW.decode(sound(500))

    @pytest.mark.parametrize(
        "message",
        ["x", "[]", "{}", b"\xff", '{"event": "media"}', '{"event": "media", "media": {"payload": "%"}}',
         '{"event": "media", "media": {"payload": 7}}', '{"event": "mark", "mark": {}}',
         '{"event": "start", "start": {"mediaFormat": {"encoding": "opus"}}}'],
    )  # fmt: skip
    async def test_garbage(self, message: str | bytes) -> None:
        async with calling() as call:
            await call.app.send_raw(message)
            await soon(lambda: call.app.calls > 1)
            assert call.conversation.reports[0][0] == "assistant_garbage"

    async def test_what_it_does_not_know_is_ignored(self) -> None:
        async with calling() as call:
            await call.app.send("dtmf", dtmf={"digit": "1"})
            await call.app.send("brand.new")
            await call.app.say(sound(100))
            await call.spoken(800)
            assert call.conversation.reports == []

    async def test_an_app_that_stops_is_no_longer_heard(self) -> None:
        conversation, sent = FakeConversation(), list[str]()

        async def send(text: str) -> None:
            sent.append(text)

        async def incoming() -> AsyncIterator[str]:
            yield json.dumps({"event": "media", "media": {"payload": base64.b64encode(sound(100)).decode()}})
            yield json.dumps({"event": "stop"})
            raise AssertionError("it went on")

        await carry(conversation, incoming(), send)
        (utterance,) = conversation.utterances.values()
        assert utterance.ended and utterance.pcm == MULAW.decode(sound(100))

    async def test_an_app_is_told_that_the_session_ends(self) -> None:
        conversation, sent = FakeConversation(), list[str]()

        async def send(text: str) -> None:
            sent.append(text)

        async def incoming() -> AsyncIterator[str]:
            conversation.close()
            await asyncio.Future()
            yield ""

        await carry(conversation, incoming(), send)
        assert json.loads(sent[-1])["event"] == "stop"


class TestEndpoint:
    """An app that dials, and the running server with the fake engine."""

    @asynccontextmanager
    async def dialled(self, directory: Path, query: str = "") -> AsyncIterator[tuple[ClientConnection, Caller]]:
        async with running(directory) as server, Caller(server.url, fields={"source": "push"}) as caller:
            await caller.call()
            session = caller.session
            path = f"/v1/sessions/{session['id']}/twilio?token={session['token']}{query}"
            async with connect(server.url.replace("http", "ws") + path) as socket:
                yield socket, caller

    async def until(self, socket: ClientConnection, event: str) -> Any:
        async with asyncio.timeout(10):
            while (message := json.loads(await socket.recv()))["event"] != event:
                pass
        return message

    async def say(self, socket: ClientConnection, payload: bytes) -> None:
        media = {"payload": base64.b64encode(payload).decode()}
        await socket.send(json.dumps({"event": "media", "media": media}))

    async def test_it_speaks_hears_and_gets_its_mark_back(self, tmp_path: Path) -> None:
        async with self.dialled(tmp_path, "&encoding=audio/l16&sampleRate=16000") as (socket, caller):
            start = await self.until(socket, "start")
            assert start["start"]["mediaFormat"] == {"encoding": "audio/l16", "sampleRate": 16_000, "channels": 1}
            assert len(base64.b64decode((await self.until(socket, "media"))["media"]["payload"])) == 640
            times = np.arange(8_000) / 16_000
            await self.say(socket, (np.sin(2 * np.pi * 440 * times) * 12_000).astype("<i2").tobytes())
            await socket.send('{"event": "mark", "mark": {"name": "said"}}')
            assert (await self.until(socket, "mark"))["mark"]["name"] == "said"
            await soon(lambda: any(seen.loudness > 0.1 for seen in caller.pictures))

    async def test_garbage_ends_the_stream_and_not_the_session(self, tmp_path: Path) -> None:
        async with self.dialled(tmp_path) as (socket, caller), connect(caller.control_url) as control:
            await socket.send("garbage")
            with pytest.raises(ConnectionClosed):
                await self.until(socket, "never")
            assert socket.close_code == 1007
            async with asyncio.timeout(10):
                while (message := json.loads(await control.recv()))["type"] != "error":
                    pass
            assert message["code"] == "stream_garbage"
            await control.send('{"type": "ping", "id": 1}')

    async def test_the_end_of_the_session_stops_the_stream(self, tmp_path: Path) -> None:
        async with self.dialled(tmp_path) as (socket, caller):
            await caller.http.delete(f"/v1/sessions/{caller.session['id']}", headers=caller.auth)
            assert (await self.until(socket, "stop"))["stop"]["callSid"].startswith("CA")

    @pytest.mark.parametrize("rate", ["7", "fast", "%C2%B2", "9" * 5000])
    async def test_a_rate_that_no_sound_has(self, tmp_path: Path, rate: str) -> None:
        async with self.dialled(tmp_path, f"&sampleRate={rate}") as (socket, caller), connect(caller.control_url):
            with pytest.raises(ConnectionClosed):
                await self.until(socket, "never")
            assert socket.close_code == 1000

    @pytest.mark.parametrize("query, code", [("&token=wrong", 4401), ("&encoding=audio/opus", 1007)])
    async def test_refusals(self, tmp_path: Path, query: str, code: int) -> None:
        async with self.dialled(tmp_path, query) as (socket, _):
            with pytest.raises(ConnectionClosed):
                await self.until(socket, "never")
            assert socket.close_code == code


class TestLaw:
    """G.711 against a codec that is not ours."""

    @pytest.mark.parametrize("encoding, codec", [("mulaw", "pcm_mulaw"), ("alaw", "pcm_alaw")])
    def test_levels_are_those_of_ffmpeg(self, encoding: Encoding, codec: str) -> None:
        import av

        decoder = av.CodecContext.create(codec, "r")
        assert isinstance(decoder, av.AudioCodecContext)
        decoder.sample_rate, decoder.layout = 8000, "mono"
        (frame,) = decoder.decode(av.Packet(bytes(range(256))))
        assert SoundFormat(encoding, 8000).decode(bytes(range(256))) == frame.to_ndarray().tobytes()

    @pytest.mark.parametrize("encoding", ["mulaw", "alaw"])
    def test_encoding_takes_the_nearest_level(self, encoding: Encoding) -> None:
        format = SoundFormat(encoding, 8000)
        every = np.arange(-32768, 32768, dtype=np.int16)
        back = np.frombuffer(format.decode(format.encode(every.tobytes())), np.int16).astype(int)
        levels = np.unique(np.frombuffer(format.decode(bytes(range(256))), np.int16)).astype(int)
        nearest = np.abs(every[::97, None].astype(int) - levels).min(axis=1)
        assert (np.abs(every[::97] - back[::97]) == nearest).all()
