"""A session as a receiver in this process meets it: slot by slot, and after a slot the utterances it ends."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing, asynccontextmanager

from engine.units import FRAME_MS
from server.conversation import ConversationEvent, SpeechEnded, SpeechInterrupted
from server.live import LiveSession
from server.media import Shown

Over = SpeechEnded | SpeechInterrupted


@asynccontextmanager
async def performed(live: LiveSession) -> AsyncIterator[AsyncIterator[Shown | Over]]:
    """`async with performed(live) as slots: async for slot in slots`, in real time until the session ends."""
    over: deque[Over] = deque()
    with live.conversation.subscribe() as events:
        listening = asyncio.create_task(_collect(events, over))
        try:
            async with live.performance() as frames, aclosing(_in_order(frames, over)) as slots:
                yield slots
        finally:
            listening.cancel()
            await asyncio.wait([listening])


async def _collect(events: AsyncIterator[ConversationEvent], over: deque[Over]) -> None:
    async for event in events:
        if isinstance(event, Over):
            over.append(event)


async def _in_order(frames: AsyncIterator[Shown], over: deque[Over]) -> AsyncGenerator[Shown | Over]:
    async for shown in frames:
        yield shown
        await asyncio.sleep(0)  # an event of this slot was told in the same moment
        while over and over[0].media_ms < shown.media_ms + FRAME_MS:
            yield over.popleft()
    while over:
        yield over.popleft()
