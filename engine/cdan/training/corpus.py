"""Speech true to the clean sound, heard degraded, in files of its own: `python -m engine.cdan.training.corpus`.

Every segment is degraded `--copies` times; the copies share one truth. The same seed gives the same files.
"""

import argparse
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from engine.cdan.training import studio, texts
from engine.cdan.training.prosody import prosody
from engine.cdan.training.shard import FRAMES, HOPS, SAMPLES, Truth, read, statistics, write
from engine.cdan.training.studio import LEVEL, SHARES, VOICES, Studio
from engine.units import SAMPLE_RATE

__all__ = ["FRAMES", "HOPS", "LEVEL", "Truth", "make", "prosody", "read"]


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
    recordings = Studio(job.shares, job.seed, job.number)
    if job.copies:
        write(job.path, *recordings.shard(job.copies))
    else:
        part = job.path.with_suffix(".part.npz")
        np.savez(part, pcm=recordings.noises())
        part.rename(job.path)


def _shards(hours: float) -> int:
    return max(1, round(hours * 3600 / (SAMPLES / SAMPLE_RATE) / studio.PER_SHARD))


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
