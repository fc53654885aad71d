"""Trains the second opinion on closures: `python -m engine.cdan.training.glance --corpus DIR --run DIR`.

All else in the shipped weights stays as it is. Half of what the trained ear hears is the whole mixture, half is near
speech in steady noise; no noise twice: of what was kept, the glance learned the noises by heart. It learns what to add
to the logit of a closure, middles of consonants counting most, and beside that, so that it hears for itself, to tell
closures and phones alone. What ships then is the mean of the weights before and after (Wortsman et al. 2022).
"""

import argparse
import logging
import math
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.mel import BANDS
from engine.cdan import CDAN_GRAPH
from engine.cdan.constants import FINE_BINS, PAST
from engine.cdan.glance import HIDDEN
from engine.cdan.network import Cdan, State
from engine.cdan.spectra import SHAPE, SILENCE, Sound, Spectra, shape
from engine.cdan.training import augment
from engine.cdan.training.dataset import Corpus, delayed, truth_tensors
from engine.cdan.training.export import load, write_graph, write_weights
from engine.cdan.training.phones import CONSONANTS, PHONES
from engine.cdan.training.refit import SEAL, SEGMENTS
from engine.cdan.training.shard import SAMPLES, read
from engine.cdan.training.train import Budget, belief, detached, heard, prepare
from engine.units import FPS, HOPS_PER_FRAME, MAX_LOOK_AHEAD, SAMPLE_RATE

SHARES = {"together": 6.0, "alone": 3.0, "phone": 1.0}
"""What each term of the loss counts."""
ELSEWHERE = 0.1  # what a frame counts that is no middle of a consonant, against 1
WARM_UP = 8  # frames at first that only fill the memory
SILENT = 0.5  # share of the streams that come out of digital silence; the others have nothing before
SNR_DB = (4.0, 16.0)  # where noise hides consonants and leaves vowels
PINK = 0.6  # share of the steady noises; the others fall by 0 to 6 dB an octave
LEVEL = 0.1  # of the louder half of speech
AHEAD = torch.tensor([0.2, 0.6, 0.2])  # shares of the look-aheads in steady noise
CONSONANT = [name in CONSONANTS for name in PHONES]
CHECKPOINT_STEPS = 500
SEED = 81


class Said(NamedTuple):
    """B segments of T frames, heard with a look-ahead, and what is true of them then."""

    sound: Sound
    look_ahead: Tensor
    seal: Tensor
    phone: Tensor


class Heard(NamedTuple):
    """B segments of T frames: their sound, what the trained ear hears in it, and the truth."""

    mel: Tensor
    """[B, T * 4, BANDS]"""
    context: Tensor
    """[B, T, width] without the glance"""
    look_ahead: Tensor
    """int32 [B]"""
    seal: Tensor
    """[B, T]"""
    phone: Tensor
    """[B, T, 2]"""
    belief: Tensor
    """[B, T] what a closure counts"""
    telling: Tensor
    """[B, T] what the frame counts"""


def mixture(folder: Path, random: torch.Generator) -> Iterator[Said]:
    """As the network was trained: every noise, loudness and microphone."""
    corpus = Corpus(folder)
    while True:
        for batch in corpus.epoch(SEGMENTS, random):
            yield Said(batch.sound, batch.look_ahead, batch.seal, batch.phone)


def steady(folder: Path, random: torch.Generator) -> Iterator[Said]:
    """Near speech in steady noise, most of it pink, and a quarter in any noise of the corpus; added to the sound
    itself: where speech and noise are alike, more becomes of them than spectra tell."""
    paths = sorted(folder.glob("shard????.npz"))
    around = [np.load(path)["pcm"].reshape(-1, SAMPLES) for path in sorted(folder.glob("noise????.npz"))]
    others = torch.from_numpy(np.concatenate(around))
    spectra, past = Spectra(), torch.zeros(SEGMENTS, PAST)
    while True:
        for which in torch.randperm(len(paths), generator=random).tolist():
            pcm, truths = read(paths[which])
            near = torch.from_numpy(pcm.reshape(len(truths), -1, SAMPLES)[:, 0])
            truth = truth_tensors(truths)
            for some in torch.arange(len(near)).split(SEGMENTS):
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
def listened(net: Cdan, said: Said, before: State) -> Heard:
    """What the trained ear makes of what was said."""
    with torch.autocast("cpu", torch.bfloat16):
        context = heard(net, said.sound, said.look_ahead, before)[..., : net.config.width]
    truth = said.seal.float(), said.phone.long(), belief(said.sound.mel), telling(said.phone)
    return Heard(said.sound.mel, context.float(), said.look_ahead, *truth)


