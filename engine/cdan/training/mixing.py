"""Degrades speech anew each time it is heard, on its spectra: noise adds in power, a microphone is a curve, another
throat is a stretch of the frequencies.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from engine.audio.mel import BANDS, BINS, FLOOR, HIGHEST_HZ, LOWEST_HZ, WINDOW, mel_filters
from engine.cdan.spectra import SILENCE, Sound
from engine.units import HOPS_PER_FRAME

DECIBEL = 0.05  # units of Sound
CLEAN, CLEAN_FAR = 0.15, 0.5  # shares of segments that get no noise: of near speech, of what is degraded already
NOISY = 0.8  # share of the others at 0 to 20 dB; the rest is at 20 to 45 dB
LATE = 0.4  # share of the noises
BABBLE = 0.12  # share of the noises that are other people
TALKERS = 4
WARP = 0.10  # of the frequencies, either way
HANN_BINS = 1.5 * BINS / WINDOW  # bins of the spectrum that one frequency fills: a Hann window's noise bandwidth
SPEECH_LEVEL = 2 * 0.1**2  # power of speech at the corpus's level; what speechless sound is measured against


def power(sound: Sound) -> Sound:
    """Units of 20 dB to power."""
    return Sound(*(torch.exp((x - 2.5) * (2 * math.log(10))) for x in sound))


def units(powers: Sound) -> Sound:
    return Sound(*(0.5 * x.clamp(min=FLOOR).log10() + 2.5 for x in powers))


def level(mel_power: Tensor) -> Tensor:
    """[B, T * 4, BANDS] -> [B]: mean power of the louder half of the time."""
    by_time = mel_power.sum(2).sort(dim=1, descending=True).values
    return by_time[:, : by_time.shape[1] // 2].mean(1)


def scaled(powers: Sound, gain: Tensor) -> Sound:
    """Times `gain` [B]."""
    return Sound(*(x * gain[:, None, None] for x in powers))


def degraded(speech: Sound, noise: Sound, far: Tensor, random: torch.Generator) -> Sound:
    """Another throat, another microphone, another place; everything drawn for each of B segments. `far` [B] tells
    which are degraded already."""
    said = power(coloured(stretched(speech, random), 0.1, random))
    around = power(coloured(swelling(noise, random), 0.3, random))
    babble = torch.rand(len(said.mel), generator=random) < BABBLE
    around = Sound(*(torch.where(babble[:, None, None], talking(s), n) for s, n in zip(said, around, strict=True)))
    loud = level(said.mel)
    loud = torch.where(loud < 1e-7, torch.full_like(loud, SPEECH_LEVEL), loud)
    gain = loud / level(around.mel).clamp(min=1e-9) * 10 ** (-0.1 * snr_db(far, random))
    return heard(units(together(said, scaled(around, gain), random)), random)


def together(said: Sound, around: Sound, random: torch.Generator) -> Sound:
    """Power of two sounds at once: their waves meet in any phase, so that |s + n|^2 = s^2 + n^2 + 2 s n cos(phase).
    Bands that gather several bins do so of several phases, which cancel in part."""
    filters = torch.tensor(mel_filters(), dtype=torch.float32)
    phases = (filters.sum(1).square() / filters.square().sum(1) / HANN_BINS).clamp(min=1)  # [BANDS] that are gathered

    def met(one: Tensor, other: Tensor, count: Tensor | float) -> Tensor:
        turn = 2 * math.pi * torch.rand(one.shape, generator=random)
        return one + other + 2 * (one * other / count).sqrt() * turn.cos()

    return Sound(met(said.mel, around.mel, phases), met(said.fine, around.fine, 1.0))


def snr_db(far: Tensor, random: torch.Generator) -> Tensor:
    """[B], a thousand where there is no noise."""
    noisy, kind, place = torch.rand(3, len(far), generator=random)
    snr = torch.where(kind < NOISY, 20 * place, 20 + 25 * place)
    return torch.where(noisy < torch.where(far, CLEAN_FAR, CLEAN), torch.full_like(snr, 1000.0), snr)


def talking(said: Tensor) -> Tensor:
    """Power of TALKERS other segments of the batch."""
    return torch.stack([said.roll(k + 1, dims=0) for k in range(TALKERS)]).sum(0)


def stretched(sound: Sound, random: torch.Generator) -> Sound:
    """The spectrum's shape moved along the frequencies by up to WARP; the pitch stays."""
    factor = 1 + WARP * (2 * torch.rand(len(sound.mel), generator=random) - 1)
    return sound._replace(mel=sound.mel @ warps(factor))


def warps(factor: Tensor) -> Tensor:
    """[B, BANDS, BANDS]: band b of the product hears what band at factor * f(b) heard."""
    low, high = (2595 * math.log10(1 + f / 700) for f in (LOWEST_HZ, HIGHEST_HZ))
    step = (high - low) / (BANDS + 1)
    hertz = 700 * (10 ** ((low + step * torch.arange(1, BANDS + 1)) / 2595) - 1)
    place = (2595 * torch.log10(1 + factor[:, None] * hertz / 700) - low) / step - 1
    distance = place.clamp(0, BANDS - 1)[:, None, :] - torch.arange(BANDS)[None, :, None]
    return (1 - distance.abs()).clamp(min=0)


def swelling(noise: Sound, random: torch.Generator) -> Sound:
    """Half of the noises come and go by some 6 dB; LATE of them begin after digital silence, as streams do."""
    count, frames = noise.fine.shape[:2]
    course = 6 * DECIBEL * torch.randn(count, 1, 12, generator=random)
    course = course * (torch.rand(count, 1, 1, generator=random) < 0.5)
    course = F.interpolate(course, size=frames, mode="linear")[:, 0]
    late, start = torch.rand(2, count, 1, generator=random)
    course = course.masked_fill((torch.arange(frames) < 0.6 * start**2 * frames) & (late < LATE), -5.0)[:, :, None]
    return Sound(noise.mel + course.repeat_interleave(HOPS_PER_FRAME, dim=1), noise.fine + course)


def coloured(sound: Sound, size: float, random: torch.Generator) -> Sound:
    """A curve of `size` units over the bands; digital silence stays."""
    curve = F.interpolate(size * torch.randn(len(sound.mel), 1, 7, generator=random), size=BANDS, mode="linear")
    low = curve[:, :, :16].mean(2, keepdim=True)  # the narrow-band spectrum ends at 1.2 kHz
    return Sound(lifted(sound.mel, curve), lifted(sound.fine, low))


def heard(sound: Sound, random: torch.Generator) -> Sound:
    """Through a microphone: its band (one in three cuts lows or highs), its gain."""
    kind, low, high = torch.rand(3, len(sound.mel), 1, 1, generator=random)
    band = torch.arange(BANDS)
    first, last = 2 + 10 * low, BANDS - 4 - 22 * high
    cut = 2.0 * ((band < first) * (kind < 0.2) + (band > last) * ((kind > 0.1) & (kind < 0.35)))
    gain = DECIBEL * (6 * torch.randn(len(sound.mel), 1, 1, generator=random) - 3)
    return Sound(lifted(sound.mel, gain - cut), lifted(sound.fine, gain))


def lifted(x: Tensor, by: Tensor) -> Tensor:
    return torch.where(x > SILENCE, (x + by).clamp(min=SILENCE), x)
