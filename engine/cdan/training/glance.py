"""Trains the second opinion on closures: `python -m engine.cdan.training.glance --corpus DIR --run DIR`.

All else in the shipped weights stays as it is. What the trained ear hears, of the whole mixture and of near speech in
steady noise, is kept once. From it the glance learns what to add to the logit of a closure, middles of consonants
counting most, and beside that, so that it hears for itself, to tell closures and phones alone.
"""

import argparse
import logging
import math
import time
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.cdan import CDAN_GRAPH
from engine.cdan.glance import HIDDEN
from engine.cdan.network import Cdan
from engine.cdan.spectra import PAST, SHAPE, Sound, Spectra, shape
from engine.cdan.training import augment
from engine.cdan.training.dataset import Corpus, delayed, truth_tensors
from engine.cdan.training.export import load, write_graph, write_weights
from engine.cdan.training.phones import CONSONANTS, PHONES
from engine.cdan.training.refit import SEAL, SEGMENTS
from engine.cdan.training.shard import FRAMES, SAMPLES, read
from engine.cdan.training.train import Budget, belief, detached, heard, prepare
from engine.units import SAMPLE_RATE

SHARES = {"together": 6.0, "alone": 3.0, "phone": 1.0}
"""What each term of the loss counts."""
ELSEWHERE = 0.1  # what a frame counts that is no middle of a consonant, against 1
STRETCH, WARM_UP = 32, 8  # frames of a stretch, and before it of those that only fill the memory
STRETCHES = 24  # a step
BLUR = 0.1  # units added to every band anew: what is kept is heard many times
STEADY = 0.5  # share of them in steady noise
SNR_DB = (4.0, 16.0)  # where noise hides consonants and leaves vowels
PINK = 0.6  # share of the steady noises; the others fall by 0 to 6 dB an octave
LEVEL = 0.1  # of the louder half of speech
AHEAD = torch.tensor([0.2, 0.6, 0.2])  # shares of the look-aheads in steady noise
CONSONANT = [name in CONSONANTS for name in PHONES]
CHECKPOINT_STEPS = 1000
SEED = 81


class Said(NamedTuple):
    """B segments of T frames, heard with a look-ahead, and what is true of them then."""

    sound: Sound
    look_ahead: Tensor
    seal: Tensor
    phone: Tensor


class Kept(NamedTuple):
    """S segments of T frames: their sound, what the trained ear hears in it, and the truth."""

    mel: Tensor
    """[S, T * 4, BANDS]"""
    context: Tensor
    """[S, T, width] without the glance"""
    look_ahead: Tensor
    """int32 [S]"""
    seal: Tensor
    """[S, T]"""
    phone: Tensor
    """uint8 [S, T, 2]"""
    belief: Tensor
    """[S, T] what a closure counts"""
    telling: Tensor
    """[S, T] what the frame counts"""

    def stretches(self, count: int, random: torch.Generator) -> "Kept":
        """WARM_UP + STRETCH frames of `count` places, in single precision."""
        segments = torch.randint(len(self.mel), (count,), generator=random).tolist()
        starts = torch.randint(FRAMES - STRETCH - WARM_UP + 1, (count,), generator=random).tolist()

        def cut(x: Tensor) -> Tensor:
            if x.ndim == 1:
                return x[segments]
            rate = x.shape[1] // FRAMES
            length = rate * (WARM_UP + STRETCH)
            cuts = torch.stack([x[s, rate * at : rate * at + length] for s, at in zip(segments, starts, strict=True)])
            return cuts.float() if x.is_floating_point() else cuts.long()

        return Kept(*(cut(x) for x in self))


def joined(some: Iterable[Kept]) -> Kept:
    return Kept(*(torch.cat(parts) for parts in zip(*some, strict=True)))


def mixture(folder: Path, batches: int, random: torch.Generator) -> Iterator[Said]:
    """As the network was trained: every noise, loudness and microphone."""
    for batch in islice(Corpus(folder).epoch(SEGMENTS, random), batches):
        yield Said(batch.sound, batch.look_ahead, batch.seal, batch.phone)


