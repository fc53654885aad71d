"""Our Realtime endpoint: the official client speaks through it, into a conversation that plays when told."""

import asyncio
import base64
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
import uvicorn
from fastapi import FastAPI, WebSocket

from engine.les import Les
from server.bridges.openai_realtime import serve
from server.conversation import SpeechEnded, SpeechInterrupted, SpeechRefused
from server.pace import Pace
from server.sound_format import SoundFormat
from tests.conversation_fakes import FakeConversation, FakeUtterance
from tests.realtime_backend import soon
from tests.realtime_client import Client, speaking

RATE = 24_000


def pcm(ms: int, seed: int = 0) -> bytes:
    """Noise, so that every sample has its place."""
    samples = np.random.default_rng(seed).integers(-8000, 8000, RATE * ms // 1000)
    return samples.astype(np.int16).tobytes()


def user_sound(sound: bytes) -> Any:
    content = [{"type": "input_audio", "audio": base64.b64encode(sound).decode()}]
    return {"type": "message", "role": "user", "content": content}


def user_text(text: str) -> Any:
    return {"type": "message", "role": "user", "content": [{"type": "input_text", "text": text}]}


class Place:
    """The endpoint with a fake conversation behind it."""

    def __init__(self) -> None:
        self.conversation = FakeConversation()
        self.serving: set[asyncio.Task[Any]] = set()

    def utterance(self, number: int = 1) -> FakeUtterance:
        return list(self.conversation.utterances.values())[number - 1]

    async def spoken(self, number: int = 1) -> FakeUtterance:
        """Once all of it has come."""
        await soon(lambda: len(self.conversation.utterances) >= number and self.utterance(number).ended)
        return self.utterance(number)

    async def has(self, sound: bytes, number: int = 1) -> FakeUtterance:
        await soon(lambda: len(self.conversation.utterances) >= number)
        await soon(lambda: len(self.utterance(number).pcm) >= len(sound))
        return self.utterance(number)


@asynccontextmanager
async def endpoint() -> AsyncIterator[tuple[Place, str]]:
    place, app = Place(), FastAPI()

    @app.websocket("/v1/realtime")
    async def realtime(socket: WebSocket) -> None:
        await socket.accept()
        task = asyncio.current_task()
        assert task
        place.serving.add(task)
        try:
            await serve(socket, "session1", place.conversation, Pace())
        finally:
            place.serving.discard(task)

    server = uvicorn.Server(uvicorn.Config(app, port=0, ws="websockets-sansio", log_level="warning"))
    running = asyncio.create_task(server.serve())
    try:
        await soon(lambda: server.started)
        yield place, f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        place.conversation.close()
        server.should_exit = True
        await running
        assert place.conversation.watched == 0 and not place.serving


@asynccontextmanager
async def connected() -> AsyncIterator[tuple[Client, Place]]:
    async with endpoint() as (place, url), speaking(url, "session1", "token") as client:
        yield client, place


class TestSpeaking:
    async def test_committed_sound_is_heard_to_its_last_sample(self) -> None:
        async with connected() as (client, place):
            response = (await client.say(pcm(1000))).response
            utterance = await place.spoken()
            place.conversation.play(1200)
            done = await client.until("response.done")
            await client.until("output_audio_buffer.stopped")
            assert utterance.heard == pcm(1000)
            assert (done.response.id, done.response.status) == (response.id, "completed")
            assert done.response.metadata == {"playback_ms": "1000"}
            assert sum(isinstance(event, SpeechEnded) for event in place.conversation.events) == 1

    async def test_events_come_in_the_order_of_the_api(self) -> None:
        async with connected() as (client, place):
            await client.say(pcm(200))
            await place.spoken()
            place.conversation.play(300)
            await client.until("output_audio_buffer.stopped")
            assert client.types == [
                "session.created",
                "input_audio_buffer.committed",
                "conversation.item.added",
                "conversation.item.done",
                "response.created",
                "response.output_item.added",
                "conversation.item.added",
                "response.content_part.added",
                "output_audio_buffer.started",
                "response.output_audio.done",
                "response.content_part.done",
                "response.output_item.done",
                "conversation.item.done",
                "response.done",
                "output_audio_buffer.stopped",
            ]
            ids = [event.event_id for event in client.events]
            assert len(set(ids)) == len(ids)

    async def test_a_response_created_first_speaks_sound_as_it_comes(self) -> None:
        async with connected() as (client, place):
            await client.append(pcm(200))
            await client.connection.response.create()
            await client.until("response.created")
            await place.has(pcm(200))
            place.conversation.play(150)
            await client.until("output_audio_buffer.started")
            await client.append(pcm(300, 1))
            utterance = await place.has(pcm(500))
            assert not utterance.ended
            await client.connection.input_audio_buffer.commit()
            await place.spoken()
            place.conversation.play(500)
            done = await client.until("response.done")
            assert (done.response.metadata["playback_ms"], utterance.heard) == ("500", pcm(200) + pcm(300, 1))

    async def test_several_items_are_one_response_and_several_responses_keep_their_order(self) -> None:
        async with connected() as (client, place):
            for seed in (1, 2):
                await client.append(pcm(100, seed))
                await client.connection.input_audio_buffer.commit()
            await client.connection.response.create()
            await client.until("response.created")
            await client.say(pcm(100, 3))
            assert (await place.spoken(1)).pcm == pcm(100, 1) + pcm(100, 2)
            assert (await place.spoken(2)).pcm == pcm(100, 3)
            place.conversation.play(500)
            created = [event.response.id for event in client.all("response.created")]
            await client.until("response.done", 2)
            assert [event.response.id for event in client.all("response.done")] == created

    async def test_sound_may_come_as_an_item_or_as_input_of_a_response(self) -> None:
        async with connected() as (client, place):
            await client.connection.conversation.item.create(item=user_sound(pcm(100, 1)))
            await client.connection.response.create()
            assert (await place.spoken(1)).pcm == pcm(100, 1)
            await client.connection.response.create(response={"input": [user_sound(pcm(100, 2))]})
            assert (await place.spoken(2)).pcm == pcm(100, 2)

    @pytest.mark.parametrize("type, encoding", [("audio/pcmu", "mulaw"), ("audio/pcma", "alaw")])
    async def test_telephone_sound(self, type: Any, encoding: Any) -> None:
        async with connected() as (client, place):
            audio: Any = {"input": {"format": {"type": type}}}
            await client.connection.session.update(session={"type": "realtime", "audio": audio})
            session = (await client.until("session.updated")).session
            assert session.audio.input.format.type == type
            law = SoundFormat(encoding, 8000)
            await client.say(law.encode(pcm(300)))
            utterance = await place.spoken()
            assert utterance.rate == 8000 and utterance.pcm == law.decode(law.encode(pcm(300)))

    async def test_a_minute_at_once_waits_for_room(self) -> None:
        async with connected() as (client, place):
            await client.say(pcm(60_000))
            assert place.utterance().length_ms < 11_000
            await client.connection.response.cancel()
            await client.until("response.done")


class TestEmotion:
    async def test_an_emotion_of_a_response_shows_with_its_first_sound(self) -> None:
        async with connected() as (client, place):
            await client.append(pcm(300))
            await client.connection.input_audio_buffer.commit()
            await client.connection.response.create(response={"metadata": {"emotion": "happiness=0.6, AU4=0.2"}})
            utterance = await place.spoken()
            assert place.conversation.shown == []
            place.conversation.play(400)
            assert place.conversation.shown == [(utterance.id, Les.of({"AU4": 0.2}, {"happiness": 0.6}), 0)]
            done = await client.until("response.done")
            assert done.response.metadata["emotion"] == "happiness=0.6, AU4=0.2"

    async def test_labels_and_tags_of_other_protocols(self) -> None:
        async with connected() as (client, place):
            await client.connection.response.create(response={"metadata": {"emotion": "joyful 0.5"}})
            await client.append(pcm(100))
            utterance = await place.has(pcm(100))
            await client.connection.conversation.item.create(item=user_text("[sad 0.2] said"))
            await client.until("conversation.item.added", 2)
            await client.append(pcm(100))
            await client.connection.input_audio_buffer.commit()
            await place.spoken()
            place.conversation.play(300)
            joy, sad = Les.of(emotion={"happiness": 0.5}), Les.of(emotion={"sadness": 0.2})
            assert place.conversation.shown == [(utterance.id, joy, 0), (utterance.id, sad, 100)]

    async def test_a_tag_before_the_sound_waits_for_it(self) -> None:
        async with connected() as (client, place):
            await client.connection.conversation.item.create(item=user_text("[happy]"))
            await client.say(pcm(100))
            await client.connection.conversation.item.create(item=user_text("[sad]"))
            await client.connection.response.create()
            await client.append(pcm(100))
            await client.connection.input_audio_buffer.commit()
            first, second = await place.spoken(), await place.spoken(2)
            place.conversation.play(300)
            happy, sad = Les.of(emotion={"happiness": 1}), Les.of(emotion={"sadness": 1})
            assert place.conversation.shown == [(first.id, happy, 0), (second.id, sad, 0)]


class TestStopping:
    """Three seconds are there, 400 ms were heard."""

    async def start(self, client: Client, place: Place) -> Any:
        created = await client.say(pcm(3000))
        await place.spoken()
        place.conversation.play(400)
        await client.until("output_audio_buffer.started")
        return created.response

    async def stopped(self, client: Client, place: Place, reason: str) -> None:
        """Everything tells the position that was heard, and nothing of the utterance follows."""
        done = await client.until("response.done")
        truncated = client.all("conversation.item.truncated")[0]
        assert (done.response.status, done.response.status_details.reason) == ("cancelled", reason)
        assert done.response.metadata == {"playback_ms": "400"} and truncated.audio_end_ms == 400
        assert done.response.output[0].status == "incomplete"
        place.conversation.play(3000)
        await client.say(pcm(100, 9))
        await place.spoken(2)
        place.conversation.play(200)
        await client.until("response.done", 2)
        assert place.utterance(1).heard == pcm(3000)[: len(pcm(400))]
        assert place.utterance(2).heard == pcm(100, 9)
        assert len(client.all("conversation.item.truncated")) == 1
        over = [event for event in place.conversation.events if isinstance(event, SpeechEnded | SpeechInterrupted)]
        assert len(over) == 2

    async def test_response_cancel(self) -> None:
        async with connected() as (client, place):
            await self.start(client, place)
            await client.connection.response.cancel()
            await self.stopped(client, place, "client_cancelled")

    async def test_output_audio_buffer_clear(self) -> None:
        async with connected() as (client, place):
            response = await self.start(client, place)
            await client.connection.output_audio_buffer.clear()
            assert (await client.until("output_audio_buffer.cleared")).response_id == response.id
            await self.stopped(client, place, "client_cancelled")

    async def test_conversation_item_truncate_answers_with_what_was_heard(self) -> None:
        async with connected() as (client, place):
            await self.start(client, place)
            item = (await client.until("response.output_item.added")).item.id
            await client.connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=250)
            await self.stopped(client, place, "client_cancelled")

    async def test_the_user_interrupts(self) -> None:
        async with connected() as (client, place):
            await self.start(client, place)
            place.conversation.user_speaks(True)
            place.conversation.interrupt()
            place.conversation.user_speaks(False)
            started = await client.until("input_audio_buffer.speech_started")
            stopped = await client.until("input_audio_buffer.speech_stopped")
            assert started.item_id == stopped.item_id
            await self.stopped(client, place, "turn_detected")

    async def test_the_rest_of_a_stopped_stream_is_not_spoken(self) -> None:
        async with connected() as (client, place):
            await client.connection.response.create()
            await client.append(pcm(500))
            await place.has(pcm(500))
            place.conversation.play(100)
            place.conversation.interrupt()
            await client.until("response.done")
            await client.append(pcm(500, 1))
            await client.connection.input_audio_buffer.commit()
            await client.until("input_audio_buffer.committed")
            await client.say(pcm(200, 2))
            assert (await place.spoken(2)).pcm == pcm(200, 2)
            assert len(place.conversation.utterances) == 2

    async def test_what_is_sent_after_a_stop_of_its_own_is_new(self) -> None:
        async with connected() as (client, place):
            await client.connection.response.create()
            await client.append(pcm(500))
            await place.has(pcm(500))
            await client.connection.response.cancel()
            await client.connection.response.create()
            await client.append(pcm(200, 1))
            await client.connection.input_audio_buffer.commit()
            assert (await place.spoken(2)).pcm == pcm(200, 1)

    async def test_one_of_several_responses(self) -> None:
        async with connected() as (client, place):
            await self.start(client, place)
            second = (await client.say(pcm(300, 1))).response
            await client.connection.response.cancel(response_id=second.id)
            assert (await client.until("response.done")).response.metadata["playback_ms"] == "0"
            place.conversation.play(3000)
            assert (await client.until("response.done", 2)).response.status == "completed"

    async def test_an_item_that_was_heard_can_be_truncated_on_paper(self) -> None:
        async with connected() as (client, place):
            await client.say(pcm(300))
            await place.spoken()
            place.conversation.play(400)
            item = (await client.until("response.done")).response.output[0].id
            truncate = client.connection.conversation.item.truncate
            await truncate(item_id=item, content_index=0, audio_end_ms=200)
            assert (await client.until("conversation.item.truncated")).audio_end_ms == 200
            await truncate(item_id=item, content_index=0, audio_end_ms=301)
            assert "300ms" in (await client.until("error")).error.message

    async def test_what_is_not_spoken_yet_can_be_cleared_or_deleted(self) -> None:
        async with connected() as (client, place):
            await client.append(pcm(300))
            await client.connection.input_audio_buffer.clear()
            await client.until("input_audio_buffer.cleared")
            await client.append(pcm(300, 1))
            await client.connection.input_audio_buffer.commit()
            item = (await client.until("input_audio_buffer.committed")).item_id
            await client.connection.conversation.item.retrieve(item_id=item)
            assert (await client.until("conversation.item.retrieved")).item.id == item
            await client.connection.conversation.item.delete(item_id=item)
            await client.until("conversation.item.deleted")
            await client.say(pcm(200, 2))
            assert (await place.spoken()).pcm == pcm(200, 2)


