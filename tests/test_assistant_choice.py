"""Which assistants there are, from the command line to the session."""

import argparse
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.assistants.chat import ChatReplier
from server.assistants.hibari_voice import HibariVoice
from server.assistants.http_speech import HttpEar, HttpVoice
from server.assistants.openai_realtime import RealtimeAssistant
from server.assistants.registry import offers, slots
from server.assistants.replier import RuleReplier
from server.assistants.sphinx import Sphinx
from server.assistants.turns import TurnTaker
from server.cli import main
from server.commands import Refusal, serve
from server.settings import AssistantSettings, Endpoint
from tests.server_running import running

CHAT = Endpoint("http://localhost:1/v1", "little-model", "sk-secret")


class TestOffers:
    def test_there_is_always_one_that_needs_nothing(self) -> None:
        assert list(offers(AssistantSettings())) == ["builtin"]

    def test_what_was_given_comes_first(self) -> None:
        assert list(offers(AssistantSettings(chat=CHAT))) == ["endpoints", "builtin"]
        assert list(offers(AssistantSettings(chat=CHAT, realtime=CHAT)))[0] == "realtime"
        assert isinstance(offers(AssistantSettings(realtime=CHAT))["realtime"].make(), RealtimeAssistant)

    def test_unless_another_is_the_default(self) -> None:
        found = offers(AssistantSettings(chat=CHAT, realtime=CHAT, default="builtin"))
        assert list(found) == ["builtin", "endpoints", "realtime"]

    def test_each_session_gets_its_own(self) -> None:
        make = offers(AssistantSettings(chat=CHAT, speech=CHAT, transcription=CHAT))["endpoints"].make
        first, second = make(), make()
        assert isinstance(first, TurnTaker) and first is not second


class TestSlots:
    def test_are_our_own_where_nothing_is_given(self) -> None:
        found = slots(AssistantSettings())
        assert isinstance(found.hear, Sphinx) and isinstance(found.speak, HibariVoice)
        assert isinstance(found.reply, RuleReplier)

    def test_are_filled_one_by_one(self) -> None:
        found = slots(AssistantSettings(chat=CHAT))
        assert isinstance(found.reply, ChatReplier) and isinstance(found.hear, Sphinx)
        found = slots(AssistantSettings(speech=CHAT, transcription=CHAT))
        assert isinstance(found.speak, HttpVoice) and isinstance(found.hear, HttpEar)
        assert isinstance(found.reply, RuleReplier)


def parsed(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> AssistantSettings:
    """What `les-avatar serve` makes of these."""
    seen: list[argparse.Namespace] = []
    monkeypatch.setattr(serve, "serve", lambda settings, factory: seen.append(settings))
    assert main(["serve", *arguments]) == 0
    settings: Any = seen[0]
    assert isinstance(settings.assistant, AssistantSettings)
    return settings.assistant


class TestCommandLine:
    def test_endpoints_with_keys_from_the_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LES_CHAT_KEY", "sk-chat\n")
        monkeypatch.delenv("LES_TTS_KEY", raising=False)
        urls = ["--chat-url", "http://a/v1", "--chat-model", "m", "--tts-url", "http://b/v1", "--tts-model", "n"]
        found = parsed(monkeypatch, *urls, "--tts-voice", "v", "--chat-emotion", "tool")
        assert found.chat == Endpoint("http://a/v1", "m", "sk-chat")
        assert found.speech == Endpoint("http://b/v1", "n", "", "v")
        assert found.transcription is None and found.emotion_tool
        assert "sk-chat" not in repr(found)

    @pytest.mark.parametrize(
        ("arguments", "words"),
        [
            (["--assistant", "realtime"], "needs --assistant-url"),
            (["--assistant", "endpoints"], "needs --chat-url"),
            (["--chat-url", "somewhere", "--chat-model", "m"], "give an address"),
            (["--chat-url", "http://a/v1"], "needs --chat-model"),
        ],
    )
    def test_what_can_not_be(self, arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["serve", *arguments]) == 2
        assert words in capsys.readouterr().err

    @pytest.mark.parametrize("key", ["sk-s\u00e9cret", "sk-secret\nX: y"])
    def test_a_key_that_no_header_takes_is_not_shown(
        self, key: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("LES_CHAT_KEY", key)
        assert main(["serve", "--chat-url", "http://a/v1", "--chat-model", "m"]) == 2
        told = capsys.readouterr().err
        assert "$LES_CHAT_KEY" in told and "sk-s" not in told

    def test_a_refusal_is_one(self) -> None:
        with pytest.raises(Refusal, match="give an address"):
            serve.address("--chat-url", "ftp://host")


@pytest.fixture
async def http(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running(tmp_path, assistant=AssistantSettings(chat=CHAT)) as server:
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as client:
            yield client


class TestHttp:
    async def test_lists_them_without_secrets(self, http: httpx.AsyncClient) -> None:
        answer = await http.get("/v1/assistants")
        assert [found["name"] for found in answer.json()["assistants"]] == ["endpoints", "builtin"]
        assert all(found.keys() == {"name", "title", "description"} for found in answer.json()["assistants"])
        assert "secret" not in answer.text

    @pytest.mark.parametrize("choice", [{}, {"assistant": "builtin"}])
    async def test_a_session_may_have_one(self, http: httpx.AsyncClient, choice: dict[str, str]) -> None:
        answer = await http.post("/v1/sessions", json={"portrait": "anna", "source": "assistant", **choice})
        assert answer.status_code == 201

    async def test_an_unknown_one(self, http: httpx.AsyncClient) -> None:
        answer = await http.post("/v1/sessions", json={"portrait": "anna", "source": "assistant", "assistant": "hal"})
        assert (answer.status_code, answer.json()["code"]) == (404, "no_assistant")
        assert "endpoints, builtin" in answer.json()["message"]

    async def test_none_where_the_caller_speaks(self, http: httpx.AsyncClient) -> None:
        wish = {"portrait": "anna", "source": "microphone", "assistant": "builtin"}
        answer = await http.post("/v1/sessions", json=wish)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid")