def steady(folder: Path, batches: int, random: torch.Generator) -> Iterator[Said]:
    """Near speech in steady noise, most of it pink, and a quarter in any noise of the corpus; added to the sound
    itself: where speech and noise are alike, more becomes of them than spectra tell."""
    paths = sorted(folder.glob("shard????.npz"))
    around = [np.load(path)["pcm"].reshape(-1, SAMPLES) for path in sorted(folder.glob("noise????.npz"))]
    others = torch.from_numpy(np.concatenate(around))
    spectra, past = Spectra(), torch.zeros(SEGMENTS, PAST)
    while batches > 0:
        for which in torch.randperm(len(paths), generator=random).tolist():
            pcm, truths = read(paths[which])
            near = torch.from_numpy(pcm.reshape(len(truths), -1, SAMPLES)[:, 0])
            truth = truth_tensors(truths)
            for some in torch.arange(len(near)).split(SEGMENTS)[:batches]:
                batches -= 1
                noise = hiss(len(some), random)
                drawn = others[torch.randint(len(others), (len(noise[::4]),), generator=random)].float()
                noise[::4] = drawn / drawn.std(dim=1, keepdim=True).clamp(min=1)
                sound = spectra.step(noisy(near[some].float() / 32768, noise, random), past[: len(some)])[0]
                ahead = torch.multinomial(AHEAD, len(some), replacement=True, generator=random)
                seal, phone = (delayed(truth[name][some], ahead) for name in ("seal", "phone"))
                yield Said(sound, ahead.int(), seal, phone)


def hiss(count: int, random: torch.Generator) -> Tensor:
    """[count, SAMPLES] of unit level, most of it pink, the rest from white to brown."""
    hertz = torch.fft.rfftfreq(SAMPLES, 1 / SAMPLE_RATE).clamp(min=30)
    some, tilt = torch.rand(2, count, 1, generator=random)
    spectrum = torch.fft.rfft(torch.randn(count, SAMPLES, generator=random))
    sound = torch.fft.irfft(spectrum * hertz ** -torch.where(some < PINK, 0.5, tilt), SAMPLES)
    return sound / sound.std(dim=1, keepdim=True)


def noisy(speech: Tensor, noise: Tensor, random: torch.Generator) -> Tensor:
    """[B, SAMPLES] of speech, its noise of unit level SNR_DB under it, some 6 dB louder or softer."""
    low, high = SNR_DB
    snr = low + (high - low) * torch.rand(len(speech), 1, generator=random)
    loud = torch.tensor([[augment.level(one.numpy())] for one in speech]).clamp(min=0.1 * LEVEL)
    gain = 10 ** (0.3 * torch.randn(len(speech), 1, generator=random) - 0.15)
    return LEVEL * gain * (speech / loud + noise * 10 ** (-snr / 20))


@torch.no_grad()
def listened(net: Cdan, said: Iterable[Said]) -> Kept:
    """What is kept of what was said, floats in half precision."""
    return joined(_listened(net, one) for one in said)


def _listened(net: Cdan, said: Said) -> Kept:
    with torch.autocast("cpu", torch.bfloat16):
        context = heard(net, said.sound, said.look_ahead)[..., : net.config.width]
    mel = said.sound.mel
    truth = said.seal.half(), said.phone.to(torch.uint8), belief(mel).half(), telling(said.phone)
    return Kept(mel.half(), context.half(), said.look_ahead, *truth)


def telling(phone: Tensor) -> Tensor:
    """[B, T, 2] -> half [B, T]: 1 in the middle of a consonant, and less towards the frames beside it."""
    told = np.full(phone.shape[:2], ELSEWHERE, np.float16)
    frames = np.arange(phone.shape[1]) + 0.5
    for counts, halves in zip(told, phone.flatten(1).numpy(), strict=True):
        bounds = np.flatnonzero(np.diff(halves)) + 1
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            if CONSONANT[halves[start]]:
                counts += np.clip(1 - np.abs(frames - (start + end) / 4), 0, None).astype(np.float16)
    return torch.from_numpy(told)


