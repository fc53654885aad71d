"""A convolution that hears the past only, and keeps as much of it as it needs."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class CausalConv(nn.Module):
    """Convolution over `kernel` steps, `dilation` apart, up to the present one. x is [B, T, C]."""

    def __init__(self, inputs: int, outputs: int, kernel: int, dilation: int = 1) -> None:
        super().__init__()
        self.conv = nn.Conv1d(inputs, outputs, kernel, dilation=dilation)

    def step(self, x: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
        """`past` is [B, (kernel - 1) * dilation, C]."""
        steps = int(x.shape[1])  # a constant of the traced graph
        x = torch.cat([past, x], dim=1)
        # The taps side by side, and one product of matrices: of so few steps nothing is faster, and what multiplies
        # them may be kept in 8 bits.
        taps = torch.cat([x[:, at : at + steps] for at in range(0, past.shape[1] + 1, *self.conv.dilation)], dim=2)
        return F.linear(taps, self.conv.weight.transpose(1, 2).flatten(1), self.conv.bias), x[:, -past.shape[1] :]
