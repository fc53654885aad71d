"""Random courses of the Linear Emotion Space: emotions at any level, single units, rest, changing."""

import torch
from torch import Tensor

from engine.les import AXES, EMOTIONS

AT_REST = 0.3  # share of courses without any emotion
PROTOTYPES = torch.tensor([[units.get(axis, 0.0) for axis in AXES] for units in EMOTIONS.values()])


def courses(batch: int, frames: int, random: torch.Generator) -> Tensor:
    """[B, T, 41] in [0, 1]: three targets each, eased over up to two seconds or at once."""
    targets = torch.stack([_targets(batch, random) for _ in range(3)], dim=1)  # [B, 3, 41]
    targets *= (torch.rand(batch, 1, 1, generator=random) > AT_REST).float()
    starts = torch.sort(torch.rand(batch, 2, generator=random) * frames, dim=1).values
    lengths = torch.rand(batch, 2, generator=random) * 50 * (torch.rand(batch, 2, generator=random) > 0.3)
    t = torch.arange(frames, dtype=torch.float32)
    weight = ((t - starts[..., None]) / (lengths[..., None] + 1e-3)).clamp(0, 1)  # [B, 2, T]
    weight = (weight * weight * (3 - 2 * weight))[..., None]
    course = targets[:, :1]
    for i in (0, 1):
        course = course + weight[:, i] * (targets[:, i + 1 : i + 2] - course)
    return course.expand(batch, frames, -1).contiguous()


def _targets(batch: int, random: torch.Generator) -> Tensor:
    """[B, 41]: an emotion at some level, or a few units, or both."""
    kind = torch.rand(batch, 1, generator=random)
    emotion = PROTOTYPES[torch.randint(len(PROTOTYPES), (batch,), generator=random)]
    emotion = emotion * torch.rand(batch, 1, generator=random).sqrt()
    units = torch.rand(batch, len(AXES), generator=random)
    units = units * (torch.rand(batch, len(AXES), generator=random) < 3 / len(AXES))
    return (emotion * (kind < 0.7) + units * (kind > 0.45)).clamp(0, 1)
