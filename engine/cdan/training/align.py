"""Phone times of speech whose words are known, by pocketsphinx's aligner."""

import math
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pocketsphinx import Decoder

from engine.audio import load_audio
from engine.cdan.training import phones
from engine.cdan.training.phones import PAUSE, Phone
from engine.cdan.training.voices import Utterance
from engine.units import SAMPLE_RATE

RECORDINGS = Path("/usr/share/pocketsphinx/test/data")
TEXTS = ("librivox/transcription", "cards/cards.transcription")


def recordings() -> Iterator[Utterance]:
    """The spoken sentences of Debian's package pocketsphinx-testdata, aligned."""
    decoder = Decoder(lm=None, loglevel="FATAL")
    for listed in TEXTS:
        for line in (RECORDINGS / listed).read_text().splitlines():
            match = re.fullmatch(r"<s>(.*)</s> \((.*)\)", line)
            if match:
                sound = load_audio((RECORDINGS / listed).parent / f"{match[2]}.wav")
                yield Utterance(sound, SAMPLE_RATE, align(decoder, sound, " ".join(match[1].split())))


class Unaligned(ValueError):
    """The words were not found in the sound."""


def spoken_words(decoder: Decoder, text: str) -> list[str]:
    """The words of a text, or none where the decoder does not know them all."""
    words = re.findall(r"[a-z']+", text.lower())
    return words if all(decoder.lookup_word(word) for word in words) else []


def align(
    decoder: Decoder, sound: npt.NDArray[np.float32], words: str, least_fit: float = -math.inf
) -> tuple[Phone, ...]:
    """Two passes, words and then phones; a decoder frame is 10 ms. `least_fit`: phones' mean score a frame below which
    they count as not found."""
    pcm = np.round(sound * 32767).astype(np.int16).tobytes()
    decoder.set_align_text(words)
    try:
        _hear(decoder, pcm)
        decoder.set_alignment()
        _hear(decoder, pcm)
    except RuntimeError as error:  # the first pass reached no end
        raise Unaligned(words) from error
    found = [phone for word in decoder.get_alignment() or () for phone in word]
    if not found or np.mean([phone.score / phone.duration for phone in found]) < least_fit:
        raise Unaligned(words)
    return tuple(
        Phone(phones.FLITE.get(p.name.lower(), PAUSE), p.start / 100, (p.start + p.duration) / 100) for p in found
    )


def _hear(decoder: Decoder, pcm: bytes) -> None:
    decoder.start_utt()
    decoder.process_raw(pcm, full_utt=True)
    decoder.end_utt()
