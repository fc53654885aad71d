"""Segments of phone-timed speech, true to the clean sound, heard degraded: `python -m engine.cdan.training.corpus`.

A segment is 10.24 s (256 frames): utterances of changing voices with pauses between, or no speech at all. Every segment
is degraded `--copies` times; the copies share one truth.
"""

import argparse
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, rfft
from scipy.ndimage import gaussian_filter1d, median_filter
from tqdm import tqdm

from engine.cdan.training import augment, espeak, phones, texts
from engine.cdan.training.espeak import Espeak
from engine.cdan.training.festival import Festival
from engine.cdan.training.noises import noise
from engine.cdan.training.phones import Phone
from engine.cdan.training.pico import Pico
from engine.cdan.training.voices import Flite, HibariVoice, Utterance, Voice
from engine.units import CHUNK, HOP, SAMPLE_RATE, exact_div

Floats = npt.NDArray[np.float32]

FRAMES = 256  # of a segment
SAMPLES = FRAMES * CHUNK
HOPS = exact_div(SAMPLES, HOP)
PER_SHARD = 64  # segments before copying
SPEECHLESS = 0.07  # share of segments
TALKERS = 16  # segments of speech that babble is mixed from
VOICES: dict[str, Callable[[], Voice]] = {
    "slt": lambda: Flite("slt"),
    "kal": lambda: Flite("kal"),
    "kal16": lambda: Flite("kal16"),
    "ked": lambda: Festival("ked"),
    "hts": lambda: Festival("hts"),
    "hibari": HibariVoice,
    "pico-us": lambda: Pico("en-US"),
    "pico-gb": lambda: Pico("en-GB"),
    "espeak": lambda: Espeak(espeak.ENGLISH, espeak.VARIANTS),
    "foreign": lambda: Espeak(espeak.OTHERS, espeak.VARIANTS),
    "held": lambda: Espeak(espeak.ENGLISH, espeak.HELD),
}
SHARES = {
    "slt": 0.10, "kal": 0.05, "kal16": 0.07, "ked": 0.10, "hts": 0.07, "hibari": 0.20, "pico-us": 0.07, "pico-gb": 0.07,
    "espeak": 0.17, "foreign": 0.10,
}  # fmt: skip
"""Of utterances."""
LEVEL = 0.1  # of clean speech


@dataclass(frozen=True)
class Truth:
    """What happens in one segment."""

    phones: tuple[Phone, ...]
    loudness: Floats
    """[HOPS] in [0, 1]: 0 at 20 dB under the utterance's own level, 1 at 6 dB over it."""
    pitch: Floats
    """[HOPS] octaves from the utterance's median, in [-1, 1], held through unvoiced sound, 0 outside speech."""


class Studio:
    """All voices at one microphone, for one shard."""

    def __init__(self, shares: dict[str, float], seed: int, number: int) -> None:
        self._rng = np.random.default_rng([seed, number])
        self._texts = texts.sentences(seed + 1000 * number)
        self._names, weights = list(shares), np.array(list(shares.values()))
        self._weights = weights / weights.sum()
        self._voices: dict[str, Voice] = {}

    def noises(self) -> npt.NDArray[np.int16]:
        """[PER_SHARD, SAMPLES] without a single voice, at -26 dBFS."""
        voices = [self._segment().sound for _ in range(TALKERS)]
        return _integers(np.stack([0.05 * noise(SAMPLES, self._rng, voices) for _ in range(PER_SHARD)]))

    def shard(self, copies: int) -> tuple[npt.NDArray[np.int16], list["Segment"]]:
        """Sound [PER_SHARD, copies, SAMPLES], first near, then far; and what it is."""
        recorded = [self._segment() for _ in range(PER_SHARD)]
        voices = [segment.sound for segment in recorded if segment.voices]
        return _integers(np.stack([self._heard(segment, copies, voices) for segment in recorded])), recorded

    def _heard(self, segment: "Segment", copies: int, voices: list[Floats]) -> Floats:
        """[copies, SAMPLES]"""
        if not segment.voices:
            return np.stack([augment.without_speech(SAMPLES, self._rng) for _ in range(copies)])
        far = [augment.far(segment.sound, self._rng, voices) for _ in range(copies - 1)]
        return np.stack([augment.near(segment.sound, self._rng), *far])

    def _segment(self) -> "Segment":
        sound, loudness, pitch = np.zeros(SAMPLES, np.float32), np.zeros(HOPS, np.float32), np.zeros(HOPS, np.float32)
        spoken: list[Phone] = []
        voices: list[str] = []
        at = self._pause()
        silent = self._rng.random() < SPEECHLESS
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


@dataclass(frozen=True)
class Segment:
    """One recording before it is degraded."""

    sound: Floats
    """[SAMPLES]"""
    truth: Truth
    voices: tuple[str, ...]
    """Of its utterances; none where nobody speaks."""


