"""RTVI, what Pipecat's clients speak over their data channel, as another tongue of our control messages. Pure.

`client-message {t, d}` carries any command of docs/protocol.md (`t` its type, `d` its fields), and `emotion` for short;
its answer comes as `server-response`. What our control socket would tell of speech comes in RTVI's own words, the rest
as `server-message`. Both sides' major version must agree; 2.x is that of `@pipecat-ai/client-js` 1.13 and Pipecat 1.14.
"""

import json
from dataclasses import dataclass, field
from typing import Any

from engine.les import AXES, EMOTIONS

VERSION = "2.1.0"
LABEL = "rtvi-ai"
MAX_ASKED = 1000  # commands whose answer is still known as one
Json = dict[str, Any]
PEER_LEFT: Json = {"type": "signalling", "message": {"type": "peerLeft"}}


@dataclass(frozen=True)
class Say:
    """To the client."""

    message: Json


@dataclass(frozen=True)
class Obey:
    """A command as the control socket takes it."""

    text: str


@dataclass(frozen=True)
class Leave:
    """The client has had enough."""


Action = Say | Obey | Leave


@dataclass
class Rtvi:
    _ready: bool = False
    _speaking: bool = False
    _asked: dict[str, str] = field(default_factory=dict)
    """The `t` of every command that is not answered yet, by the message's id."""

    def received(self, text: str) -> list[Action]:
        """From the client. Pings, `signalling` and messages of other tongues need no answer."""
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            return []
        if not isinstance(message, dict) or message.get("label") != LABEL:
            return []
        id, data = message.get("id"), message.get("data")
        data = data if isinstance(data, dict) else {}
        match message.get("type"):
            case "client-ready":
                self._ready = True
                ready = Say(said("bot-ready", {"version": VERSION, "about": {"library": "les-avatar"}}, id))
                return [ready, Say(said("bot-started-speaking"))] if self._speaking else [ready]
            case "client-message":
                return self._command(str(id), data)
            case "disconnect-bot":
                return [Leave()]
            case "send-text" | "append-to-context":
                return [Say(said("error", {"error": "this bot reads no text; speak to it", "fatal": False}))]
        return []

    def told(self, message: Json, at: str) -> list[Json]:
        """What a message of the control socket is in RTVI, `at` a time in ISO 8601; nothing until it is ready."""
        if message["type"] in ("speech.started", "speech.ended", "speech.interrupted"):
            self._speaking = message["type"] == "speech.started"
        if not self._ready:
            return []
        asked = self._asked.pop(str(message.get("id")), None)
        if asked is not None:
            if message["type"] == "error":
                return [said("error-response", {"error": f"{message['code']}: {message['message']}"}, message["id"])]
            return [said("server-response", {"t": asked, "d": message}, message["id"])]
        match message["type"]:
            case "speech":
                return [said("user-started-speaking" if message["active"] else "user-stopped-speaking")]
            case "speech.started":
                return [said("bot-started-speaking")]
            case "speech.ended":
                return [said("bot-stopped-speaking")]
            case "speech.interrupted":
                return [said("bot-interrupted"), said("bot-stopped-speaking")]
            case "caption":
                return [caption(message, at)]
            case "error":
                error = f"{message['code']}: {message['message']}"
                return [said("error", {"error": error, "fatal": message["code"] == "failed"})]
            case "closed":
                return [PEER_LEFT]
        return [said("server-message", message)]

    def _command(self, id: str, data: Json) -> list[Action]:
        kind, fields = str(data.get("t", "")), data.get("d")
        fields = fields if isinstance(fields, dict) else {}
        self._asked[id] = kind
        if len(self._asked) > MAX_ASKED:  # some commands are never answered
            del self._asked[next(iter(self._asked))]
        return [Obey(json.dumps((emotion(fields) if kind == "emotion" else {"type": kind, **fields}) | {"id": id}))]


def emotion(fields: Json) -> Json:
    """`{"happiness": 0.6, "AU4": 0.2}`, with any other field of `emotion.set` beside them."""
    feelings = {name: level for name, level in fields.items() if name in EMOTIONS}
    units = {name: level for name, level in fields.items() if name in AXES}
    rest = {name: value for name, value in fields.items() if name not in feelings and name not in units}
    return {"type": "emotion.set", "emotion": feelings, "units": units} | rest


def caption(message: Json, at: str) -> Json:
    """The user's words as a transcription; the avatar's as output, which our captions tell of when it is heard."""
    text, final = message["text"], message["final"]
    if message["speaker"] == "user":
        return said("user-transcription", {"text": text, "final": final, "timestamp": at, "user_id": "user"})
    status = "completed" if final else "in-progress"
    return said(
        "bot-output", {"text": text, "aggregated_by": "sentence", "will_be_spoken": True, "spoken_status": status}
    )


def said(type: str, data: Json | None = None, id: str | None = None) -> Json:
    message: Json = {"label": LABEL, "type": type}
    return message | ({} if id is None else {"id": id}) | ({} if data is None else {"data": data})
