"""Replies by an OpenAI-compatible chat completions service, as the text is generated.

Feelings come as tags in the text or, if asked for, as calls of the tool `set_emotion`.
"""

import json
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import httpx

from engine.les import EMOTIONS, Les, LesError
from server.assistants import set_emotion
from server.assistants.service import PATIENCE_S, Service
from server.assistants.slots import Message
from server.settings import Endpoint

MAX_ROUNDS = 3  # in which the model calls tools before it must have said something
INSTRUCTIONS = (
    "You are the person in a portrait, on a video call. What you write is spoken aloud: answer in one to three short"
    " spoken sentences, without lists, markup or links. The user's words come from a speech recogniser and may hold"
    " mistakes."
)
BY_TAGS = (
    "Show what you feel with tags before the words they belong to, such as [happy 0.6], with a level from 0 to 1."
    f" There are {', '.join(EMOTIONS)} and [neutral]. Use them sparingly."
)
TOOL = {
    "type": "function",
    "function": {
        "name": set_emotion.NAME,
        "description": set_emotion.DESCRIPTION,
        "parameters": set_emotion.PARAMETERS,
    },
}


class ChatReplier:
    """`server.assistants.slots.Reply`."""

    def __init__(
        self, endpoint: Endpoint, instructions: str = "", emotion_tool: bool = False, patience_s: float = PATIENCE_S
    ) -> None:
        self._service = Service(endpoint, "chat", patience_s)
        self._system = " ".join(filter(None, (instructions or INSTRUCTIONS, "" if emotion_tool else BY_TAGS)))
        self._tools = {"tools": [TOOL]} if emotion_tool else {}

    async def close(self) -> None:
        await self._service.close()

    async def reply(self, history: Sequence[Message]) -> AsyncGenerator[str | Les, None]:
        if not history:
            return  # the user has the first word
        messages: list[Mapping[str, Any]] = [{"role": "system", "content": self._system}]
        messages += [{"role": message.role, "content": message.text} for message in history]
        for _ in range(MAX_ROUNDS):
            calls: dict[int, Call] = {}
            async with aclosing(self._generate(messages, calls)) as text:
                async for piece in text:
                    yield piece
            if not calls:
                return
            results = [call.obey() for call in calls.values()]
            for emotion, _ in results:
                if emotion is not None:
                    yield emotion
            messages.append({"role": "assistant", "tool_calls": [call.written() for call in calls.values()]})
            messages += [message for _, message in results]

    async def _generate(
        self, messages: Sequence[Mapping[str, Any]], calls: dict[int, "Call"]
    ) -> AsyncGenerator[str, None]:
        body = {"model": self._service.endpoint.model, "messages": messages, "stream": True} | self._tools
        async with self._service.post("/chat/completions", json=body) as response:
            async with aclosing(self._deltas(response)) as deltas:
                async for delta in deltas:
                    try:
                        collect(calls, delta.get("tool_calls") or ())
                    except (KeyError, TypeError, AttributeError):
                        raise self._service.garbage("a tool call has no index or function") from None
                    if isinstance(content := delta.get("content"), str) and content:
                        yield content

    async def _deltas(self, response: httpx.Response) -> AsyncGenerator[Mapping[str, Any], None]:
        """What each chunk of server-sent events adds to the first choice."""
        finished = False
        async for line in response.aiter_lines():
            if not line.startswith("data:"):
                continue
            data = line.removeprefix("data:").strip()
            if data == "[DONE]":
                return
            choice = self._choice(data)
            finished = finished or bool(choice.get("finish_reason"))
            yield choice.get("delta") or {}
        if not finished:
            raise self._service.failure("lost", "broke off in the middle of its answer")

    def _choice(self, data: str) -> Mapping[str, Any]:
        """Of a `chat.completion.chunk`; the last one, with the usage, has none."""
        try:
            chunk = json.loads(data)
            if error := chunk.get("error"):
                raise self._service.failure("failed", f"fails: {str(error)[:200]}")
            choice: Mapping[str, Any] = chunk["choices"][0] if chunk["choices"] else {}
            choice.get("delta", {}).get("content")
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            raise self._service.garbage(f"a chunk begins with {data[:60]!r}") from None
        return choice


@dataclass
class Call:
    """A tool call, whose arguments come in pieces."""

    id: str
    name: str
    arguments: str = ""

    def obey(self) -> tuple[Les | None, Mapping[str, Any]]:
        """The emotion, and the message that tells the model how it went."""
        emotion, result = None, "shown"
        try:
            if self.name != set_emotion.NAME:
                raise LesError(f"there is no tool {self.name!r}, only {set_emotion.NAME}")
            emotion = set_emotion.read_call(self.arguments)
        except LesError as error:
            result = f"error: {error}"
        return emotion, {"role": "tool", "tool_call_id": self.id, "content": result}

    def written(self) -> Mapping[str, Any]:
        return {"id": self.id, "type": "function", "function": {"name": self.name, "arguments": self.arguments}}


def collect(calls: dict[int, Call], pieces: Sequence[Mapping[str, Any]]) -> None:
    """Adds what a chunk holds of tool calls."""
    for piece in pieces:
        function = piece.get("function") or {}
        call = calls.setdefault(piece["index"], Call(piece.get("id") or "", function.get("name") or ""))
        call.arguments += function.get("arguments") or ""
