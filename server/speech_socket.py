"""The speech WebSocket of docs/protocol.md: an assistant's sound in, what became of it out.

A frame of bytes is sound; a text frame is a message. A reader that has to wait for room in the buffer waits with
everything behind it: that is the back-pressure.
"""

import asyncio
import json
from collections.abc import AsyncIterator

from fastapi import APIRouter, WebSocket

from engine.les import Les
from server.control import PROTOCOL, authorise, messages, send_all
from server.conversation import ConversationEvent, SpeechEnded, SpeechInterrupted, SpeechRefused
from server.dialogue import Dialogue
from server.live import ENDED, Control
from server.protocol import (
    ActivitySet,
    Error,
    Ping,
    Pong,
    Refused,
    SpeechInterrupt,
    SpeechPause,
    SpeechResume,
    message_of,
)
from server.sound_format import rate_in
from server.speech_protocol import (
    LIVEAVATAR_RATE,
    AgentInterrupt,
    AgentSpeak,
    AgentSpeakEnd,
    AgentStartListening,
    AgentStopListening,
    Foreign,
    ForeignTeller,
    SessionKeepAlive,
    SpeechBegin,
    SpeechCommand,
    SpeechCue,
    SpeechEnd,
    SpeechMark,
    parse_speech,
    sound_of,
)
from server.targets import sum_of

router = APIRouter()
DEFAULT_RATE = 24_000


@router.websocket("/v1/sessions/{id}/speech")
async def speech(socket: WebSocket, id: str) -> None:
    offered: list[str] = socket.scope.get("subprotocols", [])
    await socket.accept(subprotocol=PROTOCOL if PROTOCOL in offered else None)
    found = authorise(socket, id, offered)
    if isinstance(found, int):
        await socket.close(found)
        return
    outgoing = Control()
    pusher = Pusher(found.conversation, outgoing, rate_of(socket))
    with found.conversation.subscribe() as events:
        tasks = [asyncio.create_task(send_all(socket, outgoing)), asyncio.create_task(pusher.tell(events))]
        try:
            async for message in messages(socket, found.pace, outgoing):
                sound, text = message.get("bytes"), message.get("text")
                if sound is not None:
                    await pusher.hear(sound)
                elif text is not None:
                    await pusher.read(text)
        finally:
            pusher.leave()
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)


def rate_of(socket: WebSocket) -> int:
    """Of sound that no `speech.begin` announces; 0 is refused when it comes."""
    return rate_in(socket.query_params.get("rate", str(DEFAULT_RATE)))


class Pusher:
    """One speech socket's side of the conversation."""

    def __init__(self, conversation: Dialogue, outgoing: Control, rate: int) -> None:
        self._conversation, self._outgoing, self._rate = conversation, outgoing, rate
        self._current: str | None = None
        """The utterance that sound belongs to now."""
        self._mine: set[str] = set()
        """Begun here, not ended and not over."""
        self._foreign = False
        """Whether the client speaks LiveAvatar's language."""
        self._teller = ForeignTeller(conversation.activity)
        self._put(type="session.state_updated", state="connected")

    async def hear(self, sound: bytes) -> None:
        try:
            await self._append(sound, self._rate)
        except SpeechRefused as refused:
            self._refuse(refused.code, str(refused))

    async def read(self, text: str) -> None:
        id = None
        try:
            command = parse_speech(text)
            id = None if isinstance(command, Foreign) else command.id
            await self._obey(command)
        except Refused as refused:
            self._refuse(refused.code, refused.message, refused.id)
        except SpeechRefused as refused:
            self._refuse(refused.code, str(refused), id)

    async def tell(self, events: AsyncIterator[ConversationEvent]) -> None:
        async for event in events:
            if isinstance(event, SpeechEnded | SpeechInterrupted):
                self._mine.discard(event.utterance)
            self._outgoing.put(message_of(event))
            for message in self._teller.tell(event):
                if self._foreign:
                    self._put(**message)
        self._outgoing.close(ENDED)

    def leave(self) -> None:
        """The client is gone: what it sent is still spoken."""
        for utterance in self._mine:
            self._conversation.end(utterance)

    async def _append(self, sound: bytes, rate: int, utterance: str | None = None) -> None:
        if self._current is None:
            self._begin(utterance, rate)
        assert self._current
        current = self._current
        self._conversation.append(current, sound)
        await self._conversation.room(current)

    def _begin(self, utterance: str | None, rate: int) -> None:
        self._current = self._conversation.begin(utterance, rate=rate)
        self._mine.add(self._current)

    def _end(self, utterance: str | None) -> None:
        utterance = self._named(utterance)
        if utterance == self._current:
            self._current = None
        self._mine.discard(utterance)
        self._conversation.end(utterance)

    def _named(self, utterance: str | None) -> str:
        """This utterance, or the one that is open."""
        found = utterance or self._current
        if found is None:
            raise SpeechRefused("no_utterance", "no utterance is open; begin one, or name it")
        return found

    async def _obey(self, command: SpeechCommand) -> None:
        match command:
            case SpeechBegin(utterance=utterance, rate=rate):
                self._begin(utterance, self._rate if rate is None else rate)
            case SpeechEnd(utterance=utterance):
                self._end(utterance)
            case SpeechMark(utterance=utterance, name=name):
                self._conversation.mark(self._named(utterance), name)
            case SpeechCue(utterance=utterance):
                emotion = sum_of(Les(), command.emotion or {}, command.units or {})
                self._conversation.cue(self._named(utterance), emotion, transition_s=command.transition_ms / 1000)
            case SpeechInterrupt(utterance=utterance):
                self._interrupt(utterance)
            case SpeechPause():
                self._conversation.pause()
            case SpeechResume():
                self._conversation.resume()
            case ActivitySet(activity=activity):
                self._conversation.attend(activity)
            case Ping():
                self._outgoing.put(Pong(id=command.id))
            case _:
                self._foreign = True
                await self._obey_foreign(command)

    def _interrupt(self, utterance: str | None) -> None:
        """What the client sends from now on is new; after an interruption from elsewhere the rest is still to come."""
        if utterance in (None, self._current):
            self._current = None
        self._conversation.interrupt(utterance)

    async def _obey_foreign(self, command: Foreign) -> None:
        match command:
            case AgentSpeak():
                await self._append(sound_of(command), LIVEAVATAR_RATE, command.event_id)
                self._put(type="agent.audio_buffer_appended", event_id=command.event_id)
            case AgentSpeakEnd():
                self._end(None)
                self._put(type="agent.audio_buffer_committed", event_id=command.event_id)
            case AgentInterrupt():
                self._interrupt(None)
                self._put(type="agent.audio_buffer_cleared", event_id=command.event_id)
            case AgentStartListening():
                self._conversation.attend("listening")
            case AgentStopListening():
                self._conversation.attend(None)
            case SessionKeepAlive():
                pass

    def _refuse(self, code: str, message: str, id: str | int | None = None) -> None:
        self._outgoing.put(Error(code=code, message=message, id=id))

    def _put(self, **message: object) -> None:
        self._outgoing.put_text(json.dumps(message, separators=(",", ":")))
