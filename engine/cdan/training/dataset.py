"""The corpus as tensors: spectra of every copy, made once and kept beside its shard, and the tracks of its truth."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from engine.cdan.constants import PAST
from engine.cdan.network import LipSeal
from engine.cdan.spectra import Sound, Spectra
from engine.cdan.training import mixing, moods
from engine.cdan.training.articulation import phone_at, tracks
from engine.cdan.training.composition import Mouth, compose, table
from engine.cdan.training.shard import FRAMES, SAMPLES, Truth, read
from engine.units import FPS, HOPS_PER_FRAME, MAX_LOOK_AHEAD


class Batch(NamedTuple):
    """B segments of T frames. Frame t of everything but `sound` is what the network shall say after hearing chunk t."""

    sound: Sound
    """[B, T * 4, BANDS], [B, T, FINE_BINS]"""
    les: Tensor
    """[B, T, 41]"""
    look_ahead: Tensor
    """int32 [B] frames"""
    face: Tensor
    """[B, T, 63]"""
    seal: Tensor
    """[B, T] 1 where the lips are shut for p, b or m"""
    activity: Tensor
    """[B, T] 1 where speech owns the mouth"""
    phone: Tensor
    """int64 [B, T, 2] index in PHONES, of the frame's first and second half"""
    prosody: Tensor
    """[B, T, 2] loudness, pitch"""

    def to(self, device: torch.device) -> "Batch":
        return Batch(Sound(*(x.to(device) for x in self.sound)), *(x.to(device) for x in self[1:]))


class Corpus:
    """All shards of a folder in memory (half precision)."""

    def __init__(self, folder: Path) -> None:
        shards = [_tensors(path) for path in sorted(folder.glob("shard????.npz"))]
        noises = [_spectra(path) for path in sorted(folder.glob("noise????.npz"))]
        if not shards or not noises:
            raise FileNotFoundError(f"{folder} lacks shards: run python -m engine.cdan.training.corpus --out {folder}")
        self._truth = {name: torch.cat([truth[name] for _, truth in shards]) for name in shards[0][1]}
        self._sound = Sound(*(torch.cat(parts) for parts in zip(*(sound for sound, _ in shards), strict=True)))
        self._noise = Sound(*(torch.cat(parts).flatten(0, 1) for parts in zip(*noises, strict=True)))
        self._segments, self._copies = self._sound.mel.shape[:2]
        self._seal_lips = LipSeal()

    def __len__(self) -> int:
        """Heard segments: every copy counts."""
        return self._segments * self._copies

    def epoch(self, size: int, random: torch.Generator) -> Iterator[Batch]:
        """Every copy once, in random order, with random moods, look-aheads, noises and microphones."""
        for index in torch.randperm(len(self), generator=random).split(size):
            yield self.batch(index, random)

    def batch(self, index: Tensor, random: torch.Generator, look_ahead: int | None = None) -> Batch:
        """Copies by number."""
        ahead = torch.multinomial(torch.tensor([0.25, 0.5, 0.25]), len(index), replacement=True, generator=random)
        ahead = ahead if look_ahead is None else torch.full_like(ahead, look_ahead)
        segment = index // self._copies
        late = {name: delayed(value[segment], ahead) for name, value in self._truth.items()}
        mouth = Mouth(late["speech"].float(), late["seal"].float(), late["activity"].float())
        les = delayed(moods.courses(len(index), FRAMES, random), ahead)
        return Batch(
            sound=self._heard(index, random),
            les=les,
            look_ahead=ahead.int(),
            face=compose(les, mouth, table(), self._seal_lips),
            seal=mouth.seal,
            activity=mouth.activity,
            phone=late["phone"].long(),
            prosody=late["prosody"].float(),
        )

    def _heard(self, index: Tensor, random: torch.Generator) -> Sound:
        segment, copy = index // self._copies, index % self._copies
        noise = torch.randint(len(self._noise.mel), (len(index),), generator=random)
        speech, around = Sound(*(x[segment, copy] for x in self._sound)), Sound(*(x[noise] for x in self._noise))
        return mixing.degraded(speech.float(), around.float(), copy > 0, random)


def delayed(x: Tensor, frames: Tensor) -> Tensor:
    """[B, T, ...] moved `frames` [B] later; zeros (rest) come first."""
    padded = torch.cat([torch.zeros_like(x[:, :MAX_LOOK_AHEAD]), x], dim=1)
    return torch.stack([p[MAX_LOOK_AHEAD - int(n) : len(p) - int(n)] for p, n in zip(padded, frames, strict=True)])


def _tensors(path: Path) -> tuple[Sound, dict[str, Tensor]]:
    """Spectra [S, copies, ...]; speech [S, T, 63], seal, activity [S, T], phone, prosody [S, T, 2]."""
    return _spectra(path), truth_tensors(read(path)[1])


def _spectra(path: Path) -> Sound:
    """[S, copies, T * 4, BANDS] and [S, copies, T, FINE_BINS] of a shard's sound [S, copies, SAMPLES]."""
    kept = path.with_suffix(".spectra.pt")
    if not kept.exists():
        logging.info("preparing %s", path)
        with np.load(path) as data:
            pcm = torch.from_numpy(data["pcm"].reshape(len(data["pcm"]), -1, SAMPLES))
        torch.save(tuple(_heard(pcm)), kept)
    return Sound(*torch.load(kept, weights_only=True))


@torch.inference_mode()
def _heard(pcm: Tensor) -> Sound:
    spectra = Spectra()
    past = torch.zeros(pcm.shape[1], PAST)
    each = [spectra.step(copies.float() / 32768, past)[0] for copies in pcm]
    return Sound(*(torch.stack(parts).half() for parts in zip(*each, strict=True)))


def truth_tensors(truths: list[Truth]) -> dict[str, Tensor]:
    moves = [tracks(truth.phones, truth.loudness) for truth in truths]
    prosody = np.stack([np.stack([t.loudness, t.pitch], axis=-1) for t in truths])  # [S, HOPS, 2]
    halves = (np.arange(2 * FRAMES) + 0.5) / (2 * FPS)
    phone = np.stack([phone_at(truth.phones, halves) for truth in truths]).reshape(len(truths), FRAMES, 2)
    return {
        "speech": torch.from_numpy(np.stack([m.speech for m in moves])).half(),
        "seal": torch.from_numpy(np.stack([m.seal for m in moves])).half(),
        "activity": torch.from_numpy(np.stack([m.activity for m in moves])).half(),
        "phone": torch.from_numpy(phone),
        "prosody": torch.from_numpy(prosody.reshape(len(truths), FRAMES, HOPS_PER_FRAME, 2).mean(2)).half(),
    }
