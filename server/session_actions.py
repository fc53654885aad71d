"""What a session wants done: what `server.session.Session.handle` gives out."""

from collections.abc import Mapping
from dataclasses import dataclass

from engine.les import Les
from server.conversation import Activity, ConversationEvent
from server.protocol import Message
from server.session_events import Reason


@dataclass(frozen=True)
class Send:
    """To the control socket, if there is one."""

    message: Message


@dataclass(frozen=True)
class Ease:
    """The face to `target`; answer with `Scheduled(key, ...)` unless the key is None."""

    key: int | None
    target: Les
    transition_s: float


@dataclass(frozen=True)
class Move:
    """How much the portrait moves by itself: `head`, `gaze` and `blink`, each 0 to 1."""

    amounts: Mapping[str, float]


@dataclass(frozen=True)
class Draw:
    """So many pictures a second, of so many pixels a side."""

    fps: int
    size: int


@dataclass(frozen=True)
class Announce:
    """To the assistant, and to every socket."""

    event: ConversationEvent


@dataclass(frozen=True)
class Pause:
    """Hold the speech."""


@dataclass(frozen=True)
class Resume:
    """Go on with it."""


@dataclass(frozen=True)
class Interrupt:
    """Drop the rest of an utterance, or of all."""

    utterance: str | None


@dataclass(frozen=True)
class Behave:
    """How the portrait moves meanwhile."""

    activity: Activity
    addressed: bool
    """Whether the user speaks to it."""


@dataclass(frozen=True)
class Assist:
    """Let the assistant in."""


@dataclass(frozen=True)
class Close:
    """Free everything; nothing follows."""

    reason: Reason


Action = Send | Ease | Move | Draw | Announce | Pause | Resume | Interrupt | Behave | Assist | Close
