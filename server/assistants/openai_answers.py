"""The answers of an OpenAI Realtime backend as utterances, and what became of these as events for the backend.

No socket and no task: events of the backend and of the conversation go in, calls of the conversation and events for
the backend come out. An audio item of a response is one utterance. Names as in the Realtime API of 2025, the older
`response.audio.*` among them.
"""

import itertools
import json
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from engine.les import Les, LesError
from server.assistants import set_emotion
from server.assistants.emotion import TagReader
from server.assistants.openai_wire import FORMAT, Event, Garbage, decoded, object_in, problem_of, sound_format, text_in
from server.assistants.spoken import Passage
from server.backlog import Backlog
from server.conversation import (
    Conversation,
    ConversationEvent,
    SpeechEnded,
    SpeechInterrupted,
    SpeechRefused,
    SpeechStarted,
)

REMEMBERED = 256  # cancelled responses whose late sound is dropped


@dataclass
class Item:
    """One spoken item of the backend, which is one utterance of ours."""

    id: str
    content_index: int
    response: str
    utterance: str
    rate: int
    received: int = 0
    """Bytes of PCM16."""
    ended: bool = False
    begun: bool = False
    """Its first sound has been heard."""
    text: str = ""
    """What it says, as far as the backend has told."""
    captioned: bool = False

    @property
    def received_ms(self) -> int:
        return self.received // 2 * 1000 // self.rate

    def heard(self, playback_ms: int) -> str:
        """The words that were, roughly: the protocol does not tell their times."""
        return Passage(self.text, 0, self.received_ms, self.ended).heard(playback_ms)


@dataclass
class Response:
    """An answer in progress."""

    id: str
    items: dict[str, Item] = field(default_factory=dict)
    tags: TagReader = field(default_factory=TagReader)
    early: dict[str, str] = field(default_factory=dict)
    """By item, words that came before any sound of theirs."""
    called: bool = False
    """It has used a tool."""


