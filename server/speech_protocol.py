"""The messages of the speech socket (docs/protocol.md): ours, and those of clients made for LiveAvatar's LITE mode."""

import base64
import binascii
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter

from server.conversation import (
    Activity,
    Attended,
    ConversationEvent,
    SpeechEnded,
    SpeechInterrupted,
    SpeechStarted,
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


class ForeignTeller:
    """What happens, in LiveAvatar's words."""

    def __init__(self, activity: Activity) -> None:
        self._state = STATES[activity]

    def tell(self, event: ConversationEvent) -> list[dict[str, Any]]:
        match event:
            case SpeechStarted(utterance):
                return [{"type": "agent.speak_started", "event_id": utterance}, *self._become("talking")]
            case SpeechEnded(utterance):
                return [{"type": "agent.speak_ended", "event_id": utterance}, *self._become("listening")]
            case SpeechInterrupted(utterance, playback_ms):
                told = {"type": "agent.speak_interrupted", "event_id": utterance, "playback_ms": playback_ms}
                return [told, *self._become("listening")]
            case Attended(activity) if self._state != "talking":
                return self._become(STATES[activity])
            case _:
                return []

    def _become(self, state: str) -> list[dict[str, Any]]:
        """Sound that is late is still speech: only the utterances' own events begin and end `talking`."""
        before, self._state = self._state, state
        told = {"type": "agent.state_updated", "previous_state": before, "new_state": state}
        return [told] if state != before else []


STATES: dict[Activity, str] = {
    "idle": "idle",
    "listening": "listening",
    "thinking": "listening",
    "speaking": "talking",
}
