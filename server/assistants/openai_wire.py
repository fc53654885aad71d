"""The events of an OpenAI Realtime backend: their parts, read with a clear word about what is missing."""

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from server.sound_format import REALTIME, SoundFormat

Event = Mapping[str, Any]

FORMAT = REALTIME["audio/pcm"]


class Garbage(Exception):
    """An event that breaks the protocol; the message says how."""


def object_in(event: Event, key: str) -> Event:
    value = event.get(key)
    if not isinstance(value, dict):
        raise Garbage(f"{event.get('type', 'an event')} has no object {key!r}")
    return value


def text_in(event: Event, key: str) -> str:
    value = event.get(key)
    if not isinstance(value, str):
        raise Garbage(f"{event.get('type', 'an event')} has no text {key!r}")
    return value


def decoded(delta: str) -> bytes:
    try:
        return base64.b64decode(delta, validate=True)
    except ValueError:
        raise Garbage("sound is not base64") from None


def sound_format(wanted: Event) -> SoundFormat:
    """Of the Realtime API's `format`; compatible backends may have other rates of PCM."""
    found, rate = REALTIME.get(str(wanted.get("type")), FORMAT), wanted.get("rate")
    return replace(found, rate=rate) if found is FORMAT and isinstance(rate, int) else found


def problem_of(answer: Event) -> str:
    details = answer.get("status_details")
    error = details.get("error") if isinstance(details, dict) else None
    return str(error.get("message") or error.get("code")) if isinstance(error, dict) else "no reason given"
