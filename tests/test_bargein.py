"""Whose voice it is: the user's interrupts, the avatar's own echo and noise do not."""

import numpy as np
import pytest

from server.bargein import BargeIn, Verdict
from server.microphone import Samples
from server.timeline import AUDIO_RATE, FRAME_S, SLOT
from tests.bargein_benchmark import VOICE_LEVEL, Scene, at_level, avatar, microphone, onset_s, spoken, verdicts

LEAD_S = 8.0


@pytest.fixture(scope="module")
def sentences() -> list[Samples]:
    return spoken("slt")


@pytest.fixture(scope="module")
def user() -> Samples:
    """Silence, a sentence at `LEAD_S`, silence; at 48 kHz."""
    said = at_level(spoken("kal", ("Wait a moment, that is not what I meant.",))[0], VOICE_LEVEL)
    silence = np.zeros(int(LEAD_S * AUDIO_RATE), np.float32)
    return np.concatenate([silence, said, silence[: 2 * AUDIO_RATE]])


def heard(scene: Scene, user: Samples, sentences: list[Samples]) -> list[tuple[float, Verdict]]:
    rng = np.random.default_rng(0)
    sent = avatar(len(user), rng, sentences) if scene.speaks else np.zeros(len(user), np.float32)
    return list(verdicts(microphone(scene, user, sent, rng), sent))


class TestUser:
    @pytest.mark.parametrize(
        "scene",
        [
            Scene("alone", speaks=False),
            Scene("in noise", speaks=False, noise="pink", snr_db=15),
            Scene("over the avatar, echo cancelled"),
            Scene("over the avatar and its echo", echo_db=-12),
        ],
        ids=lambda scene: scene.name,
    )
    def test_is_heard_soon_and_once(self, scene: Scene, user: Samples, sentences: list[Samples]) -> None:
        found = heard(scene, user, sentences)
        onset = LEAD_S + onset_s(user[int(LEAD_S * AUDIO_RATE) :])
        assert [verdict for _, verdict in found] == [Verdict.STARTED, Verdict.CONFIRMED, Verdict.ENDED]
        started, confirmed, ended = (at for at, _ in found)
        assert onset < started < confirmed <= onset + 0.3
        assert ended <= len(user) / AUDIO_RATE - 1.5 + 0.4

    def test_takes_turns(self, user: Samples) -> None:
        ear, turns = BargeIn(), []
        for slot in user[: len(user) // SLOT * SLOT].reshape(-1, SLOT):
            ear.hear(slot, np.zeros(SLOT, np.float32))
            turns.append(ear.speaking)
        changes = np.flatnonzero(np.diff(turns)) * FRAME_S
        assert len(changes) == 2 and LEAD_S < changes[0] < changes[1]


class TestNobody:
    @pytest.mark.parametrize(
        "scene",
        [
            Scene("echo", echo_db=-6),
            Scene("loud echo", echo_db=0, delay_s=0.35),
            Scene("noise that begins", speaks=False, noise="pink", snr_db=6),
        ],
        ids=lambda scene: scene.name,
    )
    def test_does_not_interrupt(self, scene: Scene, sentences: list[Samples]) -> None:
        silence = np.zeros(20 * AUDIO_RATE, np.float32)
        assert Verdict.CONFIRMED not in [verdict for _, verdict in heard(scene, silence, sentences)]

    def test_a_knock_is_a_pause_at_most(self) -> None:
        knock = np.zeros(4 * AUDIO_RATE, np.float32)
        knock[2 * AUDIO_RATE :][:2000] = 0.5 * np.sin(np.arange(2000) * 0.02)
        found = [v for _, v in verdicts(knock, np.zeros_like(knock))]
        assert found in ([], [Verdict.STARTED, Verdict.DISMISSED])
