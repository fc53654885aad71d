"""Sound as bad as it comes, for CDAN: `python -m tests.streams --hours 2` plays it for as long as a meeting lasts.

A minute of speech and of all that can go wrong repeats; a network without drift says the same about it each time.
"""

import argparse
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import psutil

from engine.audio import as_chunks, load_audio
from engine.cdan import Cdan, Floats, StreamState
from engine.face.coefficients import INDEX, NAMES
from engine.les import AXES
from engine.motion import Motion
from engine.units import FPS, SAMPLE_RATE

SENTENCE = "Maybe Bob put a big map above the sofa, but Emma moved it before the people came home."
NEUTRAL = np.zeros((1, len(AXES)), np.float32)
BLOCK_S = 4  # of each kind in the minute


def speech() -> Floats:
    """[n] the sentence at 16 kHz by flite's `slt`, a quarter of a second of silence around it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "speech.wav"
        subprocess.run(["flite", "-voice", "slt", "-t", SENTENCE, "-o", str(path)], check=True)
        return np.pad(load_audio(path), SAMPLE_RATE // 4)


def narrow(sound: Floats) -> Floats:
    """Without anything above 4 kHz, as from a line of 8 kHz."""
    spectrum = np.fft.rfft(sound)
    spectrum[np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) > 3800] = 0
    return np.asarray(np.fft.irfft(spectrum, len(sound)), np.float32)


def torn(sound: Floats) -> Floats:
    """A thousandth of the samples is no number."""
    out = sound.copy()
    out[np.random.default_rng(0).random(len(out)) < 0.001] = np.nan
    return out


SPOILT: dict[str, Callable[[Floats], Floats]] = {
    "as it is": lambda x: x,
    "silence of zeros": np.zeros_like,
    "off centre": lambda x: x + np.float32(0.2),
    "clipped": lambda x: np.clip(12 * x, -1, 1),
    "beyond full scale": lambda x: 40 * x,
    "not a number": torn,
    "nothing but that": lambda x: np.full_like(x, np.nan),
    "infinite": lambda x: np.where(np.arange(len(x)) % 5000 == 0, np.inf, x).astype(np.float32),
    "a band of 8 kHz": narrow,
    "30 dB quieter": lambda x: x * np.float32(10**-1.5),
    "in noise": lambda x: x + np.random.default_rng(1).normal(0, 0.02, len(x)).astype(np.float32),
    "noise alone": lambda x: np.random.default_rng(2).normal(0, 0.03, len(x)).astype(np.float32),
    "a tone": lambda x: np.sin(np.arange(len(x)) * 0.17).astype(np.float32) * np.float32(0.1),
    "one click": lambda x: (np.arange(len(x)) == len(x) // 2).astype(np.float32),
    "as it is again": lambda x: x,
}


def minute() -> Floats:
    """[chunks, 640] every kind in turn."""
    block = np.resize(speech(), BLOCK_S * SAMPLE_RATE)
    return as_chunks(np.concatenate([spoil(block) for spoil in SPOILT.values()]))


class Listener:
    """One stream through the network, and through the motion that hangs on its prosody."""

    def __init__(self, net: Cdan, look_ahead: int = 1) -> None:
        self._net, self._look_ahead = net, look_ahead
        self.memory: StreamState = net.open()
        self.motion = Motion(0)

    def hear(self, chunks: Floats) -> tuple[Floats, Floats, Floats]:
        """Coefficients [T, 63], prosody [T, 3] and the motion's offsets [T, 69]."""
        coefficients, prosody, moves = [], [], []
        for chunk in chunks:
            heard = self._net.step(chunk[None], NEUTRAL, [self._look_ahead], [self.memory])
            self.memory = heard.states[0]
            coefficients.append(heard.coefficients[0])
            prosody.append(heard.prosody[0])
            moves.append(self.motion.step(tuple(heard.prosody[0].tolist())))
        return np.stack(coefficients), np.stack(prosody), np.stack(moves)

    def weight(self) -> int:
        """Bytes of the memory."""
        return sum(value.nbytes for value in self.memory.values())

    def largest(self) -> float:
        """Of all numbers in the memory."""
        return max(float(np.abs(value).max()) for value in self.memory.values())


def minutes(count: int) -> Iterator[str]:
    """A line about each minute of the same sound."""
    listener, sound, process = Listener(Cdan()), minute(), psutil.Process()
    reference: Floats | None = None
    for number in range(count):
        began = time.monotonic()
        coefficients, prosody, moves = listener.hear(sound)
        step_ms = (time.monotonic() - began) / len(sound) * 1000
        if number == 1:  # the first begins in a memory of zeros
            reference = coefficients
        differs = 0.0 if reference is None else float(np.abs(coefficients - reference).max())
        turned = float(np.abs(moves[:, [NAMES.index(f"head{axis}") for axis in ("Yaw", "Pitch", "Roll")]]).max())
        yield (
            f"minute {number}: differs {differs:.1e}, memory {listener.weight()} bytes up to {listener.largest():.1f}, "
            f"finite {bool(np.isfinite(coefficients).all() and np.isfinite(prosody).all())}, "
            f"head {turned:.1f} degrees, blinks {int((np.diff(moves[:, INDEX['eyeBlinkLeft']]) == 0.6).sum())}, "
            f"{step_ms:.2f} ms a step, {process.memory_info().rss / 2**20:.0f} MB"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Play a minute of good and bad sound to CDAN, again and again.")
    parser.add_argument("--hours", type=float, default=2.0)
    options = parser.parse_args()
    assert len(minute()) == 60 * FPS
    for line in minutes(round(60 * options.hours)):
        print(line, flush=True)


if __name__ == "__main__":
    main()
