"""The level of a packet is that of RFC 6464."""

import av
import numpy as np
import pytest

from server.loudness import SILENCE, loudness, rms
from server.media import audio_frame
from server.timeline import AUDIO_RATE, PACKET

SECONDS = np.arange(PACKET) / AUDIO_RATE


def sine(amplitude: float) -> av.AudioFrame:
    return audio_frame((amplitude * np.sin(2 * np.pi * 100 * SECONDS)).astype(np.float32), 0)


@pytest.mark.parametrize(("amplitude", "dbov"), [(1, -3), (0.1, -23), (0.01, -43), (0, SILENCE)])
def test_a_sine_lies_three_decibels_below_its_peak(amplitude: float, dbov: int) -> None:
    assert loudness(sine(amplitude)) == dbov


def test_the_loudest_is_nought() -> None:
    assert loudness(audio_frame(np.ones(PACKET, np.float32), 0)) == 0


def test_the_rms_of_a_sine_is_its_peak_by_the_root_of_two() -> None:
    assert rms(np.sin(2 * np.pi * 100 * SECONDS, dtype=np.float32)) == pytest.approx(0.5**0.5, rel=1e-3)
