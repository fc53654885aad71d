"""What stands between a mouth and the network: room, noise, microphone, gain, codec. All keep time."""

from fractions import Fraction

import av
import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.signal import fftconvolve, resample_poly

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


def filtered(samples: Floats, gains_db: npt.NDArray[np.float64], frequencies: npt.NDArray[np.float64]) -> Floats:
    """Zero-phase equalizer: gains in dB interpolated over log frequency."""
    size = next_fast_len(len(samples), real=True)
    bins = np.log(np.maximum(rfftfreq(size, 1 / SAMPLE_RATE), 10.0))
    curve = 10 ** (np.interp(bins, np.log(frequencies), gains_db) / 20)
    return np.asarray(irfft(rfft(samples, size) * curve, size)[: len(samples)], np.float32)


def coloured(samples: Floats, rng: Random) -> Floats:
    """A microphone's and a line's colour: a random curve, sometimes with the band of a telephone or a laptop."""
    frequencies = np.array([50, 150, 300, 700, 1500, 3000, 4500, 6000, 8000], np.float64)
    gains = rng.normal(0, 4, len(frequencies))
    kind = rng.random()
    if kind < 0.15:
        gains[[0, 1]], gains[-3:] = -40, -50  # telephone
    elif kind < 0.35:
        gains[-rng.integers(1, 3) :] -= 40
    elif kind < 0.5:
        gains[: rng.integers(1, 3)] -= 25
    return filtered(samples, gains, frequencies)


def in_a_room(samples: Floats, rng: Random) -> Floats:
    """A direct sound and an exponentially decaying tail."""
    tail_s, length = rng.uniform(0.1, 0.5), int(0.5 * SAMPLE_RATE)
    t = np.arange(length) / SAMPLE_RATE
    response = rng.normal(size=length) * 10 ** (-3 * t / tail_s) * (t > rng.uniform(0.002, 0.015))
    response *= 10 ** (-rng.uniform(0, 14) / 20) / np.linalg.norm(response)
    response[0] = 1.0
    return np.asarray(fftconvolve(samples, response.astype(np.float32))[: len(samples)], np.float32)


def noise(count: int, rng: Random, babble: Floats) -> Floats:
    """[count] of unit level: coloured, steady or swelling, noise; hum; other people (`babble`)."""
    kind = rng.random()
    if kind < 0.2 and len(babble) >= count:
        start = rng.integers(0, len(babble) - count + 1)
        sound = babble[start : start + count].copy()
    else:
        tilt = rng.choice([0.0, -3.0, -6.0, rng.uniform(-9, 3)])
        octaves = np.array([30.0, 8000.0])
        sound = filtered(rng.normal(size=count).astype(np.float32), tilt * np.log2(octaves / 1000), octaves)
        if rng.random() < 0.4:
            sound = coloured(sound, rng)
        if rng.random() < 0.4:
            swell = np.interp(np.arange(count), np.linspace(0, count, 24), rng.uniform(-12, 3, 24))
            sound = sound * (10 ** (swell / 20)).astype(np.float32)
        if rng.random() < 0.2:
            sound = sound + 2 * level(sound) * tones(count, rng)
    return np.asarray(sound / (np.sqrt(np.mean(np.square(sound))) + 1e-9), np.float32)


def tones(count: int, rng: Random) -> Floats:
    """[count] of about unit level: hum, a whistle, or notes in chords with decay and vibrato (music-like)."""
    t = np.arange(count) / SAMPLE_RATE
    out = np.zeros(count)
    if rng.random() < 0.4:
        base = rng.choice([50.0, 60.0, rng.uniform(80, 3000)])
        out += sum(np.sin(2 * np.pi * base * k * t + rng.uniform(0, 6)) / k for k in range(1, rng.integers(2, 8)))
        return np.asarray(out / (out.std() + 1e-9), np.float32)
    at = 0.0
    while at < t[-1]:
        length = rng.uniform(0.12, 0.9)
        s = slice(int(at * SAMPLE_RATE), int(min(at + 1.5 * length, t[-1]) * SAMPLE_RATE))
        local = t[s] - at
        envelope = np.minimum(local / 0.01, 1) * np.exp(-local / rng.uniform(0.15, 0.8))
        for semitone in rng.choice(36, rng.integers(1, 4)):
            pitch = 110 * 2 ** (semitone / 12)
            wave = sum(np.sin(2 * np.pi * pitch * k * local) / k**1.3 for k in range(1, rng.integers(2, 9)))
            out[s] += envelope * wave
        at += length
    return np.asarray(out / (out.std() + 1e-9), np.float32)


