"""What stands between a mouth and the network: another speaker, room, noise, microphone, gain, codec. All keep time."""

from fractions import Fraction

import numpy as np
import numpy.typing as npt
from scipy.signal import fftconvolve, resample_poly

from engine.cdan.training import speaker
from engine.cdan.training.noises import filtered, music, noise, tilted, tones, unit
from engine.cdan.training.opus import FRAME, losses, through_opus
from engine.units import SAMPLE_RATE

Floats = npt.NDArray[np.float32]
Random = np.random.Generator


def to_network_rate(samples: Floats, rate: int, speed: Fraction = Fraction(1)) -> Floats:
    """[n] at 16 kHz; `speed` > 1 plays faster and higher, formants included."""
    ratio = Fraction(SAMPLE_RATE, rate) / speed
    return np.asarray(resample_poly(samples, ratio.numerator, ratio.denominator), np.float32)


def level(samples: Floats) -> float:
    """Root mean square of the louder half (blocks of 20 ms): pauses do not count."""
    blocks = samples[: len(samples) // 320 * 320].reshape(-1, 320)
    energy = np.sort(np.mean(np.square(blocks), axis=1))
    return float(np.sqrt(np.mean(energy[len(energy) // 2 :]) + 1e-12))


def another_speaker(samples: Floats, rng: Random) -> Floats:
    """[n] at 16 kHz: often other formants, sometimes breathy or blurred, seldom a whisper."""
    kind = rng.random()
    if kind < 0.03:
        breath = speaker.breath(1.0, 20.0)
    else:
        breath = speaker.breath(rng.uniform(0.2, 0.9) if kind < 0.15 else 0.0, rng.uniform(800, 4000))
    if kind > 0.75:
        return samples
    formants, bend = float(np.exp(rng.uniform(-0.2, 0.18))), rng.uniform(-0.08, 0.08)
    blur = int(rng.choice([3, 5])) if rng.random() < 0.3 else 1
    return speaker.changed(samples, formants, bend, breath, blur, rng)


def coloured(samples: Floats, rng: Random) -> Floats:
    """A microphone's and a line's colour: a random curve, sometimes with the band of a telephone or a laptop."""
    frequencies = np.array([50, 150, 300, 700, 1500, 3000, 4500, 6000, 8000], np.float64)
    gains = rng.normal(0, 4, len(frequencies))
    kind = rng.random()
    if kind < 0.12:
        gains[[0, 1]], gains[-3:] = -40, -50  # telephone
    elif kind < 0.32:
        gains[-rng.integers(1, 3) :] -= 40
    elif kind < 0.5:
        gains[: rng.integers(1, 3)] -= 25
    return filtered(samples, gains, frequencies)


def in_a_room(samples: Floats, rng: Random) -> Floats:
    """A direct sound, six early reflections and a tail whose highs decay faster."""
    tail_s, length = rng.uniform(0.1, 0.8), int(0.6 * SAMPLE_RATE)
    t = np.arange(length) / SAMPLE_RATE
    low = tilted(length, rng, -3.0) * 10 ** (-3 * t / tail_s)
    high = tilted(length, rng, 2.0) * 10 ** (-3 * t / (tail_s * rng.uniform(0.3, 0.8)))
    response = (low + high) * (t > rng.uniform(0.005, 0.02))
    early = rng.integers(int(0.001 * SAMPLE_RATE), int(0.025 * SAMPLE_RATE), 6)
    response[early] += rng.normal(size=6) * 3 * np.abs(response).max()
    response *= 10 ** (-rng.uniform(-3, 14) / 20) / np.linalg.norm(response)
    response[0] = 1.0
    return np.asarray(fftconvolve(samples, response.astype(np.float32))[: len(samples)], np.float32)


def amplified(samples: Floats, rng: Random) -> Floats:
    """Too quiet, right, or too loud and clipped; seldom off centre. Within [-1, 1]."""
    gain = rng.uniform(-36, -12) if rng.random() < 0.25 else rng.uniform(-12, 12)
    offset = rng.normal(0, 0.02) if rng.random() < 0.05 else 0.0
    return np.clip(samples * np.float32(10 ** (gain / 20)) + np.float32(offset), -1, 1)


def called(samples: Floats, rng: Random) -> Floats:
    """Through Opus at 12 to 32 kb/s; on half of the lines packets are lost."""
    lost = None
    if rng.random() < 0.5:
        lost = losses(len(samples) // FRAME + 2, rng.uniform(0.01, 0.12), rng.uniform(1, 3), rng)
    return through_opus(samples, int(rng.integers(12_000, 32_001)), lost, fec=bool(rng.random() < 0.4))


def near(speech: Floats, rng: Random) -> Floats:
    """One copy of clean speech [n] (level about 0.1) at its microphone: no noise, no codec."""
    out = in_a_room(speech, rng) if rng.random() < 0.3 else speech
    return amplified(coloured(out, rng) if rng.random() < 0.6 else out, rng)


def far(speech: Floats, rng: Random, voices: list[Floats]) -> Floats:
    """One copy through all of it; `voices` make babble."""
    out = in_a_room(speech, rng) if rng.random() < 0.4 else speech
    if rng.random() < 0.85:
        snr = rng.uniform(4, 15) if rng.random() < 0.6 else rng.uniform(15, 32)
        out = out + noise(len(out), rng, voices) * np.float32(level(speech) * 10 ** (-snr / 20))
    out = amplified(coloured(out, rng) if rng.random() < 0.6 else out, rng)
    return called(out, rng) if rng.random() < 0.5 else out


def without_speech(count: int, rng: Random) -> Floats:
    """[count] of what must leave the lips still: silence, pink noise, tones, music; some of it starts and stops."""
    kind = rng.random()
    if kind < 0.1:
        return np.zeros(count, np.float32)
    if kind < 0.3:
        sound = unit(tilted(count, rng, -3.0))
    else:
        sound = unit((music if kind < 0.45 else tones)(count, rng)) if kind < 0.6 else noise(count, rng, [])
    sound = sound * np.float32(10 ** (rng.uniform(-60, -16) / 20))
    if rng.random() < 0.3:
        sound = sound * np.repeat(rng.random(count // 8000 + 1) < 0.6, 8000)[:count]
    sound = np.clip(sound, -1, 1).astype(np.float32)
    return called(sound, rng) if rng.random() < 0.2 else sound
