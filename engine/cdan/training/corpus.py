"""Speech true to the clean sound, heard degraded, in files of its own: `python -m engine.cdan.training.corpus`.

Every segment is degraded `--copies` times; the copies share one truth. The same seed gives the same files.
"""

import argparse
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from engine.cdan.training import studio as studios
from engine.cdan.training import texts
from engine.cdan.training.shard import SAMPLES, statistics, write
from engine.cdan.training.studio import SHARES, VOICES, Studio
from engine.units import SAMPLE_RATE


@dataclass(frozen=True)
class Wanted:
    """What a corpus shall hold."""

    hours: float = 20.0
    """Of segments before copying."""
    noise_hours: float = 1.0
    """Of noises, in files of their own."""
    copies: int = 2
    """Of each segment: the first near, the others far."""
    speechless: float = 0.07
    """Share of segments in which nobody speaks."""
    seed: int = 1
    shares: Mapping[str, float] = field(default_factory=lambda: SHARES)
    """Of voices, among utterances."""


def make(out: Path, wanted: Wanted, workers: int) -> None:
    """Noises first, then shards; existing files are kept."""
    out.mkdir(parents=True, exist_ok=True)
    noises = [Job(out / f"noise{n:04d}.npz", wanted, n, _noise) for n in range(_files(wanted.noise_hours))]
    speech = [Job(out / f"shard{n:04d}.npz", wanted, n, _speech) for n in range(_files(wanted.hours))]
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
    wanted: Wanted
    number: int
    write: Callable[["Job"], None]


def _do(job: Job) -> None:
    job.write(job)


def _noise(job: Job) -> None:
    studio = Studio(job.wanted.shares, 0.0, job.wanted.seed + 1, job.number)
    part = job.path.with_suffix(".part.npz")
    np.savez(part, pcm=studio.noises())
    part.rename(job.path)


def _speech(job: Job) -> None:
    wanted = job.wanted
    write(job.path, *Studio(wanted.shares, wanted.speechless, wanted.seed, job.number).shard(wanted.copies))


def _files(hours: float) -> int:
    return max(1, round(hours * 3600 / (SAMPLES / SAMPLE_RATE) / studios.PER_SHARD))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make the training corpus; a stopped call goes on where it was.")
    parser.add_argument("--out", type=Path, required=True, help="folder of the shards")
    parser.add_argument("--hours", type=float, default=20.0, help="of speech before copying")
    parser.add_argument("--noise-hours", type=float, default=1.0, help="of noises, in files of their own")
    parser.add_argument("--copies", type=int, default=2, help="of each segment: the first near, the others far")
    parser.add_argument("--speechless", type=float, default=0.07, help="share of segments in which nobody speaks")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--workers", type=int, default=2, help="processes")
    parser.add_argument("--voices", default=",".join(SHARES), help=f"comma-separated, of {', '.join(VOICES)}")
    options = parser.parse_args()
    shares = {name: SHARES.get(name, 1.0) for name in options.voices.split(",")}
    if not shares.keys() <= VOICES.keys():
        parser.error(f"unknown voices: {', '.join(sorted(shares.keys() - VOICES.keys()))}")
    wanted = Wanted(options.hours, options.noise_hours, options.copies, options.speechless, options.seed, shares)
    make(options.out, wanted, options.workers)
    print(statistics(options.out))


if __name__ == "__main__":
    main()
