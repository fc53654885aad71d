"""One session's rules, pure: an event and the time go in, actions come out. No clock, no task, no socket.

It knows what the face is asked to show, which requests await their first frame, whether media and control are there,
when to give up, and what an assistant's portrait is about: who speaks (`floor`), and what the user's voice does to
that. Frames of the engine's stream and slots of the connection are told apart: a stream outlives connections.
"""

from dataclasses import dataclass, field
from typing import Literal

from engine.les import Les
from server.bargein import Verdict
from server.conversation import Attended, SessionEnded, Troubled, UserSpoke
from server.floor import Floor
from server.load import Quality
from server.protocol import (
    ActivitySet,
    Applied,
    Command,
    Degraded,
    EmotionReset,
    EmotionSet,
    Error,
    MotionSet,
    Ping,
    Pong,
    Refused,
    Source,
    SpeechInterrupt,
    SpeechPause,
    SpeechResume,
    State,
    StateGet,
    parse_command,
)
from server.session_actions import (
    Action,
    Announce,
    Assist,
    Behave,
    Close,
    Draw,
    Ease,
    Interrupt,
    Move,
    Pause,
    Resume,
    Send,
)
from server.session_events import (
    AttendTo,
    Connected,
    ControlClosed,
    ControlOpened,
    CueReached,
    Ended,
    Event,
    Heard,
    Hearing,
    Lost,
    Offered,
    PictureLeft,
    Reason,
    Received,
    Reported,
    Said,
    Scheduled,
    Strained,
    Stuck,
    TimePassed,
    UserHeard,
)
from server.targets import sum_of
from server.timeline import media_ms

FIRST_OFFER_S = 30.0
CONNECT_S = 30.0
GRACE_S = 15.0  # without media and without control
LOST_S = 120.0  # without media, while control is there
MAX_PENDING = 500  # acknowledgements that are owed, and all come with one frame: less than a control socket's outbox

