"""What the network hears: log-mel and narrow-band spectra as convolutions, and the noise floor beneath them.

A unit is 20 dB; SILENCE is no sound at all. Windows end with their hop, so nothing of the future is heard.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from engine.audio.mel import BANDS, BINS, FLOOR, WINDOW, mel_filters
from engine.cdan.constants import (
    CONTRAST_BANDS,
    CONTRAST_HIGH,
    CONTRAST_HOPS,
    CONTRAST_LOW,
    FALL,
    FINE_BINS,
    FINE_FIRST,
    FINE_WINDOW,
    PAST,
    RISE,
)
from engine.units import CHUNK, HOP, HOPS_PER_FRAME, SAMPLE_RATE

SILENCE = 0.5 * float(np.log10(FLOOR)) + 2.5
SHAPE = BANDS + 1
FEATURES = SHAPE + BANDS  # of a hop


class Sound(NamedTuple):
    """The two spectra of T frames."""

    mel: Tensor
    """[B, T * 4, BANDS] every 10 ms."""
    fine: Tensor
    """[B, T, FINE_BINS] every 40 ms."""

    def float(self) -> "Sound":
        return Sound(self.mel.float(), self.fine.float())


class Spectra(nn.Module):
    """Sound to spectra. Beyond [-1, 1] is clipped, NaN is 0."""

    mel_basis: Tensor
    """[2 * bins, 1, WINDOW] windowed cosines, then sines."""
    filters: Tensor
    """[BANDS, bins]"""
    fine_basis: Tensor
    """[2 * FINE_BINS, 1, FINE_WINDOW]"""

    def __init__(self) -> None:
        super().__init__()
        fine = np.arange(FINE_FIRST, FINE_FIRST + FINE_BINS)
        self.register_buffer("mel_basis", waves(WINDOW, np.arange(BINS // 2 + 1) / BINS), persistent=False)
        self.register_buffer("filters", torch.tensor(mel_filters(), dtype=torch.float32), persistent=False)
        self.register_buffer("fine_basis", waves(FINE_WINDOW, fine / FINE_WINDOW), persistent=False)

    def step(self, pcm: Tensor, past: Tensor) -> tuple[Sound, Tensor]:
        """[B, T * CHUNK] samples and the PAST ones before."""
        pcm = torch.where(torch.isnan(pcm), torch.zeros_like(pcm), pcm).clamp(-1, 1)
        sound = torch.cat([past, pcm], dim=1)
        recent = sound[:, PAST - (WINDOW - HOP) :]
        mel = power(recent, self.mel_basis, HOP) @ self.filters.T
        return Sound(decibels(mel), decibels(power(sound, self.fine_basis, CHUNK))), sound[:, -PAST:]


def waves(window: int, cycles: npt.NDArray[np.float64]) -> Tensor:
    """[2 * len(cycles), 1, window] cosines, then sines of so many cycles a sample, under a Hann window; a full-scale
    sine has a power near 1."""
    n = np.arange(window)
    angle = 2 * np.pi * np.outer(cycles, n)
    hann = 0.5 - 0.5 * np.cos(2 * np.pi * n / window)
    return torch.tensor(
        (np.concatenate([np.cos(angle), np.sin(angle)]) * hann * (2 / hann.sum()))[:, None], dtype=torch.float32
    )


def power(sound: Tensor, basis: Tensor, stride: int) -> Tensor:
    """[B, n] -> [B, windows, bins]."""
    real, imaginary = F.conv1d(sound[:, None], basis, stride=stride).square().chunk(2, dim=1)
    return (real + imaginary).transpose(1, 2)


def decibels(power: Tensor) -> Tensor:
    """In units of 20 dB, 2.5 at full scale."""
    return 0.5 * power.clamp(min=FLOOR).log10() + 2.5


def noise_floor(mel: Tensor, past: Tensor, known: Tensor) -> Tensor:
    """What stays when nobody speaks [B, T, BANDS]: follows the spectrum down fast and up slowly, from digital
    silence too: what follows that is a voice as often as a room, and a voice that is its own floor is not heard.

    `past` [B, BANDS] is the floor before, `known` [B] is 0 where there was none: then the first frame is it."""
    frames = mel.unflatten(1, (-1, HOPS_PER_FRAME)).mean(2)
    floor = past + (1 - known[:, None]) * (frames[:, 0] - past)
    floors = []
    for frame in frames.unbind(1):
        above = frame - floor
        floor = floor + torch.where(above < 0, FALL * above, above.clamp(max=RISE))
        floors.append(floor)
    return torch.stack(floors, dim=1)


def masked(mel: Tensor, past: Tensor) -> tuple[Tensor, Tensor]:
    """[B, T]: how far noise masks consonants, 0 where the loudest hop of late stands high over the quietest, 1 where it
    hardly does. A gap between words is as deep as the noise lets it be. Digital silence is the deepest.

    `past` [B, CONTRAST_HOPS - HOPS_PER_FRAME] are the levels before, over SILENCE; the second are those from now on."""
    levels = torch.cat([past, mel[..., CONTRAST_BANDS].mean(2) - SILENCE], dim=1)
    both = torch.stack([levels, -levels], dim=1)
    contrast = F.max_pool1d(both, CONTRAST_HOPS, stride=HOPS_PER_FRAME).sum(1)
    share = ((CONTRAST_HIGH - contrast) / (CONTRAST_HIGH - CONTRAST_LOW)).clamp(0, 1)
    return share, levels[:, HOPS_PER_FRAME - CONTRAST_HOPS :]


def shape(mel: Tensor) -> Tensor:
    """[B, T * 4, SHAPE]: the spectrum's shape, which a gain leaves as it is, and its level."""
    level = mel.mean(dim=2, keepdim=True)
    return torch.cat([2 * (mel - level), level], dim=2)


def spectrum_features(mel: Tensor, floor: Tensor) -> Tensor:
    """[B, T * 4, FEATURES]: shape and level, then the height over the noise floor [B, T, BANDS]."""
    return torch.cat([shape(mel), mel - floor.repeat_interleave(HOPS_PER_FRAME, dim=1)], dim=2)


def lag_waves(rows: int) -> Tensor:
    """[rows, FINE_BINS] cosines over frequency, one a pitch from 60 to 400 Hz: the peaks of a cepstrum."""
    hertz = np.geomspace(60, 400, rows)[:, None]
    bins = (FINE_FIRST + np.arange(FINE_BINS)) * SAMPLE_RATE / FINE_WINDOW
    return torch.tensor(np.cos(2 * np.pi * bins / hertz) / FINE_BINS**0.5, dtype=torch.float32)
