"""Other people's browser clients, as npm has them, in a real Chromium against the real server with the fake engine.

`make clients` installs them. No line of theirs is changed; `clients/clients.js` only calls them.
"""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from server.settings import Settings
from tests.browser import speech
from tests.browser.harness import CHROMIUM, free_port, launch, wait_until
from tests.test_client import serving

HERE = Path(__file__).parent / "clients"


def build(folder: Path) -> Path:
    """One script with all clients, by esbuild."""
    esbuild, out = HERE / "node_modules" / ".bin" / "esbuild", folder / "clients.js"
    assert esbuild.exists() and CHROMIUM.exists(), "run `make clients system`"
    options = ["--bundle", "--format=iife", f"--outfile={out}", "--log-level=error"]
    subprocess.run([str(esbuild), str(HERE / "clients.js"), *options], check=True)
    return out


@contextmanager
def show(browser: Browser, url: str, bundle: Path) -> Iterator[Page]:
    """A page of the server's own origin that holds the clients."""
    context = browser.new_context()
    page = context.new_page()
    errors: list[str] = []
    page.on("pageerror", lambda error: errors.append(str(error)))
    page.route(f"{url}/clients.html", lambda route: route.fulfill(path=HERE / "clients.html"))
    page.route(f"{url}/clients.js", lambda route: route.fulfill(path=bundle))
    page.goto(f"{url}/clients.html")
    yield page
    context.close()
    assert errors == []


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("clients"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(
        Settings(port=free_port(), portraits_dir=tmp_path_factory.mktemp("portraits"), max_sessions=4)
    ) as address:
        yield address


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    voice = speech.join([speech.speak("Papa made a map of the bay."), speech.silence(0.8)])
    with sync_playwright() as playwright:
        browser = launch(playwright, voice.write(tmp_path_factory.mktemp("voice") / "voice.wav"))
        yield browser
        browser.close()


@pytest.fixture
def page(browser: Browser, url: str, bundle: Path) -> Iterator[Page]:
    with show(browser, url, bundle) as page:
        yield page


def call(page: Page, client: str, *arguments: Any) -> float:
    taken: float = page.evaluate("([client, ...rest]) => clients[client](...rest)", [client, *arguments])
    print(f"{client}: {taken:.0f} ms")
    return taken


def shown(page: Page) -> tuple[int, float, float]:
    """(frame, loudness, emotion) as the fake engine draws them."""
    frame, loudness, emotion = page.evaluate("clients.shown()")
    return frame, loudness, emotion


def sessions(page: Page, url: str) -> int:
    count: int = page.request.get(f"{url}/readyz").json()["sessions"]
    return count


def wait_until_left(page: Page, url: str) -> None:
    for _ in range(100):
        if sessions(page, url) == 0:
            return
        page.wait_for_timeout(50)
    raise AssertionError("a session outlived its client")


class TestWhipWhep:
    def test_watches_and_goes(self, page: Page, url: str) -> None:
        call(page, "whep", "/whep/anna?size=256")
        frame, _, _ = shown(page)
        wait_until(page, "(frame) => clients.shown()[0] > frame + 10", frame)
        page.evaluate("clients.stop.whep()")
        wait_until_left(page, url)

    def test_a_microphone_is_seen_to_speak_in_another_page(self, page: Page, url: str) -> None:
        call(page, "whip", "/whip/anna/stage?size=256", "a key")
        call(page, "whep", "/whep/anna/stage", "a key")
        wait_until(page, "() => clients.shown()[1] > 0.1")
        wait_until(page, "() => clients.shown()[1] < 0.02")
        assert sessions(page, url) == 1
        page.evaluate("Promise.all([clients.stop.whip(), clients.stop.whep()])")
        wait_until_left(page, url)


class TestEyevinnPlayer:
    def test_plays(self, page: Page, url: str) -> None:
        call(page, "eyevinn", "/whep/anna?size=256")
        frame, _, _ = shown(page)
        wait_until(page, "(frame) => clients.shown()[0] > frame + 10", frame)
        page.evaluate("clients.stop.eyevinn()")
        wait_until_left(page, url)


class TestPipecat:
    def test_speaks_feels_and_leaves(self, page: Page, url: str) -> None:
        call(page, "pipecat", {"source": "microphone", "size": 256})
        wait_until(page, "() => clients.shown()[1] > 0.1")
        wait_until(page, "() => clients.events.some(([, name]) => name === 'UserStartedSpeaking')")
        wait_until(page, "() => clients.events.some(([, name]) => name === 'UserStoppedSpeaking')")
        answer = page.evaluate(
            "clients.open.pipecat.sendClientRequest('emotion', { AU1: 1, AU4: 1, AU12: 1, AU6: 1, transition_ms: 0 })"
        )
        assert answer["type"] == "emotion.applied"
        wait_until(page, "() => clients.shown()[2] > 0.8")
        refused = page.evaluate(
            "clients.open.pipecat.sendClientRequest('emotion', { AU99: 1 }).catch((e) => JSON.stringify(e))"
        )
        assert "AU99" in refused
        page.evaluate("clients.stop.pipecat()")
        wait_until(page, "() => clients.events.some(([, name]) => name === 'Disconnected')")
        wait_until_left(page, url)

    def test_disconnecting_the_bot_ends_the_session(self, page: Page, url: str) -> None:
        call(page, "pipecat", {"source": "microphone", "size": 256})
        page.evaluate("clients.open.pipecat.disconnectBot()")
        wait_until_left(page, url)
