"""Microphone recordings whose phone times are known: flite speaks, and tells when each phone ends."""

import subprocess
import tempfile
import wave
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

MICROPHONE_RATE = 48_000  # Hz; what Chromium's fake microphone plays
Samples = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Phone:
    """A phone in flite's notation (`pau` is silence), in seconds from the start of its clip."""

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class Clip:
    samples: Samples
    """float32[n] in [-1, 1], 48 kHz."""
    phones: tuple[Phone, ...]

    @property
    def seconds(self) -> float:
        return len(self.samples) / MICROPHONE_RATE

    def write(self, path: Path) -> Path:
        with wave.open(str(path), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(MICROPHONE_RATE)
            file.writeframes((self.samples * 32767).astype("<i2").tobytes())
        return path


def speak(text: str, voice: str = "slt") -> Clip:
    """`text` by one of flite's voices."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "speech.wav"
        told = subprocess.run(
            ["flite", "-voice", voice, "-psdur", "-t", text, "-o", str(path)],
            check=True,
            capture_output=True,
            text=True,
        )
        with wave.open(str(path), "rb") as file:
            rate, raw = file.getframerate(), file.readframes(file.getnframes())
    samples = np.frombuffer(raw, "<i2").astype(np.float32) / 32768
    positions = np.arange(len(samples) * MICROPHONE_RATE // rate) * (rate / MICROPHONE_RATE)
    return Clip(np.interp(positions, np.arange(len(samples)), samples).astype(np.float32), phones_of(told.stdout))


def phones_of(told: str) -> tuple[Phone, ...]:
    """flite's `name:end name:end ...`."""
    ends = [(name, float(end)) for name, end in (word.split(":") for word in told.split())]
    starts = [0.0] + [end for _, end in ends]
    return tuple(Phone(name, start, end) for start, (name, end) in zip(starts, ends, strict=False))


def silence(seconds: float) -> Clip:
    return Clip(np.zeros(round(seconds * MICROPHONE_RATE), np.float32), (Phone("pau", 0.0, seconds),))


def join(clips: Sequence[Clip]) -> Clip:
    """One after the other."""
    phones: list[Phone] = []
    at = 0.0
    for clip in clips:
        phones += [Phone(phone.name, at + phone.start, at + phone.end) for phone in clip.phones]
        at += clip.seconds
    return Clip(np.concatenate([clip.samples for clip in clips]), tuple(phones))


def measured_clip() -> Clip:
    """12 s or so for the measurements: single syllables after silence, a sentence full of p b m, then nothing."""
    syllables = [part for word in ("Pah!", "Bah!", "Pah!", "Mah!", "Pah!") for part in (speak(word), silence(0.35))]
    sentence = speak("My mama baked Bob a big apple pie, and Papa put five maps by the pond.")
    return join([silence(0.8), *syllables, sentence, silence(2.5)])
