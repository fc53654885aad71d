"""Fits the head that tells closures to what the trained ear hears: `python -m engine.cdan.training.refit --corpus DIR`.

The head is one row of weights, those that the second opinion is heard by among them: its fit is convex and takes
minutes where a training takes hours. So the balance of closures missed and false ones, in quiet and in noise
(`belief`, and the network's SEAL_HALF), can be set afterwards.
"""

import argparse
from itertools import islice
from pathlib import Path
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.cdan import CDAN_GRAPH
from engine.cdan.network import Cdan
from engine.cdan.training.dataset import Corpus
from engine.cdan.training.export import load, write_graph, write_weights
from engine.cdan.training.train import belief, heard, prepare

SEAL = 1  # row of `Cdan.heads`
PULL = 1e-5  # towards the weights before, by the square of the distance
ITERATIONS = 40
SEGMENTS = 8  # at once


class Examples(NamedTuple):
    """N frames of speech as the ear hears them."""

    context: Tensor
    """half [N, width + glance + 1]"""
    seal: Tensor
    """[N] 1 where p, b, m shut the lips"""
    belief: Tensor
    """[N] what a closure counts there"""


@torch.no_grad()
def listened(net: Cdan, corpus: Corpus, batches: int, random: torch.Generator) -> Examples:
    """Frames of `batches` times SEGMENTS segments, degraded as in training."""
    parts = []
    for batch in islice(corpus.epoch(SEGMENTS, random), batches):
        with torch.autocast("cpu", torch.bfloat16):
            context = heard(net, batch.sound, batch.look_ahead)
        parts.append((context.half().flatten(0, 1), batch.seal.flatten(), belief(batch.sound.mel).flatten()))
    return Examples(*(torch.cat(part) for part in zip(*parts, strict=True)))


def fit(net: Cdan, examples: Examples) -> None:
    """Logistic regression in place, from the head's and the glance's own weights on. What is added in noise stays."""
    context, noise = examples.context.float().tensor_split([-1], dim=1)
    seal, weight, added = examples.seal, examples.belief, noise[:, 0]
    before = torch.cat([net.heads.weight[SEAL], net.opinion.weight[0]]).detach()
    row, bias = before.clone().requires_grad_(), net.heads.bias[SEAL].detach().clone().requires_grad_()
    optimizer = torch.optim.LBFGS([row, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        missed = F.binary_cross_entropy_with_logits(context @ row + bias + added, seal, pos_weight=weight)
        total = missed + PULL * (row - before).square().sum()
        total.backward()
        return total

    optimizer.step(loss)
    with torch.no_grad():
        net.heads.weight[SEAL], net.opinion.weight[0] = row.split([net.config.width, net.config.glance])
        net.heads.bias[SEAL] = bias


def main() -> None:
    parser = argparse.ArgumentParser(description="Fit the head that tells closures anew, in the shipped weights.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--batches", type=int, default=240, help=f"of {SEGMENTS} segments of 10.24 s")
    options = parser.parse_args()
    prepare()
    net = load()
    fit(net, listened(net, Corpus(options.corpus), options.batches, torch.Generator().manual_seed(77)))
    write_weights(net.state_dict())
    write_graph(load(), CDAN_GRAPH)


if __name__ == "__main__":
    main()
