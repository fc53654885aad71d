"""The example that gives a language model a face, run as it stands, and the page that watches what a program says."""

import asyncio
import os
import shutil
import sys
from pathlib import Path

import pytest
from playwright.async_api import async_playwright, expect

from engine.les import Les
from tests.browser.harness import CHROMIUM, FLAGS, GRANT
from tests.openai_services import KEY, services
from tests.server_running import running, until

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "llm_with_emotion.py"
equipped = CHROMIUM.exists() and shutil.which("flite")
pytestmark = pytest.mark.skipif(not equipped, reason="needs Debian's chromium")
WATCH = """() => {
    const words = document.querySelector('#vector-words');
    window.shown = [];
    new MutationObserver(() => shown.at(-1) !== words.textContent && shown.push(words.textContent))
        .observe(words, { childList: true });
}"""
TEXT = ["[happi", "ness 0.6] Good to see ", "you! [sadness] It rains.", " [neutral] Bye."]


def first(**emotion: float) -> str:
    """The unit that the page names first."""
    unit, level = next(iter(Les.of(emotion=emotion).units().items()))
    return f"{unit} {level:.2f}"


class TestLanguageModelWithEmotion:
    async def test_is_watched_in_the_browser(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, services(chat=TEXT) as found, async_playwright() as playwright:
            urls = ["--chat-url", f"{found.url}/v1", "--tts-url", f"{found.url}/v1", "--server", server.url]
            process = await asyncio.create_subprocess_exec(
                sys.executable, EXAMPLE, *urls, "--chat-model", "m", "--tts-model", "n", "--no-browser",
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
                env=os.environ | {"LLM_KEY": KEY, "TTS_KEY": KEY},
            )  # fmt: skip
            assert process.stdin and process.stdout
            address = (await process.stdout.readline()).decode().split()[-1]
            browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=[*FLAGS, GRANT])
            page = await browser.new_page()
            await page.goto(address)
            await expect(page.locator("#portrait")).to_have_attribute("data-live", "yes", timeout=20_000)
            await expect(page.locator("#name")).to_have_text("Anna")
            live = next(iter(server.place.sessions._live.values()))
            await page.evaluate(WATCH)
            process.stdin.write(b"How are you?\n")
            process.stdin.write_eof()
            printed = (await process.stdout.read()).decode()
            assert await process.wait() == 0 and "(speech.ended after" in printed
            shown = await page.evaluate("shown")
            felt = [first(happiness=0.6), first(sadness=1), "Neutral"]
            assert [words.split(",")[0].split(":")[0] for words in shown] == felt, printed
            await page.goto("about:blank")
            await until(lambda: live.deserted)
            assert not live.ended.is_set()  # a guest who leaves ends nothing
            await browser.close()
        assert [asked["input"] for asked in found.asked[1:]] == ["Good to see you!", "It rains.", "Bye."]
        assert found.asked[0]["messages"][-1] == {"role": "user", "content": "How are you?"}
