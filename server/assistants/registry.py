"""Which assistants a session may have, as the server's settings say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.assistants.chat import ChatReplier
from server.assistants.hibari_voice import HibariVoice
from server.assistants.http_speech import HttpEar, HttpVoice
from server.assistants.openai_realtime import RealtimeAssistant, RealtimeBackend
from server.assistants.replier import RuleReplier
from server.assistants.slots import Slots
from server.assistants.sphinx import Sphinx
from server.assistants.turns import TurnTaker
from server.assistants.twilio import TwilioAssistant
from server.conversation import Assistant
from server.settings import AssistantSettings, Endpoint

BUILTIN = (
    "It works offline and knows a few phrases: what time is it, tell me a joke, look surprised, say it sadly,"
    " repeat after me, what can you do."
)
TALK = "Talk to it as to anybody, and interrupt it when you like."


@dataclass(frozen=True)
class Offer:
    """An assistant that a session may ask for."""

    title: str
    """For a list to choose from."""
    description: str
    """What to expect of it, for people."""
    make: Callable[[], Assistant]
    """A fresh one, for one session."""


def offers(settings: AssistantSettings) -> Mapping[str, Offer]:
    """By name; the first is the one that sessions get unless they ask for another."""
    found = {"builtin": Offer("Built in", BUILTIN, lambda: TurnTaker(slots(AssistantSettings())))}
    if settings.chat or settings.speech or settings.transcription:
        found["endpoints"] = Offer(
            settings.chat.model if settings.chat else "Your endpoints", TALK, lambda: TurnTaker(slots(settings))
        )
    if realtime := settings.realtime:
        found["realtime"] = Offer(realtime.model, TALK, lambda: realtime_of(realtime, settings))
    if url := settings.twilio_url:
        found["twilio"] = Offer("By phone", TALK, lambda: TwilioAssistant(url))
    default = settings.default or list(found)[-1]
    return {default: found[default]} | found


def slots(settings: AssistantSettings) -> Slots:
    """Those that are given, and the built-in ones for the others."""
    return Slots(
        HttpEar(settings.transcription) if settings.transcription else Sphinx(),
        ChatReplier(settings.chat, settings.instructions, settings.emotion_tool) if settings.chat else RuleReplier(),
        HttpVoice(settings.speech) if settings.speech else HibariVoice(),
    )


def realtime_of(endpoint: Endpoint, settings: AssistantSettings) -> Assistant:
    backend = RealtimeBackend(
        endpoint.url,
        endpoint.model,
        endpoint.key,
        endpoint.voice or None,
        settings.instructions or None,
        settings.realtime_transcription or None,
    )
    return RealtimeAssistant(backend)
