"""The page in a real Chromium, with a fake microphone that speaks, against the real server with a fake engine."""

import os
import re
import shutil
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from queue import Queue
from typing import Any

import cv2
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, Playwright, expect, sync_playwright
from playwright.sync_api import TimeoutError as PlaywrightTimeout

from engine.background import Background
from engine.les import AXES, EMOTIONS
from engine.portrait import PortraitError, Remark, Report
from server.app import PAGE, Server, create_app
from server.load import Quality
from server.place import Place
from server.settings import Settings
from tests.browser import speech
from tests.browser.harness import (
    CHROMIUM,
    SLOT_TICKS,
    ProbedPage,
    Shot,
    free_port,
    launch,
    server_process,
    wait_until,
    wait_until_ready,
)
from tests.server_fakes import BITS, FakeEngine, FakeStream
from tests.server_running import load

equipped = CHROMIUM.exists() and shutil.which("flite")
pytestmark = pytest.mark.skipif(not equipped, reason="needs Debian's chromium and flite")


async def fake_prepare(photo: bytes, out: Path) -> dict[str, Any]:
    picture = cv2.imdecode(np.frombuffer(photo, np.uint8), cv2.IMREAD_COLOR)
    if picture is None:
        raise PortraitError("not_an_image", "this is no picture; send a JPEG, PNG or WebP photo")
    out.write_bytes(b"portrait")
    out.with_suffix(".jpg").write_bytes(cv2.imencode(".jpg", cv2.resize(picture, (512, 512)))[1].tobytes())
    shadows = Remark("light", "from one side: shadows will not move with the face", warning=True)
    return Report(412, 0.0, 0.0, 0.0, (Remark("face", "412 pixels high"), shadows)).to_json()


PLACES: dict[str, Place] = {}
"""By address."""


@contextmanager
def serving(settings: Settings) -> Iterator[str]:
    """The server in a thread; its address."""
    app = create_app(settings, FakeEngine, fake_prepare, load)
    server = Server(app, settings)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        wait_until_ready(url := f"http://localhost:{settings.port}")
        PLACES[url] = app.state.place
        yield url
    finally:
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings(port=free_port(), portraits_dir=tmp_path_factory.mktemp("portraits"), max_sessions=4)


@pytest.fixture(scope="module")
def url(place: Settings) -> Iterator[str]:
    with serving(place) as address:
        yield address


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    with sync_playwright() as started:
        yield started


@pytest.fixture(scope="module")
def browser(playwright: Playwright, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    voice = speech.join([speech.speak("Papa made a map of the bay."), speech.silence(0.5)])
    browser = launch(playwright, voice.write(tmp_path_factory.mktemp("voice") / "voice.wav"))
    yield browser
    browser.close()


def luminance(colour: str) -> float:
    """Of #rrggbb, 0 to 1 (WCAG 2.2)."""
    red, green, blue = (int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5))
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (red, green, blue)]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


Open = Callable[..., ProbedPage]


@contextmanager
def opener(browser: Browser) -> Iterator[Open]:
    """`open(url, **options of the browser context)`."""
    contexts = []

    def open(url: str, **options: Any) -> ProbedPage:
        contexts.append(browser.new_context(**{"viewport": {"width": 1280, "height": 900}} | options))
        probed = ProbedPage(contexts[-1])
        probed.page.goto(url)
        return probed

    yield open
    for context in contexts:
        context.close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Open]:
    with opener(browser) as open:
        yield open


def says(page: Page, words: str) -> None:
    expect(page.locator("#status")).to_have_text(words)


def a_second_passes(page: Page) -> None:
    """In a call, whose button takes a quick second press for a part of the first."""
    expect(page.locator("#clock")).not_to_have_text("0:00")


def complains(page: Page, words: str) -> None:
    expect(page.locator("#alert-words")).to_contain_text(words)


def slide(page: Page, name: str, percent: int) -> None:
    page.get_by_role("slider", name=name, exact=True).fill(str(percent))


HIT = """(element) => {
    const { left, right, top, bottom } = element.getBoundingClientRect();
    const hit = document.elementFromPoint((left + right) / 2, (top + bottom) / 2);
    return element.contains(hit);
}"""
"""Whether a finger on its middle touches it: it is in the window, and nothing lies over it."""


