"""The messages of the speech socket (docs/protocol.md): ours, and those of clients made for LiveAvatar's LITE mode."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from server.conversation import (
    Attended,
    ConversationEvent,
    SpeechEnded,
    SpeechInterrupted,
    SpeechStarted,
    Troubled,
)
from server.protocol import (
    ActivitySet,
    Expression,
    Id,
    Ping,
    Refused,
    SpeechInterrupt,
    SpeechPause,
    SpeechResume,
    Steering,
    Strict,
    Utterance,
    parse,
)

MAX_SPEECH_MESSAGE = 3 << 20  # bytes; as base64 that is 49 s at 24 kHz
LIVEAVATAR_RATE = 24_000


class SpeechBegin(Strict):
    type: Literal["speech.begin"]
    id: Id | None = None
    utterance: Utterance | None = None
    rate: int | None = None


class SpeechEnd(Strict):
    type: Literal["speech.end"]
    id: Id | None = None
    utterance: Utterance | None = None


class SpeechMark(Strict):
    type: Literal["speech.mark"]
    id: Id | None = None
    utterance: Utterance | None = None
    name: Annotated[str, StringConstraints(min_length=1, max_length=200)]


class SpeechCue(Expression):
    type: Literal["speech.cue"]
    utterance: Utterance | None = None


class Foreign(BaseModel):
    """A message of a client made for another server: what we don't know is none of our business."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    event_id: Annotated[str, Field(max_length=64)] | None = None


class AgentSpeak(Foreign):
    type: Literal["agent.speak"]
    audio: str
    """PCM16 at 24 kHz, in base64."""


class AgentSpeakEnd(Foreign):
    type: Literal["agent.speak_end"]


class AgentInterrupt(Foreign):
    type: Literal["agent.interrupt"]


class AgentStartListening(Foreign):
    type: Literal["agent.start_listening"]


class AgentStopListening(Foreign):
    type: Literal["agent.stop_listening"]


class SessionKeepAlive(Foreign):
    type: Literal["session.keep_alive"]


ForeignCommand = (
    AgentSpeak | AgentSpeakEnd | AgentInterrupt | AgentStartListening | AgentStopListening | SessionKeepAlive
)
SpeechCommand = SpeechBegin | SpeechEnd | SpeechMark | SpeechCue | Steering | Ping | ForeignCommand
SPEECH_COMMANDS: dict[str, TypeAdapter[SpeechCommand]] = {
    "speech.begin": TypeAdapter(SpeechBegin),
    "speech.end": TypeAdapter(SpeechEnd),
    "speech.mark": TypeAdapter(SpeechMark),
    "speech.cue": TypeAdapter(SpeechCue),
    "speech.interrupt": TypeAdapter(SpeechInterrupt),
    "speech.pause": TypeAdapter(SpeechPause),
    "speech.resume": TypeAdapter(SpeechResume),
    "activity.set": TypeAdapter(ActivitySet),
    "ping": TypeAdapter(Ping),
    "agent.speak": TypeAdapter(AgentSpeak),
    "agent.speak_end": TypeAdapter(AgentSpeakEnd),
    "agent.interrupt": TypeAdapter(AgentInterrupt),
    "agent.start_listening": TypeAdapter(AgentStartListening),
    "agent.stop_listening": TypeAdapter(AgentStopListening),
    "session.keep_alive": TypeAdapter(SessionKeepAlive),
}


def parse_speech(text: str) -> SpeechCommand:
    """Raises `Refused`."""
    return parse(text, SPEECH_COMMANDS, MAX_SPEECH_MESSAGE)


def sound_of(command: AgentSpeak) -> bytes:
    """Raises `Refused`."""
    try:
        return base64.b64decode(command.audio, validate=True)
    except (binascii.Error, ValueError):
        raise Refused("invalid", "audio: must be PCM16 in base64") from None


def foreign(event: ConversationEvent, before: str) -> list[dict[str, Any]]:
    """The event in LiveAvatar's words; `before` is the state that was told last."""
    match event:
        case SpeechStarted(utterance):
            return [{"type": "agent.speak_started", "event_id": utterance}]
        case SpeechEnded(utterance):
            return [{"type": "agent.speak_ended", "event_id": utterance}]
        case SpeechInterrupted(utterance, playback_ms):
            return [{"type": "agent.speak_interrupted", "event_id": utterance, "playback_ms": playback_ms}]
        case Attended(activity) if foreign_state(activity) != before:
            return [{"type": "agent.state_updated", "previous_state": before, "new_state": foreign_state(activity)}]
        case Troubled(code, message):
            return [{"type": "error", "code": code, "message": message, "error": {"code": code, "message": message}}]
        case _:
            return []


def foreign_state(activity: str) -> str:
    return {"speaking": "talking", "thinking": "listening"}.get(activity, activity)
