"""The messages of docs/protocol.md: one model each, unknown keys are errors. Text in, command or `Refused` out."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, ValidationError

from engine.les import AXES, EMOTIONS
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
    SpeechStarted,
    Troubled,
    UserSpoke,
)

MAX_MESSAGE = 64 * 1024  # bytes
SIZES = (256, 384, 512, 768, 1024)

Source = Literal["microphone", "push", "assistant"]
Id = Annotated[str, StringConstraints(max_length=64)] | int
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Change = Annotated[float, Field(ge=-1, le=1, allow_inf_nan=False)]
Utterance = Annotated[str, StringConstraints(min_length=1, max_length=64)]
Milliseconds = Annotated[float, Field(ge=0, le=10_000, allow_inf_nan=False)]


class Refused(Exception):
    """A message or request that can't be obeyed."""

    def __init__(self, code: str, message: str, id: str | int | None = None) -> None:
        super().__init__(message)
        self.code, self.message, self.id = code, message, id


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# ---- HTTP


class CreateSession(Strict):
    portrait: Annotated[str, StringConstraints(min_length=1, max_length=80)]
    source: Source
    assistant: Annotated[str, StringConstraints(min_length=1, max_length=80)] | None = None
    barge_in: bool = True
    seed: Annotated[int, Field(ge=0, lt=1 << 32)] = 0
    size: Annotated[int, Field(json_schema_extra={"enum": list(SIZES)})] = 512
    emotion: dict[str, Share] = {}
    background: str = "photo"


class BackgroundSet(Strict):
    """`photo`, `blur`, `transparent`, `#rrggbb`, or a picture as a data URL."""

    background: str


class Description(Strict):
    sdp: Annotated[str, StringConstraints(min_length=1)]
    type: Literal["offer"]


class Candidate(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)  # browsers add fields of their own

    candidate: Annotated[str, StringConstraints(max_length=1024)]
    sdpMid: Annotated[str, StringConstraints(max_length=64)] | None = None
    sdpMLineIndex: Annotated[int, Field(ge=0, le=64)] | None = None


class Candidates(Strict):
    candidates: Annotated[list[Candidate], Field(max_length=64)]


# ---- control, in


class Expression(Strict):
    """A point of the Linear Emotion Space, and how long the way there takes."""

    type: str
    id: Id | None = None
    emotion: dict[str, Share] | None = None
    units: dict[str, Change] | None = None
    transition_ms: Milliseconds = 300


class EmotionSet(Expression):
    type: Literal["emotion.set"]
    mode: Literal["replace", "add"] = "replace"
    hold_ms: Annotated[float, Field(ge=0, le=600_000, allow_inf_nan=False)] | None = None


class EmotionReset(Strict):
    type: Literal["emotion.reset"]
    id: Id | None = None
    transition_ms: Milliseconds = 300


class MotionSet(Strict):
    type: Literal["motion.set"]
    id: Id | None = None
    head: Share | None = None
    gaze: Share | None = None
    blink: Share | None = None


class SpeechInterrupt(Strict):
    type: Literal["speech.interrupt"]
    id: Id | None = None
    utterance: Utterance | None = None


class SpeechPause(Strict):
    type: Literal["speech.pause"]
    id: Id | None = None


class SpeechResume(Strict):
    type: Literal["speech.resume"]
    id: Id | None = None


class ActivitySet(Strict):
    type: Literal["activity.set"]
    id: Id | None = None
    activity: Activity | None


class StateGet(Strict):
    type: Literal["state.get"]
    id: Id | None = None


class Ping(Strict):
    type: Literal["ping"]
    id: Id | None = None


Steering = SpeechInterrupt | SpeechPause | SpeechResume | ActivitySet
"""What control and speech sockets both understand."""
Command = EmotionSet | EmotionReset | MotionSet | Steering | StateGet | Ping
COMMANDS: dict[str, TypeAdapter[Command]] = {
    "emotion.set": TypeAdapter(EmotionSet),
    "emotion.reset": TypeAdapter(EmotionReset),
    "motion.set": TypeAdapter(MotionSet),
    "speech.interrupt": TypeAdapter(SpeechInterrupt),
    "speech.pause": TypeAdapter(SpeechPause),
    "speech.resume": TypeAdapter(SpeechResume),
    "activity.set": TypeAdapter(ActivitySet),
    "state.get": TypeAdapter(StateGet),
    "ping": TypeAdapter(Ping),
}
C = TypeVar("C", bound=BaseModel)


def parse_command(text: str) -> Command:
    """Raises `Refused`."""
    return parse(text, COMMANDS, MAX_MESSAGE)


def parse(text: str, commands: Mapping[str, TypeAdapter[C]], limit: int) -> C:
    """A message of one of these types and at most `limit` bytes. Raises `Refused`."""
    if len(text) > limit or len(text.encode()) > limit:
        raise Refused("too_large", f"a message has at most {limit} bytes")
    try:
        data = json.loads(text, parse_constant=_no_constant)
    except (ValueError, RecursionError):
        raise Refused("malformed", "a message is one JSON object, without NaN or Infinity") from None
    if not isinstance(data, dict):
        raise Refused("malformed", "a message is one JSON object")
    id = data["id"] if type(data.get("id")) in (str, int) else None
    adapter = commands.get(data["type"]) if isinstance(data.get("type"), str) else None
    if adapter is None:
        raise Refused("unknown_type", f"`type` must be one of {', '.join(commands)}", id)
    try:
        command = adapter.validate_python(data)
        check_names(command)
    except ValidationError as error:
        raise Refused("invalid", first_problem(error), id) from None
    except Refused as refused:
        raise Refused(refused.code, refused.message, id) from None
    return command


