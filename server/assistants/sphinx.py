"""Hears offline, with PocketSphinx: surely the phrases that the built-in replier knows, and a guess at anything else.

A grammar of the phrases is tried first; it takes some hundredths of the sound's time. How well its words fit is told
by their acoustic scores, which PocketSphinx states relative to the best that any sound of speech reaches in a frame: a
sentence that had to be forced into the grammar scores far lower. Then a free decoder tries the same sound, in up to
real time, and gets a third of the words or more wrong. All sessions share one of each, in one thread.
"""

import asyncio
import math
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from difflib import SequenceMatcher
from functools import cache
from typing import Any

from server.assistants.phrases import grammar, pattern, words_in
from server.assistants.replier import RULES
from server.assistants.slots import HEARING_RATE, Listening, Offline, SlotFailure

FITS, WORST = -3.65, -7.0  # mean log score of a frame over all words of a phrase that was said, and over any one
SCORE_FLOOR = -740.0  # log of the least double: what underflowed is at most that
AGREE = 0.5  # share of the words of a poorly fitting phrase that the free decoder must hear, too
LEAST_FRAMES = 15  # of 10 ms: no word is shorter
LEAST_S = 0.2  # of sound that is looked at
PAD = bytes(HEARING_RATE // 5 * 2)  # silence around a turn, which the models expect
# PocketSphinx's own start for the cepstral mean: what is heard must not depend on what was heard before.
CMN = "41.00,-5.29,-0.12,5.09,2.48,-4.07,-1.37,-1.78,-5.08,-2.05,-6.45,-1.42,1.17"


@dataclass(frozen=True)
class Heard:
    words: str
    score: float
    """Mean log score of a frame within words; 0 is the best."""
    worst: float
    """The same of the word with the least."""
    frames: int
    """Within words."""

    @property
    def fits(self) -> bool:
        return bool(self.words) and self.frames >= LEAST_FRAMES and self.score > FITS and self.worst > WORST


class Recogniser:
    """Both decoders; to be used by one thread."""

    def __init__(self, phrases: Iterable[str]) -> None:
        from pocketsphinx import Decoder

        known = list(phrases)
        self._known = Decoder(lm=None, loglevel="FATAL", samprate=HEARING_RATE, beam=1e-57, pbeam=1e-57, wbeam=1e-38)
        if missing := sorted(w for w in set().union(*map(words_in, known)) if self._known.lookup_word(w) is None):
            raise ValueError(f"PocketSphinx's dictionary lacks {', '.join(missing)}")
        self._known.add_jsgf_string("phrases", grammar(known))
        self._known.activate_search("phrases")
        self._patterns = [pattern(phrase) for phrase in known]
        self._free = Decoder(loglevel="FATAL", samprate=HEARING_RATE, fwdflat=False, bestpath=False)

    def transcribe(self, pcm: bytes) -> str:
        """PCM16 at 16 kHz -> words in small letters; empty if there are none."""
        if len(pcm) < 2 * HEARING_RATE * LEAST_S:
            return ""
        known = self.known(pcm)
        whole = any(phrase.fullmatch(f"{known.words} ") for phrase in self._patterns)  # not only its beginning
        if whole and known.fits:
            return known.words
        free = self.free(pcm).words
        return known.words if whole and alike(known.words, free) else free

    def known(self, pcm: bytes) -> Heard:
        return decode(self._known, pcm)

    def free(self, pcm: bytes) -> Heard:
        return decode(self._free, pcm)


def decode(decoder: Any, pcm: bytes) -> Heard:
    decoder.set_cmn(CMN)
    decoder.start_utt()
    decoder.process_raw(PAD + pcm + PAD, False, False)
    decoder.end_utt()
    found = decoder.hyp()
    segments = [(log_of(s.ascore), s.end_frame - s.start_frame + 1) for s in decoder.seg() or () if s.word[0].isalpha()]
    frames = sum(length for _, length in segments)
    if found is None or not segments:
        return Heard("", 0.0, 0.0, 0)
    score = sum(score for score, _ in segments) / frames
    return Heard(found.hypstr, score, min(score / length for score, length in segments), frames)


def alike(phrase: str, guess: str) -> bool:
    """Whether two decoders hear more or less the same words."""
    return SequenceMatcher(None, phrase.split(), guess.split()).ratio() > AGREE


def log_of(score: float) -> float:
    return math.log(score) if score > 0 else SCORE_FLOOR


@cache
def worker() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, "sphinx")


@cache
def recogniser() -> Recogniser:
    """In the worker only. Loading takes about a second."""
    return Recogniser(rule.phrase for rule in RULES)


class Sphinx(Offline):
    """`server.assistants.slots.Hear`."""

    def __init__(self) -> None:
        worker().submit(recogniser)

    def listen(self) -> Listening:
        return Turn()


class Turn:
    """The sound of a turn, decoded at its end."""

    def __init__(self) -> None:
        self._pcm = bytearray()

    def feed(self, pcm: bytes) -> None:
        self._pcm += pcm

    async def text(self) -> str:
        pcm = bytes(self._pcm)
        try:
            return await asyncio.get_running_loop().run_in_executor(worker(), lambda: recogniser().transcribe(pcm))
        except ImportError:
            raise SlotFailure(
                "hearing_missing", "the built-in ear is not installed: pip install pocketsphinx"
            ) from None

    def drop(self) -> None:
        self._pcm.clear()
