"""A session's speech: what assistants say goes through here to the portrait, and what comes of it goes back to them.

Implements `server.conversation.Conversation`. Lives as long as the session; the call in which it is heard may change.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Collection, Iterator
from contextlib import contextmanager
from typing import Generic, Protocol, TypeVar

import numpy as np

from engine.les import Les
from engine.units import FPS, MAX_LOOK_AHEAD
from server import session_events as events
from server.conversation import Activity, Attended, Captioned, ConversationEvent, SessionEnded, Speaker, SpeechRefused
from server.line import Packet
from server.microphone import Decimator, Samples
from server.playout import Playout, Slot
from server.timeline import AUDIO_RATE

LATE = FPS // 2  # slots for which an utterance may lack sound and still be said to be spoken
STALLED_S = 15  # an utterance whose sound has not come for that long is ended
MAX_EVENTS = 1000  # that a subscriber has not fetched; the oldest go first when there are more
MAX_PIECES = 5 * FPS  # of the user's sound, likewise
MAX_CAPTION = 10_000  # characters: nobody says more at once
T = TypeVar("T")


class Stage(Protocol):
    """The session around it."""

    def feed(self, event: events.Event) -> None: ...

    def cut(self, utterances: Collection[str], sounding: bool) -> dict[str, int]:
        """Silences these from their first sample that has not left; the mouth shuts if they were sounding.

        Returns how many samples of each utterance will still leave.
        """


class Outbox(Generic[T]):
    """A bounded queue that ends: of what is not fetched in time the oldest is lost."""

    def __init__(self, most: int) -> None:
        self._items: deque[T] = deque(maxlen=most)
        self._more = asyncio.Event()
        self._ended = False

    def put(self, item: T) -> None:
        self._items.append(item)
        self._more.set()

    def end(self) -> None:
        self._ended = True
        self._more.set()

    async def __aiter__(self) -> AsyncIterator[T]:
        while True:
            while self._items:
                yield self._items.popleft()
            if self._ended:
                return
            self._more.clear()
            await self._more.wait()


class Listener:
    """Whoever hears the user, at a rate of its own."""

    RATES = (8_000, 12_000, 16_000, 24_000, 48_000)

    def __init__(self, rate: int) -> None:
        if rate not in self.RATES:
            raise SpeechRefused("unsupported_rate", f"the rate must be one of {', '.join(map(str, self.RATES))}")
        self.pieces: Outbox[bytes] = Outbox(MAX_PIECES)
        self._decimate = Decimator(AUDIO_RATE // rate)

    def hear(self, slot: Samples) -> None:
        pcm = (np.clip(self._decimate(slot), -1, 1) * 32767).astype("<i2")
        self.pieces.put(pcm.tobytes())


class Dialogue:
    def __init__(self, stage: Stage, speaks: bool) -> None:
        """Unless it `speaks`, the portrait says what the caller says, and there are no utterances."""
        self._stage, self._speaks = stage, speaks
        self.activity: Activity = "idle"
        """What was told last."""
        self._playout = Playout()
        self._subscribers: list[Outbox[ConversationEvent]] = []
        self._listeners: list[Listener] = []
        self._moved = asyncio.Event()
        self._starved = 0
        self._ended = False

    # ---- Conversation

    def begin(self, utterance: str | None = None, *, rate: int = 24_000) -> str:
        if self._ended:
            raise SpeechRefused("session_ended", "the session has ended")
        if not self._speaks:
            raise SpeechRefused("wrong_source", 'the portrait speaks with the caller\'s voice; create it with "push"')
        return self._playout.begin(utterance, rate)

    def append(self, utterance: str, pcm: bytes) -> None:
        self._playout.append(utterance, pcm)

    def mark(self, utterance: str, name: str) -> None:
        self._playout.mark(utterance, name)
        self._tell()

    def cue(self, utterance: str, emotion: Les, *, transition_s: float = 0.3) -> None:
        self._playout.cue(utterance, emotion, transition_s)

    def end(self, utterance: str) -> None:
        if not self._playout.end(utterance):
            self.report("odd_bytes", f"utterance {utterance[:64]!r} ended with half a sample; send 16-bit samples")
        self._tell()

    def interrupt(self, utterance: str | None = None) -> None:
        chosen = self._playout.chosen(utterance)
        self._playout.paused = False
        if chosen:
            self._playout.drop(chosen, self._stage.cut(chosen, self._playout.sounding(chosen)))
            self._tell()

    def pause(self) -> None:
        if not self._playout.paused:
            self._playout.paused = True
            chosen = self._playout.chosen(None)
            self._playout.rewind(self._stage.cut(chosen, self._playout.sounding(chosen)))
            self._tell()

    def resume(self) -> None:
        self._playout.paused = False

    def attend(self, activity: Activity | None) -> None:
        self._stage.feed(events.AttendTo(activity))

    async def room(self, utterance: str) -> None:
        while self._playout.full and utterance in self._playout.ids() and not self._ended:
            self._moved.clear()
            await self._moved.wait()

    @contextmanager
    def subscribe(self) -> Iterator[AsyncIterator[ConversationEvent]]:
        outbox: Outbox[ConversationEvent] = Outbox(MAX_EVENTS)
        self._subscribers.append(outbox)
        if self._ended:
            outbox.end()
        try:
            yield aiter(outbox)
        finally:
            self._subscribers.remove(outbox)

    @contextmanager
    def listen(self, rate: int = 16_000) -> Iterator[AsyncIterator[bytes]]:
        listener = Listener(rate)
        self._listeners.append(listener)
        if self._ended:
            listener.pieces.end()
        try:
            yield aiter(listener.pieces)
        finally:
            self._listeners.remove(listener)

    def caption(self, speaker: Speaker, id: str, text: str, *, final: bool = True) -> None:
        self._stage.feed(events.Said(Captioned(speaker, id, text[:MAX_CAPTION], final)))

    def report(self, code: str, message: str) -> None:
        self._stage.feed(events.Reported(code, message))

    # ---- from the session and its call

    def say(self, heard: Samples) -> Slot:
        """What the portrait says in the slot in which the user was heard."""
        for listener in self._listeners:
            listener.hear(heard)
        if not self._speaks:
            return Slot(heard)
        slot = self._playout.take(MAX_LOOK_AHEAD)
        for cue in slot.cues:
            self._stage.feed(events.CueReached(cue.emotion, cue.transition_s))
        self._watch()
        return slot

    def sound_left(self, packet: Packet, media_ms: int) -> None:
        self._playout.left(packet, media_ms)
        self._tell()

    def line_lost(self) -> None:
        """The call is gone, with all that was taken and had not left."""
        self._playout.rewind({})
        self._tell()

    def announce(self, event: ConversationEvent) -> None:
        for subscriber in self._subscribers:
            subscriber.put(event)
        match event:
            case Attended(activity):
                self.activity = activity
            case SessionEnded():
                self._close()

    def end_all(self) -> None:
        """Whoever appended is gone: what came is still spoken."""
        for utterance in self._playout.open_ids():
            self.end(utterance)

    def _tell(self) -> None:
        for event in self._playout.events():
            self._stage.feed(events.Said(event))
        if not self._playout.full:
            self._moved.set()

    def _watch(self) -> None:
        """Sound that does not come must not keep the portrait waiting for ever."""
        starving = None if self._playout.paused else self._playout.starving
        if starving is None:
            if self._starved >= LATE:
                self._stage.feed(events.Stuck(False))
            self._starved = 0
            return
        self._starved += 1
        if self._starved == LATE:
            self._stage.feed(events.Stuck(True))
        if self._starved >= STALLED_S * FPS:
            self._starved = 0
            self.report("speech_stalled", f"no sound of utterance {starving[:64]!r} came for {STALLED_S} s; it ends")
            self.end(starving)

    def _close(self) -> None:
        self._ended = True
        self._moved.set()
        for subscriber in self._subscribers:
            subscriber.end()
        for listener in self._listeners:
            listener.pieces.end()
