"""A conversation without engine, clock or media: what an adapter says is written down, and time passes when told."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import TypeVar

from engine.les import Les
from server.conversation import (
    Activity,
    Attended,
    Captioned,
    ConversationEvent,
    MarkHeard,
    SessionEnded,
    Speaker,
    SpeechEnded,
    SpeechInterrupted,
    SpeechRefused,
    SpeechStarted,
    Troubled,
    UserSpoke,
)

Item = TypeVar("Item")


@dataclass
class FakeUtterance:
    id: str
    rate: int
    pcm: bytearray = field(default_factory=bytearray)
    marks: list[tuple[float, str]] = field(default_factory=list)
    """(milliseconds of sound before it, name), not yet heard"""
    cues: list[tuple[float, Les]] = field(default_factory=list)
    """(milliseconds of sound before it, emotion), not yet shown"""
    heard_ms: int = 0
    ended: bool = False
    """No more sound will be appended."""
    over: bool = False
    """Heard to its end, or interrupted."""

    @property
    def length_ms(self) -> float:
        return len(self.pcm) // 2 * 1000 / self.rate

    @property
    def heard(self) -> bytes:
        """PCM16: the sound that left."""
        return bytes(self.pcm[: 2 * round(self.heard_ms * self.rate / 1000)])


class FakeConversation:
    """`server.conversation.Conversation`: one millisecond of sound leaves for each that `play` is told."""

    def __init__(self, buffer_ms: float = 10_000) -> None:
        self.utterances: dict[str, FakeUtterance] = {}
        self.events: list[ConversationEvent] = []
        self.shown: list[tuple[str, Les, int]] = []
        """Cues that took effect: utterance, emotion, playback position."""
        self.activity: Activity | None = None
        self.reports: list[tuple[str, str]] = []
        self.paused = False
        self.media_ms = 0
        self.listeners: dict[asyncio.Queue[bytes | None], int] = {}
        """Who hears the user, and the rate each wants."""
        self._buffer_ms = buffer_ms
        self._numbers = itertools.count(1)
        self._subscribers: list[asyncio.Queue[ConversationEvent | None]] = []
        self._moved = asyncio.Event()
        self._closed = False

    # ---- Conversation

    def begin(self, utterance: str | None = None, *, rate: int = 24_000) -> str:
        id = utterance or f"fake{next(self._numbers)}"
        if id in self.utterances:
            raise SpeechRefused("utterance_in_use", f"utterance {id!r} exists")
        if not 8_000 <= rate <= 48_000:
            raise SpeechRefused("unsupported_rate", "rate: 8000 to 48000")
        if self._closed:
            raise SpeechRefused("session_ended", "the session has ended")
        self.utterances[id] = FakeUtterance(id, rate)
        return id

    def append(self, utterance: str, pcm: bytes) -> None:
        if found := self._open(utterance):
            if self._buffered(utterance) > 2 * self._buffer_ms:
                raise SpeechRefused("buffer_full", "wait for room")
            found.pcm.extend(pcm)

    def mark(self, utterance: str, name: str) -> None:
        if found := self._open(utterance):
            found.marks.append((found.length_ms, name))
            self._look(found)

    def cue(self, utterance: str, emotion: Les, *, transition_s: float = 0.3) -> None:
        if found := self._open(utterance):
            found.cues.append((found.length_ms, emotion))

    def end(self, utterance: str) -> None:
        if found := self._open(utterance):
            found.ended = True

    def interrupt(self, utterance: str | None = None) -> None:
        self.paused = False
        for found in self._waiting():
            if utterance in (None, found.id):
                found.over = True
                self._tell(SpeechInterrupted(found.id, found.heard_ms, self.media_ms))

    def pause(self) -> None:
        self.paused = True

    def resume(self) -> None:
        self.paused = False

    def attend(self, activity: Activity | None) -> None:
        if activity != self.activity and activity:
            self._tell(Attended(activity))
        self.activity = activity

    async def room(self, utterance: str) -> None:
        """Returns at once for an utterance that is over."""
        while self._buffered(utterance) > self._buffer_ms and not self._closed:
            self._moved.clear()
            await self._moved.wait()

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[ConversationEvent]]:
        queue: asyncio.Queue[ConversationEvent | None] = asyncio.Queue()
        if self._closed:
            queue.put_nowait(None)
        self._subscribers.append(queue)
        try:
            yield until_none(queue)
        finally:
            self._subscribers.remove(queue)

    @contextmanager
    def listen(self, rate: int = 16_000) -> Iterator[AsyncIterator[bytes]]:
        queue: asyncio.Queue[bytes | None] = asyncio.Queue()
        if self._closed:
            queue.put_nowait(None)
        self.listeners[queue] = rate
        try:
            yield until_none(queue)
        finally:
            del self.listeners[queue]

    def caption(self, speaker: Speaker, id: str, text: str, *, final: bool = True) -> None:
        self._tell(Captioned(speaker, id, text, final))

    def report(self, code: str, message: str) -> None:
        self.reports.append((code, message))
        self._tell(Troubled(code, message))

    # ---- what a test does

    def play(self, ms: int) -> None:
        """Time passes."""
        for _ in range(ms):
            self.media_ms += 1
            if not self.paused:
                self._play_one()
        self._moved.set()

    def user(self, pcm: bytes) -> None:
        """The user's sound, at whatever rate the listener asked for."""
        for queue in self.listeners:
            queue.put_nowait(pcm)

    def user_speaks(self, active: bool = True) -> None:
        self._tell(UserSpoke(active, self.media_ms))

    def close(self, reason: str = "deleted") -> None:
        self._closed = True
        self._moved.set()
        self._tell(SessionEnded(reason))
        for subscriber in self._subscribers:
            subscriber.put_nowait(None)
        for listener in self.listeners:
            listener.put_nowait(None)

    @asynccontextmanager
    async def playing(self, speed: float = 1.0) -> AsyncIterator[None]:
        """Time passes by itself, `speed` times as fast as on the wall."""
        task = asyncio.create_task(self._play_on(speed))
        try:
            yield
        finally:
            task.cancel()
            await asyncio.wait([task])

    @property
    def watched(self) -> int:
        """Subscribers and listeners that have not left."""
        return len(self._subscribers) + len(self.listeners)

    # ---- inside

    async def _play_on(self, speed: float) -> None:
        clock = asyncio.get_running_loop().time
        begun, before = clock(), self.media_ms
        while not self._closed:
            await asyncio.sleep(0.01)
            self.play(round((clock() - begun) * 1000 * speed) + before - self.media_ms)

    def _play_one(self) -> None:
        found = next(iter(self._waiting()), None)
        if found is None:
            return
        if found.heard_ms + 1 <= found.length_ms:
            if found.heard_ms == 0:
                self._tell(SpeechStarted(found.id, self.media_ms))
            found.heard_ms += 1
            self._look(found)
        elif found.ended:
            found.over = True
            self._tell(SpeechEnded(found.id, round(found.length_ms), self.media_ms))

    def _look(self, found: FakeUtterance) -> None:
        """Tells marks that have been heard, and shows cues whose sound leaves."""
        while found.marks and found.marks[0][0] < found.heard_ms + 1:
            _, name = found.marks.pop(0)
            self._tell(MarkHeard(found.id, name, found.heard_ms, self.media_ms))
        while found.cues and found.cues[0][0] < found.heard_ms:
            self.shown.append((found.id, found.cues.pop(0)[1], found.heard_ms - 1))

    def _waiting(self) -> list[FakeUtterance]:
        return [found for found in self.utterances.values() if not found.over]

    def _open(self, utterance: str) -> FakeUtterance | None:
        """None for one that has ended or was interrupted: what comes late for it is ignored."""
        found = self.utterances.get(utterance)
        if found is None:
            raise SpeechRefused("unknown_utterance", f"no utterance is called {utterance!r}")
        return None if found.ended or found.over or self._closed else found

    def _buffered(self, utterance: str) -> float:
        found = self.utterances.get(utterance)
        return 0.0 if found is None or found.over else sum(u.length_ms - u.heard_ms for u in self._waiting())

    def _tell(self, event: ConversationEvent) -> None:
        self.events.append(event)
        for queue in self._subscribers:
            queue.put_nowait(event)


async def until_none(queue: asyncio.Queue[Item | None]) -> AsyncIterator[Item]:
    while (item := await queue.get()) is not None:
        yield item
