"""Where segments are recorded: all voices, at one microphone, in an order that a seed fixes.

A segment is 10.24 s (256 frames): utterances of changing voices with pauses between, or no speech at all.
"""

from collections.abc import Callable, Mapping
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from engine.cdan.training import augment, espeak, phones, texts
from engine.cdan.training.espeak import Espeak
from engine.cdan.training.festival import Festival
from engine.cdan.training.kokoro import Kokoro
from engine.cdan.training.noises import noise
from engine.cdan.training.phones import Phone
from engine.cdan.training.pico import Pico
from engine.cdan.training.prosody import prosody
from engine.cdan.training.shard import HOPS, SAMPLES, Floats, Segment, Truth
from engine.cdan.training.voices import Flite, HibariVoice, Utterance, Voice
from engine.units import HOP, SAMPLE_RATE

PER_SHARD = 64  # segments before copying
TALKERS = 16  # segments of speech that babble is mixed from
LEVEL = 0.1  # of clean speech
VOICES: dict[str, Callable[[], Voice]] = {
    "slt": lambda: Flite("slt"),
    "kal": lambda: Flite("kal"),
    "kal16": lambda: Flite("kal16"),
    "ked": lambda: Festival("ked"),
    "hts": lambda: Festival("hts"),
    "hibari": HibariVoice,
    "kokoro": Kokoro,
    "pico-us": lambda: Pico("en-US"),
    "pico-gb": lambda: Pico("en-GB"),
    "pico-de": lambda: Pico("de-DE"),
    "pico-es": lambda: Pico("es-ES"),
    "pico-it": lambda: Pico("it-IT"),
    "ru": lambda: Festival("ru"),
    "espeak": lambda: Espeak(espeak.ENGLISH, espeak.VARIANTS),
    "foreign": lambda: Espeak(espeak.OTHERS, espeak.VARIANTS),
    "held": lambda: Espeak(espeak.ENGLISH, espeak.HELD),
}
SHARES = {
    "slt": 0.12, "kal": 0.04, "kal16": 0.05, "ked": 0.08, "hts": 0.08, "hibari": 0.13, "kokoro": 0.05, "pico-us": 0.08,
    "pico-gb": 0.08, "pico-de": 0.04, "pico-es": 0.04, "pico-it": 0.03, "ru": 0.06, "espeak": 0.07,
    "foreign": 0.05,
}  # fmt: skip
"""Of utterances."""


class Studio:
    """All voices at one microphone, for one shard."""

    def __init__(self, shares: Mapping[str, float], speechless: float, seed: int, number: int) -> None:
        """`speechless` is the share of segments in which nobody speaks."""
        self._speechless = speechless
        self._rng = np.random.default_rng([seed, number])
        self._texts = texts.sentences(seed + 1000 * number)
        self._names, weights = list(shares), np.array(list(shares.values()))
        self._weights = weights / weights.sum()
        self._voices: dict[str, Voice] = {}

    def noises(self) -> npt.NDArray[np.int16]:
        """[PER_SHARD, SAMPLES] without a single voice, at -26 dBFS."""
        voices = [self._segment().sound for _ in range(TALKERS)]
        return _integers(np.stack([0.05 * noise(SAMPLES, self._rng, voices) for _ in range(PER_SHARD)]))

    def shard(self, copies: int) -> tuple[npt.NDArray[np.int16], list[Segment]]:
        """Sound [PER_SHARD, copies, SAMPLES], first near, then far; and what it is."""
        recorded = [self._segment() for _ in range(PER_SHARD)]
        voices = [segment.sound for segment in recorded if segment.voices]
        return _integers(np.stack([self._heard(segment, copies, voices) for segment in recorded])), recorded

    def _heard(self, segment: Segment, copies: int, voices: list[Floats]) -> Floats:
        """[copies, SAMPLES]"""
        if not segment.voices:
            return np.stack([augment.without_speech(SAMPLES, self._rng) for _ in range(copies)])
        far = [augment.far(segment.sound, self._rng, voices) for _ in range(copies - 1)]
        return np.stack([augment.near(segment.sound, self._rng), *far])

    def _segment(self) -> Segment:
        sound, loudness, pitch = np.zeros(SAMPLES, np.float32), np.zeros(HOPS, np.float32), np.zeros(HOPS, np.float32)
        spoken: list[Phone] = []
        voices: list[str] = []
        at = self._pause()
        silent = self._rng.random() < self._speechless
        while not silent and SAMPLES - at >= SAMPLE_RATE:
            said = self._utterance()
            if said is None:
                continue
            samples, first = said.samples[: SAMPLES - at], at // HOP
            sound[at : at + len(samples)] = samples
            for curve, whole in zip(prosody(said), (loudness, pitch), strict=True):
                whole[first : first + len(curve)] = curve[: HOPS - first]
            spoken += [p.scaled(1.0, at / SAMPLE_RATE) for p in said.phones]
            voices.append(said.voice)
            at += len(samples) // HOP * HOP + self._pause()
        heard = tuple(p for p in spoken if p.start_s < SAMPLES / SAMPLE_RATE)
        return Segment(sound, Truth(heard, loudness, pitch), tuple(voices))

    def _pause(self) -> int:
        """Samples, whole hops."""
        seconds = self._rng.uniform(0.0, 0.3) if self._rng.random() < 0.6 else self._rng.uniform(0.3, 2.5)
        return int(seconds * SAMPLE_RATE) // HOP * HOP

    def _utterance(self) -> Utterance | None:
        """At 16 kHz and LEVEL, or None where a synthesizer said nothing of use."""
        name = str(self._rng.choice(self._names, p=self._weights))
        voice = self._voices[name] = self._voices.get(name) or VOICES[name]()
        said = voice.speak(next(self._texts), self._rng)
        if len(said.samples) < said.rate // 4 or sum(p.name != phones.PAUSE for p in said.phones) < 3:
            return None
        speed = Fraction(int(self._rng.integers(34, 49)), 40)
        samples = augment.another_speaker(augment.to_network_rate(said.samples, said.rate, speed), self._rng)
        samples *= np.float32(LEVEL * 10 ** (self._rng.normal(0, 3) / 20) / augment.level(samples))
        spoken = tuple(p.scaled(1 / float(speed)) for p in said.phones)
        return Utterance(samples, SAMPLE_RATE, spoken, said.voice)


def _integers(sound: Floats) -> npt.NDArray[np.int16]:
    return np.asarray(np.clip(np.round(sound * 32767), -32768, 32767), np.int16)
