"""Trains rivals that lack a part of the network: `python -m engine.cdan.training.ablation --corpus DIR --out DIR`.

All are trained for the same number of steps on the same batches, from scratch or from the weights of a run (`--start`),
of which each takes what it has a place for. DIR/<name>.onnx then serves like the shipped graph:
`engine.cdan.Cdan(OpenVinoNetwork(path))`.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.mel import BANDS
from engine.cdan.constants import Config
from engine.cdan.network import Cdan, Output, State
from engine.cdan.spectra import FEATURES, Sound, spectrum_features
from engine.cdan.training.dataset import Corpus
from engine.cdan.training.export import write_graph
from engine.cdan.training.train import Budget, Run, begun, examples, prepare, train
from engine.face.coefficients import FACE
from engine.units import HOPS_PER_FRAME

REACH = 8  # frames of sound that the linear network looks back on, the present one included


class Linear(Cdan):
    """Nothing but linear maps: of the levels by the table, of the sound heard lately by one matrix. Its hints are
    linear too; neither activity nor seal touches the face."""

    def __init__(self) -> None:
        super().__init__(Config(dilations=(1,), layers=1, crossings=0, feature=False, structure=False))
        self.window = nn.Conv1d(FEATURES, self.config.width, HOPS_PER_FRAME * REACH, stride=HOPS_PER_FRAME)
        self.face = nn.Linear(self.config.width, len(FACE))

    def init_state(self, batch: int) -> State:
        past = self.read.new_zeros(batch, HOPS_PER_FRAME * (REACH - 1), FEATURES)
        return super().init_state(batch)._replace(bands=past)

    def listen(self, sound: Sound, look_ahead: Tensor, state: State) -> tuple[Tensor, State]:
        features = spectrum_features(sound.mel, sound.mel.new_zeros(*sound.fine.shape[:2], BANDS))
        window = torch.cat([state.bands, features.to(state.bands.dtype)], dim=1)
        x = self.window(window.transpose(1, 2)).transpose(1, 2) + self.look_ahead(look_ahead)[:, None]
        return F.pad(x, (0, self.config.glance + 1)), state._replace(bands=window[:, HOPS_PER_FRAME * (1 - REACH) :])

    def decode(self, context: Tensor, les: Tensor, seal: Tensor | None = None, before: Tensor | None = None) -> Output:
        face = les.clamp(0, 1) @ self.table + self.face(context[..., : self.config.width])
        activity, seal, loudness, pitch = self.hints(context)[0].unbind(2)
        prosody = torch.stack([activity.sigmoid(), loudness.sigmoid(), pitch.tanh()], dim=2)
        return Output(face if self.training else face.clamp(0, 1), prosody, activity, seal)


RIVALS: dict[str, Callable[[], Cdan]] = {
    "whole": Cdan,
    "no-feature": lambda: Cdan(Config(feature=False)),
    "no-structure": lambda: Cdan(Config(structure=False)),
    "linear": Linear,
}
"""The network as it ships; without attention between units and coefficients; without attention among regions and over
time (convolutions stay); linear maps only."""


def main() -> None:
    parser = argparse.ArgumentParser(description="Train the network and its rivals for the same number of steps.")
    parser.add_argument("--corpus", type=Path, required=True, help="folder made by engine.cdan.training.corpus")
    parser.add_argument("--held", type=Path, help="such a folder of voices held out, to log how they fare")
    parser.add_argument("--out", type=Path, required=True, help="folder of the graphs, <name>.onnx")
    parser.add_argument("--start", type=Path, help="folder of a run whose weights all begin with")
    parser.add_argument("--steps", type=int, default=2000)
    parser.add_argument("--rate", type=float, default=1.5e-3, help="peak learning rate")
    parser.add_argument("--only", choices=RIVALS, nargs="+", default=list(RIVALS))
    options = parser.parse_args()
    prepare()
    corpus, held = Corpus(options.corpus), examples(options.held)
    for name in options.only:
        torch.manual_seed(0)
        run = Run(options.out / name, begun(RIVALS[name](), options.start), options.rate)
        train(corpus, held, run, Budget(steps=options.steps), 8)
        write_graph(run.net, options.out / f"{name}.onnx")


if __name__ == "__main__":
    main()
