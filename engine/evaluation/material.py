"""What the avatar hears in an evaluation: voices, texts, recordings and noises that no training ever used."""

import gzip
import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder
from scipy.fft import irfft, rfft, rfftfreq

from engine.audio import load_audio
from engine.cdan.training import align, augment
from engine.cdan.training.phones import PAUSE, Phone
from engine.cdan.training.voices import Flite, Utterance
from engine.units import SAMPLE_RATE

Floats = npt.NDArray[np.float32]

VOICES = ("awb", "rms")
BEFORE_S, AFTER_S = 0.2, 1.0  # of silence around a sentence
LEVEL = 0.1  # of the louder half of a sentence: -20 dBFS

TEXTS = (
    "Could you pick up some paper cups and a map before we leave?",
    "My mother baked a plum pie for the whole team on Monday.",
    "We wanted to show you how the new machine makes better bread.",
    "Bob put a bucket of warm water beside the old piano.",
    "Please remember that the museum opens at half past nine.",
    "The goat took a good look at the cake and kicked the gate.",
    "She keeps three green leaves between the pages of each book.",
    "Who knew that the moon would glow so blue above the pool?",
    "Nobody told Tina that the train to Dublin had been cancelled.",
    "I'd like to compare both maps, if that is possible.",
    "Few people move as fast as Phoebe when the soup is hot.",
    "Do you suppose the weather will improve by tomorrow evening?",
    "An empty bottle rolled from the table and bumped into my boot.",
    "The judge chose a large orange and shared it with the children.",
    "Take the number eight bus and get down at the concert hall.",
    "Thirty thin feathers floated over the bathroom mirror.",
    "We saw a small brown bear climb up the apple tree.",
    "Go slowly, open the window, and throw the ropes below.",
    "He said the meeting was easy and everybody seemed pleased.",
    "Don't touch that dog, it ate ten dozen eggs today.",
    "Imagine a purple umbrella in the middle of the empty beach.",
    "Our company promised to publish the report in September.",
    "Where were you when the lamp broke and the room went dark?",
    "Simple problems become big ones if nobody bothers to help.",
)
"""Written for this purpose: every English phone, many lips that close, open, spread and round."""


def spoken(count: int = len(TEXTS)) -> list[Utterance]:
    """The texts in turn by one voice and the other, each with a tempo and a pitch of its own."""
    random = np.random.default_rng(11)
    voices = [Flite(name) for name in VOICES]
    return [placed(voices[i % len(voices)].speak(text, random)) for i, text in enumerate(TEXTS[:count])]


def placed(said: Utterance) -> Utterance:
    """At 16 kHz and the usual level, with silence around it."""
    samples = augment.to_network_rate(said.samples, said.rate)
    before, after = (np.zeros(round(s * SAMPLE_RATE), np.float32) for s in (BEFORE_S, AFTER_S))
    samples = np.concatenate([before, samples * (LEVEL / augment.level(samples)), after])
    end = len(samples) / SAMPLE_RATE
    moved = (phone.scaled(1, BEFORE_S) for phone in said.phones)
    phones = (Phone(PAUSE, 0, BEFORE_S), *moved, Phone(PAUSE, said.phones[-1].end_s + BEFORE_S, end))
    return Utterance(samples, SAMPLE_RATE, phones)


PROMPTS = Path("/usr/share/asterisk/sounds/en_US_f_Allison")
PROMPTS_TEXT = Path("/usr/share/doc/asterisk-core-sounds-en/core-sounds-en.txt.gz")
PROMPTS_COUNT = 14


def recordings() -> list[Utterance]:
    """People: the sentences of Debian's pocketsphinx-testdata and, where its package is installed, Asterisk's prompts.

    Aligned by pocketsphinx; of 34 and 43 closures.
    """
    found = [said for said in align.recordings() if sum(p.name != PAUSE for p in said.phones) > 5]
    if PROMPTS_TEXT.is_file():
        found += islice(prompts(), PROMPTS_COUNT)
    return [replace(said, samples=said.samples * (LEVEL / augment.level(said.samples))) for said in found]


def prompts() -> Iterator[Utterance]:
    """Sentences, by name, of a telephone system's voice in 2 to 6 seconds, of several closures; none that has
    three words in a row with one before it."""
    decoder, heard = Decoder(lm=None, loglevel="FATAL"), set[tuple[str, ...]]()
    listed = re.findall(r"^([\w-]+): ([A-Za-z ,.!']+)$", gzip.decompress(PROMPTS_TEXT.read_bytes()).decode(), re.M)
    for name, text in listed:
        words = re.sub(r"[^a-z' ]", "", text.lower()).split()
        runs = set(zip(words, words[1:], words[2:], strict=False))
        if runs & heard or len(re.findall("[pbm]", "".join(words))) < 2 or not all(map(decoder.lookup_word, words)):
            continue
        sound = load_audio(PROMPTS / f"{name}.g722")
        if 2 < len(sound) / SAMPLE_RATE < 6:
            heard |= runs
            yield Utterance(sound, SAMPLE_RATE, align.align(decoder, sound, " ".join(words)))