def level_row(shot: Shot, row: int) -> float:
    """Brightness, 0 to 1, of a row of the fake engine's picture: 1 is loudness, 2 the sum of all units."""
    grey = np.array_split(shot.rgb.mean(axis=2), 4)[row]
    return float((grey[grey.shape[0] // 4 : -grey.shape[0] // 4].mean() - 16) / 220)


def number_row(shot: Shot) -> int:
    """The frame's number, which the fake engine draws: RTP counts from a first frame that a browser may miss."""
    row = np.array_split(shot.rgb.mean(axis=2), 4)[0].mean(axis=0)
    return sum(int(block.mean() > 126) << place for place, block in enumerate(np.array_split(row, BITS)))


class TestBeforeTheCall:
    def test_the_portrait_lives_in_silence(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        probed.wait_for_frames(5)
        assert probed.page.evaluate("document.querySelector('video').muted")
        assert probed.errors == []

    def test_less_motion_leaves_it_still_until_the_call(self, open_page: Open, url: str) -> None:
        probed = open_page(url, reduced_motion="reduce")
        says(probed.page, "Still picture")
        expect(probed.page.locator("#still")).to_have_attribute("alt", "Portrait of Anna")
        probed.page.get_by_role("button", name="Call").click()
        says(probed.page, "In a call")
        probed.wait_for_frames(1)

    def test_its_tables_are_the_engines(self, open_page: Open, url: str) -> None:
        page = open_page(url, reduced_motion="reduce").page
        tables = page.evaluate("import('/les.js').then(({AXES, EMOTIONS}) => ({AXES, EMOTIONS}))")
        assert tables["AXES"] == list(AXES)
        assert {name: pytest.approx(dict(units)) for name, units in EMOTIONS.items()} == tables["EMOTIONS"]

    def test_what_the_browser_pauses_goes_on(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        video = probed.page.locator("video")
        video.evaluate("(video) => video.pause()")
        wait_until(probed.page, "!document.querySelector('video').paused")
        video.evaluate("(v) => (v.play = () => Promise.reject(new DOMException('', 'NotAllowedError')), v.pause())")
        complains(probed.page, "The browser holds the picture back.")
        video.evaluate("(video) => delete video.play")
        probed.page.locator("#name").click()
        expect(probed.page.locator("#alert")).to_be_hidden()
        assert not video.evaluate("(video) => video.paused")

    def test_without_webrtc_there_are_pictures_and_one_line(self, browser: Browser, url: str) -> None:
        context = browser.new_context()
        page = context.new_page()
        page.add_init_script("delete window.RTCPeerConnection")
        page.goto(url)
        complains(page, "This browser has no WebRTC.")
        expect(page.locator("#still")).to_have_attribute("alt", "Portrait of Anna")
        expect(page.get_by_role("button", name="Call")).to_be_disabled()
        says(page, "Still picture")
        context.close()


class TestCall:
    def test_the_voice_goes_up_and_comes_back(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        probed.page.get_by_role("button", name="Call").click()
        says(probed.page, "In a call")
        assert not probed.page.evaluate("document.querySelector('video').muted")
        shots = probed.shoot(3.0)
        assert max(level_row(shot, 1) for shot in shots) > 0.1
        probed.page.get_by_role("button", name="Hang up").click()
        says(probed.page, "Live")
        assert probed.page.evaluate("document.querySelector('video').muted")
        assert probed.errors == []

    def test_the_picture_does_not_stop_for_it(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        probed.wait_for_frames(10)
        probed.page.get_by_role("button", name="Call").click()
        says(probed.page, "In a call")
        probed.wait_for_frames(30)
        steps = np.diff(probed.frames().rtp)
        assert np.median(steps) == SLOT_TICKS
        assert np.all(steps > 0)  # one connection: its timestamps never start anew

    def test_a_double_click_calls_once(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        page.get_by_role("button", name="Call").dblclick()
        says(page, "In a call")

    def test_two_taps_call_once(self, open_page: Open, url: str) -> None:
        """A phone counts each of them as a first."""
        page = open_page(url).page
        says(page, "Live")
        tap = "call.dispatchEvent(new MouseEvent('click', { bubbles: true, detail: 1 }))"
        page.locator("#call").evaluate(f"(call) => void ({tap}, {tap})")
        says(page, "In a call")

    def test_a_headset_that_goes_does_not_end_it(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        page.evaluate(
            """() => {
                const media = navigator.mediaDevices;
                const ask = media.getUserMedia.bind(media);
                media.getUserMedia = async (wish) => {
                    const stream = await ask(wish);
                    (window.asked ??= []).push({ wish: wish.audio.deviceId?.exact, track: stream.getAudioTracks()[0] });
                    return stream;
                };
            }"""
        )
        page.get_by_role("button", name="Call").click()
        says(page, "In a call")
        page.locator("#microphone").select_option(index=1)
        wait_until(page, "asked.length === 2 && asked[0].track.readyState === 'ended'")
        page.evaluate("asked[1].track.dispatchEvent(new Event('ended'))")
        wait_until(page, "asked.length === 3")
        assert page.evaluate("asked[1].wish") and not page.evaluate("asked[2].wish")
        says(page, "In a call")
        none = "() => Promise.reject(new DOMException('', 'NotFoundError'))"
        page.evaluate(f"void (navigator.mediaDevices.getUserMedia = {none})")
        page.evaluate("asked[2].track.dispatchEvent(new Event('ended'))")
        complains(page, "No microphone was found.")
        says(page, "Live")

    def test_a_device_that_goes_between_calls_is_not_asked_for(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        page.get_by_role("button", name="Call").click()
        says(page, "In a call")
        page.locator("#microphone").select_option(index=1)
        a_second_passes(page)
        page.get_by_role("button", name="Hang up").click()
        page.evaluate("void (navigator.mediaDevices.enumerateDevices = async () => [])")
        page.evaluate("void navigator.mediaDevices.dispatchEvent(new Event('devicechange'))")
        expect(page.locator("#microphone option")).to_have_count(1)
        page.evaluate(
            """() => {
                const media = navigator.mediaDevices;
                const ask = media.getUserMedia.bind(media);
                media.getUserMedia = (wish) => ((window.wish = wish), ask(wish));
            }"""
        )
        page.wait_for_timeout(500)  # as a hand takes: a quick second press is a part of the first
        page.get_by_role("button", name="Call").click()
        says(page, "In a call")
        assert page.evaluate("wish.audio.deviceId") is None

    def test_the_screen_stays_on_until_it_ends(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        page.evaluate(
            """() => {
                const release = () => (window.lock = 'released');
                const request = async (kind) => ((window.lock = kind), { release });
                Object.defineProperty(navigator, 'wakeLock', { value: { request } });
            }"""
        )
        page.get_by_role("button", name="Call").click()
        says(page, "In a call")
        wait_until(page, "window.lock === 'screen'")
        a_second_passes(page)
        page.get_by_role("button", name="Hang up").click()
        wait_until(page, "window.lock === 'released'")

    def test_mute_and_sound(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        expect(page.get_by_role("button", name="Mute", exact=True)).to_be_disabled()
        page.get_by_role("button", name="Call").click()
        says(page, "In a call")
        page.get_by_role("button", name="Mute", exact=True).click()
        expect(page.get_by_role("button", name="Unmute")).to_have_attribute("aria-pressed", "true")
        page.get_by_role("button", name="Sound on").click()
        assert page.evaluate("document.querySelector('video').muted")


class TestExpression:
    def test_the_named_frame_is_the_first_that_shows_it(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        probed.wait_for_frames(3)
        probed.start_shooting(2.0)
        slide(probed.page, "Happiness", 60)
        expect(probed.page.locator("#acknowledgement")).to_contain_text("Shown after")
        probed.page.wait_for_timeout(500)
        shots = probed.shots()
        applied = probed.control("in", "emotion.applied")[-1][1]
        shows = {number_row(shot): level_row(shot, 2) > 0.1 for shot in shots}
        assert set(shows.values()) == {False, True}
        assert all(happy == (number >= applied["frame"]) for number, happy in shows.items())

    def test_the_track_fills_once_acknowledged(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        slide(page, "Happiness", 60)
        expect(page.get_by_role("slider", name="Happiness", exact=True)).to_have_attribute("style", "--applied: 60%;")
        expect(page.locator("#vector-words")).to_contain_text("AU12 0.60")
        page.get_by_role("button", name="Reset").click()
        expect(page.get_by_role("slider", name="Happiness", exact=True)).to_have_value("0")
        expect(page.locator("#vector-words")).to_contain_text("Neutral")

    def test_what_nobody_moved_is_not_told(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        wait_until(
            probed.page, "probe.control.some(([, way, said]) => way === 'in' && said.type === 'emotion.applied')"
        )
        expect(probed.page.locator("#acknowledgement")).to_be_empty()

    def test_a_hundred_moves_are_few_messages(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        before = len(probed.control("out", "emotion.set"))
        slider = probed.page.get_by_role("slider", name="Anger", exact=True)
        slider.evaluate(
            "(input) => { for (let v = 1; v <= 100; v++) (input.value = v), input.dispatchEvent(new Event('input')); }"
        )
        expect(slider).to_have_attribute("style", "--applied: 100%;")
        sent = [message for _, message in probed.control("out", "emotion.set")[before:]]
        assert len(sent) <= 3
        assert sent[-1]["emotion"] == {"anger": 1}

    def test_units_have_sides(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        probed.page.get_by_text("Upper lip and corners").click()
        slide(probed.page, "AUL12 Lip corner puller, left", 40)
        expect(probed.page.locator("#vector-words")).to_contain_text("AUL12 0.40")
        assert probed.control("out", "emotion.set")[-1][1]["units"] == {"AUL12": 0.4}

    def test_motion_amounts(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        slide(probed.page, "Blinks: how much of it", 0)
        wait_until(probed.page, "probe.control.some(([, way, said]) => way === 'in' && said.motion?.blink === 0)")

    def test_a_busy_server_is_told_of(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        place = PLACES[url]
        for quality, words in ((Quality(15), "(the server is busy)"), (Quality(), "")):
            place.engines.ready.get_loop().call_soon_threadsafe(place.sessions.adapt, quality)
            expect(page.locator("#stat-strain")).to_have_text(words)


class TestMeasurements:
    def test_latency_is_told_of_a_voice_only(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        expect(page.locator("#stat-codec")).to_have_text("H.264")
        expect(page.locator("#latency")).to_be_hidden()
        page.get_by_role("button", name="Call").click()
        expect(page.locator("#latency")).to_have_text(re.compile(r"Latency\s*\d+ ms"))
        page.get_by_role("button", name="Hang up").click()


class TestFailures:
    def test_a_refused_microphone(self, playwright: Playwright, url: str) -> None:
        browser = launch(playwright, grant=False)
        with opener(browser) as open:
            page = open(url).page
            says(page, "Live")
            page.get_by_role("button", name="Call").click()
            complains(page, "The microphone is blocked for this page.")
            says(page, "Live")
        browser.close()

    @pytest.mark.parametrize(
        ("told", "name", "answer"),
        [
            ("Permission dismissed", "NotAllowedError", "Call again, and allow it."),
            ("", "NotFoundError", "No microphone was found."),
        ],
    )
    def test_a_microphone_that_was_not_given(
        self, open_page: Open, url: str, told: str, name: str, answer: str
    ) -> None:
        page = open_page(url).page
        says(page, "Live")
        fault = f"() => Promise.reject(new DOMException('{told}', '{name}'))"
        page.evaluate(f"() => void (navigator.mediaDevices.getUserMedia = {fault})")
        page.get_by_role("button", name="Call").click()
        complains(page, answer)

    def test_a_full_server_is_tried_again(self, open_page: Open, tmp_path: Path) -> None:
        with serving(Settings(port=free_port(), portraits_dir=tmp_path, max_sessions=1)) as url:
            first = open_page(url).page
            says(first, "Live")
            second = open_page(url).page
            complains(second, "All places are taken.")
            expect(second.locator("#countdown")).to_contain_text("Trying again in")
            first.goto("about:blank")  # leaving gives the place back
            second.get_by_role("button", name="Try now").click()
            says(second, "Live")

    def test_a_server_that_still_starts_is_waited_for(self, open_page: Open, tmp_path: Path) -> None:
        with serving(Settings(port=free_port(), portraits_dir=tmp_path, max_sessions=4)) as url:
            PLACES[url].ready = False
            page = open_page(url).page
            complains(page, "The engine is still loading.")
            page.get_by_role("button", name="Call").click()
            PLACES[url].ready = True
            says(page, "In a call")
            expect(page.locator("#alert")).to_be_hidden()
            page.goto("about:blank")

    def test_a_server_that_went_away_is_found_again(self, open_page: Open, tmp_path: Path) -> None:
        settings = Settings(port=free_port(), portraits_dir=tmp_path, max_sessions=4)
        with serving(settings) as url:
            probed = open_page(url)
            says(probed.page, "Live")
            slide(probed.page, "Fear", 50)
            expect(probed.page.locator("#acknowledgement")).to_contain_text("Shown after")
        complains(probed.page, "The server")
        expect(probed.page.locator("#portrait")).not_to_have_attribute("data-live", "yes")
        with serving(settings):
            with suppress(PlaywrightTimeout):  # the page may have tried by itself
                probed.page.get_by_role("button", name="Try now").click(timeout=3000)
            says(probed.page, "Live")
            expect(probed.page.locator("#alert")).to_be_hidden()
            assert probed.control("out", "emotion.set")[-1][1]["emotion"] == {"fear": 0.5}  # told again
            probed.page.goto("about:blank")

    def test_a_server_that_died_is_noticed_before_the_network_layer_does(self, browser: Browser) -> None:
        blind = "Object.defineProperty(RTCPeerConnection.prototype, 'connectionState', { get: () => 'connected' })"
        with server_process("--engines", "1") as server, opener(browser) as open:
            page = open("about:blank").page
            page.add_init_script(blind)
            page.goto(server.url)
            expect(page.locator("#stat-codec")).to_have_text("H.264", timeout=60_000)
            os.kill(server.pid, signal.SIGKILL)
            expect(page.locator("#alert-words")).to_contain_text("The ", timeout=60_000)

    @pytest.mark.parametrize(("width", "height"), [(360, 640), (740, 360), (1366, 768)])
    def test_a_complaint_is_seen_from_the_last_slider(self, open_page: Open, url: str, width: int, height: int) -> None:
        page = open_page(url, viewport={"width": width, "height": height}, reduced_motion="reduce").page
        expect(page.locator("#name")).to_have_text("Anna")
        fault = "() => Promise.reject(new DOMException('', 'NotFoundError'))"
        page.evaluate(f"() => void (navigator.mediaDevices.getUserMedia = {fault})")
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        page.get_by_role("button", name="Call").dispatch_event("click")
        complains(page, "No microphone was found.")
        assert page.evaluate("scrollY") > 0
        assert page.get_by_role("button", name="Close").evaluate(HIT)

    def test_an_insecure_page(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        page.evaluate("Object.defineProperty(navigator, 'mediaDevices', { value: undefined })")
        page.get_by_role("button", name="Call").click()
        complains(page, "only to https:// pages and to localhost")

    def test_a_broken_engine_stream(self, open_page: Open, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        page = open_page(url).page
        says(page, "Live")
        fault = RuntimeError("out of order")

        def fail(engine: FakeEngine, work: list[tuple[FakeStream, Any]]) -> None:
            raise fault

        with monkeypatch.context() as patch:
            patch.setattr(FakeEngine, "step", fail)
            complains(page, "The engine failed on this call.")
        says(page, "Live")


class TestPortraits:
    def test_another_portrait_is_one_click_away(self, open_page: Open, url: str) -> None:
        page = open_page(url).page
        says(page, "Live")
        page.get_by_role("button", name="Zola").click()
        expect(page.locator("#name")).to_have_text("Zola")
        says(page, "Live")

    def test_the_keyboard_keeps_its_place(self, open_page: Open, url: str) -> None:
        page = open_page(url, reduced_motion="reduce").page
        page.get_by_role("button", name="Otto").press("Enter")
        expect(page.locator("#name")).to_have_text("Otto")
        assert page.evaluate("document.activeElement.textContent") == "Otto"

    @pytest.mark.parametrize("width", [320, 390])
    def test_the_chosen_one_and_the_way_to_add_one_are_in_sight(self, open_page: Open, url: str, width: int) -> None:
        page = open_page(url, viewport={"width": width, "height": 844}, reduced_motion="reduce").page
        page.get_by_role("button", name="Zola").press("Enter")
        page.locator("#portraits").scroll_into_view_if_needed()
        for name in ("Zola", "Add photo"):
            assert page.get_by_role("button", name=name).evaluate(HIT)

    def test_an_upload_tells_its_quality(self, open_page: Open, url: str, tmp_path: Path) -> None:
        photo = tmp_path / "ada.png"
        cv2.imwrite(str(photo), np.full((64, 64, 3), 127, np.uint8))
        page = open_page(url).page
        says(page, "Live")
        page.locator("#portraits + input").set_input_files(photo)
        expect(page.locator("#portrait-note")).to_contain_text("ada is ready, with reservations:")
        expect(page.locator("#portrait-note li")).to_contain_text(["Light: from one side", "Face: 412 pixels high"])
        expect(page.locator("#name")).to_have_text("ada")
        page.get_by_role("button", name="Delete ada").click()  # without an answer, Playwright says no
        expect(page.locator("#name")).to_have_text("ada")
        page.once("dialog", lambda asked: asked.accept())
        page.get_by_role("button", name="Delete ada").click()
        expect(page.locator("#name")).to_have_text("Anna")
        expect(page.locator("#portrait-note")).to_be_empty()

    def test_a_photo_that_cannot_be_used(self, open_page: Open, url: str, tmp_path: Path) -> None:
        photo = tmp_path / "letter.jpg"
        photo.write_text("Dear server,")
        page = open_page(url).page
        says(page, "Live")
        page.locator("#portraits + input").set_input_files(photo)
        expect(page.locator("#portrait-note")).to_have_text("This is no picture; send a JPEG, PNG or WebP photo.")
        expect(page.locator("#name")).to_have_text("Anna")


class TestBackground:
    """The choice reaches the engine, also in the session that follows."""

    @pytest.fixture
    def shown(self, monkeypatch: pytest.MonkeyPatch) -> Queue[Background]:
        seen: Queue[Background] = Queue()
        monkeypatch.setattr(FakeStream, "stand_before", lambda stream, background: seen.put(background))
        return seen

    def test_a_name_a_colour_and_a_picture(
        self, open_page: Open, url: str, tmp_path: Path, shown: Queue[Background]
    ) -> None:
        cv2.imwrite(str(tmp_path / "blue.png"), np.full((90, 300, 3), (255, 0, 0), np.uint8))
        page = open_page(url).page
        says(page, "Live")
        choice = page.get_by_label("Background", exact=True)
        choice.select_option("Blurred")
        assert shown.get(timeout=60).kind == "blur"
        choice.select_option("A colour")
        assert shown.get(timeout=60).kind == "colour"
        page.get_by_label("Background colour").fill("#c81e28")
        assert shown.get(timeout=60).colour == (200, 30, 40)
        with page.expect_file_chooser() as chooser:
            choice.select_option("A picture …")
        chooser.value.set_files(tmp_path / "blue.png")
        picture = shown.get(timeout=60).picture
        assert picture is not None and picture.shape == (512, 512, 3)
        assert abs(picture.mean((0, 1)) - (0, 0, 255)).max() < 4
        page.get_by_role("button", name="Zola").click()
        assert shown.get(timeout=60).kind == "picture"
        expect(choice).to_have_value("picture")

    def test_a_refusal_is_told(self, open_page: Open, url: str, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(stream: FakeStream, background: Background) -> None:
            raise PortraitError("not_cut_out", "this portrait was not told from its background")

        monkeypatch.setattr(FakeStream, "stand_before", refuse)
        page = open_page(url).page
        says(page, "Live")
        page.get_by_label("Background", exact=True).select_option("Blurred")
        expect(page.locator("#background-note")).to_have_text("This portrait was not told from its background.")
        expect(page.get_by_label("Background", exact=True)).to_have_value("photo")


class TestForm:
    @pytest.mark.parametrize("width", [320, 390, 768, 1440])
    def test_nothing_runs_out_of_the_side(self, open_page: Open, url: str, width: int) -> None:
        page = open_page(url, viewport={"width": width, "height": 844}, reduced_motion="reduce").page
        expect(page.locator("#name")).to_have_text("Anna")
        page.evaluate("document.querySelectorAll('details').forEach((region) => (region.open = true))")
        page.evaluate("for (const id of ['alert', 'interrupt']) document.getElementById(id).hidden = false")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        # The portraits are a strip that scrolls within its own box.
        own = "(e) => e.checkVisibility() && !e.closest('#portraits li')"
        boxes = f"[...document.querySelectorAll('button, input, select, section, ul')].filter({own})"
        assert page.evaluate(f"Math.max(...{boxes}.map((e) => e.getBoundingClientRect().right))") <= width

    @pytest.mark.parametrize(("width", "height"), [(390, 844), (768, 1024), (844, 390)])
    def test_the_chin_is_in_sight(self, open_page: Open, url: str, width: int, height: int) -> None:
        page = open_page(url, viewport={"width": width, "height": height}, reduced_motion="reduce").page
        box = page.locator("#portrait").bounding_box()
        assert box and box["width"] / box["height"] < 1.2 and box["y"] + box["height"] < height

    @pytest.mark.parametrize(("width", "height"), [(390, 844), (360, 640), (740, 360), (683, 384), (1440, 900)])
    def test_no_slider_in_focus_is_hidden(self, open_page: Open, url: str, width: int, height: int) -> None:
        """WCAG 2.2, 2.4.11, with the face in sight, upwards as well as downwards."""
        page = open_page(url, viewport={"width": width, "height": height}, reduced_motion="reduce").page
        expect(page.locator("#name")).to_have_text("Anna")
        for name in ("Happiness", "Contempt", "Blinks: how much of it", "Sadness"):
            slider = page.get_by_role("slider", name=name, exact=True)
            slider.focus()
            assert slider.evaluate(HIT) and page.locator("#portrait").evaluate(HIT)

    def test_every_control_has_a_name(self, open_page: Open, url: str) -> None:
        page = open_page(url, reduced_motion="reduce").page
        expect(page.locator("#name")).to_have_text("Anna")
        assert page.get_by_role("slider").count() == 0 or page.locator("input[type=range]").count() == 7 + 41 + 3
        nameless = page.evaluate(
            """() => [...document.querySelectorAll('button, input:not([hidden]), select')].filter((control) =>
                !control.getAttribute('aria-label') && !control.textContent.trim() && !control.labels?.length
            ).map((control) => control.outerHTML)"""
        )
        assert nameless == []

    def test_the_keyboard_reaches_everything(self, open_page: Open, url: str) -> None:
        probed = open_page(url)
        says(probed.page, "Live")
        probed.page.get_by_role("slider", name="Sadness", exact=True).focus()
        probed.page.keyboard.press("ArrowRight")
        expect(probed.page.locator("#acknowledgement")).to_contain_text("Shown after")
        assert probed.control("out", "emotion.set")[-1][1]["emotion"] == {"sadness": 0.01}
        outline = probed.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid"

    @pytest.mark.parametrize("ground", ["paper", "sheet", "track"])
    @pytest.mark.parametrize("ink", ["ink", "ink-soft"])
    @pytest.mark.parametrize("scheme", [0, 1])
    def test_words_stand_out(self, ink: str, ground: str, scheme: int) -> None:
        """WCAG 2.2, 1.4.3: 4.5 to 1."""
        style = (PAGE / "style.css").read_text()
        found = re.findall(r"--([\w-]+): light-dark\((.*)\)", style)
        pairs = {name: re.findall("#[0-9a-f]{6}", pair) for name, pair in found}
        darker, lighter = sorted(luminance(pairs[name][scheme]) for name in (ink, ground))
        assert (lighter + 0.05) / (darker + 0.05) >= 4.5

    def test_light_and_dark(self, open_page: Open, url: str) -> None:
        page = open_page(url, color_scheme="light", reduced_motion="reduce").page
        colour = "getComputedStyle(document.body).backgroundColor"
        light = page.evaluate(colour)
        page.get_by_role("button", name="Switch to dark colours").click()
        dark = page.evaluate(colour)
        assert dark != light
        page.reload()
        assert page.evaluate(colour) == dark
