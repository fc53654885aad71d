"""The three slots of an assistant: it hears, replies and speaks. Each may be filled from here or from elsewhere.

Sound is mono PCM16. A slot that fails raises `SlotFailure`; whatever else it raises is a fault of ours.
"""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from engine.les import Les

HEARING_RATE = 16_000
"""Samples a second of the user's sound."""


class SlotFailure(Exception):
    """A slot can't do its work now: `code` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True)
class Message:
    """What somebody has said; of the assistant's words those that were heard."""

    role: Literal["user", "assistant"]
    text: str


class Listening(Protocol):
    """One turn of the user's."""

    def feed(self, pcm: bytes) -> None:
        """More of its sound; never waits."""

    async def text(self) -> str:
        """What was said, once the turn is over; empty if nothing was."""

    def drop(self) -> None:
        """Nobody wants to know any more."""


class Slot(Protocol):
    async def close(self) -> None:
        """The conversation is over."""


class Offline:
    """A slot that holds nothing open."""

    async def close(self) -> None: ...


class Hear(Slot, Protocol):
    def listen(self) -> Listening:
        """A new turn begins."""


class Reply(Slot, Protocol):
    def reply(self, history: Sequence[Message]) -> AsyncGenerator[str | Les, None]:
        """Pieces of the answer to the last message as they come; tags of `server.assistants.emotion` may be in them.

        An empty history asks for the first words of the conversation, if any.
        """


class Speak(Slot, Protocol):
    rate: int
    """Of its sound, samples a second."""

    def speak(self, text: str) -> AsyncGenerator[bytes, None]:
        """The sound of a sentence, in pieces of any length."""


@dataclass(frozen=True)
class Slots:
    hear: Hear
    reply: Reply
    speak: Speak

    async def close(self) -> None:
        await asyncio.gather(self.hear.close(), self.reply.close(), self.speak.close())
