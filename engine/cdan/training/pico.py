"""SVOX Pico's English voices (package ttspico, Apache-2.0), which tell no times: pocketsphinx aligns them."""

from typing import Any

import numpy as np
from pocketsphinx import Decoder

from engine.cdan.training.align import Unaligned, align, spoken_words
from engine.cdan.training.augment import to_network_rate
from engine.cdan.training.voices import Utterance


class Pico:
    """One language of Pico; each has one voice."""

    RATE = 16000

    def __init__(self, language: str) -> None:
        import ttspico

        self._language, self._engine = language, ttspico.TtsEngine(language)
        self._decoder: Any = Decoder(lm=None, loglevel="FATAL")

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        """Nothing where the aligner does not know a word."""
        name = f"pico {self._language}"
        words = spoken_words(self._decoder, text)
        if not words:
            return Utterance(np.zeros(0, np.float32), self.RATE, (), name)
        self._engine.rate, self._engine.pitch = int(rng.integers(80, 125)), int(rng.integers(75, 130))
        samples = np.asarray(np.frombuffer(self._engine.speak(text), "<i2") / 32768, np.float32)
        try:
            spoken = align(self._decoder, to_network_rate(samples, self.RATE), " ".join(words))
        except Unaligned:
            spoken = ()
        return Utterance(samples, self.RATE, spoken, name)
