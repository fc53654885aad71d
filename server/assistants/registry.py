"""Which assistants a session may have, as the server's settings say."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from server.assistants.hibari_voice import HibariVoice
from server.assistants.openai_realtime import RealtimeAssistant, RealtimeBackend
from server.assistants.replier import RuleReplier
from server.assistants.slots import Slots
from server.assistants.sphinx import Sphinx
from server.assistants.turns import TurnTaker
from server.conversation import Assistant
from server.settings import AssistantSettings, Endpoint


@dataclass(frozen=True)
class Offer:
    """An assistant that a session may ask for."""

    description: str
    """One sentence for people."""
    make: Callable[[], Assistant]
    """A fresh one, for one session."""


def offers(settings: AssistantSettings) -> Mapping[str, Offer]:
    """By name; the first is the one that sessions get unless they ask for another."""
    found = {"builtin": Offer("Works offline: knows a few phrases and repeats the rest.", lambda: TurnTaker(builtin()))}
    if realtime := settings.realtime:
        found["realtime"] = Offer(
            f"{realtime.model}, by OpenAI's Realtime protocol.", lambda: realtime_of(realtime, settings)
        )
    default = settings.default or list(found)[-1]
    return {default: found[default]} | found


def builtin() -> Slots:
    return Slots(Sphinx(), RuleReplier(), HibariVoice())


def realtime_of(endpoint: Endpoint, settings: AssistantSettings) -> Assistant:
    return RealtimeAssistant(
        RealtimeBackend(
            endpoint.url, endpoint.model, endpoint.key, endpoint.voice or None, settings.instructions or None
        )
    )
