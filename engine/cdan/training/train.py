"""Trains CDAN, resumably, on one core or a GPU: `python -m engine.cdan.training.train --corpus DIR --run DIR`."""

import argparse
import json
import logging
import math
import sys
import time
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.cdan.network import Cdan, State
from engine.cdan.spectra import Sound
from engine.cdan.training import curves
from engine.cdan.training.dataset import Batch, Corpus
from engine.cdan.training.lips import GAP
from engine.cdan.training.shard import FRAMES
from engine.face.coefficients import FACE
from engine.units import HOPS_PER_FRAME

SHARES = {"coefficients": 30, "speed": 15, "gap": 20, "phone": 1, "seal": 6, "activity": 1, "prosody": 0.6}
"""What each term of the loss counts."""
MOUTH_WEIGHT = 3.0  # of jaw and mouth against the rest of the face
WEIGHTS = torch.tensor([MOUTH_WEIGHT if name.startswith(("jaw", "mouth", "lip")) else 1.0 for name in FACE])
LIP_GAP = torch.from_numpy(GAP)
DOUBT = 0.1  # errors below this are squared: in doubt the mean is learned; a median of open and shut would be shut
STRIDE = 128  # frames that are attended over at once
SEEN = 32  # frames of a segment whose face is looked at
CHECKPOINT_STEPS = 500
BELIEVED = 6.0  # what a frame of closure counts in noise, against 1 in quiet: the odds of its posterior rise by as much
LOUD_DB, QUIET_DB = 13.0, 20.0  # loud noise, none to speak of: see `contrast_db`
CONTRAST_HOPS = 256  # that it is taken over: 2.56 s


def losses(net: Cdan, batch: Batch, seen: slice = slice(None)) -> dict[str, Tensor]:
    """The terms of the loss, named as in SHARES. The face is looked at in the `seen` frames only: it costs a third of a
    step and teaches little, the ear is what is hard."""
    device = batch.les.device
    with torch.autocast(device.type, torch.bfloat16):  # as fast as without where the processor lacks it
        context = heard(net, batch.sound, batch.look_ahead)
        hints, phones = (x.float() for x in net.hints(context))
        face = net.decode(context[:, seen], batch.les[:, seen], batch.seal[:, seen]).coefficients.float()
    activity, seal, loudness, pitch = hints.unbind(2)
    target, weights, gap = batch.face[:, seen], WEIGHTS.to(device), LIP_GAP.to(device)
    prosody = (torch.stack([loudness.sigmoid(), pitch.tanh()], dim=2) - batch.prosody).abs().mean(2)
    return {
        "coefficients": (distance(face, target) * weights).mean(),
        "speed": (distance(face.diff(dim=1), target.diff(dim=1)) * weights).mean(),
        "gap": distance(face @ gap, target @ gap).mean(),
        "phone": F.cross_entropy(phones.flatten(0, 2), batch.phone.flatten()),
        "seal": F.binary_cross_entropy_with_logits(seal, batch.seal, pos_weight=belief(batch.sound.mel)),
        "activity": F.binary_cross_entropy_with_logits(activity, batch.activity),
        "prosody": (prosody * batch.activity).mean(),
    }


