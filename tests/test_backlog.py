"""Sound that comes faster than a conversation takes it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from engine.les import Les
from server.backlog import PIECE, STEP_BYTES, Backlog
from server.conversation import MarkHeard, SpeechRefused
from tests.conversation_fakes import FakeConversation

SECOND = 48_000  # bytes at 24 kHz


@asynccontextmanager
async def handing_on(conversation: FakeConversation, max_bytes: int = 1 << 20) -> AsyncIterator[Backlog]:
    backlog = Backlog(conversation, max_bytes)
    running = asyncio.create_task(backlog.run())
    try:
        yield backlog
        assert not running.done()
    finally:
        running.cancel()
        await asyncio.wait([running])


async def settle() -> None:
    for _ in range(200):
        await asyncio.sleep(0)


async def test_everything_keeps_its_place() -> None:
    conversation = FakeConversation()
    id = conversation.begin()
    async with handing_on(conversation) as backlog:
        backlog.append(id, bytes(SECOND))
        backlog.mark(id, "middle")
        backlog.cue(id, Les.of({"AU12": 1}))
        backlog.append(id, bytes(SECOND))
        backlog.end(id)
        await backlog.drained()
    conversation.play(2500)
    marks = [event.playback_ms for event in conversation.events if isinstance(event, MarkHeard)]
    assert (marks, conversation.shown[0][2], conversation.utterances[id].over) == ([1000], 1000, True)


async def test_what_finds_no_room_waits_without_keeping_its_sender_waiting() -> None:
    conversation = FakeConversation(buffer_ms=500)
    id = conversation.begin()
    async with handing_on(conversation) as backlog:
        backlog.append(id, bytes(5 * SECOND))
        await settle()
        came = len(conversation.utterances[id].pcm)
        assert SECOND / 2 <= came <= SECOND / 2 + 2 * PIECE
        conversation.play(200)
        await settle()
        assert len(conversation.utterances[id].pcm) > came


async def test_an_utterance_can_be_dropped_and_the_next_goes_on() -> None:
    conversation = FakeConversation(buffer_ms=500)
    old, new = conversation.begin(), conversation.begin()
    async with handing_on(conversation) as backlog:
        backlog.append(old, bytes(5 * SECOND))
        backlog.append(new, bytes(SECOND // 4))
        await settle()
        backlog.drop(old)
        conversation.interrupt(old)
        conversation.play(1)
        await backlog.drained()
        assert len(conversation.utterances[new].pcm) == SECOND // 4


async def test_dropping_all_in_the_moment_in_which_it_came() -> None:
    conversation = FakeConversation()
    id = conversation.begin()
    async with handing_on(conversation) as backlog:
        await settle()
        backlog.append(id, bytes(100))
        backlog.drop(id)
        await settle()
        backlog.append(id, bytes(200))
        await backlog.drained()
        assert len(conversation.utterances[id].pcm) == 200


async def test_too_much_is_refused_and_not_lost_in_silence() -> None:
    conversation = FakeConversation(buffer_ms=500)
    id = conversation.begin()
    async with handing_on(conversation, max_bytes=SECOND + SECOND // PIECE * STEP_BYTES) as backlog:
        backlog.append(id, bytes(SECOND))
        with pytest.raises(SpeechRefused) as refused:
            backlog.append(id, b"\0\0")
        assert refused.value.code == "buffer_full"
        await settle()
        backlog.append(id, b"\0\0")  # some has gone on


async def test_what_the_conversation_refuses_is_reported() -> None:
    conversation = FakeConversation()
    async with handing_on(conversation) as backlog:
        backlog.append("nobody", bytes(SECOND))
        await backlog.drained()
    assert [code for code, _ in conversation.reports] == ["unknown_utterance"]


@pytest.mark.parametrize("kind", ["mark", "cue", "sound"])
async def test_what_is_small_is_bounded_too(kind: str) -> None:
    conversation = FakeConversation(buffer_ms=0)
    id = conversation.begin()
    async with handing_on(conversation, max_bytes=100 * STEP_BYTES) as backlog:
        send: Callable[[], None] = {
            "mark": lambda: backlog.mark(id, "here"),
            "cue": lambda: backlog.cue(id, Les()),
            "sound": lambda: backlog.append(id, bytes(2)),
        }[kind]
        with pytest.raises(SpeechRefused, match="too much waits"):
            for _ in range(101):
                send()
        backlog.end(id)
