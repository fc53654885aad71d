"""`python -m tests.browser.measure [--minutes 5] [--sessions 1|2] [--json FILE]`: the promises, on a real call.

A real server process with the real engine, a real Chromium, and a fake microphone that plays speech whose phone times
are known. Prints a table; exit status 1 when a promise is missed. It loads the machine: run nothing beside it.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
from playwright.sync_api import Playwright, ViewportSize, expect, sync_playwright

from engine.portrait import default_photo, prepare
from tests.browser import checks, speech
from tests.browser.harness import ProbedPage, launch, server_process
from tests.browser.report import Row, as_json, table
from tests.browser.truth import engine_lips

MEGABYTE = 1e6
WINDOW: ViewportSize = {"width": 900, "height": 900}
SETTLE_S = 5.0
LOOK_EVERY_S = 2.0


@dataclass
class Memory:
    """Megabytes of the server and the processes that draw for it, as they are looked at; shared ones count once."""

    pid: int
    seen: list[tuple[float, float]] = field(default_factory=list)

    def now(self) -> float:
        server = psutil.Process(self.pid)
        all_ = [server, *server.children(recursive=True)]
        megabytes = sum(float(process.memory_full_info().pss) for process in all_) / MEGABYTE
        self.seen.append((time.monotonic(), megabytes))
        return megabytes

    def growth_per_minute(self, since: float) -> float:
        """MB a minute, by a straight line through what was seen since then."""
        points = np.array([(at / 60, rss) for at, rss in self.seen if at >= since])
        return float(np.polyfit(points[:, 0], points[:, 1], 1)[0])


@contextmanager
def calling(playwright: Playwright, url: str, microphone: Path, portrait: str) -> Iterator[tuple[ProbedPage, float]]:
    """A call from a fresh browser, and the ms from the click to the first frame: nothing was connected before."""
    browser = launch(playwright, microphone)
    context = browser.new_context(viewport=WINDOW, reduced_motion="reduce")
    probed = ProbedPage(context)
    probed.page.goto(url)
    probed.page.get_by_role("button", name=portrait, exact=True).click()
    probed.page.evaluate("addEventListener('click', () => (window.clicked ??= performance.now()), true)")
    probed.page.get_by_role("button", name="Call", exact=True).click()
    expect(probed.page.locator("#status")).to_have_text("In a call", timeout=15_000)
    probed.wait_for_frames(1)
    try:
        yield probed, float(probed.frames().shown[0]) - float(probed.page.evaluate("clicked"))
    finally:
        probed.page.goto("about:blank")
        browser.close()


def measure(minutes: float, sessions: int, playwright: Playwright, directory: Path) -> list[Row]:
    clip = speech.measured_clip()
    microphone = clip.write(directory / "speech.wav")
    truth = engine_lips(prepare(default_photo("anna")), clip)
    silence = speech.silence(10.0).write(directory / "silence.wav")
    with server_process() as served, calling(playwright, served.url, microphone, "Anna") as (first, wait):
        memory = Memory(served.pid)
        rows = [Row("click to first frame", wait, "ms", 1500)]
        seen, found = checks.lip_sync(first, clip, truth, "at the start")
        rows += found + (checks.articulation(seen) if seen else [])
        rows += [Row("server with one session", memory.now(), "MB", 1200)]
        with ExitStack() as further:  # over before the lips are watched again: capturing pictures takes a core
            pages = [first]
            if sessions == 2:
                pages += [further.enter_context(calling(playwright, served.url, silence, "Zola"))[0]]
                time.sleep(SETTLE_S)
                before = memory.seen[-1][1]
                rows += [Row("server, a further session", memory.now() - before, "MB", 150)]
            rows += run(minutes, memory, pages)
            rows += [row for page in pages[1:] for row in checks.isolation(page)]
        time.sleep(SETTLE_S)
        rows += checks.lip_sync(first, clip, truth, f"after {minutes:g} minutes")[1]
        return rows + checks.emotion_changes(first) + checks.expressions(first)


def run(minutes: float, memory: Memory, pages: Sequence[ProbedPage]) -> list[Row]:
    """The calls left alone."""
    begun, since = time.monotonic(), [probed.now() for probed in pages]
    while time.monotonic() - begun < 60 * minutes:
        pages[0].page.wait_for_timeout(1000 * LOOK_EVERY_S)
        memory.now()
    names = [""] if len(pages) == 1 else [f"call {i + 1}: " for i in range(len(pages))]
    rows = [
        row for probed, at, name in zip(pages, since, names, strict=True) for row in checks.steadiness(probed, at, name)
    ]
    return [*rows, Row("server's memory grows by", memory.growth_per_minute(begun), "MB a minute", 2)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.browser.measure", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0, help="of undisturbed call (5)")
    parser.add_argument("--sessions", type=int, choices=(1, 2), default=1)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the rows there, too")
    given = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as directory, sync_playwright() as playwright:
        rows = measure(given.minutes, given.sessions, playwright, Path(directory))
    print(table(rows))
    if given.json:
        given.json.write_text(as_json(rows))
    return int(any(row.kept is False for row in rows))


if __name__ == "__main__":
    sys.exit(main())