class Answers:
    def __init__(
        self, conversation: Conversation, backlog: Backlog, send: Callable[[Event], None], session: Event
    ) -> None:
        """`session`: what the backend is asked to be, for `session.update`."""
        self._conversation, self._backlog, self._send, self._session = conversation, backlog, send, session
        self._format = FORMAT
        self._ready = False
        self._responses: dict[str, Response] = {}
        self._cancelled: deque[str] = deque(maxlen=REMEMBERED)
        self._spoken: dict[str, Item] = {}
        """By utterance, until it has been heard or interrupted."""
        self._cue: Les | None = None
        """The last emotion that waits for the next sound."""
        self._calls: deque[str] = deque(maxlen=REMEMBERED)
        self._numbers = itertools.count(1)

    @property
    def owed(self) -> bool:
        """Whether the backend has something to say now, so that its silence means that it hangs."""
        return not self._ready or bool(self._responses)

    def hear(self, event: Event) -> None:
        """An event of the backend. Raises `Garbage`."""
        match event.get("type"):
            case "session.created":
                self._tell("session.update", session=self._session)
            case "session.updated":
                self._settled(event)
            case "input_audio_buffer.speech_started":
                self._user_speaks()
            case "input_audio_buffer.speech_stopped":
                self._conversation.attend("thinking")
            case "response.created":
                self._created(event)
            case "response.output_audio.delta" | "response.audio.delta":
                self._sound(event)
            case "response.output_audio.done" | "response.audio.done":
                self._sound_done(event)
            case "response.output_audio_transcript.delta" | "response.audio_transcript.delta":
                self._words(event)
            case "conversation.item.input_audio_transcription.completed":
                self._conversation.caption("user", text_in(event, "item_id"), text_in(event, "transcript"))
            case "response.output_item.done":
                self._item_done(event)
            case "response.done":
                self._done(event)
            case "error":
                self._error(event)
            case str():
                pass
            case _:
                raise Garbage("an event has no type")

    def follow(self, event: ConversationEvent) -> None:
        """An event of the conversation."""
        match event:
            case SpeechStarted(utterance) if item := self._spoken.get(utterance):
                item.begun = True
                self._caption(item, item.text)
            case SpeechEnded(utterance, playback_ms) if item := self._spoken.pop(utterance, None):
                self._heard(item, playback_ms)
            case SpeechInterrupted(utterance, playback_ms) if item := self._spoken.pop(utterance, None):
                self._interrupted(item, playback_ms)

    def hang_up(self) -> None:
        """The backend is gone: what the conversation has of its words is still heard."""
        for utterance in self._spoken:
            self._conversation.end(utterance)

    # ---- the session

    def _settled(self, event: Event) -> None:
        self._ready = True
        self._conversation.attend(None)
        audio = object_in(event, "session").get("audio")
        output = audio.get("output") if isinstance(audio, dict) else None
        wanted = output.get("format") if isinstance(output, dict) else None
        self._format = sound_format(wanted) if isinstance(wanted, dict) else FORMAT

    def _error(self, event: Event) -> None:
        """Those that answer a stop are the race that they describe: the response was over anyway."""
        error = object_in(event, "error")
        if not str(error.get("event_id")).startswith("stop_") and error.get("code") != "response_cancel_not_active":
            self._conversation.report("assistant_error", f"the assistant says: {error.get('message')}")

    # ---- responses

    def _created(self, event: Event) -> None:
        id = text_in(object_in(event, "response"), "id")
        self._responses[id] = Response(id)
        self._conversation.attend("thinking")

    def _sound(self, event: Event) -> None:
        response = self._response(event)
        if response is None:
            return
        item = response.items.get(text_in(event, "item_id")) or self._begin(response, event)
        if item is None:
            return
        pcm = self._format.decode(decoded(text_in(event, "delta")))
        item.received += len(pcm)
        cue, self._cue = self._cue, None
        try:
            if cue is not None:
                self._backlog.cue(item.utterance, cue)
            self._backlog.append(item.utterance, pcm)
        except SpeechRefused as refused:
            self._refuse(response, refused)

    def _begin(self, response: Response, event: Event) -> Item | None:
        try:
            utterance = self._conversation.begin(rate=self._format.rate)
        except SpeechRefused as refused:
            self._refuse(response, refused)
            return None
        index = event.get("content_index", 0)
        id = text_in(event, "item_id")
        item = Item(id, index, response.id, utterance, self._format.rate, text=response.early.pop(id, ""))
        response.items[id] = self._spoken[utterance] = item
        return item

    def _words(self, event: Event) -> None:
        """Emotions in them belong to the sound that comes next; backends send words with or ahead of their sound."""
        response = self._response(event)
        if response is None:
            return
        id, parts = text_in(event, "item_id"), response.tags.feed(text_in(event, "delta"))
        self._cue = next((part for part in reversed(parts) if isinstance(part, Les)), self._cue)
        words = "".join(part for part in parts if isinstance(part, str))
        if item := response.items.get(id):
            item.text += words
            if item.begun:
                self._caption(item, item.text)
        else:
            response.early[id] = response.early.get(id, "") + words

    def _caption(self, item: Item, text: str, *, final: bool = False) -> None:
        if text.strip() or item.captioned:
            item.captioned = True
            self._conversation.caption("assistant", item.utterance, text.strip(), final=final)

    def _sound_done(self, event: Event) -> None:
        response = self._response(event)
        if response and (item := response.items.get(text_in(event, "item_id"))):
            self._end(item)

    def _item_done(self, event: Event) -> None:
        item, response = object_in(event, "item"), self._response(event)
        if response and item.get("type") == "function_call":
            self._call(response, item)

    def _done(self, event: Event) -> None:
        answer = object_in(event, "response")
        response = self._responses.pop(text_in(answer, "id"), None)
        if response is None:
            return
        for item in response.items.values():
            self._end(item)
        if answer.get("status") == "failed":
            self._conversation.report("assistant_error", f"the assistant's answer failed: {problem_of(answer)}")
        if not response.items:
            self._go_on(response, answer)

    def _go_on(self, response: Response, answer: Event) -> None:
        """After an answer without words: it asked for a tool and waits for the result, or has nothing to say."""
        if response.called and answer.get("status") == "completed":
            self._tell("response.create")
        else:
            self._conversation.attend(None)

    def _response(self, event: Event) -> Response | None:
        """The one that `event` belongs to; None for a cancelled one. Some backends don't say that one begins."""
        id = text_in(event, "response_id")
        return None if id in self._cancelled else self._responses.setdefault(id, Response(id))

    def _end(self, item: Item) -> None:
        if not item.ended:
            item.ended = True
            self._backlog.end(item.utterance)

    # ---- the tool

    def _call(self, response: Response, item: Event) -> None:
        call = text_in(item, "call_id")
        if call in self._calls:
            return
        self._calls.append(call)
        response.called = True
        output = json.dumps(self._obey(text_in(item, "name"), text_in(item, "arguments")))
        self._tell("conversation.item.create", item={"type": "function_call_output", "call_id": call, "output": output})

    def _obey(self, name: str, arguments: str) -> Event:
        """The result for the model. The emotion shows with the next sound."""
        if name != set_emotion.NAME:
            return {"error": f"there is no tool {name!r}, only {set_emotion.NAME}"}
        try:
            emotion = set_emotion.read_call(arguments)
        except LesError as error:
            return {"error": str(error)}
        self._cue = emotion
        return {"ok": True, "units": emotion.units()}

    # ---- what was heard

    def _user_speaks(self) -> None:
        for id in list(self._responses):
            self._cancel(id)
        self._conversation.interrupt()

    def _heard(self, item: Item, playback_ms: int) -> None:
        """All that came of it; if that was not all, the session gave up to wait for the rest."""
        if item.ended:
            self._caption(item, item.text, final=True)
        else:
            self._interrupted(item, playback_ms)

    def _interrupted(self, item: Item, playback_ms: int) -> None:
        """The backend's memory must hold what was heard, no more."""
        self._caption(item, item.heard(playback_ms), final=True)
        self._backlog.drop(item.utterance)
        self._cancel(item.response)
        if playback_ms == 0:
            self._stop("conversation.item.delete", item_id=item.id)
        else:
            heard = min(playback_ms, item.received_ms)
            self._stop(
                "conversation.item.truncate", item_id=item.id, content_index=item.content_index, audio_end_ms=heard
            )

    def _cancel(self, id: str) -> None:
        """If it is still in progress."""
        if self._responses.pop(id, None):
            self._cancelled.append(id)
            self._cue = None
            self._stop("response.cancel", response_id=id)

    def _refuse(self, response: Response, refused: SpeechRefused) -> None:
        self._conversation.report(refused.code, str(refused))
        for item in response.items.values():
            self._end(item)
        self._cancel(response.id)

    def _stop(self, type: str, **fields: Any) -> None:
        self._tell(type, event_id=f"stop_{next(self._numbers)}", **fields)

    def _tell(self, type: str, **fields: Any) -> None:
        self._send({"type": type, **fields})
