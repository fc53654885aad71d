"""The `speech` event: on with a voice, off after it, and not for noise."""

import subprocess

import av
import numpy as np
import pytest
from av.audio.resampler import AudioResampler

from server.microphone import Samples
from server.speech import SpeechGate
from server.timeline import AUDIO_RATE, SLOT

PAUSE = 25  # slots of silence before the voice


@pytest.fixture(scope="module")
def voice(tmp_path_factory: pytest.TempPathFactory) -> Samples:
    """[slots, 1920] two seconds of a sentence at 48 kHz, between pauses of a second."""
    path = tmp_path_factory.mktemp("speech") / "v.wav"
    subprocess.run(["flite", "-voice", "slt", "-t", "My mother bought a brown umbrella.", "-o", str(path)], check=True)
    resampler = AudioResampler("flt", "mono", AUDIO_RATE)
    with av.open(str(path)) as file:
        pieces = [piece for frame in [*file.decode(audio=0), None] for piece in resampler.resample(frame)]
    samples = np.concatenate([piece.to_ndarray()[0] for piece in pieces])
    slots = samples[: len(samples) // SLOT * SLOT].reshape(-1, SLOT)
    pause = np.zeros((PAUSE, SLOT), np.float32)
    return np.concatenate([pause, slots, pause]).astype(np.float32)


def changes(slots: Samples) -> list[tuple[int, bool]]:
    gate = SpeechGate()
    return [(number, gate.active) for number, slot in enumerate(slots) if gate.hear(slot)]


def noise(slots: int, level: float) -> Samples:
    return (level * np.random.default_rng(0).standard_normal((slots, SLOT))).astype(np.float32)


class TestVoice:
    @pytest.mark.parametrize("gain", [1.0, 0.1])
    def test_one_sentence_is_one_stretch_of_speech(self, voice: Samples, gain: float) -> None:
        (begin, on), (end, off) = changes(voice * gain)
        assert (on, off) == (True, False)
        loud = np.flatnonzero(np.sqrt((voice**2).mean(1)) > 0.02)
        assert loud[0] <= begin <= loud[0] + 4
        assert loud[-1] < end <= loud[-1] + 1 + SpeechGate.HANG

    def test_over_a_fan(self, voice: Samples) -> None:
        heard = changes(voice + noise(len(voice), 0.004))
        assert heard[0][1] and PAUSE <= heard[0][0] <= PAUSE + 12 and not heard[-1][1]


class TestNoVoice:
    def test_silence(self) -> None:
        assert changes(np.zeros((50, SLOT), np.float32)) == []

    def test_steady_noise_is_not_speech_for_ever(self) -> None:
        gate = SpeechGate()
        for slot in noise(25 * 60, 0.02):
            gate.hear(slot)
        assert not gate.active

    def test_a_knock_is_not_speech(self) -> None:
        slots = np.zeros((50, SLOT), np.float32)
        slots[20, :200] = 0.8
        assert changes(slots) == []
