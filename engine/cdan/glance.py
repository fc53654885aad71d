"""The glances: a second and a third opinion on closures, of 0.3 s about the output's frame.

One network for everything is one opinion. Where noise hides a consonant, another that has learned little else errs at
other phones, and all together err less. The third has learned nothing but noise and is heard in noise only.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.cdan.causal import CausalConv
from engine.cdan.spectra import SHAPE
from engine.units import HOPS_PER_FRAME, MAX_LOOK_AHEAD

HOP, FRAME, HIDDEN = 112, 160, 192  # channels of a hop, of a frame, of the window
BEFORE = 4  # frames of the window before the output's own
FRAMES = BEFORE + 1 + MAX_LOOK_AHEAD
DROPPED = 0.15  # of what is passed on in training


class Window(nn.Module):
    """What is seen of a window: convolutions over hops, and one matrix over its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = CausalConv(SHAPE, HOP, 3), CausalConv(HOP, HOP, 5)
        self.patch = nn.Linear(HOPS_PER_FRAME * HOP, FRAME)
        self.window = nn.Linear(FRAMES * FRAME, HIDDEN)
        self.drop = nn.Dropout(DROPPED)

    def step(
        self, shape: Tensor, look_ahead: Tensor, bands: Tensor, hops: Tensor, frames: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """[B, T * 4, SHAPE], int [B], and the inputs before: `bands` [B, 2, SHAPE], which the ear keeps too, `hops` and
        `frames` as in `State` -> [B, T, HIDDEN], and the last two anew. The noise floor is not heard."""
        x, hops = self.framed(shape, bands, hops)
        frames = torch.cat([frames, x], dim=1)
        return self.seen_in(frames, look_ahead), hops, frames[:, 1 - FRAMES :]

    def framed(self, shape: Tensor, bands: Tensor, hops: Tensor) -> tuple[Tensor, Tensor]:
        """Frames [B, T, FRAME], and `hops` anew."""
        x, _ = self.first.step(shape, bands)
        x, hops = self.second.step(F.gelu(x), hops)
        return self.drop(self.patch(F.gelu(x).unflatten(1, (-1, HOPS_PER_FRAME)).flatten(2))), hops

    def seen_in(self, frames: Tensor, look_ahead: Tensor) -> Tensor:
        """[B, FRAMES - 1 + T, FRAME] -> [B, T, HIDDEN]."""
        return F.gelu(self.window(about(frames, look_ahead)))


class Glance(Window):
    """The second opinion: what is seen, beside the context."""

    def __init__(self, width: int, outputs: int) -> None:
        super().__init__()
        self.seen, self.told = nn.Linear(HIDDEN, outputs), nn.Linear(width, outputs)

    def forward(self, seen: Tensor, context: Tensor) -> Tensor:
        """What was seen [B, T, HIDDEN] beside what was heard [B, T, width] -> [B, T, outputs]."""
        return F.gelu(self.seen(self.drop(seen)) + self.told(context))


class NoiseGlance(Window):
    """The third opinion: what is seen, and nothing else."""

    def __init__(self) -> None:
        super().__init__()
        self.opinion = nn.Linear(HIDDEN, 1)
        nn.init.zeros_(self.opinion.weight)
        nn.init.zeros_(self.opinion.bias)

    def forward(self, seen: Tensor) -> Tensor:
        """[B, T, HIDDEN] -> [B, T, 1] what it adds to the logit of a closure in noise."""
        opinion: Tensor = self.opinion(seen)
        return opinion


def about(frames: Tensor, look_ahead: Tensor) -> Tensor:
    """[B, FRAMES - 1 + T, C] -> [B, T, FRAMES * C]: the window that lies alike about the output's frame whatever the
    look-ahead, zeros where nothing is heard yet."""
    steps, channels = int(frames.shape[1]) + 1 - FRAMES, int(frames.shape[2])  # constants of the traced graph
    windows = []
    for ahead in range(MAX_LOOK_AHEAD + 1):
        unheard = MAX_LOOK_AHEAD - ahead
        taps = [frames[:, unheard + k :][:, :steps] for k in range(FRAMES - unheard)]
        windows.append(F.pad(torch.cat(taps, dim=2), (0, unheard * channels)))
    chosen = look_ahead[:, None, None]
    return torch.where(chosen == 0, windows[0], torch.where(chosen == 1, windows[1], windows[2]))
