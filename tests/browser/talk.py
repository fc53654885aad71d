"""A conversation with the built-in assistant in a real browser, whose fake microphone asks, and what came of it."""

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import expect, sync_playwright

from server.assistants.replier import HELP
from server.bargein import HANG
from tests.browser import speech
from tests.browser.harness import ProbedPage, Served, launch, server_process

QUESTION = "What can you do?"
ANSWER = HELP
"""So long that the question, asked again and again, interrupts it."""
PAUSE_S = 7.0
TURNS = 9
HANG_MS = 40.0 * HANG
"""Silence after which the server says that the user has stopped."""


@dataclass
class Talk:
    """A call with the assistant that is going on."""

    probed: ProbedPage
    server: Served

    def messages(self, kind: str) -> list[tuple[float, dict[str, Any]]]:
        return self.probed.control("in", kind)

    def captions(self, speaker: str, final: bool) -> list[str]:
        """Those with words."""
        found = [message for _, message in self.messages("caption") if message["text"]]
        return [caption["text"] for caption in found if (caption["speaker"], caption["final"]) == (speaker, final)]

    def wait(self, condition: Callable[[], bool], seconds: float = 90.0) -> None:
        """Until a state that must come; TimeoutError if it does not."""
        deadline = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.captions('user', True)} {self.messages('activity')[-3:]}")
            self.probed.page.wait_for_timeout(100)

    def waits_ms(self) -> list[float]:
        """From the end of the user's last word to the first sound of the answer that leaves, by the page's clock."""
        begun = [at for at, _ in self.messages("speech.started")]
        stopped = [at for at, message in self.messages("speech") if not message["active"]]
        later = [min((at for at in begun if at > stop), default=None) for stop in stopped]
        rows = zip(stopped, later, [*stopped[1:], float("inf")], strict=False)
        return [HANG_MS + at - stop for stop, at, after in rows if at is not None and at < after]


@contextmanager
def talking(directory: Path, question: str = QUESTION, pause_s: float = PAUSE_S) -> Iterator[Talk]:
    """In a call with the assistant, whose user asks the question again and again."""
    voice = speech.join([speech.silence(1.0), speech.speak(question), speech.silence(pause_s)])
    microphone = voice.write(directory / "question.wav")
    with server_process(log=directory / "server.log") as server, sync_playwright() as playwright:
        browser = launch(playwright, microphone)
        probed = ProbedPage(browser.new_context(viewport={"width": 1280, "height": 900}))
        probed.page.goto(server.url)
        expect(probed.page.locator("#status")).to_have_text("Live", timeout=60_000)
        probed.page.get_by_role("radio", name="Assistant").check()
        probed.page.get_by_role("button", name="Call").click()
        yield Talk(probed, server)
        browser.close()


def main() -> None:
    """Prints how long the answers of some turns took to begin."""
    with tempfile.TemporaryDirectory() as directory, talking(Path(directory), "What time is it?", 4.0) as talk:
        talk.wait(lambda: len(talk.waits_ms()) >= TURNS, 300)
        waits = np.array(talk.waits_ms()[1:])  # the first one waits for the models to load, too
        print(f"what was heard: {sorted(set(talk.captions('user', True)))}")
        print(f"end of the user's speech to the first sound of the answer, {len(waits)} turns:")
        print(f"median {np.median(waits):.0f} ms, least {waits.min():.0f}, most {waits.max():.0f}")


if __name__ == "__main__":
    main()
