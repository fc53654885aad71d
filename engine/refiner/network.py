"""The refiner: where a region of the closed form's picture lies wrong, and what it lacks; nought at the photo itself.

Four by four pixels make a texel, so that all convolutions run at a quarter of the picture's resolution (pixel
shuffle, Shi et al. 2016); blocks are inverted residuals with depthwise convolutions (Sandler et al. 2018). It has no
memory: the same picture and coefficients give the same pixels.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.face.coefficients import NAMES
from engine.portrait.layers_layout import Window

FOLD = 4  # pixels a texel
NEAR = 0.2  # of `away`, summed: from about here on the residual is free
EDGE = 12  # pixels along which all of it fades to nought
REACH = 6.0  # pixels by which it moves anything, at most


@dataclass(frozen=True)
class Config:
    """What the network costs."""

    width: int = 32
    """Channels."""
    blocks: int = 4
    wider: int = 2
    """Channels inside a block, by `width`."""
    moves: bool = True
    """Whether it also moves what was drawn, beside adding to it."""


class Block(nn.Module):
    """[B, width, h, w] -> the same."""

    def __init__(self, config: Config) -> None:
        super().__init__()
        width, inside = config.width, config.width * config.wider
        self.look = nn.Conv2d(width, width, 5, padding=2, groups=width)
        self.widen = nn.Conv2d(width, inside, 1)
        self.narrow = nn.Conv2d(inside, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        more: Tensor = self.narrow(F.relu(self.widen(self.look(x))))
        return x + more


class Refiner(nn.Module):
    """Of one region, whose window has a pixel a unit."""

    edge: Tensor

    def __init__(self, window: Window, config: Config = Config()) -> None:
        super().__init__()
        self.texel = texel = 3 * FOLD**2
        self.enter = nn.Conv2d(2 * texel, config.width, 1)
        self.tell = nn.Linear(len(NAMES), config.width)
        self.blocks = nn.ModuleList(Block(config) for _ in range(config.blocks))
        self.leave = nn.Conv2d(config.width, texel + 2 * config.moves, 1)
        for parameter in self.leave.parameters():
            nn.init.zeros_(parameter)
        self.register_buffer("edge", _ramp(round(window.height))[:, None] * _ramp(round(window.width)))

    def forward(self, drawn: Tensor, photo: Tensor, away: Tensor) -> Tensor:
        """Pictures [B, 3, h, w] of 0..1 and `crops.away` [B, 69] -> [B, 3, h, w]."""
        texels = F.pixel_unshuffle(torch.cat([drawn, photo], 1) - 0.5, FOLD)
        x = self.enter(texels) + self.tell(away)[:, :, None, None]
        for block in self.blocks:
            x = block(x)
        free = (1 - torch.exp(-away.abs().sum(1) / NEAR))[:, None, None, None] * self.edge
        out = self.leave(F.relu(x))
        residual = F.pixel_shuffle(out[:, : self.texel], FOLD) * free
        if out.shape[1] == self.texel:
            return drawn + residual
        step = F.interpolate(torch.tanh(out[:, self.texel :]), scale_factor=FOLD, mode="bilinear", align_corners=False)
        return moved(drawn, REACH * step * free) + residual


def moved(picture: Tensor, step: Tensor) -> Tensor:
    """Every pixel [B, C, h, w] from `step` [B, 2, h, w] pixels right and down of it; cubic, as linear would blur."""
    height, width = picture.shape[2:]
    y, x = torch.meshgrid(torch.arange(height) + 0.5, torch.arange(width) + 0.5, indexing="ij")
    size = torch.tensor([width, height])[:, None, None]
    at = ((torch.stack([x, y]) + step) * 2 / size - 1).permute(0, 2, 3, 1)
    return F.grid_sample(picture, at, mode="bicubic", padding_mode="border", align_corners=False)


def macs(net: Refiner) -> int:
    """Multiplications a picture of its region, with their additions."""
    texels = net.edge.numel() // FOLD**2
    return net.tell.weight.numel() + texels * sum(c.weight.numel() for c in net.modules() if isinstance(c, nn.Conv2d))


def _ramp(count: int) -> Tensor:
    """[count] 1 but towards the ends."""
    at = torch.arange(count) + 0.5
    return (torch.minimum(at, count - at) / EDGE).clamp(max=1)
