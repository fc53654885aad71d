"""The corpus as tensors: log-mel of every copy, made once and kept beside its shard, and the tracks of its truth."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from engine.audio.mel import BANDS
from engine.cdan.network import SILENCE, Cdan, LogMel
from engine.cdan.training import moods
from engine.cdan.training.articulation import tracks
from engine.cdan.training.composition import Mouth
from engine.cdan.training.corpus import FRAMES, HOPS, Truth, read
from engine.units import HOPS_PER_FRAME, MAX_LOOK_AHEAD


@dataclass(frozen=True)
class Batch:
    """B segments of T frames. Frame t of everything but `mel` is what the network shall say after hearing chunk t."""

    mel: Tensor
    """[B, T * 4, BANDS]"""
    les: Tensor
    """[B, T, 41]"""
    look_ahead: Tensor
    """int32 [B] frames"""
    mouth: Mouth
    """[B, T, ...]"""
    phone: Tensor
    """int64 [B, T] index in PHONES"""
    prosody: Tensor
    """[B, T, 2] loudness, pitch"""


class Corpus:
    """All shards of a folder in memory (half precision)."""

    def __init__(self, folder: Path) -> None:
        shards = [_tensors(path) for path in sorted(folder.glob("shard????.npz"))]
        if not shards:
            raise FileNotFoundError(f"no shards in {folder}: run python -m engine.cdan.training.corpus --out {folder}")
        self._data = {name: torch.cat([shard[name] for shard in shards]) for name in shards[0]}
        self._segments, self._copies = self._data["mel"].shape[:2]

    def __len__(self) -> int:
        """Heard segments: every copy counts."""
        return self._segments * self._copies

    def epoch(self, size: int, random: torch.Generator) -> Iterator[Batch]:
        """Every copy once, in random order, with random moods and look-aheads."""
        for index in torch.randperm(len(self), generator=random).split(size):
            batch = self.batch(index, random)
            yield replace(batch, mel=recoloured(batch.mel, random))

    def batch(self, index: Tensor, random: torch.Generator, look_ahead: int | None = None) -> Batch:
        """Copies by number, with fresh moods."""
        ahead = torch.multinomial(torch.tensor([0.25, 0.5, 0.25]), len(index), replacement=True, generator=random)
        ahead = ahead if look_ahead is None else torch.full_like(ahead, look_ahead)
        segment = index // self._copies
        truth = {name: value[segment] for name, value in self._data.items() if name != "mel"}
        late = {name: _delayed(value, ahead) for name, value in truth.items()}
        return Batch(
            mel=self._data["mel"][segment, index % self._copies].float(),
            les=_delayed(moods.courses(len(index), FRAMES, random), ahead),
            look_ahead=ahead.int(),
            mouth=Mouth(late["speech"].float(), late["seal"].float(), late["activity"].float()),
            phone=late["phone"].long(),
            prosody=late["prosody"].float(),
        )


def recoloured(mel: Tensor, random: torch.Generator) -> Tensor:
    """A fresh gain (3 dB) and microphone curve (2 dB) for each of [B, T * 4, BANDS]; digital silence stays."""
    gain = 0.15 * torch.randn(len(mel), 1, 1, generator=random)
    curve = F.interpolate(0.1 * torch.randn(len(mel), 1, 7, generator=random), size=BANDS, mode="linear")
    return torch.where(mel > SILENCE, (mel + gain + curve).clamp(min=SILENCE), mel)


def _delayed(x: Tensor, frames: Tensor) -> Tensor:
    """[B, T, ...] moved `frames` [B] later; zeros (rest) come first."""
    padded = torch.cat([torch.zeros_like(x[:, :MAX_LOOK_AHEAD]), x], dim=1)
    return torch.stack([p[MAX_LOOK_AHEAD - int(n) : len(p) - int(n)] for p, n in zip(padded, frames, strict=True)])


def _tensors(path: Path) -> dict[str, Tensor]:
    """mel [S, copies, HOPS, BANDS], speech [S, T, 63], seal, activity, phone [S, T], prosody [S, T, 2]."""
    pcm, truths = read(path)
    kept = path.with_suffix(".mel.pt")
    if not kept.exists():
        logging.info("preparing %s", path)
        torch.save(_mel(torch.from_numpy(pcm)), kept)
    return {"mel": torch.load(kept, weights_only=True)} | _truth(truths)


@torch.inference_mode()
def _mel(pcm: Tensor) -> Tensor:
    front = LogMel()
    past = Cdan().init_state(pcm.shape[1]).samples
    mel = [front.step(copies.float() / 32768, past)[0].half() for copies in pcm]
    return torch.stack(mel).reshape(*pcm.shape[:2], HOPS, BANDS)


def _truth(truths: list[Truth]) -> dict[str, Tensor]:
    moves = [tracks(truth.phones, truth.loudness) for truth in truths]
    prosody = np.stack([np.stack([t.loudness, t.pitch], axis=-1) for t in truths])  # [S, HOPS, 2]
    return {
        "speech": torch.from_numpy(np.stack([m.speech for m in moves])).half(),
        "seal": torch.from_numpy(np.stack([m.seal for m in moves])).half(),
        "activity": torch.from_numpy(np.stack([m.activity for m in moves])).half(),
        "phone": torch.from_numpy(np.stack([m.phone for m in moves])),
        "prosody": torch.from_numpy(prosody.reshape(len(truths), FRAMES, HOPS_PER_FRAME, 2).mean(2)).half(),
    }
