"""`python -m tests.measure_clients`: how long other people's browser clients take to show a portrait, real engine."""

import statistics
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from tests.browser import speech
from tests.browser.harness import launch, server_process
from tests.test_clients import build, show

TIMES = 6  # of which the first does not count
CLIENTS: dict[str, list[Any]] = {
    "whep": ["/whep/anna"],
    "eyevinn": ["/whep/anna"],
    "pipecat": [{"source": "microphone"}],
}


def main() -> None:
    with TemporaryDirectory() as folder, server_process() as served, sync_playwright() as playwright:
        bundle = build(Path(folder))
        browser = launch(playwright, speech.measured_clip().write(Path(folder) / "voice.wav"))
        for client, arguments in CLIENTS.items():
            taken = [time_of(browser, served.url, bundle, client, arguments) for _ in range(TIMES)][1:]
            print(f"{client}: median {statistics.median(taken):.0f} ms, most {max(taken):.0f}")
        browser.close()


def time_of(browser: Browser, url: str, bundle: Path, client: str, arguments: list[Any]) -> float:
    with show(browser, url, bundle) as page:
        taken: float = page.evaluate("([client, ...rest]) => clients[client](...rest)", [client, *arguments])
        page.evaluate(f"clients.stop.{client}()")
        time.sleep(0.5)  # the session ends when its client has said goodbye
        return taken


if __name__ == "__main__":
    main()
