"""The built-in ear and voice: phrases are heard by their sound, other speech is not forced into them."""

import shutil

import numpy as np
import pytest
from scipy.signal import resample_poly

from server.assistants.hibari_voice import LEAD_S, QUIET, RATE, TAIL_S, HibariVoice, trimmed
from server.assistants.slots import HEARING_RATE, SlotFailure
from server.assistants.sphinx import Recogniser, Sphinx, alike, recogniser
from tests.browser.speech import MICROPHONE_RATE, Samples, speak

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="needs Debian's flite")
PHRASES = ("what time is it", "tell me a joke", "look surprised", "say it sadly", "repeat after me", "what can you do")
OTHERS = ("the dog sleeps under the table", "yesterday we went to the beach", "play some music")


def turn(samples: Samples) -> bytes:
    """As it comes from a microphone of a quiet room, at 16 kHz."""
    quiet = np.zeros(HEARING_RATE // 3, np.float32)
    sound = np.concatenate([quiet, resample_poly(samples, 1, MICROPHONE_RATE // HEARING_RATE), quiet])
    sound += np.random.default_rng(1).normal(0, 0.001, len(sound))
    return bytes((0.5 / np.abs(sound).max() * sound * 32767).astype("<i2").tobytes())


@pytest.fixture(scope="module")
def ear() -> Recogniser:
    return recogniser()


@needs_flite
class TestHearing:
    @pytest.mark.parametrize("phrase", PHRASES)
    def test_a_known_phrase(self, ear: Recogniser, phrase: str) -> None:
        assert ear.transcribe(turn(speak(phrase).samples)) == phrase

    @pytest.mark.parametrize("sentence", OTHERS)
    def test_other_speech_fits_no_phrase(self, ear: Recogniser, sentence: str) -> None:
        assert not ear.known(turn(speak(sentence).samples)).fits

    def test_two_that_hear_nearly_the_same_agree(self) -> None:
        assert alike("what time is it", "what time is and")
        assert not alike("what time is it", "what time does the train leave")
        assert not alike("i like you", "i would like to order a pizza")

    def test_other_speech_is_guessed_at(self, ear: Recogniser) -> None:
        said = "the weather is nice today".split()
        heard = ear.transcribe(turn(speak(" ".join(said)).samples)).split()
        assert len(set(said) & set(heard)) >= 2

    def test_what_was_heard_before_does_not_matter(self, ear: Recogniser) -> None:
        question, noise = turn(speak(PHRASES[0]).samples), np.random.default_rng(2).normal(0, 9000, 16_000)
        before = ear.known(question)
        ear.known(noise.clip(-32768, 32767).astype("<i2").tobytes())
        after = ear.known(question)
        assert after.words == before.words
        assert after.score == pytest.approx(before.score, abs=0.1)

    async def test_by_a_turn(self) -> None:
        listening = Sphinx().listen()
        sound = turn(speak(PHRASES[1]).samples)
        for at in range(0, len(sound), 1280):
            listening.feed(sound[at : at + 1280])
        assert await listening.text() == PHRASES[1]


class TestSilence:
    @pytest.mark.parametrize("length", [0, 1000, 2 * HEARING_RATE])
    def test_holds_no_words(self, ear: Recogniser, length: int) -> None:
        assert ear.transcribe(bytes(length)) == ""

    def test_a_phrase_with_a_word_that_has_no_sound_is_refused(self) -> None:
        with pytest.raises(ValueError, match="xyzzy"):
            Recogniser(["say xyzzy"])


class TestVoice:
    async def test_speaks_at_once(self) -> None:
        sound = np.frombuffer(b"".join([pcm async for pcm in HibariVoice().speak("Hello there.")]), "<i2") / 32768
        loud = np.flatnonzero(np.abs(sound) > 0.05)
        assert 0.5 < len(sound) / RATE < 1.5
        assert loud[0] < 0.15 * RATE and loud[-1] > 0.5 * len(sound)

    def test_silence_at_the_ends_is_cut(self) -> None:
        speech = np.full(1000, 0.5, np.float32)
        padded = np.pad(speech, RATE, constant_values=QUIET / 2)
        assert len(trimmed(padded)) == pytest.approx(1000 + (LEAD_S + TAIL_S) * RATE, abs=2)
        assert len(trimmed(np.zeros(100, np.float32))) == 0


class TestMissing:
    async def test_packages_are_named(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("server.assistants.hibari_voice.voice", missing)
        monkeypatch.setattr("server.assistants.sphinx.recogniser", missing)
        with pytest.raises(SlotFailure, match="pip install hibari-tts"):
            await anext(HibariVoice().speak("Hello."))
        with pytest.raises(SlotFailure, match="pip install pocketsphinx"):
            await Sphinx().listen().text()


def missing() -> None:
    raise ImportError
