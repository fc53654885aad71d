"""Whether somebody speaks: what the `speech` event tells."""

import numpy as np
import webrtcvad

from engine.units import exact_div
from server.bargein import Verdict
from server.loudness import rms
from server.microphone import Samples
from server.timeline import AUDIO_RATE, FRAME_S


class SpeechGate:
    """Whether somebody speaks into the microphone: WebRTC's detector, and louder than the microphone's own noise.

    The detector alone stays on in steady noise; the noise floor, which follows quiet fast and noise slowly, ends that.
    """

    ABOVE_FLOOR = 2.5
    FLOOR = 0.002
    PIECE = exact_div(AUDIO_RATE, 50)  # samples of the 20 ms that the detector takes
    LEAST = 2  # slots in a row that begin speech: a knock is one
    HANG = round(0.4 / FRAME_S)  # slots without speech until it has ended

    def __init__(self) -> None:
        self.active = False
        self._detector = webrtcvad.Vad(3)
        self._floor = self.FLOOR
        self._with, self._without = 0, self.HANG

    def verdict(self, slot: Samples, sent: Samples) -> Verdict | None:
        """For a portrait that speaks with this very voice: what was sent is no echo to beware of."""
        if not self.hear(slot):
            return None
        return Verdict.CONFIRMED if self.active else Verdict.ENDED

    def hear(self, slot: Samples) -> bool:
        """True if `active` changed."""
        level, before = rms(slot), self.active
        self._floor = max(self.FLOOR, min(level, self._floor * 1.004))
        speaks = level > self._floor * self.ABOVE_FLOOR and self._voiced(slot)
        self._with = self._with + 1 if speaks else 0
        enough = self._with >= (1 if self.active else self.LEAST)
        self._without = 0 if enough else self._without + 1
        self.active = self._without < self.HANG
        return self.active != before

    def _voiced(self, slot: Samples) -> bool:
        pcm = (np.clip(slot, -1, 1) * 32767).astype(np.int16).reshape(-1, self.PIECE)
        return all(self._detector.is_speech(piece.tobytes(), AUDIO_RATE) for piece in pcm)
