"""The shapes of OpenAI's Realtime API as a server sees them: client events read, objects of server events built.

Names and nesting follow the API's reference of 2025 (`/v1/realtime`, `type: "realtime"`). Of a client event only what
an avatar can act on is read; other fields are taken without complaint.
"""

import base64
import json
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from server.protocol import first_problem

Object = dict[str, Any]


class EventError(Exception):
    """What an `error` event tells the client."""

    def __init__(self, code: str, message: str, param: str | None = None, event_id: str | None = None) -> None:
        super().__init__(message)
        self.code, self.param, self.event_id = code, param, event_id


def from_base64(value: Any) -> bytes:
    if not isinstance(value, str):
        raise ValueError("must be base64 text")
    try:
        return base64.b64decode(value, validate=True)
    except ValueError:
        raise ValueError("must be base64 text") from None


Sound = Annotated[bytes, BeforeValidator(from_base64)]


class Incoming(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")

    event_id: str | None = None


class Content(Incoming):
    type: str
    audio: Sound | None = None
    text: str | None = None


class Item(Incoming):
    id: str | None = None
    type: Literal["message"]
    role: Literal["system", "user", "assistant"]
    content: list[Content]


class InputFormat(Incoming):
    type: Literal["audio/pcm", "audio/pcmu", "audio/pcma"]
    rate: Literal[24_000] | None = None


class Input(Incoming):
    format: InputFormat | None = None
    turn_detection: None = None


class Audio(Incoming):
    input: Input = Input()


class Configuration(Incoming):
    type: Literal["realtime"]
    audio: Audio = Audio()


class SessionUpdate(Incoming):
    type: Literal["session.update"]
    session: Configuration


class Append(Incoming):
    type: Literal["input_audio_buffer.append"]
    audio: Sound


class Commit(Incoming):
    type: Literal["input_audio_buffer.commit"]


class ClearInput(Incoming):
    type: Literal["input_audio_buffer.clear"]


class ClearOutput(Incoming):
    type: Literal["output_audio_buffer.clear"]


class CreateItem(Incoming):
    type: Literal["conversation.item.create"]
    item: Item


class DeleteItem(Incoming):
    type: Literal["conversation.item.delete"]
    item_id: str


class RetrieveItem(Incoming):
    type: Literal["conversation.item.retrieve"]
    item_id: str


class TruncateItem(Incoming):
    type: Literal["conversation.item.truncate"]
    item_id: str
    content_index: int
    audio_end_ms: Annotated[int, Field(ge=0)]


class ResponseFields(Incoming):
    metadata: dict[str, str] | None = None
    input: list[Item] | None = None


class CreateResponse(Incoming):
    type: Literal["response.create"]
    response: ResponseFields = ResponseFields()


class CancelResponse(Incoming):
    type: Literal["response.cancel"]
    response_id: str | None = None


ClientEvent = (
    SessionUpdate | Append | Commit | ClearInput | ClearOutput | CreateItem | DeleteItem | RetrieveItem | TruncateItem
    | CreateResponse | CancelResponse
)  # fmt: skip
_EVENT: TypeAdapter[ClientEvent] = TypeAdapter(Annotated[ClientEvent, Field(discriminator="type")])


def parse(text: str | None) -> ClientEvent:
    """Raises EventError, which names the field and the event that it is about. None: the message was binary."""
    try:
        data = json.loads(text or "")
    except (ValueError, RecursionError):
        raise EventError("invalid_json", "an event is one JSON object in a text message") from None
    id = data.get("event_id") if isinstance(data, dict) else None
    try:
        return _EVENT.validate_python(data)
    except ValidationError as error:
        raise problem(error, id if isinstance(id, str) else None) from None


def problem(error: ValidationError, event_id: str | None) -> EventError:
    first = error.errors(include_url=False, include_input=False)[0]
    place = [str(part) for part in first["loc"]][1:]  # without the name of the event
    if place[-1:] == ["turn_detection"]:
        message = "the avatar speaks what it is sent; turn_detection must be null"
    else:
        message = first_problem(error)
    return EventError("invalid_value", message, ".".join(place) or "type", event_id)


# ---- objects of server events


def session_object(id: str, format: str) -> Object:
    """What holds, so fields that the avatar has no use for are not repeated."""
    wanted = {"type": format} | ({"rate": 24_000} if format == "audio/pcm" else {})
    return {
        "id": id, "object": "realtime.session", "type": "realtime", "model": id, "output_modalities": ["audio"],
        "audio": {"input": {"format": wanted, "turn_detection": None}, "output": {"format": wanted}},
    }  # fmt: skip


def sound_item(id: str, role: Literal["user", "assistant"], status: str) -> Object:
    content = {"type": "input_audio" if role == "user" else "output_audio", "transcript": None}
    return {
        "id": id, "object": "realtime.item", "type": "message", "role": role, "status": status, "content": [content],
    }  # fmt: skip


def given_item(id: str, item: Item) -> Object:
    """As the client wrote it, without its sound."""
    content = [part.model_dump(include={"type", "text"}, exclude_none=True) for part in item.content]
    return {
        "id": id, "object": "realtime.item", "type": "message", "role": item.role, "status": "completed",
        "content": content,
    }  # fmt: skip