def noisy(said: list[Utterance], snr_db: float) -> list[Utterance]:
    """The same in pink noise, which is there before and after the sentence too."""
    random = np.random.default_rng(0)
    return [
        replace(one, samples=one.samples + _at(pink(len(one.samples), random), augment.level(one.samples), snr_db))
        for one in said
    ]


def _at(noise: Floats, level: float, snr_db: float) -> Floats:
    return np.asarray(noise * level * 10 ** (-snr_db / 20), np.float32)


def pink(count: int, random: np.random.Generator) -> Floats:
    """[count] of unit level: minus 3 dB an octave from 30 Hz on."""
    hertz = rfftfreq(count, 1 / SAMPLE_RATE)
    sound = irfft(rfft(random.normal(size=count)) / np.sqrt(np.maximum(hertz, 30)), count)
    return np.asarray(sound / sound.std(), np.float32)


def music(count: int, random: np.random.Generator) -> Floats:
    """[count] of unit level: four bars again and again of drums, bass and plucked chords, at 112 beats a minute."""
    out = np.zeros(count + 2 * SAMPLE_RATE)
    beat = 60 / 112
    t = np.arange(int(1.2 * SAMPLE_RATE)) / SAMPLE_RATE

    def add(at_s: float, sound: npt.NDArray[np.float64]) -> None:
        start = int(at_s * SAMPLE_RATE)
        if start < count:
            out[start : start + len(sound)] += sound

    chords = ((0, 4, 7), (9, 12, 16), (5, 9, 12), (7, 11, 14))
    for i in range(int(count / SAMPLE_RATE / beat) + 1):
        chord = chords[i // 4 % 4]
        add(i * beat, 1.5 * np.sin(2 * np.pi * 55 * (t + 0.02 * np.exp(-t / 0.02))) * np.exp(-t / 0.12))  # bass drum
        add((i + 0.5) * beat, 0.25 * random.normal(size=len(t)) * np.exp(-t / 0.03))  # hi-hat
        if i % 2:
            add(i * beat, 0.6 * random.normal(size=len(t)) * np.exp(-t / 0.08))  # snare
        add(i * beat, 0.8 * _plucked(55 * 2 ** (chord[0] / 12), t))
        for note in chord:
            add((i + 0.5 * (note % 2)) * beat, 0.5 * _plucked(220 * 2 ** (note / 12), t))
    return np.asarray(out[:count] / out[:count].std(), np.float32)


def _plucked(pitch: float, t: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    parts = (np.sin(2 * np.pi * pitch * k * t) * np.exp(-t * k / 0.5) / k for k in range(1, 9))
    return np.asarray(sum(parts) * np.minimum(t / 0.005, 1))


def sine(hertz: float, count: int) -> Floats:
    """[count] of unit level."""
    return np.asarray(2**0.5 * np.sin(2 * np.pi * hertz / SAMPLE_RATE * np.arange(count)), np.float32)


def chirp(count: int) -> Floats:
    """[count] of unit level: a tone that climbs from 100 Hz to 4 kHz."""
    t = np.arange(count) / count
    phase = 2 * np.pi * count / SAMPLE_RATE * 100 * (40**t - 1) / np.log(40)
    return np.asarray(2**0.5 * np.sin(phase), np.float32)


BACKGROUND_S = 10


def backgrounds() -> dict[str, Floats]:
    """What must leave the lips still."""
    count, random = BACKGROUND_S * SAMPLE_RATE, np.random.default_rng(7)
    at: Callable[[float], np.float32] = lambda db: np.float32(10 ** (db / 20))  # noqa: E731
    return {
        "digital silence": np.zeros(count, np.float32),
        "a room, pink, -60 dBFS": pink(count, random) * at(-60),
        "pink noise, -30 dBFS": pink(count, random) * at(-30),
        "white noise, -30 dBFS": random.normal(size=count).astype(np.float32) * at(-30),
        "a tone of 440 Hz, -20 dBFS": sine(440, count) * at(-20),
        "mains hum, 50 Hz, -30 dBFS": sine(50, count) * at(-30),
        "a climbing tone, -20 dBFS": chirp(count) * at(-20),
        "music with drums, -20 dBFS": music(count, random) * at(-20),
        "music with drums, -32 dBFS": music(count, random) * at(-32),
    }  # fmt: skip
