"""A session's conversation in this process, as assistants and bridges have it: a real server, a fake engine."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from server.assistance import assist
from server.conversation import (
    Attended,
    Conversation,
    ConversationEvent,
    SessionEnded,
    SpeechEnded,
    SpeechInterrupted,
    SpeechRefused,
    SpeechStarted,
    UserSpoke,
)
from server.live import LiveSession
from tests.server_fakes import LOUD, Caller, Tone
from tests.server_running import running, until
from tests.test_speech_socket import tone


@asynccontextmanager
async def conversing(
    tmp_path: Path, microphone: Tone | None = None, **fields: Any
) -> AsyncIterator[tuple[LiveSession, Caller, list[ConversationEvent]]]:
    """A live push session, its caller, and what its conversation tells."""
    async with running(tmp_path) as server:
        async with Caller(server.url, microphone, fields={"source": "push"} | fields) as caller:
            await caller.call()
            live = server.place.sessions.get(caller.session["id"])
            assert live
            events: list[ConversationEvent] = []
            noting = asyncio.create_task(note(live.conversation, events))
            await asyncio.sleep(0)
            yield live, caller, events
        await noting


async def note(conversation: Conversation, events: list[ConversationEvent]) -> None:
    with conversation.subscribe() as told:
        async for event in told:
            events.append(event)


def of(events: list[ConversationEvent], *kinds: type) -> list[ConversationEvent]:
    return [event for event in events if isinstance(event, kinds)]


class TestConversation:
    async def test_tells_everything_until_the_session_ends(self, tmp_path: Path) -> None:
        async with conversing(tmp_path) as (live, _, events):
            utterance = live.conversation.begin()
            live.conversation.append(utterance, tone(0.2))
            live.conversation.end(utterance)
            await until(lambda: bool(of(events, SpeechEnded)))
        assert [type(e) for e in of(events, SpeechStarted, SpeechEnded)] == [SpeechStarted, SpeechEnded]
        assert events[-1] == SessionEnded("deleted")
        with pytest.raises(SpeechRefused) as refused:
            live.conversation.begin()
        assert refused.value.code == "session_ended"

    async def test_speech_goes_on_over_a_new_offer(self, tmp_path: Path) -> None:
        async with conversing(tmp_path) as (live, caller, events):
            utterance = live.conversation.begin("a")
            live.conversation.append(utterance, tone(1.5))
            live.conversation.end(utterance)
            await until(lambda: bool(of(events, SpeechStarted)))
            await caller.call()
            await until(lambda: bool(of(events, SpeechEnded)))
            assert len(of(events, SpeechStarted)) == 1
            assert of(events, SpeechEnded)[0].playback_ms == pytest.approx(1500, abs=4)  # type: ignore[union-attr]

    async def test_what_was_not_heard_is_said_when_the_caller_is_back(self, tmp_path: Path) -> None:
        async with conversing(tmp_path) as (live, caller, events):
            utterance = live.conversation.begin("a")
            live.conversation.append(utterance, tone(1))
            live.conversation.end(utterance)
            await until(lambda: bool(of(events, SpeechStarted)))
            await caller.hang_up()
            await until(lambda: live.deserted)
            await asyncio.sleep(0.3)
            assert not of(events, SpeechEnded)
            await caller.call()
            await until(lambda: bool(of(events, SpeechEnded)))
            assert of(events, SpeechEnded)[0].playback_ms == pytest.approx(1000, abs=4)  # type: ignore[union-attr]

    async def test_room_comes_as_the_speech_goes(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.playout.FULL", 48_000)
        async with conversing(tmp_path) as (live, _, events):
            utterance = live.conversation.begin("a")
            await live.conversation.room(utterance)
            live.conversation.append(utterance, tone(1.5))
            await live.conversation.room(utterance)
            assert of(events, SpeechStarted) and not of(events, SpeechEnded)


class TestListening:
    @pytest.mark.parametrize("rate", [8_000, 16_000, 24_000, 48_000])
    async def test_hears_the_user_at_its_own_rate(self, tmp_path: Path, rate: int) -> None:
        async with conversing(tmp_path, Tone(lambda second: True)) as (live, _, _):
            with live.conversation.listen(rate) as pieces:
                heard = [await anext(pieces) for _ in range(40)]
        assert {len(piece) for piece in heard} == {2 * rate // 25}
        sound = np.frombuffer(b"".join(heard[15:]), "<i2").astype(float)
        assert np.argmax(np.abs(np.fft.rfft(sound))) == pytest.approx(440, abs=3)

    async def test_a_rate_that_nobody_needs(self, tmp_path: Path) -> None:
        async with conversing(tmp_path) as (live, _, _):
            with pytest.raises(SpeechRefused), live.conversation.listen(44_100):
                pass


class TestPerformance:
    """A receiver in this process, without any WebRTC."""

    async def test_gets_every_slot_s_picture_with_its_sound(self, tmp_path: Path) -> None:
        async with conversing(tmp_path) as (live, _, _), live.performance() as shown:
            utterance = live.conversation.begin("a", rate=48_000)
            live.conversation.append(utterance, tone(0.6, 48_000))
            live.conversation.end(utterance)
            loud = []
            async for frame in shown:
                row = frame.picture[frame.picture.shape[0] * 3 // 8, :, 0].mean()
                loud.append((float(np.sqrt(np.mean(frame.sound**2))) > LOUD / 2, (row - 16) / 220 * LOUD > LOUD / 2))
                if len(loud) == 40:
                    break
        assert sum(sound for sound, _ in loud) == pytest.approx(15, abs=1)
        assert sum(sound != picture for sound, picture in loud) <= 1

    async def test_counts_as_a_connection(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, fields={"source": "push"}) as caller:
            await caller.create()
            live = server.place.sessions.get(caller.session["id"])
            assert live
            async with live.performance() as shown:
                assert (await anext(shown)).sound.shape == (1920,)
                assert not live.deserted
            assert live.deserted

    async def test_ends_with_the_session(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url, fields={"source": "push"}) as caller:
            await caller.create()
            live = server.place.sessions.get(caller.session["id"])
            assert live
            async with live.performance() as shown:
                await anext(shown)
                await live.end("deleted")
                assert len([frame async for frame in shown]) <= 25


class TestAnAssistant:
    async def test_that_fails_is_told_of_and_let_in_again(self, tmp_path: Path) -> None:
        class Clumsy:
            came = 0

            async def converse(self, conversation: Conversation) -> None:
                Clumsy.came += 1
                utterance = conversation.begin(f"try{Clumsy.came}")
                conversation.append(utterance, tone(0.1))
                raise ConnectionError("the backend hung up")

        async with conversing(tmp_path) as (live, _, events):
            assisting = asyncio.create_task(assist(live.conversation, Clumsy))
            await until(lambda: Clumsy.came == 2 and len(of(events, SpeechEnded)) == 2)
            assisting.cancel()
            troubles = [event for event in events if getattr(event, "code", "") == "assistant_failed"]
            assert len(troubles) == 2 and of(events, Attended)[-1] == Attended("listening")


class TestBargeIn:
    def words(self, second: float) -> bool:
        """Something like syllables, after two seconds of silence."""
        return second > 2 and second % 0.25 < 0.18

    async def test_a_voice_that_goes_on_interrupts(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        async with conversing(tmp_path, Tone(self.words)) as (live, _, events):
            utterance = live.conversation.begin("a")
            live.conversation.append(utterance, tone(8, pitch=1200))
            await until(lambda: bool(of(events, UserSpoke)))
            interrupted, spoke = of(events, SpeechInterrupted, UserSpoke)[:2]
            assert isinstance(interrupted, SpeechInterrupted) and isinstance(spoke, UserSpoke)
            assert 0 < interrupted.playback_ms < 8000

    async def test_not_where_the_session_forbids_it(self, tmp_path: Path) -> None:
        async with conversing(tmp_path, Tone(self.words), barge_in=False) as (live, _, events):
            utterance = live.conversation.begin("a")
            live.conversation.append(utterance, tone(4, pitch=1200))
            live.conversation.end(utterance)
            await until(lambda: bool(of(events, SpeechEnded)))
            assert not of(events, SpeechInterrupted)
