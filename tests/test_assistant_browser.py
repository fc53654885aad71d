"""A user at a real browser talks to the built-in assistant of the real server, engine included."""

import shutil
from collections.abc import Iterator

import numpy as np
import pytest
from playwright.sync_api import expect

from server.assistants.replier import untagged
from tests.browser.harness import CHROMIUM
from tests.browser.landmarks import read
from tests.browser.talk import ANSWER, QUESTION, Talk, talking

equipped = CHROMIUM.exists() and shutil.which("flite")
pytestmark = pytest.mark.skipif(not equipped, reason="needs Debian's chromium and flite")

WHOLE = untagged(ANSWER)
FIRST = WHOLE.split(". ")[0] + "."
ASKED = QUESTION.lower().rstrip("?")


@pytest.fixture(scope="module")
def talk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Talk]:
    with talking(tmp_path_factory.mktemp("talk")) as begun:
        yield begun


class TestConversation:
    """In the order of a call."""

    def test_the_question_is_understood_and_answered(self, talk: Talk) -> None:
        talk.wait(lambda: FIRST in talk.captions("assistant", final=False))
        assert ASKED in talk.captions("user", final=True)

    def test_the_answer_is_seen_and_heard(self, talk: Talk) -> None:
        talk.wait(lambda: talk.messages("activity")[-1][1]["activity"] == "speaking")
        talk.probed.listen()
        shots = talk.probed.shoot(3.0)
        apertures = np.array([face.aperture for face in read([shot.rgb for shot in shots])])
        assert np.ptp(apertures) > 0.05  # inter-ocular distances; lips at rest move by less than 0.02
        assert np.abs(talk.probed.heard().samples).max() > 0.05

    def test_the_page_shows_both_sides(self, talk: Talk) -> None:
        lines = talk.probed.page.locator("#transcript li")
        expect(lines.filter(has_text=ASKED).first).to_be_visible()
        expect(lines.filter(has_text=FIRST).first).to_be_visible()

    def test_the_voice_of_the_user_interrupts(self, talk: Talk) -> None:
        talk.wait(
            lambda: any(WHOLE.startswith(said) for said in talk.captions("assistant", final=True) if said != WHOLE)
        )
        assert any(message["playback_ms"] > 500 for _, message in talk.messages("speech.interrupted"))

    def test_so_does_the_button(self, talk: Talk) -> None:
        button = talk.probed.page.get_by_role("button", name="Interrupt")
        expect(button).to_be_enabled(timeout=30_000)
        before = len(talk.messages("speech.interrupted"))
        button.click()
        expect(talk.probed.page.locator("#status")).not_to_have_text("Speaking", timeout=5_000)
        talk.wait(lambda: len(talk.messages("speech.interrupted")) > before)

    def test_it_goes_on_answering(self, talk: Talk) -> None:
        before = len(talk.messages("speech.started"))
        talk.wait(lambda: len(talk.messages("speech.started")) > before)

    def test_hanging_up_ends_it(self, talk: Talk) -> None:
        talk.probed.page.get_by_role("button", name="Hang up").click()
        expect(talk.probed.page.get_by_role("button", name="Interrupt")).to_be_hidden()
        expect(talk.probed.page.locator("#status")).to_have_text("Live", timeout=30_000)
        assert talk.probed.errors == []
        assert talk.messages("error") == []
