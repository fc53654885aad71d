"""The slots filled by OpenAI-compatible services: what is asked, what comes of the answer, and every way to fail."""

import asyncio
import json
import logging
import subprocess
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engine.les import parse
from server.assistants.chat import ChatReplier
from server.assistants.http_speech import HttpEar, HttpVoice, wav
from server.assistants.service import Service
from server.assistants.slots import Message, SlotFailure
from server.settings import Endpoint
from tests.openai_services import DIE, HANG, KEY, call, services, tone

PATIENCE_S = 1.0
ASKED = [Message("user", "Hello?")]


@pytest.fixture(autouse=True)
async def hang_up(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """What a conversation does with its slots at its end."""
    made: list[Service] = []
    begin = Service.__init__

    def note(service: Service, *arguments: Any) -> None:
        begin(service, *arguments)
        made.append(service)

    monkeypatch.setattr(Service, "__init__", note)
    yield
    for service in made:
        await service.close()


async def all_of(pieces: AsyncIterator[Any]) -> list[Any]:
    return [piece async for piece in pieces]


class TestShapes:
    """The services that the other tests use are what the official client expects."""

    CLIENT = """
import sys
from openai import OpenAI
client = OpenAI(base_url=sys.argv[1], api_key=sys.argv[2], max_retries=0)
stream = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}], stream=True)
print("".join(chunk.choices[0].delta.content or "" for chunk in stream))
speech = client.audio.speech.with_streaming_response
with speech.create(model="m", voice="alloy", input="abc", response_format="pcm") as out:
    print(sum(map(len, out.iter_bytes())))
print(client.audio.transcriptions.create(model="m", file=("a.wav", open(sys.argv[3], "rb"), "audio/wav")).text)
"""

    async def test_the_official_client_is_content(self, tmp_path: Any) -> None:
        file = tmp_path / "a.wav"
        file.write_bytes(wav(tone(1.0, 16_000)))
        async with services() as found:
            command = [sys.executable, "-c", self.CLIENT, f"{found.url}/v1", KEY, str(file)]
            run = await asyncio.to_thread(subprocess.run, command, capture_output=True, text=True, check=False)
        assert run.stdout.splitlines() == ["Hello there. How are you?", str(len(tone(0.15))), " What time is it? "], (
            run.stderr
        )


class TestChat:
    async def test_text_comes_as_it_is_generated(self) -> None:
        async with services(chat=["One. ", "Two.", HANG]) as found:
            pieces = ChatReplier(found.endpoint()).reply(ASKED)
            assert [await anext(pieces), await anext(pieces)] == ["One. ", "Two."]
            await pieces.aclose()

    async def test_the_model_is_told_who_it_is_and_what_was_said(self) -> None:
        history = [Message("user", "A"), Message("assistant", "B"), Message("user", "C")]
        async with services() as found:
            await all_of(ChatReplier(found.endpoint(), "You are Ada.").reply(history))
        asked = found.asked[0]
        assert asked["stream"] and asked["model"] == "local" and "tools" not in asked
        assert asked["messages"][0]["content"].startswith("You are Ada.")
        assert "[happy 0.6]" in asked["messages"][0]["content"]
        assert [(m["role"], m["content"]) for m in asked["messages"][1:]] == [
            ("user", "A"),
            ("assistant", "B"),
            ("user", "C"),
        ]

    async def test_says_nothing_first(self) -> None:
        async with services() as found:
            assert await all_of(ChatReplier(found.endpoint()).reply([])) == []
        assert found.asked == []

    async def test_a_tool_call_is_a_feeling(self) -> None:
        calls = call("set_emotion", '{"emotion": "sad', 'ness", "level": 0.5}')
        async with services(rounds=[calls, ["So sorry."]]) as found:
            assert await all_of(ChatReplier(found.endpoint(), emotion_tool=True).reply(ASKED)) == [
                parse("sadness=0.5"),
                "So sorry.",
            ]
        first, second = found.asked
        assert first["tools"][0]["function"]["name"] == "set_emotion"
        assert (
            second["messages"][-2]["tool_calls"][0]["function"]["arguments"] == '{"emotion": "sadness", "level": 0.5}'
        )
        assert second["messages"][-1] == {"role": "tool", "tool_call_id": "call_1", "content": "shown"}

    @pytest.mark.parametrize(
        "calls", [call("fly"), call("set_emotion", "not json"), call("set_emotion", '{"emotion": "hungry"}')]
    )
    async def test_a_wrong_tool_call_is_told_to_the_model(self, calls: list[Any]) -> None:
        async with services(rounds=[calls, ["Well."]]) as found:
            assert await all_of(ChatReplier(found.endpoint(), emotion_tool=True).reply(ASKED)) == ["Well."]
        assert found.asked[1]["messages"][-1]["content"].startswith("error: ")

    async def test_a_model_that_only_calls_is_stopped(self) -> None:
        rounds = [call("set_emotion", '{"emotion": "anger"}')] * 9
        async with services(rounds=rounds) as found:
            emotions = await all_of(ChatReplier(found.endpoint(), emotion_tool=True).reply(ASKED))
        assert emotions == [parse("anger=1")] * 3

    async def test_hanging_up_ends_the_generation(self) -> None:
        async with services(chat=["One. ", HANG]) as found:
            pieces = ChatReplier(found.endpoint()).reply(ASKED)
            await anext(pieces)
            await pieces.aclose()
            async with asyncio.timeout(5):
                while not found.left:
                    await asyncio.sleep(0.01)


class TestSpeech:
    async def test_sound_comes_in_whole_samples(self) -> None:
        sound = tone(0.5)
        pieces = [sound[:1001], sound[1001:1002], sound[1002:]]
        async with services(speech=pieces) as found:
            came = await all_of(HttpVoice(found.endpoint()).speak("Hello."))
        assert b"".join(came) == sound
        assert all(len(piece) % 2 == 0 for piece in came)
        assert found.asked == [{"model": "local", "voice": "alloy", "input": "Hello.", "response_format": "pcm"}]

    async def test_a_file_in_the_place_of_samples_loses_its_header(self) -> None:
        file = wav(tone(0.2))
        async with services(speech=[file[:10], file[10:]]) as found:
            assert b"".join(await all_of(HttpVoice(found.endpoint()).speak("Hello."))) == tone(0.2)


class TestConnections:
    async def test_are_kept_from_one_request_to_the_next(self) -> None:
        async with services() as found:
            voice = HttpVoice(found.endpoint())
            for _ in range(3):
                await all_of(voice.speak("Hello."))
            assert found.callers == 1
            await voice.close()
            await all_of(voice.speak("Hello."))
            assert found.callers == 2


class TestTranscription:
    async def test_the_whole_turn_is_sent(self) -> None:
        async with services() as found:
            turn = HttpEar(found.endpoint()).listen()
            for _ in range(25):
                turn.feed(tone(0.04, 16_000))
            assert await turn.text() == "What time is it?"
        assert found.heard_s == [1.0]

    async def test_a_click_is_not_worth_it(self) -> None:
        async with services() as found:
            turn = HttpEar(found.endpoint()).listen()
            turn.feed(tone(0.1, 16_000))
            assert await turn.text() == ""
        assert found.asked == []


async def reply(endpoint: Endpoint) -> Any:
    return await all_of(ChatReplier(endpoint, patience_s=PATIENCE_S).reply(ASKED))


async def speak(endpoint: Endpoint) -> Any:
    return await all_of(HttpVoice(endpoint, patience_s=PATIENCE_S).speak("Hello."))


async def hear(endpoint: Endpoint) -> Any:
    turn = HttpEar(endpoint, patience_s=PATIENCE_S).listen()
    turn.feed(tone(1.0, 16_000))
    return await turn.text()


USES = {"chat": reply, "speech": speak, "transcription": hear}
GARBAGE = [b"data: {not json\n\n", b"data: 17\n\n", b'data: {"choices": "none"}\n\n', b'data: {"choices": [3]}\n\n']


class TestFailures:
    @pytest.mark.parametrize("slot", USES)
    async def test_a_refused_key(self, slot: str) -> None:
        async with services() as found:
            with pytest.raises(SlotFailure, match=r"refuses the key \(401\); check LES_") as failed:
                await USES[slot](found.endpoint("another"))
        assert failed.value.code == f"{slot}_refused"

    @pytest.mark.parametrize("slot", USES)
    async def test_nobody_there(self, slot: str) -> None:
        with pytest.raises(SlotFailure, match="can't be reached") as failed:
            await USES[slot](Endpoint("http://127.0.0.1:9/v1", "local"))
        assert failed.value.code == f"{slot}_unreachable"

    @pytest.mark.parametrize("slot", USES)
    async def test_a_wrong_address(self, slot: str) -> None:
        async with services() as found:
            with pytest.raises(SlotFailure, match="answers 404; check its address") as failed:
                await USES[slot](Endpoint(f"{found.url}/v2", "local", KEY))
        assert failed.value.code == f"{slot}_refused"

    @pytest.mark.parametrize(
        ("told", "slot"), [({"chat": ["Hel", HANG]}, "chat"), ({"speech": [tone(0.1), HANG]}, "speech")]
    )
    async def test_one_that_hangs(self, told: dict[str, Any], slot: str) -> None:
        async with services(**told) as found:
            with pytest.raises(SlotFailure, match="says nothing for 1 s") as failed:
                await USES[slot](found.endpoint())
        assert failed.value.code == f"{slot}_silent"

    @pytest.mark.parametrize(
        ("told", "slot"),
        [
            ({"chat": ["Hel", DIE]}, "chat"),
            ({"raw_chat": b": nothing\n\n"}, "chat"),
            ({"speech": [tone(0.1), DIE]}, "speech"),
        ],
    )
    async def test_one_that_dies_in_mid_sentence(self, told: dict[str, Any], slot: str) -> None:
        async with services(**told) as found:
            with pytest.raises(SlotFailure, match="broke off") as failed:
                await USES[slot](found.endpoint())
        assert failed.value.code == f"{slot}_lost"

    @pytest.mark.parametrize(
        ("told", "slot"),
        [
            *(({"raw_chat": raw}, "chat") for raw in GARBAGE),
            ({"chat": [{"tool_calls": [{"id": "x"}]}]}, "chat"),
            ({"speech": [b'{"oops": 1}'], "speech_type": "application/json"}, "speech"),
            ({"speech": [b"RIFF"]}, "speech"),
            ({"transcript": "<html>"}, "transcription"),
            ({"transcript": {"words": []}}, "transcription"),
        ],
    )
    async def test_one_that_sends_garbage(self, told: dict[str, Any], slot: str) -> None:
        async with services(**told) as found:
            with pytest.raises(SlotFailure, match="what nobody understands") as failed:
                await USES[slot](found.endpoint())
        assert failed.value.code == f"{slot}_garbage"

    @pytest.mark.parametrize("slot", USES)
    async def test_one_whose_compression_is_broken(self, slot: str) -> None:
        async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd")
            await reader.read()  # what else it asks, until it hangs up
            writer.close()

        async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            with pytest.raises(SlotFailure, match="can't be decompressed") as failed:
                await USES[slot](Endpoint(f"http://127.0.0.1:{port}/v1", "local"))
        assert failed.value.code == f"{slot}_garbage"

    async def test_an_error_in_the_stream_is_passed_on(self) -> None:
        raw = f"data: {json.dumps({'error': {'message': 'too many requests'}})}\n\n".encode()
        async with services(raw_chat=raw) as found:
            with pytest.raises(SlotFailure, match="too many requests") as failed:
                await reply(found.endpoint())
        assert failed.value.code == "chat_failed"


class TestKeys:
    async def test_are_never_logged_or_shown(self, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG):
            async with services() as found:
                await reply(found.endpoint())
                with pytest.raises(SlotFailure) as failed:
                    await reply(found.endpoint(KEY + "x"))
        assert found.asked
        assert KEY not in caplog.text + repr(found.endpoint()) + str(failed.value)
