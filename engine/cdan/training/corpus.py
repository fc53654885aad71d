"""Segments of phone-timed speech, true to the clean sound, heard degraded: `python -m engine.cdan.training.corpus`.

A segment is 10.24 s (256 frames): utterances of changing voices with pauses between, or no speech at all. Every segment
is degraded `--copies` times; the copies share one truth.
"""

import argparse
import logging
import sys
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.ndimage import gaussian_filter1d, median_filter

from engine.cdan.training import augment, phones, texts
from engine.cdan.training.phones import Phone
from engine.cdan.training.voices import Espeak, Flite, HibariVoice, Utterance, Voice
from engine.units import CHUNK, HOP, SAMPLE_RATE, exact_div

Floats = npt.NDArray[np.float32]

FRAMES = 256  # of a segment
SAMPLES = FRAMES * CHUNK
HOPS = exact_div(SAMPLES, HOP)
PER_SHARD = 64  # segments before copying
SPEECHLESS = 0.07  # share of segments
SHARES = {"slt": 0.24, "kal": 0.07, "kal16": 0.10, "hibari": 0.34, "espeak": 0.25}
LEVEL = 0.1  # of clean speech


@dataclass(frozen=True)
class Truth:
    """What happens in one segment."""

    phones: tuple[Phone, ...]
    loudness: Floats
    """[HOPS] in [0, 1]: 0 at 20 dB under the utterance's own level, 1 at 6 dB over it."""
    pitch: Floats
    """[HOPS] octaves from the utterance's median, in [-1, 1], held through unvoiced sound, 0 outside speech."""


def make(out: Path, hours: float, copies: int, seed: int) -> None:
    """Write shards until `hours` of segments before copying are there; existing shards are kept."""
    out.mkdir(parents=True, exist_ok=True)
    studio = Studio(seed)
    for number in range(round(hours * 3600 / (SAMPLES / SAMPLE_RATE) / PER_SHARD)):
        path = out / f"shard{number:04d}.npz"
        if not path.exists():
            studio.reseed(seed + 1000 * number)
            _write(path, *studio.shard(copies))
            logging.info("wrote %s", path)


