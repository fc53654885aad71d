"""One client of our Realtime endpoint: the sound it sends is what the avatar says; what becomes of it goes back.

No socket and no task. The roles are those of the API over WebRTC, where the server plays the answer itself: no sound
is sent back, `output_audio_buffer.*` tells when it is heard. A response is in progress until its last sound has left.
It speaks either what was committed before, or, if nothing was, what is appended from then on until the commit.
"""

import itertools
import secrets
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from engine.les import Les, LesError, parse
from server.assistants.emotion import TagReader, read_tag
from server.backlog import Backlog
from server.bridges import openai_events as events
from server.bridges.openai_events import EventError, Object
from server.bridges.openai_items import Items, Part, sizes
from server.conversation import (
    Conversation,
    ConversationEvent,
    SpeechEnded,
    SpeechInterrupted,
    SpeechRefused,
    SpeechStarted,
    Troubled,
    UserSpoke,
)
from server.sound_format import REALTIME

LEAST_MS = 20  # of sound that can be committed; the API itself wants 100


@dataclass
class Response:
    """An utterance of the avatar."""

    id: str
    item: str
    utterance: str
    rate: int
    metadata: dict[str, str]
    asked: bool = False
    """The client itself has stopped it."""

    def object(self, status: str, output: list[Object], details: Object | None = None, **metadata: str) -> Object:
        return {
            "id": self.id, "object": "realtime.response", "status": status, "status_details": details,
            "output": output, "conversation_id": None, "output_modalities": ["audio"],
            "metadata": self.metadata | metadata,
        }  # fmt: skip

    @property
    def place(self) -> Object:
        return {"response_id": self.id, "item_id": self.item, "output_index": 0, "content_index": 0}


