"""What sounds beside a voice, made here: colours, fan, street, babble, music, keyboard, hum. All of unit level."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from scipy.fft import irfft, next_fast_len, rfft, rfftfreq
from scipy.ndimage import gaussian_filter1d

from engine.units import SAMPLE_RATE

Floats = npt.NDArray[np.float32]
Random = np.random.Generator


def filtered(samples: Floats, gains_db: npt.NDArray[np.float64], frequencies: npt.NDArray[np.float64]) -> Floats:
    """Zero-phase equalizer: gains in dB interpolated over log frequency."""
    size = next_fast_len(len(samples), real=True)
    bins = np.log(np.maximum(rfftfreq(size, 1 / SAMPLE_RATE), 10.0))
    curve = 10 ** (np.interp(bins, np.log(frequencies), gains_db) / 20)
    return np.asarray(irfft(rfft(samples, size) * curve, size)[: len(samples)], np.float32)


def tilted(count: int, rng: Random, db_per_octave: float) -> Floats:
    """Steady noise: 0 is white, -3 pink, -6 brown."""
    octaves = np.array([30.0, 8000.0])
    return filtered(rng.normal(size=count).astype(np.float32), db_per_octave * np.log2(octaves / 1000), octaves)


def colours(count: int, rng: Random) -> Floats:
    """White, pink, brown or between; with resonances or not; steady or swelling."""
    sound = tilted(count, rng, float(rng.choice([0.0, -3.0, -3.0, -6.0, rng.uniform(-9, 3)])))
    if rng.random() < 0.3:
        frequencies = np.array([50, 150, 300, 700, 1500, 3000, 4500, 6000, 8000], np.float64)
        sound = filtered(sound, rng.normal(0, 6, len(frequencies)), frequencies)
    return sound * _swell(count, rng, 6.0) if rng.random() < 0.3 else sound


def fan(count: int, rng: Random) -> Floats:
    """Rushing air, and the blades' note with overtones that wanders a little."""
    air = tilted(count, rng, rng.uniform(-6, -2))
    note = rng.uniform(20, 140) * (1 + 0.02 * _wander(count, rng, 1.0))
    phase = 2 * np.pi * np.cumsum(note) / SAMPLE_RATE
    blades = np.sum([rng.uniform(0, 1) / k * np.sin(k * phase) for k in range(1, 9)], axis=0)
    return unit(air) + np.asarray(rng.uniform(0, 1) * unit(blades), np.float32)


def street(count: int, rng: Random) -> Floats:
    """A rumble, and vehicles that come and go."""
    sound = unit(tilted(count, rng, -6.0))
    t = np.arange(count) / SAMPLE_RATE
    for _ in range(rng.integers(1, 5)):
        passing = np.exp(-0.5 * ((t - rng.uniform(0, t[-1])) / rng.uniform(0.4, 2.0)) ** 2)
        sound = sound + rng.uniform(0.5, 3) * passing * unit(tilted(count, rng, rng.uniform(-6, -1)))
    return np.asarray(sound, np.float32)


def music(count: int, rng: Random) -> Floats:
    """Chords of decaying notes over a bass, on a beat; with drums or without, with a solo or without."""
    beat = int(rng.uniform(0.25, 0.6) * SAMPLE_RATE)
    out = np.zeros(count + 4 * SAMPLE_RATE)
    key = rng.uniform(80, 160)
    for start in range(0, count, beat):
        degrees = [int(rng.choice([0, 5, 7, 9])) - 12, *rng.choice([0, 4, 7, 9, 12, 16, 19], rng.integers(1, 4))]
        for degree in degrees:
            if rng.random() < 0.75:
                _add(out, start, _note(key * 2 ** (degree / 12 + 1), rng))
    sound = unit(out[:count])
    if rng.random() < 0.6:
        sound = sound + rng.uniform(0.3, 1.5) * unit(_drums(count, beat, rng))
    if rng.random() < 0.4:
        sound = sound + rng.uniform(0.3, 1.5) * unit(_solo(count, beat, 2 * key, rng))
    return np.asarray(sound, np.float32)


