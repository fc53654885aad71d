"""What an assistant sees of a session: it speaks, marks and interrupts, hears the user, and is told what was *heard*.

Every way in (the speech socket, an assistant of our own, a foreign protocol) goes through `Conversation`; none knows
queues, slots or WebRTC. All of it belongs to the event loop. Positions are playback positions: milliseconds of an
utterance that have left the server as sound, not what was received or buffered.
"""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Literal, Protocol

from engine.les import Les

Activity = Literal["idle", "listening", "thinking", "speaking"]
Speaker = Literal["user", "assistant"]


@dataclass(frozen=True)
class SpeechStarted:
    """The first sound of an utterance left."""

    utterance: str
    media_ms: int


@dataclass(frozen=True)
class SpeechEnded:
    """The last sound of an ended utterance left."""

    utterance: str
    playback_ms: int
    media_ms: int


@dataclass(frozen=True)
class SpeechInterrupted:
    """The rest of an utterance was dropped; one that had not begun has `playback_ms` 0."""

    utterance: str
    playback_ms: int
    media_ms: int


@dataclass(frozen=True)
class MarkHeard:
    """The sound before a mark has left. Marks of a dropped rest are never heard."""

    utterance: str
    name: str
    playback_ms: int
    media_ms: int


@dataclass(frozen=True)
class UserSpoke:
    """The user began (`active`) or stopped to speak."""

    active: bool
    media_ms: int


@dataclass(frozen=True)
class Attended:
    """The avatar's activity changed."""

    activity: Activity


@dataclass(frozen=True)
class Captioned:
    """Words as they are heard; a later caption with the same `id` takes the place of the earlier ones."""

    speaker: Speaker
    id: str
    text: str
    final: bool
    """No other caption with this `id` follows."""


@dataclass(frozen=True)
class Troubled:
    """Something went wrong and the call goes on: `code` for programs, the message for people."""

    code: str
    message: str


@dataclass(frozen=True)
class SessionEnded:
    """Nothing follows."""

    reason: str


ConversationEvent = (
    SpeechStarted | SpeechEnded | SpeechInterrupted | MarkHeard | UserSpoke | Attended | Captioned | Troubled
    | SessionEnded
)  # fmt: skip


class SpeechRefused(Exception):
    """A call of `Conversation` that can't be obeyed: `code` for programs, the message for people."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class Conversation(Protocol):
    """One session, as an assistant sees it. Utterances are spoken in the order of their beginning."""

    def begin(self, utterance: str | None = None, *, rate: int = 24_000) -> str:
        """Opens an utterance of mono PCM16 at `rate` Hz (8000 to 48000); returns its id (a new one unless given)."""

    def append(self, utterance: str, pcm: bytes) -> None:
        """More sound, in pieces of any length; an odd byte is kept for the next piece."""

    def mark(self, utterance: str, name: str) -> None:
        """`MarkHeard` follows when all sound appended so far has been heard."""

    def cue(self, utterance: str, emotion: Les, *, transition_s: float = 0.3) -> None:
        """The face eases to `emotion` when what is appended next is heard."""

    def end(self, utterance: str) -> None:
        """No more sound will be appended."""

    def interrupt(self, utterance: str | None = None) -> None:
        """Drops the rest of one utterance, or of all; `SpeechInterrupted` follows for each that had not ended."""

    def pause(self) -> None:
        """Holds speech where it is (the mouth closes) until `resume` or `interrupt`: for a false alarm."""

    def resume(self) -> None: ...

    def attend(self, activity: Activity | None) -> None:
        """Sets the behaviour between utterances; None gives it back to the session, which tells from what happens."""

    async def room(self, utterance: str) -> None:
        """Waits until the buffer takes more: back-pressure for sound that comes faster than it is spoken."""

    def subscribe(self) -> AbstractContextManager[AsyncIterator[ConversationEvent]]:
        """Events from now on; the iterator ends after `SessionEnded`."""

    def listen(self, rate: int = 16_000) -> AbstractContextManager[AsyncIterator[bytes]]:
        """The user's sound from now on as mono PCM16 at `rate`, 40 ms a piece; silence where none comes."""

    def caption(self, speaker: Speaker, id: str, text: str, *, final: bool = True) -> None:
        """Tells all that follow the session what was said: see `Captioned`."""

    def report(self, code: str, message: str) -> None:
        """Tells everybody in the session of a problem (`Troubled`, an `error` event); the call goes on."""


class Assistant(Protocol):
    """Who leads a conversation on the portrait's side."""

    async def converse(self, conversation: Conversation) -> None:
        """Until the session ends. What it raises is told to the session, which then begins anew with another one."""