def check_names(command: BaseModel) -> None:
    """Raises `Refused` for names and levels that the types can't check."""
    if not isinstance(command, Expression):
        return
    if command.emotion is None and command.units is None:
        raise Refused("invalid", f"{command.type} needs `emotion`, `units` or both")
    check_emotions(command.emotion or {})
    check_units(command.units or {})
    adds = isinstance(command, EmotionSet) and command.mode == "add"
    if not adds and any(level < 0 for level in (command.units or {}).values()):
        raise Refused("invalid", "units are 0 to 1; only emotion.set's mode `add` takes negative ones")


def check_emotions(levels: Mapping[str, float]) -> None:
    for name in levels.keys() - EMOTIONS.keys():
        raise Refused("unknown_emotion", f"no emotion is called {name[:40]!r}; there are {', '.join(EMOTIONS)}")


def check_units(levels: Mapping[str, float]) -> None:
    for name in levels.keys() - set(AXES):
        raise Refused("unknown_unit", f"no unit is called {name[:40]!r}; GET /v1/les lists them")


def first_problem(error: ValidationError) -> str:
    """One line that names the field."""
    problem = error.errors(include_url=False, include_input=False, include_context=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'body'}: {problem['msg']}"


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


# ---- control, out


class Applied(Strict):
    type: Literal["emotion.applied"] = "emotion.applied"
    id: str | int | None = None
    media_ms: int
    frame: int


class State(Strict):
    type: Literal["state"] = "state"
    id: str | int | None = None
    status: Literal["waiting", "connecting", "live", "lost"]
    portrait: str
    size: int
    microphone: Literal["none", "live", "stalled"]
    units: dict[str, float]
    motion: dict[str, float]


class Speech(Strict):
    type: Literal["speech"] = "speech"
    active: bool
    media_ms: int


class SpeechBegan(Strict):
    type: Literal["speech.started"] = "speech.started"
    utterance: str
    media_ms: int


class SpeechOver(Strict):
    type: Literal["speech.ended", "speech.interrupted"]
    utterance: str
    playback_ms: int
    media_ms: int


class Mark(Strict):
    type: Literal["speech.mark"] = "speech.mark"
    utterance: str
    name: str
    playback_ms: int
    media_ms: int


class Caption(Strict):
    type: Literal["caption"] = "caption"
    speaker: Speaker
    id: str
    text: str
    final: bool


class ActivityChanged(Strict):
    type: Literal["activity"] = "activity"
    activity: Activity


class Stats(Strict):
    type: Literal["stats"] = "stats"
    fps: float
    still_fps: float
    render_ms: float | None
    encode_ms: float | None
    queue: int
    latency_ms: float | None
    latency_p95_ms: float | None
    av_offset_ms: float | None
    bitrate_kbps: float
    late_share: float
    media_ms: int
    codec: str


class Pong(Strict):
    type: Literal["pong"] = "pong"
    id: str | int | None = None


class Degraded(Strict):
    type: Literal["degraded"] = "degraded"
    fps: int
    size: int


class Error(Strict):
    type: Literal["error"] = "error"
    code: str
    message: str
    id: str | int | None = None


class Closed(Strict):
    type: Literal["closed"] = "closed"
    reason: str


Message = (
    Applied | State | Speech | SpeechBegan | SpeechOver | Mark | Caption | ActivityChanged | Stats | Degraded | Pong
    | Error     | Closed
)  # fmt: skip


def message_of(event: ConversationEvent) -> Message:
    """How sockets tell of it."""
    match event:
        case SpeechStarted(utterance, at):
            return SpeechBegan(utterance=utterance, media_ms=at)
        case SpeechEnded(utterance, playback, at):
            return SpeechOver(type="speech.ended", utterance=utterance, playback_ms=playback, media_ms=at)
        case SpeechInterrupted(utterance, playback, at):
            return SpeechOver(type="speech.interrupted", utterance=utterance, playback_ms=playback, media_ms=at)
        case MarkHeard(utterance, name, playback, at):
            return Mark(utterance=utterance, name=name, playback_ms=playback, media_ms=at)
        case UserSpoke(active, at):
            return Speech(active=active, media_ms=at)
        case Attended(activity):
            return ActivityChanged(activity=activity)
        case Captioned(speaker, id, text, final):
            return Caption(speaker=speaker, id=id, text=text, final=final)
        case Troubled(code, text):
            return Error(code=code, message=text)
        case SessionEnded(reason):
            return Closed(reason=reason)


def to_json(message: Message) -> str:
    """`id` is left out where there is none; other nulls stay."""
    data: dict[str, Any] = message.model_dump()
    if data.get("id", 0) is None:
        del data["id"]
    return json.dumps(data, separators=(",", ":"))
