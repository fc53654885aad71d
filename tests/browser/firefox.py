"""Debian's Firefox with a fake microphone, which hums, driven by WebDriver BiDi.

Playwright's own Firefox is another browser than people have, and its BiDi wants commands that Debian's does not know.
"""

import json
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from websockets.sync.client import ClientConnection, connect

FIREFOX = Path("/usr/bin/firefox-esr")
PREFERENCES = {
    "media.navigator.streams.fake": True,
    "media.navigator.permission.disabled": True,  # the user says yes
    "datareporting.policy.dataSubmissionEnabled": False,
    "app.normandy.enabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "network.captive-portal-service.enabled": False,
}
START_S = 60.0
MOST_BYTES = 1 << 26


class Tab:
    """A page that is open."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection, self._sent = connection, 0
        self._send("session.new", capabilities={})
        self._context = self._send("browsingContext.create", type="tab")["context"]

    def open(self, url: str, script: Path) -> None:
        """`script` runs in the page before its own."""
        self._send("script.addPreloadScript", functionDeclaration=f"() => {{ {script.read_text()} }}")
        self._send("browsingContext.navigate", context=self._context, url=url, wait="complete")

    def evaluate(self, expression: str) -> Any:
        """What it comes to, as JSON has it."""
        answer = self._send(
            "script.evaluate",
            expression=f"(async () => JSON.stringify(await ({expression}) ?? null))()",
            target={"context": self._context},
            awaitPromise=True,
        )
        if answer["type"] == "exception":
            raise RuntimeError(f"{expression}: {answer['exceptionDetails']['text']}")
        return json.loads(answer["result"]["value"])

    def wait_until(self, condition: str, timeout_s: float = 60.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not self.evaluate(condition):
            if time.monotonic() > deadline:
                raise TimeoutError(f"not true within {timeout_s:g} s: {condition}")
            time.sleep(0.1)

    def press(self, id: str) -> None:
        """With the mouse, on the middle of the element with this id."""
        element = f"document.getElementById('{id}')"
        box = f"({element}.scrollIntoView({{ block: 'center' }}), {element}.getBoundingClientRect())"
        at = self.evaluate(box)
        middle = {axis: round(at[axis] + at[size] / 2) for axis, size in (("x", "width"), ("y", "height"))}
        steps = [
            {"type": "pointerMove", **middle},
            {"type": "pointerDown", "button": 0},
            {"type": "pointerUp", "button": 0},
        ]
        mouse = {"type": "pointer", "id": "mouse", "actions": steps}
        self._send("input.performActions", context=self._context, actions=[mouse])

    def _send(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._sent += 1
        self._connection.send(json.dumps({"id": self._sent, "method": method, "params": parameters}))
        while (answer := json.loads(self._connection.recv(timeout=60))).get("id") != self._sent:
            pass  # events
        if answer["type"] == "error":
            raise RuntimeError(f"{method}: {answer['message']}")
        result: dict[str, Any] = answer["result"]
        return result


@contextmanager
def firefox() -> Iterator[Tab]:
    """A browser of its own, with one tab."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
        Path(profile, "user.js").write_text("\n".join(lines))
        command = [str(FIREFOX), "--headless", "--remote-debugging-port=0", "--profile", profile]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        try:
            with connect(_address(Path(profile, "WebDriverBiDiServer.json")), max_size=MOST_BYTES) as connection:
                yield Tab(connection)
        finally:
            process.terminate()
            process.wait(20)


def _address(told: Path) -> str:
    """Firefox writes its port into the profile. RuntimeError when it does not within a minute."""
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with suppress(FileNotFoundError, ValueError):  # not there yet, or not all of it
            where = json.loads(told.read_text())
            return f"ws://{where['ws_host']}:{where['ws_port']}/session"
        time.sleep(0.1)
    raise RuntimeError("Firefox did not start; run it by hand to see why")