class Run:
    """One training of a network's glance, kept in `folder`."""

    def __init__(self, folder: Path, net: Cdan, rate: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.net, self.rate, self.seconds, self.steps = folder, net, rate, 0.0, 0
        self.alone = nn.Linear(HIDDEN, 1 + 2 * len(PHONES))  # what it says by itself; does not ship
        self.parts = nn.ModuleList([net.glance, net.opinion, self.alone])
        self.optimizer = torch.optim.AdamW(self.parts.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.1)
        self.mean: dict[str, float] = {}
        if (folder / "checkpoint.pt").exists():
            found = torch.load(folder / "checkpoint.pt", weights_only=True)
            self.parts.load_state_dict(found["parts"])
            self.optimizer.load_state_dict(found["optimizer"])
            self.seconds, self.steps = found["seconds"], found["steps"]

    def save(self) -> None:
        part = self.folder / "checkpoint.part"
        state = {"parts": self.parts.state_dict(), "optimizer": self.optimizer.state_dict()}
        torch.save(state | {"seconds": self.seconds, "steps": self.steps}, part)
        part.rename(self.folder / "checkpoint.pt")
        told = " ".join(f"{name} {value:.4f}" for name, value in self.mean.items())
        logging.info("step %d, %.0f s: %s", self.steps, self.seconds, told)

    def step(self, some: Kept, progress: float) -> None:
        """One update; the rate warms up, then falls as a cosine to 2 % at a progress of 1."""
        began = time.monotonic()
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * fall * min(1.0, (self.steps + 1) / 100)
        terms = self.losses(some)
        self.optimizer.zero_grad()
        torch.stack([share * terms[name] for name, share in SHARES.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimizer.step()
        self.mean = {k: 0.99 * self.mean.get(k, float(v)) + 0.01 * float(v) for k, v in detached(terms).items()}
        self.steps += 1
        self.seconds += time.monotonic() - began

    def losses(self, some: Kept) -> dict[str, Tensor]:
        """The terms of the loss as in SHARES, and `before`: closures as they are told without the glance."""
        net, state = self.net, self.net.init_state(len(some.mel))
        with torch.no_grad():
            before = net.heads(some.context)[..., SEAL]
        with torch.autocast("cpu", torch.bfloat16):
            sound, memory = shape(some.mel), (state.glance_hops, state.glance_frames)
            if self.parts.training:
                sound = sound + BLUR * torch.randn_like(sound)
            seen, *_ = net.glance.step(sound, some.look_ahead, state.bands[..., :SHAPE], *memory)
            added, alone = net.opinion(net.glance(seen, some.context))[..., 0], self.alone(seen)

        def mean(loss: Tensor) -> Tensor:
            """Over the frames that are looked at, by what they count."""
            return (loss * some.telling)[:, WARM_UP:].sum() / some.telling[:, WARM_UP:].sum()

        def closures(logit: Tensor) -> Tensor:
            weight = some.belief
            return mean(F.binary_cross_entropy_with_logits(logit, some.seal, pos_weight=weight, reduction="none"))

        phones = alone[..., 1:].float().unflatten(2, (2, -1)).permute(0, 3, 1, 2)
        return {
            "together": closures(before + added.float()),
            "before": closures(before),
            "alone": closures(alone[..., 0].float()),
            "phone": mean(F.cross_entropy(phones, some.phone, reduction="none").mean(2)),
        }


def train(run: Run, mixed: Kept, hissing: Kept, budget: Budget) -> None:
    """Until the budget is spent, in this and earlier calls; a checkpoint every CHECKPOINT_STEPS."""
    random, hissed = torch.Generator().manual_seed(run.steps), int(STEADY * STRETCHES)
    run.parts.train()
    while (progress := budget.spent(run.seconds, run.steps)) < 1:
        some = mixed.stretches(STRETCHES - hissed, random), hissing.stretches(hissed, random)
        run.step(joined(some), progress)
        if run.steps % CHECKPOINT_STEPS == 0:
            run.save()
    run.save()
    run.parts.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the second opinion on closures, in the shipped weights.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint; an existing one is resumed")
    parser.add_argument("--minutes", type=float, default=12, help="time spent stepping, all calls together")
    parser.add_argument("--mixed", type=int, default=1900, help=f"batches of {SEGMENTS} segments of the mixture")
    parser.add_argument("--steady", type=int, default=465, help="such batches in steady noise")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    options = parser.parse_args()
    prepare()
    net, kept = load(), options.run / "heard.pt"
    run, random = Run(options.run, net, options.rate), torch.Generator().manual_seed(SEED)
    if not kept.exists():
        said = mixture(options.corpus, options.mixed, random), steady(options.corpus, options.steady, random)
        torch.save([tuple(listened(net, some)) for some in said], kept)
    mixed, hissing = (Kept(*some) for some in torch.load(kept, weights_only=True, mmap=True))
    train(run, mixed, hissing, Budget(60 * options.minutes))
    write_weights(net.state_dict())
    write_graph(load(), CDAN_GRAPH)


if __name__ == "__main__":
    main()
