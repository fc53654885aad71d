"""Trains the third opinion on closures: `python -m engine.cdan.training.noise_glance --corpus DIR`.

All else in the shipped weights stays as it is. It learns alone and from nothing, to tell closures and phones by windows
about consonants in noise: begun with another's weights, or beside what others say, it says what they say. Speech is
heard in noise once and kept, and cut at other frames in every pass. It needs to know no quiet: there it is not heard.
"""

import argparse
import logging
import math
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.cdan import CDAN_GRAPH
from engine.cdan.glance import FRAMES, HIDDEN, HOP, NoiseGlance
from engine.cdan.network import Cdan
from engine.cdan.spectra import SHAPE, shape
from engine.cdan.training.export import load, write_graph, write_weights
from engine.cdan.training.glance import ELSEWHERE, WARM_UP, Said, steady, telling
from engine.cdan.training.phones import PHONES
from engine.cdan.training.refit import SEGMENTS
from engine.cdan.training.train import Budget, prepare
from engine.units import HOPS_PER_FRAME

WINDOWS = 128  # at once
MIXED = 8  # times SEGMENTS that windows of one drawing are of
EARLIER = 2  # frames before a window that fill the convolutions
CLOSURE_COUNTS = 2.0  # against phones
SHARE, LIFT = 0.5, 2.0  # of its own logit that it adds, and what lifts that first: most consonants are no closures
LOG_STEPS = 500
SEED = 2


class Windows(NamedTuple):
    """What is seen of N frames, and the truth."""

    mel: Tensor
    """[N, (EARLIER + FRAMES) * 4, BANDS]"""
    look_ahead: Tensor
    """int32 [N]"""
    seal: Tensor
    """[N]"""
    phone: Tensor
    """[N, 2]"""


def consonants(kept: Sequence[Said], random: torch.Generator) -> Iterator[Windows]:
    """Windows about consonants, WINDOWS at once, endlessly."""
    while True:
        for drawn in torch.randperm(len(kept), generator=random).split(MIXED):
            parts = [cut(kept[i], random) for i in drawn.tolist()]
            seen = Windows(*(torch.cat(part) for part in zip(*parts, strict=True)))
            for some in torch.randperm(len(seen.seal), generator=random).split(WINDOWS):
                yield Windows(*(x[some] for x in seen))


def cut(said: Said, random: torch.Generator) -> Windows:
    """Frames in the middle of consonants, each with what was heard last."""
    drawn = torch.rand(said.seal.shape, generator=random) < telling(said.phone) - ELSEWHERE
    drawn[:, :WARM_UP] = False
    stream, frame = drawn.nonzero(as_tuple=True)
    length = EARLIER + FRAMES
    mel = said.sound.mel.unflatten(1, (-1, HOPS_PER_FRAME)).unfold(1, length, 1)  # [B, ..., 4, BANDS, length]
    mel = mel[stream, frame + 1 - length].permute(0, 3, 1, 2).flatten(1, 2).float()
    return Windows(mel, said.look_ahead[stream], said.seal[stream, frame].float(), said.phone[stream, frame].long())


def seen(glance: NoiseGlance, some: Windows) -> Tensor:
    """[N, HIDDEN]"""
    count = len(some.seal)
    frames, _ = glance.framed(shape(some.mel), some.mel.new_zeros(count, 2, SHAPE), some.mel.new_zeros(count, 4, HOP))
    return glance.seen_in(frames[:, EARLIER:], some.look_ahead)[:, 0]


def train(net: Cdan, windows: Iterator[Windows], budget: Budget, rate: float) -> float:
    """Learns in place, from nothing, until the budget is spent; the loss of closures at last. Seconds are those that
    the processor spends, others may have it too."""
    net.noise_glance = glance = NoiseGlance()
    teller = nn.Linear(HIDDEN, 1 + 2 * len(PHONES))  # does not ship but for its first row
    parts = nn.ModuleList([glance, teller])
    optimizer = torch.optim.AdamW(parts.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.1)
    began, steps, mean = time.process_time(), 0, 0.0
    while (progress := budget.spent(time.process_time() - began, steps)) < 1:
        some = next(windows)
        for group in optimizer.param_groups:
            group["lr"] = rate * (0.02 + 0.49 * (1 + math.cos(math.pi * progress))) * min(1.0, 0.01 + 30 * progress)
        with torch.autocast("cpu", torch.bfloat16):
            told = teller(glance.drop(seen(glance, some))).float()
        closures = F.binary_cross_entropy_with_logits(told[:, 0], some.seal)
        phones = F.cross_entropy(told[:, 1:].unflatten(1, (2, -1)).transpose(1, 2), some.phone)
        optimizer.zero_grad()
        (CLOSURE_COUNTS * closures + phones).backward()
        torch.nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimizer.step()
        steps, mean = steps + 1, 0.99 * (mean or float(closures.detach())) + 0.01 * float(closures.detach())
        if steps % LOG_STEPS == 0:
            logging.info("step %d, %.0f s: closures %.4f", steps, time.process_time() - began, mean)
    parts.eval()
    with torch.no_grad():
        glance.opinion.weight.copy_(SHARE * teller.weight[:1])
        glance.opinion.bias.copy_(SHARE * (teller.bias[:1] + LIFT))
    return mean


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the third opinion on closures, in the shipped weights.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--batches", type=int, default=472, help=f"of {SEGMENTS} segments of 10.24 s that are kept")
    parser.add_argument("--minutes", type=float, default=4, help="of one core, spent stepping")
    parser.add_argument("--rate", type=float, default=2e-3, help="peak learning rate")
    options = parser.parse_args()
    prepare()
    torch.manual_seed(SEED)
    random, net = torch.Generator().manual_seed(SEED), load()
    kept = [half(said) for said in islice(steady(options.corpus, random), options.batches)]
    logging.info("%d segments", sum(len(said.seal) for said in kept))
    train(net, consonants(kept, random), Budget(60 * options.minutes), options.rate)
    write_weights(net.state_dict())
    write_graph(load(), CDAN_GRAPH)


def half(said: Said) -> Said:
    """What windows show of it, in half precision."""
    return said._replace(sound=said.sound._replace(mel=said.sound.mel.half(), fine=said.sound.fine[:, :0]))


if __name__ == "__main__":
    main()
