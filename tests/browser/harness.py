"""Chromium with a fake microphone, and what its probe saw.

The real server runs as a process of its own (`server_process`); tests with a fake engine start one in a thread.
"""

import base64
import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Playwright, expect

from engine.units import FPS, exact_div

CHROMIUM = Path("/usr/bin/chromium")
expect.set_options(timeout=20_000)  # ms, of 5,000: a page that shares a core with its server is slow, not wrong
PROBE = Path(__file__).with_name("probe.js")
FLAGS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-device-for-media-stream", "--disable-backgrounding-occluded-windows",
)  # fmt: skip
GRANT = "--use-fake-ui-for-media-stream"  # the fake user says yes to the microphone
SLOT_TICKS = exact_div(90_000, FPS)  # of the video clock in a frame
START_S = 120.0  # a server that prepares its default portraits for the first time takes its time

Rgb = npt.NDArray[np.uint8]


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


@dataclass(frozen=True)
class Served:
    url: str
    pid: int


@contextmanager
def server_process(*arguments: str, log: Path | None = None) -> Iterator[Served]:
    """`les-avatar serve` with the real engine, ready for calls: four of them, whatever else the machine does now."""
    port = free_port()
    command = [sys.executable, "-m", "server.cli", "serve", "--port", str(port), "--max-sessions", "4", *arguments]
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    with open(log or os.devnull, "w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, env=environment)
    try:
        wait_until_ready(url := f"http://localhost:{port}", process)
        yield Served(url, process.pid)
    finally:
        process.terminate()
        process.wait(20)


def wait_until_ready(url: str, process: subprocess.Popen[bytes] | None = None) -> None:
    """RuntimeError when the server ends, or takes longer than two minutes."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline and (process is None or process.poll() is None):
        try:
            with urllib.request.urlopen(f"{url}/readyz") as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, ConnectionError):
            pass
        time.sleep(0.1)
    raise RuntimeError("the server did not become ready; start it by hand to see why")


def wait_until(page: Page, condition: str, argument: Any = None, timeout_s: float = 20.0) -> None:
    """Poll `condition` from here: `Page.wait_for_function` evaluates it inside the page, whose policy forbids that."""
    deadline = time.monotonic() + timeout_s
    while not page.evaluate(condition, argument):
        if time.monotonic() > deadline:
            raise TimeoutError(f"not true within {timeout_s:g} s: {condition}")
        page.wait_for_timeout(50)


def launch(playwright: Playwright, microphone: Path | None = None, *, grant: bool = True) -> Browser:
    """Chromium whose microphone plays `microphone` (48 kHz mono WAV) over and over, from the moment it is opened."""
    flags = [
        *FLAGS,
        *([GRANT] if grant else []),
        *([f"--use-file-for-fake-audio-capture={microphone}"] if microphone else []),
    ]
    return playwright.chromium.launch(executable_path=CHROMIUM, args=flags)


@dataclass(frozen=True)
class Shot:
    """A frame as shown: milliseconds of the page's clock, RTP timestamp, picture."""

    shown: float
    rtp: int | None
    rgb: Rgb


@dataclass(frozen=True)
class Sound:
    """What the page played: float32[n], and the page's time in ms at which its first sample was heard."""

    samples: npt.NDArray[np.float32]
    rate: int
    start: float


@dataclass(frozen=True)
class Frames:
    """One row a frame shown: when, when received (both ms), RTP timestamp, frames presented so far."""

    rows: npt.NDArray[np.float64]

    @property
    def shown(self) -> npt.NDArray[np.float64]:
        return self.rows[:, 0]

    @property
    def received(self) -> npt.NDArray[np.float64]:
        return self.rows[:, 1]

    @property
    def rtp(self) -> npt.NDArray[np.float64]:
        return self.rows[:, 2]

    @property
    def presented(self) -> npt.NDArray[np.float64]:
        return self.rows[:, 3]

    def slot(self, rtp: float) -> int:
        """Which frame of the connection this one is. The probe may have missed the first; its count tells."""
        first = self.rtp[0] - SLOT_TICKS * (self.presented[0] - 1)
        return round(float(rtp - first) / SLOT_TICKS)


class ProbedPage:
    """The page, with the probe in it. Console errors and exceptions are collected."""

    def __init__(self, context: BrowserContext) -> None:
        self.page: Page = context.new_page()
        self.errors: list[str] = []
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.add_init_script(path=PROBE)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type == "error":
            self.errors.append(message.text)

    def now(self) -> float:
        """The page's clock, ms."""
        return float(self.page.evaluate("performance.now()"))

    def frames(self) -> Frames:
        rows = self.page.evaluate("probe.frames")
        return Frames(np.array(rows, np.float64).reshape(-1, 4))

    def control(self, direction: str, kind: str) -> list[tuple[float, dict[str, Any]]]:
        """Messages sent ("out") or received ("in") so far, with their times in ms."""
        log = json.loads(self.page.evaluate("JSON.stringify(probe.control)"))
        return [(at, message) for at, way, message in log if way == direction and message["type"] == kind]

    def wait_for_frames(self, more: int, timeout_s: float = 20.0) -> None:
        wait_until(self.page, "(n) => probe.frames.length >= n", len(self.frames().rows) + more, timeout_s)

    def listen(self) -> None:
        self.page.evaluate("probe.listen()")

    def shoot(self, seconds: float) -> list[Shot]:
        """Every frame shown in the next `seconds`."""
        self.start_shooting(seconds)
        self.page.wait_for_timeout(seconds * 1000 + 300)
        return self.shots()

    def start_shooting(self, seconds: float) -> None:
        self.page.evaluate("(s) => probe.shootFor(s)", seconds)

    def shots(self) -> list[Shot]:
        """Those taken so far, which are then forgotten."""
        return [Shot(shown, rtp, _picture(data)) for shown, rtp, data in self.page.evaluate("probe.takeShots()")]

    def heard(self) -> Sound:
        """All since `listen`."""
        taken = self.page.evaluate("probe.takeSound()")
        samples = np.frombuffer(base64.b64decode(taken["samples"]), np.int16).astype(np.float32)
        return Sound(samples / np.float32(32767), taken["rate"], _first_sample_at(taken))


def _picture(data: str) -> Rgb:
    bgr = cv2.imdecode(np.frombuffer(base64.b64decode(data), np.uint8), cv2.IMREAD_COLOR)
    assert bgr is not None
    return np.ascontiguousarray(bgr[:, :, ::-1], np.uint8)


def _first_sample_at(taken: dict[str, Any]) -> float:
    """Blocks are seen late by varying amounts, never early: the least is the clock. The player's own delay follows."""
    clock = np.array(taken["clock"], np.float64)
    return float(np.min(clock[:, 0] - 1000 * clock[:, 1] / taken["rate"])) + float(taken["delay"])
