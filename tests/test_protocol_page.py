"""docs/protocol.md says what the server does: its messages parse, and none of its types, fields or codes is missing."""

import ast
import json
import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from server import protocol, web
from server.protocol import COMMANDS, Command, Message
from server.speech_protocol import SPEECH_COMMANDS, Foreign, SpeechCommand

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "protocol.md").read_text()
REQUESTS = (protocol.CreateSession, protocol.BackgroundSet, protocol.Description, protocol.Candidates)
SAID: tuple[type[BaseModel], ...] = (*get_args(Command), *get_args(SpeechCommand))
TOLD: tuple[type[BaseModel], ...] = get_args(Message)
UNDERSTOOD: list[TypeAdapter[Any]] = [*COMMANDS.values(), *SPEECH_COMMANDS.values()]
FOREIGN = {"session.state_updated"}  # LiveAvatar's, sent as it stands


def examples() -> Iterator[dict[str, Any]]:
    """The page's messages: objects with a type, in blocks and in lines."""
    for found in re.finditer(r'\{"type":', PAGE):
        yield json.JSONDecoder().raw_decode(PAGE, found.start())[0]


def made(*names: str) -> Iterator[ast.Call]:
    """Where the server calls one of them; bridges have pages of their own."""
    for file in (ROOT / "server").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and getattr(node.func, "id", getattr(node.func, "attr", "")) in names:
                yield node


def text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


@pytest.mark.parametrize("message", list(examples()), ids=lambda message: str(message["type"]))
def test_examples_are_messages(message: dict[str, Any]) -> None:
    if message["type"] in {"offer", "answer"} | FOREIGN:
        return
    for adapter in (*UNDERSTOOD, *map(TypeAdapter, TOLD)):
        try:
            adapter.validate_python(message)
        except ValidationError:
            continue
        return
    pytest.fail(f"neither side says {message}")


@pytest.mark.parametrize("model", [*REQUESTS, *dict.fromkeys((*SAID, *TOLD))], ids=lambda model: model.__name__)
def test_every_field_is_told_of(model: type[BaseModel]) -> None:
    fields = set(model.model_fields) - ({"id"} if issubclass(model, Foreign) else set())
    missing = [field for field in fields if not re.search(rf"\b{field}\b", PAGE)]
    assert not missing


def test_every_type_is_told_of() -> None:
    types = {*COMMANDS, *SPEECH_COMMANDS}
    for model in TOLD:
        types.update(get_args(model.model_fields["type"].annotation))
    assert [type for type in sorted(types) if not re.search(rf"\b{re.escape(type)}\b", PAGE)] == []


def test_every_code_is_told_of() -> None:
    told = {text(call.args[0]) for call in made("Refused", "SpeechRefused", "Troubled", "report") if call.args}
    told |= {text(word.value) for call in made("Error") for word in call.keywords if word.arg == "code"}
    told |= {code for _, code in refusals()}
    codes = {code for code in told if code}
    assert {"busy", "too_fast", "odd_bytes", "buffer_full", "too_large", "full"} < codes  # of each kind one is found
    assert {code for code in codes if f"`{code}`" not in PAGE} == set()


def test_statuses_are_those_of_the_table() -> None:
    rows = re.findall(r"^\| (\d{3}) \| (.+?) \|", PAGE, re.MULTILINE)
    table = {(int(status), code) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert set(refusals()) - table == set()


def refusals() -> Iterator[tuple[int, str]]:
    """Statuses and codes of HTTP, as far as they are written down."""
    yield from web.CODES.items()
    for call in made("HttpError", "refuse"):
        for status, code in pairwise(call.args):
            if isinstance(status, ast.Constant) and isinstance(status.value, int) and (word := text(code)):
                yield status.value, word
