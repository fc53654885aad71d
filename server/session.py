"""One session's rules, pure: an event and the time go in, actions come out. No clock, no task, no socket.

It knows what the face is asked to show, which requests await their first frame, whether media and control are there,
and when to give up. Frames of the engine's stream and slots of the connection are told apart: a stream outlives
connections.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from engine.les import Les
from server.protocol import (
    Applied,
    Closed,
    Command,
    EmotionReset,
    EmotionSet,
    Error,
    Message,
    MotionSet,
    Ping,
    Pong,
    Refused,
    Speech,
    State,
    StateGet,
    parse_command,
)
from server.targets import sum_of
from server.timeline import media_ms

FIRST_OFFER_S = 30.0
CONNECT_S = 30.0
GRACE_S = 15.0  # without media and without control
LOST_S = 120.0  # without media, while control is there
MAX_PENDING = 64

Status = Literal["waiting", "connecting", "live", "lost"]
Reason = Literal["no_offer", "not_connected", "gone", "failed", "deleted", "shutdown"]
Hearing = Literal["none", "live", "stalled"]


# ---- events


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
    """The engine will show the change with this key from this frame of its stream on."""

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
class SpeechChanged:
    active: bool
    media_ms: int


@dataclass(frozen=True)
class TimePassed:
    """The deadline came."""


@dataclass(frozen=True)
class Ended:
    reason: Reason


Event = (
    Offered | Connected | Lost | ControlOpened | ControlClosed | Received | Scheduled | PictureLeft | Heard
    | SpeechChanged | TimePassed | Ended
)  # fmt: skip


# ---- actions


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
class Close:
    """Free everything; nothing follows."""

    reason: Reason


Action = Send | Ease | Move | Close


@dataclass
class Pending:
    """A change that no frame has shown yet."""

    id: str | int | None
    frame: int | None = None


@dataclass(frozen=True)
class Return:
    """After a hold the face eases back."""

    at: float
    target: Les
    transition_s: float


@dataclass
class Session:
    portrait: str
    size: int
    created: float
    target: Les = field(default_factory=Les)
    status: Status = "waiting"
    closed: bool = False
    _motion: dict[str, float] = field(default_factory=lambda: {"head": 1.0, "gaze": 1.0, "blink": 1.0})
    _hearing: Hearing = "none"
    _control: bool = False
    _pending: dict[int, Pending] = field(default_factory=dict)
    _next_key: int = 0
    _after_hold: Return | None = None
    _give_up: tuple[float, Reason] | None = None

    def __post_init__(self) -> None:
        self._give_up = (self.created + FIRST_OFFER_S, "no_offer")

    @property
    def deadline(self) -> float | None:
        """When `TimePassed` is due."""
        times = [self._give_up[0]] if self._give_up else []
        return min(times + [self._after_hold.at] if self._after_hold else times, default=None)

    def handle(self, event: Event, now: float) -> list[Action]:
        if self.closed:
            return []
        match event:
            case Offered():
                return self._become("connecting", (now + CONNECT_S, "not_connected"))
            case Connected():
                return self._become("live", None)
            case Lost():
                return self._become("lost", (now + (LOST_S if self._control else GRACE_S), "gone"))
            case ControlOpened():
                return self._control_opened(now)
            case ControlClosed():
                return self._control_closed(now)
            case Received(text):
                return self._received(text, now)
            case Scheduled(key, frame):
                self._pending[key].frame = frame
                return []
            case PictureLeft(frame, slot):
                return self._acknowledge(frame, slot)
            case Heard(hearing):
                changed, self._hearing = hearing != self._hearing, hearing
                return [self._state()] if changed else []
            case SpeechChanged(active, at):
                return [Send(Speech(active=active, media_ms=at))]
            case TimePassed():
                return self._time_passed(now)
            case Ended(reason):
                return self._close(reason)

    def _become(self, status: Status, give_up: tuple[float, Reason] | None) -> list[Action]:
        self.status, self._give_up = status, give_up
        return [self._state()]

    def _control_opened(self, now: float) -> list[Action]:
        self._control = True
        if self.status == "lost":
            self._give_up = (now + LOST_S, "gone")
        return [self._state()]

    def _control_closed(self, now: float) -> list[Action]:
        self._control = False
        if self.status == "lost":
            self._give_up = (now + GRACE_S, "gone")
        return []

    def _received(self, text: str | None, now: float) -> list[Action]:
        try:
            if text is None:
                raise Refused("malformed", "messages are text, not binary")
            return self._obey(parse_command(text), now)
        except Refused as refused:
            return [Send(Error(code=refused.code, message=refused.message, id=refused.id))]

    def _obey(self, command: Command, now: float) -> list[Action]:
        match command:
            case EmotionSet():
                base = self.target if command.mode == "add" else Les()
                hold_s = None if command.hold_ms is None else command.hold_ms / 1000
                target = sum_of(base, command.emotion or {}, command.units or {})
                return self._ease(command.id, target, command.transition_ms / 1000, hold_s, now)
            case EmotionReset():
                return self._ease(command.id, Les(), command.transition_ms / 1000, None, now)
            case MotionSet():
                wanted = {"head": command.head, "gaze": command.gaze, "blink": command.blink}
                self._motion |= {name: amount for name, amount in wanted.items() if amount is not None}
                return [Move(dict(self._motion)), self._state(command.id)]
            case StateGet():
                return [self._state(command.id)]
            case Ping():
                return [Send(Pong(id=command.id))]

    def _ease(
        self, id: str | int | None, target: Les, transition_s: float, hold_s: float | None, now: float
    ) -> list[Action]:
        if len(self._pending) >= MAX_PENDING:
            raise Refused("busy", "wait until earlier changes are applied", id)
        resting = self._after_hold.target if self._after_hold else self.target
        self._after_hold = None if hold_s is None else Return(now + transition_s + hold_s, resting, transition_s)
        self.target = target
        key, self._next_key = self._next_key, self._next_key + 1
        self._pending[key] = Pending(id)
        return [Ease(key, target, transition_s)]

    def _acknowledge(self, frame: int, slot: int) -> list[Action]:
        shown = [key for key, p in self._pending.items() if p.frame is not None and p.frame <= frame]
        at = media_ms(slot)
        return [Send(Applied(id=self._pending.pop(key).id, media_ms=at, frame=slot)) for key in shown]

    def _time_passed(self, now: float) -> list[Action]:
        if self._give_up and now >= self._give_up[0]:
            return self._close(self._give_up[1])
        if self._after_hold and now >= self._after_hold.at:
            back, self._after_hold = self._after_hold, None
            self.target = back.target
            return [Ease(None, back.target, back.transition_s), self._state()]
        return []

    def _close(self, reason: Reason) -> list[Action]:
        self.closed = True
        failed = [Send(Error(code="failed", message="this session's engine stream failed; start a new session"))]
        return [*(failed if reason == "failed" else []), Send(Closed(reason=reason)), Close(reason)]

    def _state(self, id: str | int | None = None) -> Send:
        return Send(
            State(
                id=id, status=self.status, portrait=self.portrait, size=self.size, microphone=self._hearing,
                units=self.target.units(), motion=dict(self._motion),
            )
        )  # fmt: skip
