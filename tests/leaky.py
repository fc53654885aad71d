"""The smallest network with a state, for tests of what runs networks."""

from pathlib import Path

import torch

from engine.runtime.export import export


class Leaky(torch.nn.Module):
    """y = x + 0.5 * memory."""

    def forward(self, x: torch.Tensor, memory: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x + 0.5 * memory
        return y, y


def leaky_graph(folder: Path) -> Path:
    """Its exported graph: x and memory_in in, y and memory_out out, [batch, 3] each."""
    path = folder / "leaky.onnx"
    export(Leaky(), (torch.zeros(1, 3), torch.zeros(1, 3)), ["x", "memory_in"], ["y", "memory_out"], path)
    return path
