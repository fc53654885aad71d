"""The Cross-Dimension Attention Net as it serves: sound and facial units in, face coefficients out. No torch."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from engine.cdan.cpu import CpuNetwork
from engine.runtime import Network, initial_state, next_state

__all__ = ["CDAN_GRAPH", "CDAN_WEIGHTS", "Cdan", "Heard", "StreamState", "on_cpu"]

CDAN_GRAPH = Path(__file__).parent / "data" / "cdan.onnx"
CDAN_WEIGHTS = Path(__file__).parent / "data" / "cdan.safetensors"

Floats = npt.NDArray[np.float32]
StreamState = Mapping[str, Floats]
"""One stream's memory: tensors by the graph's `<field>_in` names, batch 1. Never changed in place."""


def on_cpu() -> Network:
    """As it serves: near what the graph says, and sooner."""
    return CpuNetwork(CDAN_WEIGHTS)


class Heard(NamedTuple):
    """What one step says of N streams."""

    coefficients: Floats
    """[N, 63] in [0, 1], in the order of `engine.face.coefficients.FACE`."""
    prosody: Floats
    """[N, 3] speech activity 0..1, loudness 0..1, pitch in octaves from the speaker's middle -1..1."""
    states: list[StreamState]


class Cdan:
    """Steps any number of streams at once. After a stream's chunk n its output belongs to chunk n - look_ahead."""

    def __init__(self, network: Network | None = None) -> None:
        self._network = network or on_cpu()

    def open(self) -> StreamState:
        """The memory of a stream that has heard nothing."""
        return initial_state(self._network.signature)

    def step(self, pcm: Floats, les: Floats, look_ahead: Sequence[int], states: Sequence[StreamState]) -> Heard:
        """`pcm` [N, 640] in [-1, 1], `les` [N, 41] of the frames that come out, `look_ahead` 0, 1 or 2 each."""
        alone = len(states) == 1
        stacked = states[0] if alone else {n: np.concatenate([state[n] for state in states]) for n in states[0]}
        ahead = np.asarray(look_ahead, np.int32)
        out = self._network({"pcm": pcm, "les": les, "look_ahead": ahead, **stacked})
        after = next_state(out)
        if alone:
            return Heard(out["coefficients"], out["prosody"], [after])
        # Copies, so that a stream which rests and keeps its memory does not keep that of its whole batch.
        split = [{name: value[i : i + 1].copy() for name, value in after.items()} for i in range(len(states))]
        return Heard(out["coefficients"], out["prosody"], list[StreamState](split))
