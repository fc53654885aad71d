"""Trains CDAN on one core, resumably: `python -m engine.cdan.training.train --corpus DIR --run DIR --minutes M`."""

import argparse
import logging
import math
import sys
import time
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.cdan.network import Cdan, Output
from engine.cdan.training.composition import compose
from engine.cdan.training.dataset import Batch, Corpus
from engine.cdan.training.lips import GAP
from engine.face.coefficients import FACE
from engine.units import HOPS_PER_FRAME

MOUTH_WEIGHT = 3.0  # of jaw and mouth against the rest of the face
LIP_GAP = torch.from_numpy(GAP)
WEIGHTS = torch.tensor([MOUTH_WEIGHT if name.startswith(("jaw", "mouth")) else 1.0 for name in FACE])


def losses(net: Cdan, batch: Batch) -> tuple[dict[str, Tensor], Output]:
    """Every term of the loss, weighted, by name; their sum is minimized."""
    with torch.autocast("cpu", torch.bfloat16):  # nearly twice as fast; where the CPU lacks it, as fast as without
        out = Output(*(x.float() for x in net.decode(heard(net, batch), batch.les)))
    target = compose(batch.les, batch.mouth, net.table, net.seal)
    error = (out.coefficients - target).abs() * WEIGHTS
    speed = (out.coefficients.diff(dim=1) - target.diff(dim=1)).abs() * WEIGHTS
    shut = (batch.mouth.seal > 0.9).float()
    gap = (out.coefficients @ LIP_GAP - 0.02).clamp(min=0) * shut
    spoken = batch.mouth.activity
    pitch_and_loudness = (out.prosody[..., 1:] - batch.prosody).abs().mean(-1) * spoken
    return {
        "coefficients": 10 * error.mean(),
        "speed": 5 * speed.mean(),
        "hinge": 0.3 * gap.sum() / (shut.sum() + 1) * 5,
        "phone": 0.4 * F.cross_entropy(out.phone_logits.flatten(0, 1), batch.phone.flatten()),
        "seal": 1.0 * F.binary_cross_entropy_with_logits(out.seal_logit, batch.mouth.seal),
        "activity": 0.3 * F.binary_cross_entropy_with_logits(out.activity_logit, spoken),
        "prosody": 0.2 * pitch_and_loudness.mean(),
    }, out


def heard(net: Cdan, batch: Batch) -> Tensor:
    """The context [B, T, width], in steps of 64 frames: the same numbers, without attention far beyond its window."""
    state, pieces = net.init_state(len(batch.mel)), []
    for mel in batch.mel.split(64 * HOPS_PER_FRAME, dim=1):
        context, state = net.listen(mel, batch.look_ahead, state)
        pieces.append(context)
    return torch.cat(pieces, dim=1)


class Run:
    """One training: network, optimizer and the step it has come to, kept in `folder`."""

    def __init__(self, folder: Path, rate: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.path, self.rate = folder / "checkpoint.pt", rate
        torch.manual_seed(0)
        self.net, self.seconds, self.steps = Cdan(), 0.0, 0
        self.optimizer = torch.optim.AdamW(self.net.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.01)
        if self.path.exists():
            self._resume()

    def _resume(self) -> None:
        kept = torch.load(self.path, weights_only=True)
        self.net.load_state_dict(kept["net"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.seconds, self.steps = kept["seconds"], kept["steps"]
        logging.info("resumed at step %d", self.steps)

    def save(self) -> None:
        part = self.path.with_suffix(".part")
        kept = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(kept | {"seconds": self.seconds, "steps": self.steps}, part)
        part.rename(self.path)

    def step(self, batch: Batch, budget_s: float) -> dict[str, float]:
        """One update; the rate warms up, then falls as a cosine to 2 % over the budget of seconds."""
        began = time.monotonic()
        progress = min(self.seconds / budget_s, 1.0)
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * progress))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * fall * min(1.0, (self.steps + 1) / 200)
        terms, _ = losses(self.net.train(), batch)
        self.optimizer.zero_grad()
        torch.stack(list(terms.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self.seconds += time.monotonic() - began
        self.steps += 1
        return {name: float(term.detach()) for name, term in terms.items()}


def train(corpus: Corpus, run: Run, minutes: float, size: int) -> None:
    """Until `minutes` of stepping are spent, in this and earlier calls; a checkpoint every 200 steps."""
    random = torch.Generator().manual_seed(run.steps)
    mean: dict[str, float] = {}
    while run.seconds < 60 * minutes:
        for batch in corpus.epoch(size, random):
            terms = run.step(batch, 60 * minutes)
            mean = {k: 0.98 * mean.get(k, v) + 0.02 * v for k, v in terms.items()}
            if run.steps % 200 == 0:
                run.save()
                logging.info("step %d, %.0f s: %s", run.steps, run.seconds, {k: round(v, 4) for k, v in mean.items()})
            if run.seconds >= 60 * minutes:
                break
    run.save()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train CDAN on one core.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint; an existing one is resumed")
    parser.add_argument("--minutes", type=float, default=60, help="time spent stepping, all calls together")
    parser.add_argument("--batch", type=int, default=8, help="segments of 10.24 s")
    parser.add_argument("--rate", type=float, default=1e-3, help="peak learning rate")
    options = parser.parse_args()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")
    train(Corpus(options.corpus), Run(options.run, options.rate), options.minutes, options.batch)


if __name__ == "__main__":
    main()