@torch.no_grad()
def silence(net: Cdan) -> State:
    """The ear's memory of a second of digital silence, for each look-ahead."""
    ahead = torch.arange(MAX_LOOK_AHEAD + 1, dtype=torch.int32)
    shapes = (len(ahead), FPS * HOPS_PER_FRAME, BANDS), (len(ahead), FPS, FINE_BINS)
    sound = Sound(*(torch.full(shape, SILENCE) for shape in shapes))
    return net.listen(sound, ahead, net.init_state(len(ahead)))[1]


def beginnings(after: State, look_ahead: Tensor, random: torch.Generator) -> State:
    """Memories of B streams: SILENT of them `after` digital silence, the others new."""
    silent = torch.rand(len(look_ahead), generator=random) < SILENT
    return State(*(x[look_ahead] * silent.reshape(-1, *[1] * (x.ndim - 1)) for x in after))


def telling(phone: Tensor) -> Tensor:
    """[B, T, 2] -> [B, T]: 1 in the middle of a consonant, and less towards the frames beside it."""
    told = np.full(phone.shape[:2], ELSEWHERE, np.float32)
    frames = np.arange(phone.shape[1]) + 0.5
    for counts, halves in zip(told, phone.flatten(1).numpy(), strict=True):
        bounds = np.flatnonzero(np.diff(halves)) + 1
        for start, end in zip(bounds[:-1], bounds[1:], strict=True):
            if CONSONANT[halves[start]]:
                counts += np.clip(1 - np.abs(frames - (start + end) / 4), 0, None)
    return torch.from_numpy(told)


class Run:
    """One training of a network's glance, kept in `folder`."""

    def __init__(self, folder: Path, net: Cdan, rate: float) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder, self.net, self.rate, self.seconds, self.steps = folder, net, rate, 0.0, 0
        self.alone = nn.Linear(HIDDEN, 1 + 2 * len(PHONES))  # what it says by itself; does not ship
        self.parts = nn.ModuleList([net.glance, net.opinion, self.alone])
        self.optimizer = torch.optim.AdamW(self.parts.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.1)
        self.silence = silence(net)
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

    def step(self, said: Said, random: torch.Generator, progress: float) -> None:
        """One update; the rate warms up, then falls as a cosine to 2 % at a progress of 1."""
        began = time.monotonic()
        fall = 0.02 + 0.98 * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
        for group in self.optimizer.param_groups:
            group["lr"] = self.rate * fall * min(1.0, (self.steps + 1) / 100)
        self.parts.train()
        before = beginnings(self.silence, said.look_ahead, random)
        terms = self.losses(listened(self.net, said, before))
        self.optimizer.zero_grad()
        torch.stack([share * terms[name] for name, share in SHARES.items()]).sum().backward()
        torch.nn.utils.clip_grad_norm_(self.parts.parameters(), 1.0)
        self.optimizer.step()
        self.mean = {k: 0.99 * self.mean.get(k, float(v)) + 0.01 * float(v) for k, v in detached(terms).items()}
        self.steps += 1
        self.seconds += time.monotonic() - began

    def losses(self, some: Heard) -> dict[str, Tensor]:
        """The terms of the loss as in SHARES, and `before`: closures as they are told without the glance."""
        net, state = self.net, self.net.init_state(len(some.mel))
        with torch.no_grad():
            before = net.heads(some.context)[..., SEAL]
        with torch.autocast("cpu", torch.bfloat16):
            sound, memory = shape(some.mel), (state.glance_hops[:, 0], state.glance_frames[:, 0])
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


def train(run: Run, folder: Path, budget: Budget) -> None:
    """Until the budget is spent, in this and earlier calls; a checkpoint every CHECKPOINT_STEPS."""
    random = torch.Generator().manual_seed(SEED + run.steps)
    kinds = mixture(folder, random), steady(folder, random)
    while (progress := budget.spent(run.seconds, run.steps)) < 1:
        run.step(next(kinds[run.steps % 2]), random, progress)
        if run.steps % CHECKPOINT_STEPS == 0:
            run.save()
    run.save()
    run.parts.eval()


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the second opinion on closures, in the shipped weights.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--run", type=Path, required=True, help="folder of the checkpoint; an existing one is resumed")
    parser.add_argument("--minutes", type=float, default=33, help="time spent stepping, all calls together")
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    options = parser.parse_args()
    prepare()
    net = load()
    train(Run(options.run, net, options.rate), options.corpus, Budget(60 * options.minutes))
    write_weights({name: (value + net.state_dict()[name]) / 2 for name, value in load().state_dict().items()})
    write_graph(load(), CDAN_GRAPH)


if __name__ == "__main__":
    main()