class Speaker:
    def __init__(self, id: str, conversation: Conversation, backlog: Backlog, send: Callable[[Object], None]) -> None:
        """`id`: the session's. `send`: takes server events in their order."""
        self._id, self._conversation, self._backlog, self._send = id, conversation, backlog, send
        self._format = "audio/pcm"
        self._buffer = bytearray()
        self._live: Response | None = None
        """The response that speaks what is appended now."""
        self._stale = False
        """What is appended until the commit belongs to a response that was stopped."""
        self._items = Items()
        self._responses: dict[str, Response] = {}
        """In progress, by utterance."""
        self._user_item = ""
        self._numbers = itertools.count(1)

    def open(self) -> None:
        self._tell("session.created", session=events.session_object(self._id, self._format))

    def hear(self, text: str | None) -> None:
        """A message of the client; None for one that is not text."""
        event_id = None
        try:
            event = events.parse(text)
            event_id = event.event_id
            self._obey(event)
        except EventError as error:
            self._refuse(error.code, str(error), error.param, error.event_id or event_id)
        except SpeechRefused as refused:
            self._refuse(refused.code, str(refused), None, event_id)

    def follow(self, event: ConversationEvent) -> None:
        match event:
            case SpeechStarted(utterance) if response := self._responses.get(utterance):
                self._tell("output_audio_buffer.started", response_id=response.id)
            case SpeechEnded(utterance, playback_ms) if response := self._responses.pop(utterance, None):
                self._heard(response, playback_ms)
            case SpeechInterrupted(utterance, playback_ms) if response := self._responses.pop(utterance, None):
                self._interrupted(response, playback_ms)
            case UserSpoke(active, media_ms):
                self._user(active, media_ms)
            case Troubled(code, message):
                self._refuse(code, message, None, None, "server_error")

    def hang_up(self) -> None:
        """The client is gone: what it has sent is still said."""
        if self._live:
            self._backlog.end(self._live.utterance)

    # ---- what the client asks for

    def _obey(self, event: events.ClientEvent) -> None:
        match event:
            case events.SessionUpdate(session=session):
                self._configure(session)
            case events.Append(audio=sound):
                self._append(REALTIME[self._format].decode(sound))
            case events.Commit():
                self._commit()
            case events.ClearInput():
                self._clear_input()
            case events.CreateItem(item=item):
                self._create_item(item)
            case events.DeleteItem(item_id=id):
                self._delete_item(id)
            case events.RetrieveItem(item_id=id):
                self._tell("conversation.item.retrieved", item=self._items[id].object)
            case events.TruncateItem():
                self._truncate(event)
            case events.CreateResponse(response=fields):
                self._respond(fields)
            case events.CancelResponse(response_id=id):
                self._cancel(id)
            case events.ClearOutput():
                self._stop(self._responses.values())

    def _configure(self, session: events.Configuration) -> None:
        if wanted := session.audio.input.format:
            if (self._buffer or self._live or self._items.waiting) and wanted.type != self._format:
                problem = "sound of the old format is not spoken yet"
                raise EventError("invalid_value", problem, "session.audio.input.format")
            self._format = wanted.type
        self._tell("session.updated", session=events.session_object(self._id, self._format))

    def _append(self, pcm: bytes) -> None:
        if self._live:
            self._backlog.append(self._live.utterance, pcm)
        elif not self._stale:
            self._items.check_room(len(self._buffer) + len(pcm))
            self._buffer += pcm

    def _commit(self) -> None:
        """Ends the response that was fed so far, or makes an item of what waits in the buffer."""
        if not (self._live or self._stale) and len(self._buffer) < self._bytes(LEAST_MS):
            raise EventError("input_audio_buffer_commit_empty", f"append at least {LEAST_MS} ms of sound first")
        if self._live:
            self._backlog.end(self._live.utterance)
        speakable = not (self._live or self._stale)
        self._live, self._stale = None, False
        id, previous = self._new("item"), self._items.last
        self._tell("input_audio_buffer.committed", item_id=id, previous_item_id=previous)
        self._add_item(events.sound_item(id, "user", "completed"), [bytes(self._buffer)] if speakable else [])
        self._buffer.clear()

    def _clear_input(self) -> None:
        if self._live:
            self._stop([self._live])
        self._buffer.clear()
        self._stale = False
        self._tell("input_audio_buffer.cleared")

    def _create_item(self, item: events.Item) -> None:
        parts = self._parts(item)
        if not parts:
            raise EventError("invalid_value", "the avatar speaks sound, not words; send input_audio", "item.content")
        id = item.id or self._new("item")
        if id in self._items:
            raise EventError("invalid_value", f"there is an item {id[:40]!r} already", "item.id")
        if self._live and all(isinstance(part, Les) for part in parts):
            self._say(self._live, parts)
            parts = []
        self._add_item(events.given_item(id, item), parts)

    def _delete_item(self, id: str) -> None:
        self._items.forget(id)
        self._stop(response for response in self._responses.values() if response.item == id)
        self._tell("conversation.item.deleted", item_id=id)

    def _truncate(self, event: events.TruncateItem) -> None:
        """While it is heard, it stops, and the answer tells the true position; afterwards it is only noted."""
        known = self._items[event.item_id]
        speaking = [response for response in self._responses.values() if response.item == event.item_id]
        if speaking:
            self._stop(speaking)
        elif event.audio_end_ms > known.length_ms:
            problem = f"Audio content of {known.length_ms}ms is already shorter than {event.audio_end_ms}ms"
            raise EventError("invalid_value", problem, "audio_end_ms")
        else:
            self._truncated(event.item_id, event.audio_end_ms)

    def _respond(self, fields: events.ResponseFields) -> None:
        parts = emotion_of(fields.metadata or {}) + self._asked_for(fields)
        whole = any(isinstance(part, bytes) for part in parts)
        if not whole and self._live:
            problem = f"the sound that is appended now belongs to {self._live.id}; commit it first"
            raise EventError("conversation_already_has_active_response", problem)
        response = self._begin(fields.metadata or {})
        self._say(response, parts if whole else [*parts, bytes(self._buffer)])
        if whole:
            self._backlog.end(response.utterance)
        else:
            self._live, self._stale = response, False
            self._buffer.clear()
        if fields.input is None:
            self._items.spoken()

    def _asked_for(self, fields: events.ResponseFields) -> list[Part]:
        if fields.input is None:
            return self._items.waiting
        parts = [part for item in fields.input for part in self._parts(item)]
        if not any(isinstance(part, bytes) for part in parts):
            raise EventError("invalid_value", "none of these items has sound", "response.input")
        return parts

    def _cancel(self, id: str | None) -> None:
        chosen = [response for response in self._responses.values() if id in (None, response.id)]
        if not chosen:
            raise EventError(
                "response_cancel_not_active", "Cancellation failed: no active response found", "response_id"
            )
        self._stop(chosen)

    # ---- responses

    def _begin(self, metadata: dict[str, str]) -> Response:
        rate = REALTIME[self._format].rate
        utterance = self._conversation.begin(rate=rate)
        response = Response(self._new("resp"), self._new("item"), utterance, rate, metadata)
        self._responses[utterance] = response
        item = events.sound_item(response.item, "assistant", "in_progress")
        self._tell("response.created", response=response.object("in_progress", []))
        self._tell("response.output_item.added", response_id=response.id, output_index=0, item=item)
        self._add_item(item, [])
        self._tell("response.content_part.added", **response.place, part={"type": "audio", "transcript": ""})
        return response

    def _say(self, response: Response, parts: Iterable[Part]) -> None:
        try:
            for part in parts:
                if isinstance(part, Les):
                    self._backlog.cue(response.utterance, part)
                else:
                    self._backlog.append(response.utterance, part)
        except SpeechRefused:
            self._stop([response])
            raise

    def _stop(self, responses: Iterable[Response]) -> None:
        """What the client sends from now on is new."""
        for response in list(responses):
            response.asked = True
            if response is self._live:
                self._live = None
            self._conversation.interrupt(response.utterance)

    def _heard(self, response: Response, playback_ms: int) -> None:
        """To its end; if that is not the client's, the session gave up to wait for more of it."""
        given_up = response is self._live
        if given_up:
            self._live, self._stale = None, True
        self._tell("response.output_audio.done", **response.place)
        self._finish(response, "failed" if given_up else "completed", playback_ms)
        self._tell("output_audio_buffer.stopped", response_id=response.id)

    def _interrupted(self, response: Response, playback_ms: int) -> None:
        self._backlog.drop(response.utterance)
        if response is self._live:
            self._live, self._stale = None, True
        self._tell("output_audio_buffer.cleared", response_id=response.id)
        if response.item in self._items:
            self._truncated(response.item, playback_ms)
        self._finish(response, "cancelled", playback_ms)

    def _finish(self, response: Response, status: str, playback_ms: int) -> None:
        item = events.sound_item(response.item, "assistant", "completed" if status == "completed" else "incomplete")
        if response.item in self._items:
            known = self._items[response.item]
            known.object, known.length_ms = item, playback_ms
        details: Object = {"type": status}
        if status == "cancelled":
            details["reason"] = "client_cancelled" if response.asked else "turn_detected"
        elif status == "failed":
            details["error"] = {"type": "server_error", "code": "speech_stalled"}
        self._tell("response.content_part.done", **response.place, part={"type": "audio", "transcript": ""})
        self._tell("response.output_item.done", response_id=response.id, output_index=0, item=item)
        self._tell("conversation.item.done", item=item)
        done = response.object(status, [item], details, playback_ms=str(playback_ms))
        self._tell("response.done", response=done)

    # ---- items

    def _parts(self, item: events.Item) -> list[Part]:
        """What an item says, and the emotions in its text. Raises EventError."""
        parts: list[Part] = []
        for content in item.content:
            parts += [found for found in TagReader().feed(content.text or "") if isinstance(found, Les)]
            if content.audio:
                parts.append(REALTIME[self._format].decode(content.audio))
        self._items.check_room(sum(sizes(parts)))
        return parts

    def _add_item(self, item: Object, parts: list[Part]) -> None:
        previous = self._items.last
        self._items.add(item, parts)
        self._tell("conversation.item.added", item=item, previous_item_id=previous)
        if item["status"] == "completed":
            self._tell("conversation.item.done", item=item, previous_item_id=previous)

    def _truncated(self, item: str, audio_end_ms: int) -> None:
        self._tell("conversation.item.truncated", item_id=item, content_index=0, audio_end_ms=audio_end_ms)

    # ---- the rest

    def _user(self, active: bool, media_ms: int) -> None:
        if active:
            self._user_item = self._new("item")
            self._tell("input_audio_buffer.speech_started", item_id=self._user_item, audio_start_ms=media_ms)
        elif self._user_item:
            self._tell("input_audio_buffer.speech_stopped", item_id=self._user_item, audio_end_ms=media_ms)

    def _bytes(self, ms: int) -> int:
        return REALTIME[self._format].rate * 2 * ms // 1000

    def _refuse(
        self, code: str, message: str, param: str | None, event_id: str | None, type: str = "invalid_request_error"
    ) -> None:
        error = {"type": type, "code": code, "message": message, "param": param, "event_id": event_id}
        self._tell("error", error=error)

    def _new(self, kind: str) -> str:
        return f"{kind}_{secrets.token_hex(8)}"

    def _tell(self, type: str, **fields: Any) -> None:
        self._send({"event_id": f"event_{next(self._numbers)}", "type": type, **fields})


def emotion_of(metadata: dict[str, str]) -> list[Part]:
    """Of a response: `{"emotion": "happiness=0.6, AU4=0.2"}`, or what a tag may say."""
    if "emotion" not in metadata:
        return []
    try:
        return [read_tag(metadata["emotion"]) or parse(metadata["emotion"])]
    except LesError as error:
        raise EventError("invalid_value", str(error), "response.metadata.emotion") from None
