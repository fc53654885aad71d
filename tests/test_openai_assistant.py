"""Our server as the client of a Realtime backend whose events are those of the official package."""

import asyncio
import base64
import json
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import numpy as np
import pytest

from engine.les import Les
from server.assistants.openai_realtime import RealtimeAssistant, RealtimeBackend
from server.conversation import Captioned, SpeechEnded, SpeechInterrupted, SpeechRefused
from server.sound_format import SoundFormat
from tests.conversation_fakes import FakeConversation
from tests.realtime_backend import KEY, Backend, answer, soon

RATE = 24_000


def pcm(ms: int, seed: int = 0) -> bytes:
    """Noise, so that every sample has its place."""
    samples = np.random.default_rng(seed).integers(-8000, 8000, RATE * ms // 1000)
    return samples.astype(np.int16).tobytes()


@dataclass
class Talk:
    backend: Backend
    conversation: FakeConversation
    task: asyncio.Task[None]

    async def spoken(self, count: int = 1) -> str:
        """The id of the `count`-th utterance, once it has begun."""
        await soon(lambda: len(self.conversation.utterances) >= count)
        return list(self.conversation.utterances)[count - 1]

    async def appended(self, utterance: str, size: int) -> None:
        await soon(lambda: len(self.conversation.utterances[utterance].pcm) >= size)


@asynccontextmanager
async def talking(ready: bool = True, **fields: object) -> AsyncIterator[Talk]:
    async with Backend().serving() as backend:
        conversation = FakeConversation()
        chosen = replace(RealtimeBackend(backend.url, "gpt-realtime", KEY), **fields)  # type: ignore[arg-type]
        task = asyncio.create_task(RealtimeAssistant(chosen, delays_s=(0.01,)).converse(conversation))
        try:
            if ready:
                await backend.until("session.update")
                await soon(lambda: conversation.watched == 3)
            yield Talk(backend, conversation, task)
        finally:
            conversation.close()
            await asyncio.wait_for(task, 5)
            assert conversation.watched == 0


class TestConnection:
    async def test_it_asks_for_sound_and_offers_the_tool(self) -> None:
        async with talking(voice="marin", instructions="be brief") as talk:
            session = (await talk.backend.until("session.update")).session
            assert session.audio.input.format.rate == session.audio.output.format.rate == RATE
            assert (session.audio.output.voice, session.instructions) == ("marin", "be brief")
            assert [tool.name for tool in session.tools] == ["set_emotion"]

    @pytest.mark.parametrize(
        "url, address",
        [
            ("wss://a.example/v1", "wss://a.example/v1/realtime?model=m"),
            ("https://a.example/v1/realtime/", "wss://a.example/v1/realtime?model=m"),
            ("http://h:1/x?api-version=2", "ws://h:1/x/realtime?api-version=2&model=m"),
        ],
    )
    def test_an_address_may_be_written_in_several_ways(self, url: str, address: str) -> None:
        assert RealtimeBackend(url, "m").address == address

    async def test_the_microphone_is_passed_on_unchanged(self) -> None:
        async with talking() as talk:
            sent = [pcm(40, seed) for seed in range(5)]
            for piece in sent:
                talk.conversation.user(piece)
            await soon(lambda: bytes(talk.backend.microphone) == b"".join(sent))
            assert set(talk.conversation.listeners.values()) == {RATE}

    async def test_no_task_is_left_when_the_session_ends(self) -> None:
        before = asyncio.all_tasks()
        async with talking() as talk:
            await talk.backend.say(pcm(100))
        await soon(lambda: asyncio.all_tasks() == before)


class TestAnswer:
    async def test_an_answer_is_heard_from_its_first_to_its_last_sample(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(1000))
            id = await talk.spoken()
            await soon(lambda: talk.conversation.utterances[id].ended)
            talk.conversation.play(1500)
            assert talk.conversation.utterances[id].heard == pcm(1000)
            ends = [event for event in talk.conversation.events if isinstance(event, SpeechEnded)]
            assert [(end.utterance, end.playback_ms) for end in ends] == [(id, 1000)]
            await asyncio.sleep(0.05)
            assert [event.type for event in talk.backend.events] == ["session.update"]

    async def test_more_than_the_conversation_takes_waits_for_room(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(30_000))
            id = await talk.spoken()
            await talk.appended(id, RATE * 2 * 10)
            assert talk.conversation.utterances[id].length_ms < 11_000
            for _ in range(30):
                talk.conversation.play(1000)
                await asyncio.sleep(0.005)
            await soon(lambda: talk.conversation.utterances[id].ended)
            talk.conversation.play(10_000)
            assert talk.conversation.utterances[id].heard == pcm(30_000)

    async def test_the_avatar_thinks_until_there_is_sound(self) -> None:
        async with talking() as talk:
            await soon(lambda: talk.conversation.activity is None)
            await talk.backend.send("input_audio_buffer.speech_stopped", audio_end_ms=900, item_id="item_user")
            await soon(lambda: talk.conversation.activity == "thinking")
            await talk.backend.send("response.created", response=answer("resp_1", "in_progress"))
            await talk.backend.send("response.done", response=answer("resp_1", "completed"))
            await soon(lambda: talk.conversation.activity is None)

    async def test_the_older_names_are_understood(self) -> None:
        async with talking() as talk:
            place = {"response_id": "resp_1", "item_id": "item_1", "output_index": 0, "content_index": 0}
            sound = base64.b64encode(pcm(200)).decode()
            await talk.backend.send_raw(json.dumps({"type": "response.audio.delta", **place, "delta": sound}))
            await talk.backend.send_raw(json.dumps({"type": "response.audio.done", **place}))
            id = await talk.spoken()
            await soon(lambda: talk.conversation.utterances[id].ended)
            assert bytes(talk.conversation.utterances[id].pcm) == pcm(200)

    async def test_a_backend_may_answer_in_mu_law(self) -> None:
        async with talking() as talk:
            law = SoundFormat("mulaw", 8000)
            output = {"format": {"type": "audio/pcmu"}}
            session = {"id": "s", "object": "realtime.session", "type": "realtime", "audio": {"output": output}}
            await talk.backend.send("session.updated", session=session)
            await talk.backend.say(law.encode(pcm(300)))
            id = await talk.spoken()
            await soon(lambda: talk.conversation.utterances[id].ended)
            utterance = talk.conversation.utterances[id]
            assert (utterance.rate, bytes(utterance.pcm)) == (8000, law.decode(law.encode(pcm(300))))

    async def test_a_compatible_backend_may_have_another_rate(self) -> None:
        async with talking() as talk:
            audio = {"output": {"format": {"type": "audio/pcm", "rate": 16_000}}}
            await talk.backend.send_raw(json.dumps({"type": "session.updated", "session": {"audio": audio}}))
            await talk.backend.say(pcm(300))
            assert talk.conversation.utterances[await talk.spoken()].rate == 16_000

    async def test_a_failed_answer_is_reported(self) -> None:
        async with talking() as talk:
            details = {"type": "failed", "error": {"code": "rate_limit_exceeded", "message": "too many requests"}}
            await talk.backend.send("response.created", response=answer("resp_1", "in_progress"))
            failed = answer("resp_1", "failed") | {"status_details": details}
            await talk.backend.send("response.done", response=failed)
            await soon(lambda: bool(talk.conversation.reports))
            assert talk.conversation.reports[0][0] == "assistant_error"
            assert "too many requests" in talk.conversation.reports[0][1]


class TestInterruption:
    async def interrupted(self, talk: Talk, done: bool) -> str:
        """An utterance of 3 s of which 700 ms were heard when the backend hears the user."""
        await talk.backend.say(pcm(3000), done=done)
        id = await talk.spoken()
        await talk.appended(id, len(pcm(3000)))
        talk.conversation.play(700)
        await talk.backend.user_speaks()
        await talk.backend.until("conversation.item.truncate")
        return id

    @pytest.mark.parametrize("done", [False, True], ids=["while it comes", "after it came"])
    async def test_the_backend_hears_the_user(self, done: bool) -> None:
        async with talking() as talk:
            id = await self.interrupted(talk, done)
            truncate = await talk.backend.until("conversation.item.truncate")
            assert (truncate.item_id, truncate.content_index, truncate.audio_end_ms) == ("item_1", 0, 700)
            types = [event.type for event in talk.backend.events][1:]
            assert (
                types == ["conversation.item.truncate"] if done else ["response.cancel", "conversation.item.truncate"]
            )
            over = [event for event in talk.conversation.events if isinstance(event, SpeechEnded | SpeechInterrupted)]
            assert over == [SpeechInterrupted(id, 700, 700)]

    async def test_our_own_interruption_is_told_the_backend(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(3000), done=False)
            await talk.appended(await talk.spoken(), len(pcm(3000)))
            talk.conversation.play(450)
            talk.conversation.interrupt()
            assert (await talk.backend.until("response.cancel")).response_id == "resp_1"
            assert (await talk.backend.until("conversation.item.truncate")).audio_end_ms == 450

    async def test_late_sound_of_a_cancelled_answer_is_dropped(self) -> None:
        async with talking() as talk:
            await self.interrupted(talk, done=False)
            await talk.backend.sound(pcm(1000, 1), "resp_1", "item_1")
            await talk.backend.sound(pcm(1000, 1), "resp_1", "item_of_the_same_answer")
            await talk.backend.send("response.done", response=answer("resp_1", "cancelled"))
            await talk.backend.say(pcm(500, 2), "resp_2", "item_2")
            second = await talk.spoken(2)
            await soon(lambda: talk.conversation.utterances[second].ended)
            talk.conversation.play(2000)
            assert len(talk.conversation.utterances) == 2
            assert talk.conversation.utterances[second].heard == pcm(500, 2)

    async def test_what_was_never_heard_is_deleted(self) -> None:
        """The real backend refuses to truncate an item to nothing."""
        async with talking() as talk:
            await talk.backend.say(pcm(1000), "resp_1", "item_1")
            await talk.backend.say(pcm(1000), "resp_2", "item_2")
            await talk.appended(await talk.spoken(2), len(pcm(1000)))
            talk.conversation.play(300)
            await talk.backend.user_speaks()
            assert (await talk.backend.until("conversation.item.truncate")).item_id == "item_1"
            assert (await talk.backend.until("conversation.item.delete")).item_id == "item_2"

    async def test_sound_that_waits_for_room_is_dropped_too(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(30_000))
            id = await talk.spoken()
            await talk.appended(id, RATE * 2 * 10)
            talk.conversation.play(100)
            await talk.backend.user_speaks()
            await talk.backend.until("conversation.item.truncate")
            had = len(talk.conversation.utterances[id].pcm)
            talk.conversation.play(5000)
            await asyncio.sleep(0.05)
            assert len(talk.conversation.utterances[id].pcm) == had

    async def test_sound_that_does_not_come_any_more(self) -> None:
        """The session gives up to wait before the backend's silence counts as a hang."""
        async with talking() as talk:
            await talk.backend.say(pcm(500), done=False)
            id = await talk.spoken()
            await talk.appended(id, len(pcm(500)))
            talk.conversation.end(id)
            talk.conversation.play(600)
            assert (await talk.backend.until("conversation.item.truncate")).audio_end_ms == 500
            await talk.backend.until("response.cancel")
            await talk.backend.sound(pcm(500), "resp_1", "item_1")
            await talk.backend.say(pcm(100, 2), "resp_2", "item_2")
            second = await talk.spoken(2)
            await soon(lambda: bytes(talk.conversation.utterances[second].pcm) == pcm(100, 2))

    async def test_a_stop_that_comes_too_late_is_no_problem(self) -> None:
        async with talking() as talk:
            await self.interrupted(talk, done=False)
            cancel = await talk.backend.until("response.cancel")
            error = {"type": "invalid_request_error", "message": "no active response", "event_id": cancel.event_id}
            await talk.backend.send("error", error=error | {"code": "response_cancel_not_active"})
            await talk.backend.send("error", error={"type": "server_error", "message": "a real one"})
            await soon(lambda: bool(talk.conversation.reports))
            assert talk.conversation.reports == [("assistant_error", "the assistant says: a real one")]


class TestEmotion:
    async def test_a_tool_call_shows_with_the_words_that_follow(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(1000), "resp_1", "item_1")
            await talk.appended(await talk.spoken(), len(pcm(1000)))
            await talk.backend.call('{"emotion": "happiness", "level": 0.5}', "resp_2")
            result = (await talk.backend.until("conversation.item.create")).item
            happy = Les.of(emotion={"happiness": 0.5})
            assert json.loads(result.output) == {"ok": True, "units": happy.units()}
            await talk.backend.until("response.create")
            await talk.backend.say(pcm(1000), "resp_3", "item_3")
            second = await talk.spoken(2)
            await soon(lambda: talk.conversation.utterances[second].ended)
            talk.conversation.play(900)
            assert talk.conversation.shown == []
            talk.conversation.play(600)
            assert talk.conversation.shown == [(second, happy, 0)]

    async def test_a_call_in_the_middle_of_an_answer_shows_in_its_middle(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(400), done=False)
            item = {"id": "item_c", "type": "function_call", "call_id": "call_1", "name": "set_emotion"}
            called = item | {"arguments": '{"units": {"AU12": 1}}'}
            await talk.backend.send("response.output_item.done", response_id="resp_1", output_index=1, item=called)
            await talk.backend.sound(pcm(400), "resp_1", "item_1")
            await talk.backend.finish("resp_1", "item_1")
            id = await talk.spoken()
            await soon(lambda: talk.conversation.utterances[id].ended)
            talk.conversation.play(1000)
            assert talk.conversation.shown == [(id, Les.of({"AU12": 1}), 400)]
            assert talk.backend.count("response.create") == 0

    async def test_tags_in_the_words_show_with_the_sound_that_follows(self) -> None:
        async with talking() as talk:
            await talk.backend.begin("resp_1", "item_1")
            await talk.backend.words("[happy 0.", "resp_1", "item_1")
            await talk.backend.words("5] Hello! ", "resp_1", "item_1")
            await talk.backend.sound(pcm(300), "resp_1", "item_1")
            await talk.backend.words("[sad]Goodbye.", "resp_1", "item_1")
            await talk.backend.sound(pcm(300), "resp_1", "item_1")
            await talk.backend.finish("resp_1", "item_1")
            id = await talk.spoken()
            await soon(lambda: talk.conversation.utterances[id].ended)
            talk.conversation.play(700)
            happy, sad = Les.of(emotion={"happiness": 0.5}), Les.of(emotion={"sadness": 1})
            assert talk.conversation.shown == [(id, happy, 0), (id, sad, 300)]
            await soon(lambda: bool(self.captions(talk, final=True)))
            assert self.captions(talk, final=True) == ["Hello! Goodbye."]

    async def test_captions_hold_what_was_heard(self) -> None:
        async with talking(transcription="some-model") as talk:
            assert (await talk.backend.until("session.update")).session.audio.input.transcription.model == "some-model"
            await talk.backend.say(pcm(2000), words="one two three four")
            id = await talk.spoken()
            await soon(lambda: talk.conversation.utterances[id].ended)
            assert self.captions(talk) == []
            talk.conversation.play(1000)
            await soon(lambda: self.captions(talk) == ["one two three four"])
            talk.conversation.interrupt()
            await soon(lambda: self.captions(talk, final=True) == ["one two"])
            said = {"item_id": "item_user", "content_index": 0, "transcript": "Stop!"}
            usage = {"type": "duration", "seconds": 1.0}
            await talk.backend.send("conversation.item.input_audio_transcription.completed", **said, usage=usage)
            await soon(lambda: Captioned("user", "item_user", "Stop!", True) in talk.conversation.events)

    def captions(self, talk: Talk, final: bool = False) -> list[str]:
        found = [event for event in talk.conversation.events if isinstance(event, Captioned)]
        return [event.text for event in found if event.speaker == "assistant" and event.final is final]

    @pytest.mark.parametrize(
        "arguments, problem",
        [
            ("{", "not JSON"),
            ("[]", "an object"),
            ("{}", "give"),
            ('{"emotion": "happines"}', "the main ones are"),
            ('{"emotion": "happiness", "level": 7}', "0 to 1"),
            ('{"emotion": "happiness", "level": "much"}', "a number"),
            ('{"units": {"AU99": 1}}', "no unit"),
            ('{"units": 3}', "an object"),
            ('{"mood": "happiness"}', "an object"),
        ],
    )
    async def test_a_wrong_call_tells_the_model_why(self, arguments: str, problem: str) -> None:
        async with talking() as talk:
            await talk.backend.call(arguments)
            result = json.loads((await talk.backend.until("conversation.item.create")).item.output)
            assert problem in result["error"]

    async def test_an_unknown_tool_is_answered(self) -> None:
        async with talking() as talk:
            await talk.backend.call("{}", name="open_door")
            result = json.loads((await talk.backend.until("conversation.item.create")).item.output)
            assert "open_door" in result["error"]


class TestFailure:
    async def test_a_backend_that_dies_in_mid_sentence(self) -> None:
        async with talking() as talk:
            await talk.backend.say(pcm(500), done=False)
            id = await talk.spoken()
            await talk.appended(id, len(pcm(500)))
            assert talk.backend.socket
            talk.backend.socket.transport.abort()
            await soon(lambda: bool(talk.conversation.reports))
            assert talk.conversation.reports[0][0] == "assistant_lost"
            assert talk.conversation.activity == "listening"
            talk.conversation.play(1000)
            assert talk.conversation.utterances[id].over and talk.conversation.utterances[id].heard == pcm(500)
            await talk.backend.until("session.update", 2)
            await soon(lambda: talk.conversation.activity is None)
            await talk.backend.say(pcm(200, 3))
            second = await talk.spoken(2)
            await soon(lambda: bytes(talk.conversation.utterances[second].pcm) == pcm(200, 3))

    async def test_a_backend_that_hangs_in_mid_sentence(self) -> None:
        async with talking(patience_s=0.2) as talk:
            await asyncio.sleep(0.4)
            assert talk.conversation.reports == []  # it owes nothing
            await talk.backend.say(pcm(500), done=False)
            await soon(lambda: bool(talk.conversation.reports))
            assert talk.conversation.reports[0][0] == "assistant_silent"
            await talk.backend.until("session.update", 2)

    async def test_a_backend_that_never_gets_ready(self) -> None:
        async with talking(ready=False, patience_s=0.1) as talk:
            talk.backend.answers = False
            await soon(lambda: bool(talk.conversation.reports))
            assert talk.conversation.reports[0][0] == "assistant_silent"

    @pytest.mark.parametrize(
        "message",
        [
            "garbage",
            "[1]",
            b"\x00\xff",
            "{}",
            '{"type": 3}',
            '{"type": "response.output_audio.delta", "delta": "AAAA"}',
            '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "%%"}',
            '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": 5}',
            '{"type": "response.output_audio.delta", "response_id": "r", "item_id": "i", "delta": "\\u00e9"}',
            '{"type": "response.created"}',
            '{"type": "response.done", "response": []}',
            '{"type": "error", "error": "text"}',
        ],
    )
    async def test_garbage_ends_the_connection_but_not_the_call(self, message: str | bytes) -> None:
        async with talking() as talk:
            await talk.backend.send_raw(message)
            await soon(lambda: bool(talk.conversation.reports))
            assert talk.conversation.reports[0][0] == "assistant_garbage"
            await talk.backend.until("session.update", 2)
            await talk.backend.say(pcm(100))
            await talk.spoken()

    async def test_what_it_does_not_know_is_ignored(self) -> None:
        async with talking() as talk:
            await talk.backend.send_raw('{"type": "brand.new", "x": 1}')
            await talk.backend.say(pcm(100))
            await talk.spoken()
            assert talk.conversation.reports == []

    async def test_nobody_at_the_address(self) -> None:
        conversation = FakeConversation()
        backend = RealtimeBackend("ws://127.0.0.1:9", "m", KEY)
        task = asyncio.create_task(RealtimeAssistant(backend, delays_s=(0.01,)).converse(conversation))
        await soon(lambda: len(conversation.reports) > 1)
        task.cancel()
        await asyncio.wait([task])
        assert {code for code, _ in conversation.reports} == {"assistant_unreachable"}

    async def test_a_wrong_key_is_named_but_never_told(self, caplog: pytest.LogCaptureFixture) -> None:
        caplog.set_level(logging.DEBUG)
        async with talking(ready=False, key="sk-secret-wrong") as talk:
            await soon(lambda: bool(talk.conversation.reports))
            code, message = talk.conversation.reports[0]
            assert code == "assistant_refused" and "LES_ASSISTANT_KEY" in message
            assert "sk-secret" not in message + caplog.text + repr(RealtimeBackend("ws://x", "m", "sk-secret"))
            assert talk.backend.requests[0].headers["Authorization"] == "Bearer sk-secret-wrong"

    async def test_speech_that_the_session_refuses(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(utterance: str | None = None, *, rate: int = RATE) -> str:
            raise SpeechRefused("wrong_source", "this session speaks with the microphone")

        async with talking() as talk:
            monkeypatch.setattr(talk.conversation, "begin", refuse)
            await talk.backend.say(pcm(1000), done=False)
            assert (await talk.backend.until("response.cancel")).response_id == "resp_1"
            assert [code for code, _ in talk.conversation.reports] == ["wrong_source"]
