"""`python -m engine.refiner.train DATA -o RUN`: a refiner for each region and each fold, on one core.

A fold leaves some identities out altogether; they are what `engine.refiner.evaluate` judges it by.
"""

import argparse
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from safetensors.torch import save_file
from torch import Tensor

from engine.refiner.crops import MIRROR, MIRROR_SIGN, WINDOWS
from engine.refiner.data import AUTHOR, Pairs
from engine.refiner.network import Config, Refiner

FOLDS: tuple[tuple[str, ...], ...] = (("anna", "zola"), ("marc", "otto"), (AUTHOR,))
"""Identities that are left out together."""
NEVER = ("franck",)
"""No licence to learn from: left out of every fold."""
BATCH, RATE, DECAY = 8, 2e-3, 1e-2
GAIN = 0.25  # by how much each colour is made brighter or darker, at most
SLOPES, STRUCTURE = 1.0, 0.1  # what differences of neighbours, and structure, count in the loss against the pixels
ALIKE = 7
LOG_STEPS = 100

Batch = tuple[Tensor, Tensor, Tensor, Tensor]
"""Of `Pairs`: pictures [B, 3, h, w] of 0..1, and how far away [B, 69]."""


def batches(pairs: Pairs, mirrored: bool, generator: torch.Generator) -> Iterator[Batch]:
    """Without end, colours varied; `mirrored` shows half of them in a mirror."""
    flip, sign = torch.from_numpy(MIRROR), torch.from_numpy(MIRROR_SIGN)
    while True:
        rows = torch.randint(len(pairs.away), (BATCH,), generator=generator).numpy()
        away = torch.from_numpy(pairs.away[rows])
        gain = 1 + GAIN * (2 * torch.rand(BATCH, 3, 1, 1, generator=generator) - 1)
        drawn, photo, true = (floats(part[rows]) * gain for part in (pairs.drawn, pairs.photo, pairs.true))
        if mirrored and torch.rand((), generator=generator) < 0.5:
            drawn, photo, true = (part.flip(3) for part in (drawn, photo, true))
            away = away[:, flip] * sign
        yield drawn, photo, true, away


def loss(seen: Tensor, true: Tensor) -> Tensor:
    """Absolute errors of the pixels and of the differences between neighbours, and what structure is unlike.

    The last two of softened pictures: where they do not meet to the pixel, blur by itself would pay.
    """
    soft, soft_true = softened(seen), softened(true)
    error = soft - soft_true
    slopes = error.diff(dim=2).abs().mean() + error.diff(dim=3).abs().mean()
    return (seen - true).abs().mean() + SLOPES * slopes + STRUCTURE * (1 - alike(soft, soft_true))


def softened(pictures: Tensor) -> Tensor:
    """[B, 3, h, w] under a binomial of five pixels, standard deviation 1; two pixels less on every side."""
    line = torch.tensor([1, 4, 6, 4, 1], dtype=pictures.dtype) / 16
    return F.conv2d(pictures, torch.outer(line, line).expand(3, 1, 5, 5), groups=3)


def alike(seen: Tensor, true: Tensor) -> Tensor:
    """Mean structural similarity (Wang et al. 2004) of the brightness, in squares of ALIKE pixels."""
    a, b = (picture.mean(1, keepdim=True) for picture in (seen, true))
    ma, mb, aa, bb, ab = (F.avg_pool2d(v, ALIKE, 1) for v in (a, b, a * a, b * b, a * b))
    va, vb, both = aa - ma * ma, bb - mb * mb, ab - ma * mb
    c1, c2 = 0.01**2, 0.03**2
    return ((2 * ma * mb + c1) * (2 * both + c2) / ((ma * ma + mb * mb + c1) * (va + vb + c2))).mean()


def fit(net: Refiner, some: Iterator[Batch], steps: int) -> Iterator[float]:
    """Trains in place; yields the loss of every step."""
    optimizer = torch.optim.AdamW(net.parameters(), RATE, weight_decay=DECAY)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
    for _, (drawn, photo, true, away) in zip(range(steps), some, strict=False):
        optimizer.zero_grad()
        found = loss(net(drawn, photo, away), true)
        found.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(net.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        yield found.item()


def floats(pictures: np.ndarray[tuple[int, ...], np.dtype[np.uint8]]) -> Tensor:
    """[B, h, w, 3] bytes -> [B, 3, h, w] of 0..1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


def who(path: Path) -> str:
    return path.stem.split("--")[0]


def learnable(data: Path, left_out: Sequence[str]) -> list[Path]:
    """The files of everybody else who may be learned from."""
    return [path for path in sorted(data.glob("*.npz")) if who(path) not in (*left_out, *NEVER)]


def weights(run: Path, region: str, left_out: Sequence[str]) -> Path:
    return run / f"{region}-without-{'-'.join(left_out)}.safetensors"


def train(region: str, files: Sequence[Path], steps: int, config: Config, seed: int = 0) -> Refiner:
    torch.manual_seed(seed)
    pairs = Pairs.joined([Pairs.load(path, region) for path in files])
    net, start, seen = Refiner(WINDOWS[region], config), time.monotonic(), []
    some = batches(pairs, region == "mouth", torch.Generator().manual_seed(seed))
    for step, found in enumerate(fit(net, some, steps), 1):
        seen.append(found)
        if step % LOG_STEPS == 0:
            logging.info("%s %5d %.5f  %.0f s", region, step, np.mean(seen[-LOG_STEPS:]), time.monotonic() - start)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="what engine.refiner.data wrote")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=2000, help="for each region of each fold")
    parser.add_argument("--width", type=int, default=Config.width)
    parser.add_argument("--blocks", type=int, default=Config.blocks)
    parser.add_argument("--still", action="store_true", help="add to what was drawn, move nothing")
    parser.add_argument("--fold", type=int, nargs="*", default=range(len(FOLDS)), help="numbers of folds")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    options.output.mkdir(parents=True, exist_ok=True)
    config = Config(options.width, options.blocks, moves=not options.still)
    for left_out in (FOLDS[i] for i in options.fold):
        for region in WINDOWS:
            logging.info("%s without %s", region, ", ".join(left_out))
            net = train(region, learnable(options.data, left_out), options.steps, config)
            save_file(net.state_dict(), weights(options.output, region, left_out))


if __name__ == "__main__":
    main()