class TestErrors:
    @pytest.mark.parametrize(
        "event, code, param",
        [
            ({"type": "input_audio_buffer.commit"}, "input_audio_buffer_commit_empty", None),
            ({"type": "input_audio_buffer.append", "audio": "%%"}, "invalid_value", "audio"),
            ({"type": "input_audio_buffer.append"}, "invalid_value", "audio"),
            ({"type": "response.cancel"}, "response_cancel_not_active", "response_id"),
            ({"type": "conversation.item.delete", "item_id": "x"}, "item_not_found", "item_id"),
            ({"type": "make.coffee"}, "invalid_value", "type"),
            (
                {
                    "type": "session.update",
                    "session": {"type": "realtime", "audio": {"input": {"format": {"type": "opus"}}}},
                },
                "invalid_value",
                "session.audio.input.format.type",
            ),
            (
                {
                    "type": "session.update",
                    "session": {"type": "realtime", "audio": {"input": {"turn_detection": {"type": "server_vad"}}}},
                },
                "invalid_value",
                "session.audio.input.turn_detection",
            ),
            (
                {"type": "response.create", "response": {"metadata": {"emotion": "wobbly=1"}}},
                "invalid_value",
                "response.metadata.emotion",
            ),
            (
                {
                    "type": "conversation.item.create",
                    "item": {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "hello"}]},
                },
                "invalid_value",
                "item.content",
            ),
        ],
    )
    async def test_a_wrong_event_is_named_and_the_connection_goes_on(self, event: Any, code: str, param: str) -> None:
        async with connected() as (client, place):
            await client.connection.send(event | {"event_id": "mine"})
            error = (await client.until("error")).error
            assert (error.code, error.param, error.event_id) == (code, param, "mine")
            await client.say(pcm(100))
            await place.spoken()

    @pytest.mark.parametrize("message", ["{", "[]", "3", b"\x00\x01"])
    async def test_what_is_no_event(self, message: str | bytes) -> None:
        async with connected() as (client, place):
            await client.connection.send_raw(message)
            assert (await client.until("error")).error.type == "invalid_request_error"
            await client.say(pcm(100))
            await place.spoken()

    async def test_a_second_stream_before_the_commit_of_the_first(self) -> None:
        async with connected() as (client, place):
            await client.connection.response.create()
            await client.connection.response.create()
            assert (await client.until("error")).error.code == "conversation_already_has_active_response"

    async def test_a_session_that_takes_no_speech(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(utterance: str | None = None, *, rate: int = RATE) -> str:
            raise SpeechRefused("wrong_source", "this session speaks with the microphone")

        async with connected() as (client, place):
            monkeypatch.setattr(place.conversation, "begin", refuse)
            await client.append(pcm(100))
            await client.connection.input_audio_buffer.commit()
            await client.connection.response.create()
            assert (await client.until("error")).error.code == "wrong_source"

    async def test_a_problem_of_the_session_is_told(self) -> None:
        async with connected() as (client, place):
            place.conversation.report("engine_slow", "frames are dropped")
            error = (await client.until("error")).error
            assert (error.type, error.code, error.event_id) == ("server_error", "engine_slow", None)

    async def test_a_stream_whose_sound_does_not_come(self) -> None:
        """The session gives up to wait and ends the utterance."""
        async with connected() as (client, place):
            await client.connection.response.create()
            await client.append(pcm(100))
            utterance = await place.has(pcm(100))
            place.conversation.end(utterance.id)
            place.conversation.play(200)
            done = (await client.until("response.done")).response
            assert (done.status, done.status_details.error.code) == ("failed", "speech_stalled")
            await client.append(pcm(100, 1))
            await client.connection.input_audio_buffer.commit()
            await client.until("input_audio_buffer.committed")
            await client.say(pcm(100, 2))
            assert (await place.spoken(2)).pcm == pcm(100, 2)


class TestLeaving:
    async def test_what_was_sent_is_said_even_if_the_client_leaves(self) -> None:
        async with endpoint() as (place, url):
            async with speaking(url, "session1", "token") as client:
                await client.say(pcm(30_000))
            for _ in range(40):
                place.conversation.play(1000)
                await asyncio.sleep(0.01)
            assert place.utterance().heard == pcm(30_000)
            await soon(lambda: not place.serving)

    async def test_a_client_that_is_cut_off_in_mid_stream(self) -> None:
        async with endpoint() as (place, url):
            async with speaking(url, "session1", "token") as client:
                await client.connection.response.create()
                await client.append(pcm(500))
                await place.has(pcm(500))
                client.connection._connection.transport.abort()
                await place.spoken()
            place.conversation.play(600)
            assert place.utterance().heard == pcm(500) and place.utterance().over
            await soon(lambda: not place.serving)
            async with speaking(url, "session1", "token") as client:
                await client.say(pcm(100, 1))
                assert (await place.spoken(2)).pcm == pcm(100, 1)

    async def test_the_end_of_the_session_closes_the_connection(self) -> None:
        async with connected() as (client, place):
            await client.say(pcm(1000))
            place.conversation.interrupt()
            place.conversation.close()
            await soon(lambda: client.closed is not None)
            assert client.closed == 1000
            assert client.all("response.done")
            await soon(lambda: not place.serving)
