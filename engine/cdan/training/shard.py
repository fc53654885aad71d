"""A file of segments: what was heard, and what was true of it."""

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.cdan.training import phones
from engine.cdan.training.phones import Phone
from engine.units import CHUNK, HOP, SAMPLE_RATE, exact_div

Floats = npt.NDArray[np.float32]

FRAMES = 256  # of a segment
SAMPLES = FRAMES * CHUNK
HOPS = exact_div(SAMPLES, HOP)


@dataclass(frozen=True)
class Truth:
    """What happens in one segment."""

    phones: tuple[Phone, ...]
    loudness: Floats
    """[HOPS] in [0, 1]: 0 at 20 dB under the utterance's own level, 1 at 6 dB over it."""
    pitch: Floats
    """[HOPS] octaves from the utterance's median, in [-1, 1], held through unvoiced sound, 0 outside speech."""


@dataclass(frozen=True)
class Segment:
    """One recording before it is degraded."""

    sound: Floats
    """[SAMPLES]"""
    truth: Truth
    voices: tuple[str, ...]
    """Of its utterances; none where nobody speaks."""


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