def keyboard(count: int, rng: Random) -> Floats:
    """Keys struck in runs, over a faint room."""
    out = 0.01 * tilted(count + SAMPLE_RATE, rng, -3.0).astype(np.float64)
    at = int(rng.uniform(0, 1) * SAMPLE_RATE)
    body = rng.uniform(800, 4000)
    while at < count:
        stroke = rng.lognormal(0, 0.4)
        _add(out, at, stroke * _hit(rng, body * rng.uniform(0.8, 1.25), rng.uniform(0.004, 0.015)))
        release = at + int(rng.uniform(0.04, 0.1) * SAMPLE_RATE)
        _add(out, release, 0.4 * stroke * _hit(rng, 1.3 * body, rng.uniform(0.003, 0.008)))
        at += int((rng.uniform(0.6, 2.0) if rng.random() < 0.08 else rng.uniform(0.07, 0.3)) * SAMPLE_RATE)
    return np.asarray(out[:count], np.float32)


LOWEST_HZ, HIGHEST_HZ = 60.0, 7000.0  # of a sweep: a whistle over 2.5 kHz is easily taken for an s


def tones(count: int, rng: Random) -> Floats:
    """Mains hum, a sweep, or one to three held notes with vibrato."""
    t = np.arange(count) / SAMPLE_RATE
    kind = rng.random()
    if kind < 0.35:
        first, last = np.exp(rng.uniform(np.log(LOWEST_HZ), np.log(HIGHEST_HZ), 2))
        pitch = first * (last / first) ** (t / t[-1])
        return np.asarray(np.sin(2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE), np.float32)
    if kind < 0.5:
        mains = rng.choice([50.0, 60.0])
        return np.asarray(sum(rng.normal() / k * np.sin(2 * np.pi * mains * k * t) for k in range(1, 12)), np.float32)
    out = np.zeros(count)
    for pitch in np.exp(rng.uniform(np.log(100), np.log(4000), rng.integers(1, 4))):
        vibrato = rng.uniform(0, 0.02) * np.sin(2 * np.pi * rng.uniform(3, 7) * t)
        phase = 2 * np.pi * pitch * np.cumsum(1 + vibrato) / SAMPLE_RATE
        out += sum(rng.uniform(0, 1) / k * np.sin(k * phase) for k in range(1, rng.integers(2, 7)))
    return np.asarray(out, np.float32)


def babble(count: int, rng: Random, voices: list[Floats]) -> Floats:
    """Four to eight people at once, from anywhere in `voices` ([at least count] each)."""
    out = np.zeros(count, np.float32)
    for i in rng.integers(len(voices), size=rng.integers(4, 9)):
        out += np.roll(voices[i][:count], rng.integers(count)) * np.float32(10 ** (rng.normal(0, 3) / 20))
    return out


VOICELESS: dict[str, tuple[float, Callable[[int, Random], Floats]]] = {
    "colours": (0.42, colours), "fan": (0.14, fan), "street": (0.14, street), "music": (0.12, music),
    "keyboard": (0.10, keyboard), "tones": (0.08, tones),
}  # fmt: skip
"""Share among noises without babble, and maker."""
BABBLE = 0.2


def noise(count: int, rng: Random, voices: list[Floats]) -> Floats:
    """[count] of unit level; babble only where there are `voices`."""
    if voices and rng.random() < BABBLE:
        return unit(babble(count, rng, voices))
    names = list(VOICELESS)
    make = VOICELESS[names[rng.choice(len(names), p=[VOICELESS[name][0] for name in names])]][1]
    return unit(make(count, rng))


def unit(sound: npt.NDArray[np.floating]) -> Floats:
    """Scaled to a root mean square of 1."""
    return np.asarray(sound / (np.sqrt(np.mean(np.square(sound))) + 1e-9), np.float32)


def _wander(count: int, rng: Random, hz: float) -> npt.NDArray[np.float64]:
    """A smooth random curve of unit spread that turns about `hz` times a second."""
    points = max(4, int(count / SAMPLE_RATE * hz * 2))
    return np.interp(np.arange(count), np.linspace(0, count, points), rng.normal(size=points))