Status = Literal["waiting", "connecting", "live", "lost"]


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
    source: Source = "microphone"
    barge_in: bool = True
    """Whether the user's voice interrupts."""
    status: Status = "waiting"
    closed: bool = False
    _motion: dict[str, float] = field(default_factory=lambda: {"head": 1.0, "gaze": 1.0, "blink": 1.0})
    _hearing: Hearing = "none"
    _control: bool = False
    _assisted: bool = False
    _pending: dict[int, Pending] = field(default_factory=dict)
    _next_key: int = 0
    _asked: bool = False
    """Whether the engine has yet to tell from which frame on it will show a change."""
    _newest: Ease | None = None
    """What it is asked next: of several that came meanwhile the last."""
    _after_hold: Return | None = None
    _set: Les = field(init=False)
    """What the control socket asked for last, to stay: a face whose words have no feeling any more goes back to it."""
    _give_up: tuple[float, Reason] | None = None
    _floor: Floor = field(default_factory=Floor)
    _behaviour: Behave = Behave("idle", False)
    _quality: Quality = Quality()

    def __post_init__(self) -> None:
        self._set = self.target
        self._give_up = (self.created + FIRST_OFFER_S, "no_offer")

    @property
    def deadline(self) -> float | None:
        """When `TimePassed` is due."""
        give_up = self._give_up[0] if self._give_up else None
        back = self._after_hold.at if self._after_hold else None
        turn = None if self.source == "microphone" else self._floor.deadline
        return min((at for at in (give_up, back, turn) if at is not None), default=None)

    def handle(self, event: Event, now: float) -> list[Action]:
        if self.closed:
            return []
        match event:
            case Offered():
                return self._become("connecting", (now + CONNECT_S, "not_connected"))
            case Connected():
                return [*self._become("live", None), *self._greet(now)]
            case Lost():
                self._floor.left()
                return [
                    *self._hold(False),
                    *self._become("lost", (now + (LOST_S if self._control else GRACE_S), "gone")),
                ]
            case ControlOpened():
                return self._control_opened(now)
            case ControlClosed():
                return self._control_closed(now)
            case Received(text):
                return self._received(text, now)
            case Scheduled(key, frame):
                return self._scheduled(key, frame)
            case PictureLeft(frame, slot):
                return self._acknowledge(frame, slot)
            case Heard(hearing):
                changed, self._hearing = hearing != self._hearing, hearing
                return [self._state()] if changed else []
            case UserHeard(verdict, at):
                return self._user_heard(verdict, at, now)
            case Said(said):
                self._floor.said(said, now)
                return [Announce(said), *self._behave(now)]
            case Stuck(waits):
                self._floor.waits = waits
                return self._behave(now)
            case CueReached(target, transition_s):
                self._after_hold = None
                return [*self._ease(None, self._set if target == Les() else target, transition_s), self._state()]
            case AttendTo(activity):
                self._floor.attend(activity, now)
                return self._behave(now)
            case Reported(code, message):
                return [Announce(Troubled(code, message))]
            case Strained(quality):
                self._quality = quality
                return [Draw(quality.fps, quality.side(self.size)), self._degraded()]
            case TimePassed():
                return self._time_passed(now)
            case Ended(reason):
                return self._close(reason)

    def _become(self, status: Status, give_up: tuple[float, Reason] | None) -> list[Action]:
        self.status, self._give_up = status, give_up
        return [self._state()]

    def _greet(self, now: float) -> list[Action]:
        """Somebody is there: the portrait turns to them, and the assistant may speak."""
        self._floor.arrived(now)
        first, self._assisted = self.source == "assistant" and not self._assisted, True
        return [*self._behave(now), *([Assist()] if first else [])]

    def _control_opened(self, now: float) -> list[Action]:
        self._control = True
        if self.status == "lost":
            self._give_up = (now + LOST_S, "gone")
        return [self._state(), *([] if self._quality == Quality() else [self._degraded()])]

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
                return self._change(command.id, target, command.transition_ms / 1000, hold_s, now)
            case EmotionReset():
                return self._change(command.id, Les(), command.transition_ms / 1000, None, now)
            case SpeechInterrupt() | SpeechPause() | SpeechResume() | ActivitySet():
                return self._steer(command, now)
            case MotionSet():
                wanted = {"head": command.head, "gaze": command.gaze, "blink": command.blink}
                self._motion |= {name: amount for name, amount in wanted.items() if amount is not None}
                return [Move(dict(self._motion)), self._state(command.id)]
            case StateGet():
                return [self._state(command.id)]
            case Ping():
                return [Send(Pong(id=command.id))]

    def _change(
        self, id: str | int | None, target: Les, transition_s: float, hold_s: float | None, now: float
    ) -> list[Action]:
        """As the newest it is always made; if that leaves too many to be told of, the oldest is not told."""
        resting = self._after_hold.target if self._after_hold else self.target
        self._after_hold = None if hold_s is None else Return(now + transition_s + hold_s, resting, transition_s)
        self._set = target if hold_s is None else self._set
        key, self._next_key = self._next_key, self._next_key + 1
        self._pending[key] = Pending(id)
        ease = self._ease(key, target, transition_s)
        if len(self._pending) <= MAX_PENDING:
            return ease
        oldest = self._pending.pop(next(iter(self._pending)))
        told = f"more than {MAX_PENDING} changes await their first frame; this, the oldest, will not be acknowledged"
        return [*ease, Send(Error(code="busy", message=told, id=oldest.id))]

    def _ease(self, key: int | None, target: Les, transition_s: float) -> list[Action]:
        self.target = target
        if self._asked:
            self._newest = Ease(self._next_key - 1, target, transition_s)
            return []
        self._asked = key is not None
        return [Ease(key, target, transition_s)]

    def _scheduled(self, key: int, frame: int) -> list[Action]:
        """Earlier changes that were never asked for are part of this one."""
        for earlier, pending in self._pending.items():
            if earlier <= key and pending.frame is None:
                pending.frame = frame
        newest, self._newest = self._newest, None
        self._asked = newest is not None
        return [newest] if newest else []

    def _steer(self, command: SpeechInterrupt | SpeechPause | SpeechResume | ActivitySet, now: float) -> list[Action]:
        if self.source == "microphone":
            raise Refused("wrong_source", "this portrait speaks with the caller's own voice", command.id)
        match command:
            case SpeechInterrupt(utterance=utterance):
                return [Interrupt(utterance)]
            case SpeechPause():
                return [Pause()]
            case SpeechResume():
                return [Resume()]
            case ActivitySet(activity=activity):
                self._floor.attend(activity, now)
                return self._behave(now)

    def _user_heard(self, verdict: Verdict, at: int, now: float) -> list[Action]:
        """A voice that may be the user's holds the speech; one that is interrupts it; a false alarm lets it go on."""
        if verdict in (Verdict.STARTED, Verdict.DISMISSED):
            return self._hold(verdict is Verdict.STARTED)
        active = verdict is Verdict.CONFIRMED
        self._floor.user(active, now)
        interrupts = active and (self._floor.held or self._yields)
        self._floor.held = False
        cut: list[Action] = [Interrupt(None)] if interrupts else []
        return [*cut, Announce(UserSpoke(active, at)), *self._behave(now)]

    def _hold(self, held: bool) -> list[Action]:
        before, self._floor.held = self._floor.held, held and self._yields
        if self._floor.held == before:
            return []
        return [Pause() if held else Resume()]

    @property
    def _yields(self) -> bool:
        """Whether there is speech that the user's voice stops."""
        return self.barge_in and self.source != "microphone" and bool(self._floor.sounding)

    def _behave(self, now: float) -> list[Action]:
        if self.source == "microphone":
            return []
        before, self._behaviour = self._behaviour, self._floor.turn(now)
        behave: list[Action] = [self._behaviour] if self._behaviour != before else []
        turned = self._behaviour.activity != before.activity
        return [*behave, *([Announce(Attended(self._behaviour.activity))] if turned else [])]

    def _acknowledge(self, frame: int, slot: int) -> list[Action]:
        shown = [key for key, p in self._pending.items() if p.frame is not None and p.frame <= frame]
        at = media_ms(slot)
        return [Send(Applied(id=self._pending.pop(key).id, media_ms=at, frame=slot)) for key in shown]

    def _time_passed(self, now: float) -> list[Action]:
        if self._give_up and now >= self._give_up[0]:
            return self._close(self._give_up[1])
        if self._after_hold and now >= self._after_hold.at:
            back, self._after_hold = self._after_hold, None
            return [*self._ease(None, back.target, back.transition_s), self._state()]
        return self._behave(now)

    def _close(self, reason: Reason) -> list[Action]:
        self.closed = True
        failed = [Send(Error(code="failed", message="this session's engine stream failed; start a new session"))]
        return [*(failed if reason == "failed" else []), Announce(SessionEnded(reason)), Close(reason)]

    def _degraded(self) -> Send:
        return Send(Degraded(fps=self._quality.fps, size=self._quality.side(self.size)))

    def _state(self, id: str | int | None = None) -> Send:
        return Send(
            State(
                id=id, status=self.status, portrait=self.portrait, size=self.size, microphone=self._hearing,
                units=self.target.units(), motion=dict(self._motion),
            )
        )  # fmt: skip
