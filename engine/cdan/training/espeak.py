"""espeak-ng's voices, from its library: its phoneme events carry sample positions."""

import ctypes
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from engine.cdan.training import phones, texts
from engine.cdan.training.phones import PAUSE, Phone
from engine.cdan.training.voices import Utterance

ENGLISH = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc", "en-029")
OTHERS = ("de", "es", "es-419", "it", "fr-fr", "nl", "pt", "pt-br", "pl", "sv")
VARIANTS = (
    "m1", "m2", "m3", "m4", "m5", "m6", "m8", "f1", "f2", "f3", "f4", "Alex", "Alicia", "Andrea", "Andy", "Annie",
    "Denis", "Diogo", "Gene", "Henrique", "Hugo", "Jacky", "Lee", "Marco", "Mario", "Michael", "Mike", "adam",
    "anika", "antonio", "aunty", "belinda", "benjamin", "boris", "caleb", "david", "ed", "edward", "grandma",
    "grandpa", "gustave", "iven", "john", "kaukovalta", "klatt", "klatt2", "klatt3", "klatt4", "klatt6", "marcelo",
    "max", "michel", "miguel", "norbert", "pablo", "paul", "pedro", "quincy", "robert", "sandro", "shelby", "steph",
    "victor", "whisper", "whisperf", "zac",
)  # fmt: skip
HELD = ("m7", "f5", "linda", "rob", "travis")
"""Variants that only the held-out set hears."""


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng/speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


class _Library:
    """libespeak-ng; one instance a process."""

    SYNCHRONOUS, PHONEME_EVENTS, PHONEME, UTF8 = 2, 1, 7, 1
    RATE, PITCH, RANGE = 1, 3, 4

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self.rate: int = self._library.espeak_Initialize(self.SYNCHRONOUS, 200, None, self.PHONEME_EVENTS)
        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self._callback = signature(self._collect)  # kept: the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)
        self._pcm: list[npt.NDArray[np.int16]] = []
        self._marks: list[tuple[int, str]] = []

    def say(
        self, text: str, voice: str, settings: dict[int, int]
    ) -> tuple[npt.NDArray[np.float32], list[tuple[int, str]]]:
        """Samples, and the mnemonic that starts at each position."""
        self._library.espeak_SetVoiceByName(voice.encode())
        for parameter, value in settings.items():
            self._library.espeak_SetParameter(parameter, value, 0)
        self._pcm, self._marks = [np.zeros(0, np.int16)], []
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, self.UTF8, None, None)
        return np.asarray(np.concatenate(self._pcm) / 32768, np.float32), self._marks

    def _collect(self, pcm: Any, count: int, events: Any) -> int:
        if pcm and count:
            self._pcm.append(np.ctypeslib.as_array(pcm, (count,)).copy())
        i = 0
        while events[i].type:
            if events[i].type == self.PHONEME:
                self._marks.append((events[i].sample, bytes(events[i].id.string).decode("utf-8", "replace")))
            i += 1
        return 0


def pronounced(word: str, language: str) -> list[str]:
    """Our phones of a word in one of OTHERS, or none where we cannot name them all."""
    _, marks = library().say(word, language, {})
    names = [_of(language).get(symbol, "") for _, symbol in marks if not symbol.startswith("(")]
    return [name for name in names if name != PAUSE] if all(names) else []


@cache
def library() -> _Library:
    return _Library()


def _of(language: str) -> dict[str, str]:
    """What a language's mnemonics mean."""
    return phones.FOREIGN | phones.OF_LANGUAGE.get(language, {}) if language in OTHERS else phones.ESPEAK


class Espeak:
    """Some languages and variants of espeak-ng."""

    CLOSURE_S = 0.07  # a voiceless stop's event marks its burst: the closure before it was counted to the phone before
    VOICELESS_STOPS = frozenset({"p", "t", "k", "ch"})

    def __init__(self, languages: tuple[str, ...], variants: tuple[str, ...]) -> None:
        self._languages, self._variants = languages, variants

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        """In another language than English it reads a row of foreign words instead of the text."""
        language, variant = str(rng.choice(self._languages)), str(rng.choice(self._variants))
        if language in OTHERS:
            text = texts.foreign(rng)
        settings = {
            _Library.RATE: int(rng.integers(120, 210)),
            _Library.PITCH: int(rng.integers(20, 80)),
            _Library.RANGE: int(rng.integers(20, 90)),
        }
        samples, marks = library().say(text, f"{language}+{variant}", settings)
        rate = library().rate
        spoken = self._phones(marks, len(samples) / rate, rate, language)
        return Utterance(samples, rate, spoken, f"espeak {language} {variant}")

    def _phones(self, marks: list[tuple[int, str]], total_s: float, rate: int, language: str) -> tuple[Phone, ...]:
        """Nothing where the language has a sound that we cannot name."""
        table = _of(language)
        marks = [(position, symbol) for position, symbol in marks if not symbol.startswith("(")]
        if any(symbol not in table for _, symbol in marks):
            return ()
        starts = [0.0, *(position / rate for position, _ in marks)]
        names = [PAUSE, *(table[symbol] for _, symbol in marks)]
        for i in range(1, len(starts)):
            if names[i] in self.VOICELESS_STOPS:
                starts[i] -= min(self.CLOSURE_S, 0.45 * max(starts[i] - starts[i - 1], 0.0))
        ends = [*starts[1:], total_s]
        return tuple(Phone(n, a, b) for n, a, b in zip(names, starts, ends, strict=True) if b > a)
