"""A call in Debian's Firefox, which brings no H.264: against the real server with a fake engine."""

from pathlib import Path

import numpy as np
import pytest

from server.settings import Settings
from tests.browser.firefox import FIREFOX, firefox
from tests.browser.harness import PROBE, SLOT_TICKS, free_port
from tests.test_client import serving

pytestmark = pytest.mark.skipif(not FIREFOX.exists(), reason="needs Debian's firefox-esr")


def says(words: str) -> str:
    return f"document.getElementById('status').textContent === '{words}'"


def test_a_call(tmp_path: Path) -> None:
    with serving(Settings(port=free_port(), portraits_dir=tmp_path)) as url, firefox() as tab:
        tab.open(url, PROBE)
        tab.wait_until(says("Live"))
        assert tab.evaluate("probe.loudness()") < 0.01
        tab.press("call")
        tab.wait_until(says("In a call"))
        assert not tab.evaluate("document.querySelector('video').muted")

        seen = tab.evaluate("probe.frames.length")
        tab.wait_until(f"probe.frames.length > {seen} + 25")
        steps = np.diff([row[2] for row in tab.evaluate(f"probe.frames.slice({seen})")])
        assert np.all(steps > 0) and not np.any(steps % SLOT_TICKS)
        tab.wait_until("document.getElementById('stat-codec').textContent === 'VP8'")
        tab.wait_until("probe.loudness().then((level) => level > 0.01)")  # the microphone's hum, back from the portrait

        happiness = "[...document.querySelectorAll('#emotions input')][0]"
        tab.evaluate(f"(e => ((e.value = 60), e.dispatchEvent(new Event('input'))))({happiness})")
        tab.wait_until("probe.control.some(([, way, said]) => way === 'in' && said.type === 'emotion.applied')")
        tab.wait_until("document.getElementById('acknowledgement').textContent.startsWith('Shown after')")

        tab.press("call")
        tab.wait_until(says("Live"))
        assert tab.evaluate("document.querySelector('video').muted")
