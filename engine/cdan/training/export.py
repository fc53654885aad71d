"""Turns a checkpoint into what ships: `python -m engine.cdan.training.export --run DIR` writes weights and graph."""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import onnx
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from engine.cdan import CDAN_GRAPH, CDAN_WEIGHTS
from engine.cdan.network import Cdan, State
from engine.les import AXES
from engine.runtime.export import export
from engine.units import CHUNK

INPUTS = ("pcm", "les", "look_ahead", *(f"{field}_in" for field in State._fields))
OUTPUTS = ("coefficients", "prosody", *(f"{field}_out" for field in State._fields))


class OneFrame(nn.Module):
    """A step of one chunk, without the axis of time, its state as plain tensors: the exported signature."""

    def __init__(self, net: Cdan) -> None:
        super().__init__()
        self.net = net

    def forward(self, pcm: Tensor, les: Tensor, look_ahead: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        out, after = self.net.step(pcm, les[:, None], look_ahead, State(*state))
        return out.coefficients[:, 0], out.prosody[:, 0], *after


def load(path: Path = CDAN_WEIGHTS) -> Cdan:
    """The network with the shipped weights, kept in half precision; every key must be there and fit."""
    net = Cdan()
    net.load_state_dict({name: value.float() for name, value in load_file(path).items()}, strict=True)
    return net.eval()


def write_weights(values: Mapping[str, Tensor]) -> None:
    """What ships, in half precision."""
    save_file({name: value.half() for name, value in values.items()}, CDAN_WEIGHTS)


def write_graph(net: Cdan, path: Path) -> None:
    """The network as ONNX with a free batch."""
    batch = 2  # traced with more than one, so that nothing folds the batch away
    example = (torch.zeros(batch, CHUNK), torch.zeros(batch, len(AXES)), torch.zeros(batch, dtype=torch.int32))
    export(OneFrame(net.eval()), (*example, *net.init_state(batch)), INPUTS, OUTPUTS, path)
    halve(path)


def halve(path: Path) -> None:
    """Keeps in half precision, behind a cast, every constant that loses nothing by it; runtimes fold the cast away."""
    model = onnx.load(path)
    casts = []
    for constant in model.graph.initializer:
        value = onnx.numpy_helper.to_array(constant)
        half = value.astype(np.float16) if value.dtype == np.float32 else value
        if half.dtype == np.float16 and half.size > 1 and np.array_equal(half.astype(np.float32), value):
            name = constant.name
            constant.CopyFrom(onnx.numpy_helper.from_array(half, f"{name}_half"))
            casts.append(onnx.helper.make_node("Cast", [f"{name}_half"], [name], to=onnx.TensorProto.FLOAT))
    nodes = [*casts, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, path)


def mean(runs: Sequence[Path]) -> dict[str, Tensor]:
    """Weights midway between trainings, one begun with another's: often no worse than any (Wortsman et al. 2022)."""
    nets = [torch.load(run / "checkpoint.pt", weights_only=True)["net"] for run in runs]
    return {name: torch.stack([net[name] for net in nets]).mean(0) for name in nets[0]}


def main() -> None:
    parser = argparse.ArgumentParser(description="Write CDAN's shipped weights and graph.")
    parser.add_argument(
        "--run",
        type=Path,
        nargs="+",
        help="folder of a checkpoint, or of several for their mean; without it the graph alone",
    )
    options = parser.parse_args()
    if options.run:
        write_weights(mean(options.run))
    write_graph(load(), CDAN_GRAPH)


if __name__ == "__main__":
    main()
