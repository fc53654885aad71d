"""An assistant made of three slots: hears the user's turn to its end, replies, and yields as soon as the user speaks.

A pause in the middle of a thought ends no turn: when the user goes on before a word of the answer was heard, the answer
is dropped and the turn continues with all that was said. The history holds what was heard, on both sides.
"""

import asyncio
import itertools
import logging
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

from engine.les import Les
from server.assistants.answer import Answer
from server.assistants.slots import HEARING_RATE, Listening, Message, SlotFailure, Slots
from server.conversation import (
    Conversation,
    ConversationEvent,
    SpeechEnded,
    SpeechInterrupted,
    SpeechRefused,
    SpeechStarted,
    UserSpoke,
)
from server.side_by_side import until_first

log = logging.getLogger(__name__)

BEFORE = 20  # pieces of 40 ms heard before it is sure that the user speaks
MAX_TURN = 60 * HEARING_RATE * 2  # bytes of a turn's sound; what follows is not heard
MAX_HISTORY = 40  # messages


class TurnTaker:
    """`server.conversation.Assistant`."""

    def __init__(self, slots: Slots) -> None:
        self._slots = slots

    async def converse(self, conversation: Conversation) -> None:
        talk = Talk(conversation, self._slots)
        with conversation.subscribe() as events, conversation.listen(HEARING_RATE) as microphone:
            talk.open()
            try:
                await until_first(talk.hear(microphone), talk.follow(events))
            finally:
                await talk.close()
                await self._slots.close()


@dataclass
class Turn:
    """What the user says until an answer to it is heard."""

    id: str
    listening: Listening
    pcm: bytearray = field(default_factory=bytearray)
    open: bool = True
    text: str = ""

    def feed(self, pcm: bytes) -> None:
        if self.open and len(self.pcm) < MAX_TURN:
            self.pcm += pcm
            self.listening.feed(pcm)


class Talk:
    """One conversation."""

    def __init__(self, conversation: Conversation, slots: Slots) -> None:
        self._conversation, self._slots = conversation, slots
        self._recent: deque[bytes] = deque(maxlen=BEFORE)
        self._history: deque[Message] = deque(maxlen=MAX_HISTORY)
        self._turn: Turn | None = None
        self._answer: Answer | None = None
        self._answering: asyncio.Task[None] | None = None
        self._mood = Les()
        self._numbers = itertools.count(1)

    def open(self) -> None:
        """The assistant may have the first word."""
        self._answering = asyncio.create_task(self._reply(None))

    async def close(self) -> None:
        answering = self._answering
        self._drop_answer()
        if answering:
            await asyncio.wait([answering])
        if self._turn:
            self._turn.listening.drop()

    async def hear(self, microphone: AsyncIterator[bytes]) -> None:
        async for pcm in microphone:
            self._recent.append(pcm)
            if self._turn:
                self._turn.feed(pcm)

    async def follow(self, events: AsyncIterator[ConversationEvent]) -> None:
        async for event in events:
            if isinstance(event, UserSpoke):
                self._user_begins() if event.active else self._user_ends()
            elif self._answer and self._answer.follow(event):
                self._remember(event)

    def _user_begins(self) -> None:
        if self._answer and self._answer.sounding:
            return  # a session whose user may interrupt has done so by now; this one lets the portrait finish
        self._drop_answer()
        before, listening = self._turn, self._slots.hear.listen()
        if before is None:
            self._turn = Turn(f"user{next(self._numbers)}", listening)
        else:
            before.listening.drop()
            self._turn = Turn(before.id, listening)
            self._turn.feed(bytes(before.pcm))
        self._turn.feed(b"".join(self._recent))

    def _user_ends(self) -> None:
        self._recent.clear()  # what was said in this turn is no beginning of the next
        if self._turn:
            self._turn.open = False
            self._conversation.attend("thinking")
            self._answering = asyncio.create_task(self._reply(self._turn))

    def _drop_answer(self) -> None:
        """What the user has not heard yet is never said."""
        if self._answering:
            self._answering.cancel()
            self._answering = None
        if self._answer and self._answer.utterance:
            self._conversation.interrupt(self._answer.utterance)

    async def _reply(self, turn: Turn | None) -> None:
        try:
            await self._answer_to(turn)
        except (SlotFailure, SpeechRefused) as failure:
            log.warning("%s: %s", failure.code, failure)
            self._give_up(failure.code, str(failure))
        except Exception:  # the root of an answer: the next one may be better
            log.exception("an answer failed")
            self._give_up("assistant_failed", "the assistant could not answer; the server's log says why")

    async def _answer_to(self, turn: Turn | None) -> None:
        if turn:
            turn.text = await turn.listening.text()
            if not turn.text:
                return self._let_go()
            self._conversation.caption("user", turn.id, turn.text)
        asked = [*self._history, *([Message("user", turn.text)] if turn else [])]
        answer = self._answer = Answer(self._conversation, self._slots.speak, self._mood)
        await answer.say(self._slots.reply.reply(asked))
        if answer.utterance is None and turn:
            self._note(turn)
            self._let_go()

    def _let_go(self) -> None:
        """Nothing is said to this turn."""
        self._turn = None
        self._conversation.attend(None)

    def _give_up(self, code: str, problem: str) -> None:
        self._conversation.report(code, problem)
        self._let_go()

    def _remember(self, event: ConversationEvent) -> None:
        """From the first word of its answer on the user's turn is history."""
        assert self._answer
        match event:
            case SpeechStarted() if self._turn and not self._turn.open:
                self._note(self._turn)
                self._turn = None
            case SpeechEnded() | SpeechInterrupted():
                if self._answer.heard:
                    self._history.append(Message("assistant", self._answer.heard))
                self._mood = self._answer.mood
                self._answer = None

    def _note(self, turn: Turn) -> None:
        self._history.append(Message("user", turn.text))
