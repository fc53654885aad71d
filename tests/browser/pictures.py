"""`python -m tests.browser.pictures -o docs`: the page in a conversation, as the README shows it.

Taken when the call has settled: every frame comes, and the emotion was set while it ran. A machine too busy for that
takes none.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Literal

from playwright.sync_api import Page, Playwright, expect, sync_playwright

from tests.browser import speech
from tests.browser.harness import Served, launch, server_process

SIZES = {1440: 900, 390: 844}  # width and height
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LEVELS = {"Happiness": 60, "Surprise": 25}
QUESTION = "Tell me a joke."
GREETED_MS = 16_000  # of the portrait: it greets first and is asked then
PATIENCE_MS = 120_000  # for a settled call


def take(playwright: Playwright, server: Served, microphone: Path, out: Path) -> None:
    """One picture: the portrait answers and smiles."""
    width, theme = out.stem.split("-")[1:]
    browser = launch(playwright, microphone)
    size = {"width": int(width), "height": SIZES[int(width)]}
    page = browser.new_page(viewport=size, color_scheme=theme, device_scale_factor=1 if int(width) > 1000 else 2)  # type: ignore[arg-type]
    page.goto(server.url)
    expect(page.locator("#status")).to_have_text("Live", timeout=60_000)
    page.get_by_role("radio", name="Assistant").check()
    page.get_by_role("button", name="Call").click()
    page.wait_for_timeout(GREETED_MS)
    for name, level in LEVELS.items():
        page.get_by_role("slider", name=name).first.fill(str(level))
    expect(page.locator("#acknowledgement")).to_contain_text("Shown after", timeout=PATIENCE_MS)
    page.evaluate("scrollTo(0, 0)")
    settle(page)
    page.screenshot(path=out)
    browser.close()


def settle(page: Page) -> None:
    """Until nothing is late while the portrait speaks."""
    expect(page.locator("#stat-strain")).to_be_empty(timeout=PATIENCE_MS)
    for _ in range(2):
        expect(page.locator("#status")).to_have_text("Speaking", timeout=PATIENCE_MS)
        page.wait_for_timeout(700)
        expect(page.locator("#stat-fps")).to_have_text("25", timeout=PATIENCE_MS)


def main() -> None:
    parser = argparse.ArgumentParser(description="Take the README's pictures of the page.")
    parser.add_argument("-o", "--out", type=Path, required=True, help="folder of the pictures")
    out = parser.parse_args().out
    with tempfile.TemporaryDirectory() as folder, server_process() as server, sync_playwright() as playwright:
        voice = speech.join([speech.silence(8.0), speech.speak(QUESTION), speech.silence(6.0)])
        microphone = voice.write(Path(folder) / "question.wav")
        for width in SIZES:
            for theme in THEMES:
                take(playwright, server, microphone, out / f"page-{width}-{theme}.png")


if __name__ == "__main__":
    main()