def _swell(count: int, rng: Random, spread_db: float) -> Floats:
    return np.asarray(10 ** (spread_db * _wander(count, rng, 1.2) / 20), np.float32)


def _note(pitch: float, rng: Random) -> npt.NDArray[np.float64]:
    t = np.arange(int(rng.uniform(0.3, 1.6) * SAMPLE_RATE)) / SAMPLE_RATE
    envelope = np.minimum(t / 0.01, 1) * np.exp(-t / rng.uniform(0.1, 0.6)) * np.minimum((t[-1] - t) / 0.02, 1)
    steep = rng.uniform(0.8, 2.0)
    return np.asarray(
        envelope * sum(np.sin(2 * np.pi * pitch * k * t) / k**steep for k in range(1, rng.integers(3, 10)))
    )


def _drums(count: int, beat: int, rng: Random) -> npt.NDArray[np.float64]:
    """A bar of sixteen places, over and over: kick, snare and hat, each with its own sound."""
    out = np.zeros(count + SAMPLE_RATE)
    t = np.arange(int(0.4 * SAMPLE_RATE)) / SAMPLE_RATE
    low, drop = rng.uniform(40, 70), rng.uniform(0.01, 0.04)
    kick = np.sin(2 * np.pi * low * (t - 3 * drop * np.exp(-t / drop))) * np.exp(-t / rng.uniform(0.05, 0.2))
    snare = (rng.normal(size=len(t)) + np.sin(2 * np.pi * 190 * t)) * np.exp(-t / rng.uniform(0.03, 0.12))
    hat = np.diff(rng.normal(size=len(t) + 1)) * np.exp(-t / rng.uniform(0.01, 0.06))
    bar = rng.random((3, 16)) < np.where(np.arange(16) % 4 == 0, 0.6, 0.2)
    levels = rng.uniform(0.2, 1, 3)
    for place, start in enumerate(range(0, count, max(1, beat // 4))):
        for drum, level, strikes in zip((kick, snare, hat), levels, bar[:, place % 16], strict=True):
            if strikes:
                _add(out, start, level * rng.uniform(0.6, 1) * drum)
    return out[:count]


def _solo(count: int, beat: int, key: float, rng: Random) -> npt.NDArray[np.float64]:
    """A held, rich tone that steps through a scale, with vibrato: a horn, a string, an organ."""
    steps = count // beat + 1
    degrees = np.cumsum(rng.choice([-2, 0, 2, 3], steps)) % 24
    pitch = key * 2 ** (np.repeat(degrees, beat)[:count] / 12)
    t = np.arange(count) / SAMPLE_RATE
    pitch = gaussian_filter1d(pitch, 0.01 * SAMPLE_RATE) * (1 + rng.uniform(0, 0.015) * np.sin(2 * np.pi * 5.5 * t))
    phase = 2 * np.pi * np.cumsum(pitch) / SAMPLE_RATE
    steep = rng.uniform(0.6, 2)
    tone = np.sum([np.sin(k * phase) / k**steep for k in range(1, rng.integers(3, 14))], axis=0)
    breaks = np.repeat(rng.random(steps) < 0.85, beat)[:count].astype(float)
    return np.asarray(tone * gaussian_filter1d(breaks, 0.02 * SAMPLE_RATE))


def _hit(rng: Random, hz: float, decay_s: float) -> npt.NDArray[np.float64]:
    """A blow: a decaying resonance and a decaying burst of noise."""
    t = np.arange(int(6 * decay_s * SAMPLE_RATE)) / SAMPLE_RATE
    ring = np.sin(2 * np.pi * hz * t) + gaussian_filter1d(rng.normal(size=len(t)), 0.7)
    return np.asarray(2 * ring * np.exp(-t / decay_s))


def _add(out: npt.NDArray[np.float64], start: int, piece: npt.NDArray[np.float64]) -> None:
    piece = piece[: max(0, len(out) - start)]
    out[start : start + len(piece)] += piece