class Studio:
    """All voices at one microphone."""

    def __init__(self, seed: int) -> None:
        self._voices: dict[str, Voice] = {name: Flite(name) for name in ("slt", "kal", "kal16")}
        self._voices |= {"hibari": HibariVoice(), "espeak": Espeak()}
        self.reseed(seed)

    def reseed(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._texts = texts.sentences(seed)

    def shard(self, copies: int) -> tuple[npt.NDArray[np.int16], list[Truth]]:
        """Sound [PER_SHARD, copies, SAMPLES] and its truths."""
        recorded = [self._segment() for _ in range(PER_SHARD)]
        babble = self._babble([sound for sound, _ in recorded])
        pcm = np.zeros((PER_SHARD, copies, SAMPLES), np.int16)
        for i, (sound, truth) in enumerate(recorded):
            for j in range(copies):
                heard = (
                    augment.degraded(sound, self._rng, babble)
                    if truth.phones
                    else augment.without_speech(SAMPLES, self._rng, babble)
                )
                pcm[i, j] = np.clip(np.round(heard * 32767), -32768, 32767)
        return pcm, [truth for _, truth in recorded]

    def _segment(self) -> tuple[Floats, Truth]:
        sound, loudness, pitch = np.zeros(SAMPLES, np.float32), np.zeros(HOPS, np.float32), np.zeros(HOPS, np.float32)
        spoken: list[Phone] = []
        at = self._pause()
        while self._rng.random() >= SPEECHLESS or spoken:
            said = self._utterance()
            if said is None:
                continue
            start = exact_div(at, HOP) * HOP
            room = SAMPLES - start
            if room < SAMPLE_RATE:
                break
            samples = said.samples[:room]
            sound[start : start + len(samples)] = samples
            curves = prosody(said)
            first, count = start // HOP, min(len(curves[0]), HOPS - start // HOP)
            loudness[first : first + count], pitch[first : first + count] = curves[0][:count], curves[1][:count]
            spoken += [p.scaled(1.0, start / SAMPLE_RATE) for p in said.phones]
            at = start + len(samples) // HOP * HOP + self._pause()
        return sound, Truth(tuple(p for p in spoken if p.start_s < SAMPLES / SAMPLE_RATE), loudness, pitch)

    def _pause(self) -> int:
        """Samples, whole hops."""
        seconds = self._rng.uniform(0.0, 0.3) if self._rng.random() < 0.6 else self._rng.uniform(0.3, 2.5)
        return int(seconds * SAMPLE_RATE) // HOP * HOP

    def _utterance(self) -> Utterance | None:
        """At 16 kHz and LEVEL, or None where a synthesizer said nothing of use."""
        name = self._rng.choice(list(SHARES), p=list(SHARES.values()))
        said = self._voices[str(name)].speak(next(self._texts), self._rng)
        if len(said.samples) < said.rate // 4 or sum(p.name != phones.PAUSE for p in said.phones) < 3:
            return None
        speed = Fraction(int(self._rng.integers(17, 25)), 20)
        samples = augment.to_network_rate(said.samples, said.rate, speed)
        samples *= LEVEL * 10 ** (self._rng.normal(0, 2) / 20) / augment.level(samples)
        return Utterance(samples, SAMPLE_RATE, tuple(p.scaled(1 / float(speed)) for p in said.phones))

    def _babble(self, sounds: list[Floats]) -> Floats:
        """Four talkers at once, two segments long."""
        order = self._rng.permutation(len(sounds))[:8]
        return np.concatenate(
            [sum((sounds[i] for i in half), np.zeros(SAMPLES, np.float32)) for half in (order[:4], order[4:])]
        )


def prosody(said: Utterance) -> tuple[Floats, Floats]:
    """Loudness and pitch [hops] as in `Truth`, from clean speech at 16 kHz."""
    hops = len(said.samples) // HOP
    power = np.mean(np.square(said.samples[: hops * HOP].reshape(hops, HOP)), axis=1)
    relative = 10 * np.log10(gaussian_filter1d(power, 2.0) + 1e-12) - 20 * np.log10(augment.level(said.samples))
    loudness = np.clip((relative + 20) / 26, 0, 1)
    return loudness.astype(np.float32), _pitch(said.samples, hops)


def _pitch(samples: Floats, hops: int) -> Floats:
    """Octaves from the median by the autocorrelation's peak between 60 and 400 Hz, windows of 40 ms."""
    size = 640
    padded = np.pad(samples, (size // 2, size))
    index = np.arange(hops)[:, None] * HOP + np.arange(size)
    windows = padded[index] * np.hanning(size).astype(np.float32)
    correlation = irfft(np.abs(rfft(windows, 2 * size)) ** 2, 2 * size)
    low, high = SAMPLE_RATE // 400, SAMPLE_RATE // 60
    lag = low + np.argmax(correlation[:, low:high], axis=1)
    strength = correlation[np.arange(hops), lag] / (correlation[:, 0] + 1e-9)
    voiced = (strength > 0.45) & (correlation[:, 0] > 0.02 * correlation[:, 0].max())
    if voiced.sum() < 5:
        return np.zeros(hops, np.float32)
    octaves = np.log2(SAMPLE_RATE / lag)
    octaves = median_filter(np.interp(np.arange(hops), np.flatnonzero(voiced), octaves[voiced]), 7)
    return np.clip(gaussian_filter1d(octaves - np.median(octaves[voiced]), 3.0), -1, 1).astype(np.float32)


def _write(path: Path, pcm: npt.NDArray[np.int16], truths: list[Truth]) -> None:
    spoken = [truth.phones for truth in truths]
    flat = [phone for row in spoken for phone in row]
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        pcm=pcm,
        loudness=np.stack([t.loudness for t in truths]).astype(np.float16),
        pitch=np.stack([t.pitch for t in truths]).astype(np.float16),
        counts=np.array([len(row) for row in spoken]),
        names=np.array([phones.INDEX[p.name] for p in flat], np.uint8),
        times=np.array([(p.start_s, p.end_s) for p in flat], np.float32).reshape(-1, 2),
    )
    part.rename(path)


def read(path: Path) -> tuple[npt.NDArray[np.int16], list[Truth]]:
    """Sound [segments, copies, SAMPLES] and truths of a shard."""
    with np.load(path) as data:
        ends = np.cumsum(data["counts"])
        names, times = data["names"], data["times"].astype(float)
        flat = [Phone(phones.PHONES[n], a, b) for n, (a, b) in zip(names, times, strict=True)]
        rows = [tuple(flat[end - count : end]) for count, end in zip(data["counts"], ends, strict=True)]
        loudness, pitch = data["loudness"].astype(np.float32), data["pitch"].astype(np.float32)
        truths = [Truth(*row) for row in zip(rows, loudness, pitch, strict=True)]
        return data["pcm"], truths


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the training corpus.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--hours", type=float, default=4.0, help="of speech before copying")
    parser.add_argument("--copies", type=int, default=2, help="degraded copies of each segment")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    make(options.out, options.hours, options.copies, options.seed)


if __name__ == "__main__":
    main()