def _integers(sound: Floats) -> npt.NDArray[np.int16]:
    return np.asarray(np.clip(np.round(sound * 32767), -32768, 32767), np.int16)


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


def write(path: Path, pcm: npt.NDArray[np.int16], segments: list[Segment]) -> None:
    """A shard, whole or not at all."""
    spoken = [segment.truth.phones for segment in segments]
    flat = [phone for row in spoken for phone in row]
    part = path.with_suffix(".part.npz")
    np.savez(
        part,
        pcm=pcm,
        loudness=np.stack([segment.truth.loudness for segment in segments]).astype(np.float16),
        pitch=np.stack([segment.truth.pitch for segment in segments]).astype(np.float16),
        counts=np.array([len(row) for row in spoken]),
        names=np.array([phones.INDEX[p.name] for p in flat], np.uint8),
        times=np.array([(p.start_s, p.end_s) for p in flat], np.float32).reshape(-1, 2),
        voices=np.array([name for segment in segments for name in segment.voices]),
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


def make(
    out: Path, hours: float, noise_hours: float, copies: int, seed: int, workers: int, shares: dict[str, float]
) -> None:
    """Noises first, then shards until `hours` of segments before copying are there; existing files are kept."""
    out.mkdir(parents=True, exist_ok=True)
    noises = [Job(out / f"noise{n:04d}.npz", seed + 1, n, 0, shares) for n in range(_shards(noise_hours))]
    speech = [Job(out / f"shard{n:04d}.npz", seed, n, copies, shares) for n in range(_shards(hours))]
    jobs = [job for job in noises + speech if not job.path.exists()]
    texts.load()
    # a fresh process for each shard: what a synthesizer keeps from one utterance to the next must not reach another
    with get_context("fork").Pool(workers, maxtasksperchild=1) as pool:
        for _ in tqdm(pool.imap_unordered(_do, jobs, chunksize=1), total=len(jobs), unit="shard", smoothing=0.05):
            pass


@dataclass(frozen=True)
class Job:
    """One file to write."""

    path: Path
    seed: int
    number: int
    copies: int
    """Of speech; 0 for a file of noises."""
    shares: dict[str, float]


def _do(job: Job) -> None:
    studio = Studio(job.shares, job.seed, job.number)
    if job.copies:
        write(job.path, *studio.shard(job.copies))
    else:
        part = job.path.with_suffix(".part.npz")
        np.savez(part, pcm=studio.noises())
        part.rename(job.path)


def _shards(hours: float) -> int:
    return max(1, round(hours * 3600 / (SAMPLES / SAMPLE_RATE) / PER_SHARD))


def statistics(folder: Path) -> str:
    """Hours, phones and speakers of all shards, as a text of some lines."""
    seen, said, seconds, silent, segments = Counter[str](), Counter[str](), Counter[str](), 0, 0
    for path in sorted(folder.glob("shard????.npz")):
        with np.load(path) as data:
            seen.update(data["voices"].tolist())
            names = [phones.PHONES[n] for n in data["names"]]
            said.update(names)
            for name, (start, end) in zip(names, data["times"].tolist(), strict=True):
                seconds[name] += end - start
            segments += len(data["counts"])
            silent += int((data["counts"] == 0).sum())
    hours = segments * SAMPLES / SAMPLE_RATE / 3600
    engines = Counter[str]()
    for voice, count in seen.items():
        engines[" ".join(voice.split()[:2])] += count
    return "\n".join(
        [
            f"{hours:.1f} h in {segments} segments, {silent / max(segments, 1):.1%} of them without speech",
            f"{sum(seen.values())} utterances of {len(seen)} speakers: "
            + ", ".join(f"{name} {count}" for name, count in engines.most_common()),
            f"{sum(said.values()) - said[phones.PAUSE]} phones (each with its mean length in ms): "
            + ", ".join(f"{n} {said[n]} ({1000 * seconds[n] / max(said[n], 1):.0f})" for n in phones.PHONES),
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the training corpus; a stopped call goes on where it was.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--hours", type=float, default=20.0, help="of speech before copying")
    parser.add_argument("--noise-hours", type=float, default=1.0, help="of noises, in files of their own")
    parser.add_argument("--copies", type=int, default=2, help="of each segment: the first near, the others far")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--voices", default=",".join(SHARES), help=f"comma-separated, of {', '.join(VOICES)}")
    options = parser.parse_args()
    shares = {name: SHARES.get(name, 1.0) for name in options.voices.split(",")}
    if not shares.keys() <= VOICES.keys():
        parser.error(f"unknown voices: {', '.join(sorted(shares.keys() - VOICES.keys()))}")
    make(options.out, options.hours, options.noise_hours, options.copies, options.seed, options.workers, shares)
    print(statistics(options.out))


if __name__ == "__main__":
    main()