def belief(mel: Tensor) -> Tensor:
    """[B, T] what a closure counts in spectra [B, T * 4, BANDS]. In quiet closures are told so well that the lips may
    ask for much likelihood before they shut, and so shut less often by mistake; in noise, where no closure is likely,
    as much would leave them open. So one threshold serves both."""
    noise = ((QUIET_DB - contrast_db(mel)) / (QUIET_DB - LOUD_DB)).clamp(0, 1)
    return (1 + (BELIEVED - 1) * noise).repeat_interleave(CONTRAST_HOPS // HOPS_PER_FRAME, dim=1)


def contrast_db(mel: Tensor) -> Tensor:
    """[B, T * 4 / CONTRAST_HOPS] from the quietest tenth of each stretch to its loudest quarter: within 3 dB the
    ratio of speech to noise, up to 20 dB."""
    rate = 2 * math.log(10)  # units of 20 dB to the logarithm of power
    loudness = (rate * mel).logsumexp(2).unflatten(1, (-1, CONTRAST_HOPS)) * (20 / rate)
    quiet, loud = loudness.quantile(torch.tensor([0.1, 0.75], device=mel.device), dim=2)
    return loud - quiet


def distance(one: Tensor, other: Tensor) -> Tensor:
    return F.smooth_l1_loss(one, other, beta=DOUBT, reduction="none")


def heard(net: Cdan, sound: Sound, look_ahead: Tensor, before: State | None = None) -> Tensor:
    """The context [B, T, width + glance + 1], in steps of STRIDE frames: the same numbers, without attention far beyond
    its window. What flows is half precision; the floor is not, it moves by too little."""
    state = before or net.init_state(len(look_ahead))
    state = State(*(x if name in ("floor", "filled") else x.bfloat16() for name, x in state._asdict().items()))
    mels = sound.mel.split(STRIDE * HOPS_PER_FRAME, dim=1)
    pieces = []
    for mel, fine in zip(mels, sound.fine.split(STRIDE, dim=1), strict=True):
        context, state = net.listen(Sound(mel, fine), look_ahead, state)
        pieces.append(context)
    return torch.cat(pieces, dim=1)


class Run:
    """One training: network, optimizer and the step it has come to, kept in `folder` with a log of its terms."""

    def __init__(self, folder: Path, net: Cdan, rate: float, device: str = "cpu") -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.rate, self.device = folder, rate, torch.device(device)
        self.net, self.seconds, self.steps = net.to(self.device), 0.0, 0
        for part in (net.glance, net.opinion, net.noise_glance):  # worth what they do not share: glance.py
            part.requires_grad_(False)
        learned = [parameter for parameter in net.parameters() if parameter.requires_grad]
        self.optimizer = torch.optim.AdamW(learned, lr=rate, betas=(0.9, 0.98), weight_decay=0.01, fused=True)
        self._mean: dict[str, float] = {}
        if (folder / "checkpoint.pt").exists():
            self._resume()

    def _resume(self) -> None:
        kept = torch.load(self.folder / "checkpoint.pt", weights_only=True, map_location=self.device)
        self.net.load_state_dict(kept["net"])
        self.optimizer.load_state_dict(kept["optimizer"])
        self.seconds, self.steps = kept["seconds"], kept["steps"]
        logging.info("resumed at step %d", self.steps)

    def save(self, held: dict[str, float]) -> None:
        """Checkpoint, log and curves; `held` are the terms on speech that is not trained on."""
        part = self.folder / "checkpoint.part"
        kept = {"net": self.net.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(kept | {"seconds": self.seconds, "steps": self.steps}, part)
        part.rename(self.folder / "checkpoint.pt")
        entry = {"step": self.steps, "seconds": round(self.seconds), "trained": self._mean, "held": held}
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(json.dumps(entry) + "\n")
        curves.draw(self.folder / "log.jsonl", self.folder / "curves.svg")
        told = " ".join(f"{name} {value:.3f}" for name, value in (held or self._mean).items())
        logging.info("step %d, %.0f s: %s", self.steps, self.seconds, told)

    def step(self, batch: Batch, progress: float, seen: slice) -> None:
        """One update; the rate warms up, then falls as a cosine to 2 % at a progress of 1."""
        began = time.monotonic()
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * fall * min(1.0, (self.steps + 1) / 200)
        terms = losses(self.net.train(), batch.to(self.device), seen)
        self.optimizer.zero_grad()
        torch.stack([SHARES[name] * term for name, term in terms.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimizer.step()
        self._mean = {k: 0.99 * self._mean.get(k, float(v)) + 0.01 * float(v) for k, v in detached(terms).items()}
        self.steps += 1
        self.seconds += time.monotonic() - began

    @torch.inference_mode()
    def examine(self, held: list[Batch]) -> dict[str, float]:
        """Mean of every term over batches."""
        each = [losses(self.net, batch.to(self.device)) for batch in held]
        return {name: float(torch.stack([terms[name] for terms in each]).mean()) for name in each[0]} if each else {}


def detached(terms: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: term.detach() for name, term in terms.items()}


@dataclass(frozen=True)
class Budget:
    """When a training ends: whichever comes first."""

    seconds: float = math.inf
    steps: float = math.inf

    def spent(self, seconds: float, steps: int) -> float:
        """Share of the budget, 1 at its end."""
        return max(seconds / self.seconds, steps / self.steps)


def train(corpus: Corpus, held: list[Batch], run: Run, budget: Budget, size: int) -> None:
    """Until the budget is spent, in this and earlier calls; a checkpoint every CHECKPOINT_STEPS."""
    random = torch.Generator().manual_seed(run.steps)
    while budget.spent(run.seconds, run.steps) < 1:
        for batch in corpus.epoch(size, random):
            first = SEEN * int(torch.randint(FRAMES // SEEN, (1,), generator=random))
            run.step(batch, budget.spent(run.seconds, run.steps), slice(first, first + SEEN))
            if run.steps % CHECKPOINT_STEPS == 0:
                run.save(run.examine(held))
            if budget.spent(run.seconds, run.steps) >= 1:
                break
    run.save(run.examine(held))


def examples(folder: Path | None, size: int = 16, count: int = 4) -> list[Batch]:
    """Some batches of held-out speech, degraded the same way each time."""
    if folder is None:
        return []
    batches = Corpus(folder).epoch(size, torch.Generator().manual_seed(0))
    return list(islice(batches, count))


def begun(net: Cdan, start: Path | None) -> Cdan:
    """The network with what fits of a checkpoint's weights."""
    if start:
        kept, own = torch.load(start / "checkpoint.pt", weights_only=True)["net"], net.state_dict()
        fitting = {name: value for name, value in kept.items() if name in own and own[name].shape == value.shape}
        net.load_state_dict(fitting, strict=False)
    return net


def main() -> None:
    parser = argparse.ArgumentParser(description="Train CDAN on one core or on a GPU.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--held", type=Path, help="such a folder of voices held out, to log how they fare")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint; an existing one is resumed")
    parser.add_argument("--start", type=Path, help="folder of a run whose weights this one begins with")
    parser.add_argument("--minutes", type=float, default=240, help="time spent stepping, all calls together")
    parser.add_argument("--batch", type=int, default=8, help="segments of 10.24 s")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    options = parser.parse_args()
    prepare()
    run = Run(options.run, begun(Cdan(), options.start), options.rate, options.device)
    train(Corpus(options.corpus), examples(options.held), run, Budget(60 * options.minutes), options.batch)


def prepare() -> None:
    """One thread, no denormals, one seed, a log on stderr."""
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    torch.manual_seed(0)
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(asctime)s %(message)s")


if __name__ == "__main__":
    main()
