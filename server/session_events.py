"""What happens to a session: what `server.session.Session.handle` takes in."""

from dataclasses import dataclass
from typing import Literal

from engine.les import Les
from server.bargein import Verdict
from server.conversation import Activity, ConversationEvent
from server.load import Quality

Reason = Literal["no_offer", "not_connected", "gone", "failed", "deleted", "shutdown"]
Hearing = Literal["none", "live", "stalled"]


@dataclass(frozen=True)
class Offered:
    """A usable offer came; it replaces any earlier connection."""


@dataclass(frozen=True)
class Connected:
    """Media flows."""


@dataclass(frozen=True)
class Lost:
    """Media is gone."""


@dataclass(frozen=True)
class ControlOpened:
    pass


@dataclass(frozen=True)
class ControlClosed:
    pass


@dataclass(frozen=True)
class Received:
    """A message from the control socket; None stands for one that is not text."""

    text: str | None


@dataclass(frozen=True)
class Scheduled:
    """The engine will show the change with this key, the newest, from this frame of its stream on."""

    key: int
    frame: int


@dataclass(frozen=True)
class PictureLeft:
    """A picture with this frame number of the engine's stream left in this slot of the connection."""

    frame: int
    slot: int


@dataclass(frozen=True)
class Heard:
    """How the microphone is doing now."""

    hearing: Hearing


@dataclass(frozen=True)
class UserHeard:
    """The user's voice began or ended, for sure or perhaps."""

    verdict: Verdict
    media_ms: int


@dataclass(frozen=True)
class Said:
    """What became of an utterance."""

    event: ConversationEvent


@dataclass(frozen=True)
class Stuck:
    """Whether the utterance that is being spoken waits for more of its sound."""

    waits: bool


@dataclass(frozen=True)
class CueReached:
    """An utterance's emotion is due."""

    target: Les
    transition_s: float


@dataclass(frozen=True)
class AttendTo:
    """The assistant sets the activity, or gives it back."""

    activity: Activity | None


@dataclass(frozen=True)
class Reported:
    """An assistant has a problem."""

    code: str
    message: str


@dataclass(frozen=True)
class Strained:
    """The machine carries this much for each session now."""

    quality: Quality


@dataclass(frozen=True)
class TimePassed:
    """The deadline came."""


@dataclass(frozen=True)
class Ended:
    reason: Reason


Event = (
    Offered | Connected | Lost | ControlOpened | ControlClosed | Received | Scheduled | PictureLeft | Heard
    | UserHeard | Said | Stuck | CueReached | AttendTo | Reported | Strained | TimePassed | Ended
)  # fmt: skip