def through_opus(samples: Floats, bit_rate: int) -> Floats:
    """Encoded and decoded as a call would, the codec's delay taken out."""
    encoder = av.CodecContext.create("libopus", "w")
    encoder.sample_rate, encoder.layout, encoder.format, encoder.bit_rate = SAMPLE_RATE, "mono", "s16", bit_rate
    encoder.options = {"application": "voip", "frame_duration": "20"}
    decoder = av.CodecContext.create("libopus", "r")
    decoder.sample_rate, decoder.layout = SAMPLE_RATE, "mono"
    back = av.AudioResampler("fltp", "mono", SAMPLE_RATE)
    pcm = (np.clip(samples, -1, 1) * 32767).astype(np.int16)
    pcm = np.pad(pcm, (0, -len(pcm) % 320 + 1600))
    out = []
    for start in range(0, len(pcm), 320):
        frame = av.AudioFrame.from_ndarray(pcm[None, start : start + 320], "s16", "mono")
        frame.sample_rate, frame.pts = SAMPLE_RATE, start
        for packet in encoder.encode(frame):
            out += [f.to_ndarray()[0] for d in decoder.decode(packet) for f in back.resample(d)]
    return _aligned(np.concatenate(out).astype(np.float32), samples)


def _aligned(late: Floats, reference: Floats) -> Floats:
    """`late` shifted to `reference` (at most 50 ms), same length."""
    size = next_fast_len(len(late) + len(reference), real=True)
    match = irfft(rfft(late, size) * np.conj(rfft(reference, size)), size)[:800]
    late = late[int(np.argmax(match)) :][: len(reference)]
    return np.pad(late, (0, len(reference) - len(late)))


def degraded(speech: Floats, rng: Random, babble: Floats) -> Floats:
    """One augmented copy of clean speech [n] (level about 0.1), within [-1, 1]."""
    out = speech
    if rng.random() < 0.35:
        out = in_a_room(out, rng)
    if rng.random() < 0.6:
        out = coloured(out, rng)
    if rng.random() < 0.8:
        snr = rng.uniform(5, 15) if rng.random() < 0.5 else rng.uniform(15, 35)
        out = out + noise(len(out), rng, babble) * (level(speech) * 10 ** (-snr / 20))
    gain = rng.uniform(-36, -12) if rng.random() < 0.25 else rng.uniform(-12, 9)
    out = np.clip(out * 10 ** (gain / 20), -1, 1)
    if rng.random() < 0.35:
        out = through_opus(out, int(rng.choice([12_000, 16_000, 24_000, 32_000])))
    return out


def without_speech(count: int, rng: Random, babble: Floats) -> Floats:
    """[count] of something that must leave the lips still: noise, tones, music, hum, silence, steps between them."""
    kind = rng.random()
    if kind < 0.1:
        return np.zeros(count, np.float32)
    sound = tones(count, rng) if kind < 0.45 else noise(count, rng, babble[:0])
    sound = sound * 10 ** (rng.uniform(-60, -18) / 20)
    if rng.random() < 0.3:  # it starts and stops
        gate = np.repeat(rng.random(count // 8000 + 1) < 0.6, 8000)[:count]
        sound = sound * gate
    sound = np.clip(sound, -1, 1).astype(np.float32)
    return through_opus(sound, 24_000) if rng.random() < 0.2 else sound
