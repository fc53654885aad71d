"""SVOX Pico's voices (package ttspico, Apache-2.0), which tell no times: pocketsphinx aligns them.

Its model is English. In another language each word is aligned by espeak-ng's phones for it, named by the nearest
English ones, and what fits badly is thrown away.
"""

from typing import Any

import numpy as np
from pocketsphinx import Decoder

from engine.cdan.training import espeak, texts
from engine.cdan.training.align import Unaligned, align, spoken_words
from engine.cdan.training.augment import to_network_rate
from engine.cdan.training.voices import Utterance

ABROAD = {"de-DE": "de", "es-ES": "es", "it-IT": "it"}
"""espeak-ng's name of a language that is not English. Of French 53 of 60 rows fit badly, of these a tenth."""


class Pico:
    """One language of Pico; each has one voice."""

    RATE = 16000
    LEAST_FIT = -40.0  # eight rows each: German -22 to -35; under other words -36 to -83 or not aligned

    def __init__(self, language: str) -> None:
        import ttspico

        self._language, self._engine = language, ttspico.TtsEngine(language)
        self._decoder: Any = Decoder(lm=None, loglevel="FATAL")
        self._known: dict[str, str] = {}

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        """In another language than English it reads a row of its words instead of the text. Nothing is said where the
        aligner does not know a word."""
        if self._language in ABROAD:
            words = texts.names(ABROAD[self._language], rng)
            text, keys = " ".join(words) + ".", [self._key(word.lower()) for word in words]
        else:
            keys = spoken_words(self._decoder, text)
        name = f"pico {self._language}"
        if not keys or not all(keys):
            return Utterance(np.zeros(0, np.float32), self.RATE, (), name)
        self._engine.rate, self._engine.pitch = int(rng.integers(80, 125)), int(rng.integers(75, 130))
        samples = np.asarray(np.frombuffer(self._engine.speak(text), "<i2") / 32768, np.float32)
        try:
            spoken = align(self._decoder, to_network_rate(samples, self.RATE), " ".join(keys), self.LEAST_FIT)
        except Unaligned:
            spoken = ()
        return Utterance(samples, self.RATE, spoken, name)

    def _key(self, word: str) -> str:
        """What the aligner calls a word that is not English; nothing where we cannot name its sounds."""
        if word not in self._known:
            spoken = espeak.pronounced(word, ABROAD[self._language])
            self._known[word] = f"{self._language}_{word}" if spoken else ""
            if spoken:
                self._decoder.add_word(self._known[word], " ".join(p.upper().replace("AX", "AH") for p in spoken))
        return self._known[word]
