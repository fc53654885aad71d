"""Synthesizers that tell when each phone sounds. A voice is `speak(text, rng) -> Utterance`.

flite's `awb` and `rms` are absent on purpose: they are kept for evaluation.
"""

import re
import subprocess
import tempfile
import wave
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from engine.cdan.training import phones
from engine.cdan.training.phones import PAUSE, Phone

Floats = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Utterance:
    """Speech and what is said when."""

    samples: Floats
    """[n], mono, within [-1, 1]."""
    rate: int
    """Samples a second."""
    phones: tuple[Phone, ...]
    """In order, without gaps; empty where nobody knows."""
    voice: str = ""
    """Who speaks."""


class Voice(Protocol):
    """Anything that speaks."""

    def speak(self, text: str, rng: np.random.Generator) -> Utterance: ...


class Flite:
    """One voice of the `flite` command."""

    def __init__(self, name: str) -> None:
        self._name = name

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        stretch, pitch, spread = rng.uniform(0.75, 1.3), rng.uniform(85, 220), rng.uniform(5, 45)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            options = [
                f"duration_stretch={stretch:.3f}",
                f"int_f0_target_mean={pitch:.0f}",
                f"int_f0_target_stddev={spread:.0f}",
            ]
            settings = [word for option in options for word in ("--setf", option)]
            command = ["flite", "-voice", self._name, *settings, "-psdur", "-t", text, "-o", str(path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            samples, rate = read_wave(path)
        return Utterance(samples, rate, flite_phones(said), f"flite {self._name}")


def flite_phones(said: str) -> tuple[Phone, ...]:
    """What `flite -psdur` prints, "name:end_s" each; the clock starts anew with each sentence."""
    out: list[Phone] = []
    origin = start = 0.0
    for name, end in re.findall(r"(\S+):([\d.]+)", said):
        if origin + float(end) < start:
            origin = start
        out.append(Phone(phones.FLITE.get(name, PAUSE), start, origin + float(end)))
        start = origin + float(end)
    return tuple(out)


def read_wave(path: Path) -> tuple[Floats, int]:
    """Samples [n] in [-1, 1) and rate of a 16-bit mono file."""
    with wave.open(str(path)) as file:
        pcm = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        return np.asarray(pcm / 32768, np.float32), file.getframerate()


HIBARI_UNIT = 600  # samples at 24 kHz of one duration step
HIBARI_LATE_S = 0.065  # the durations lie this far behind the sound (bilabials against a pocketsphinx alignment)


class HibariVoice:
    """hibari-tts; its duration predictor is a value inside the graph, made an output here."""

    DURATIONS = "/Clip_output_0"

    def __init__(self) -> None:
        from hibari import Hibari

        self._tts = Hibari()
        self._session = with_output(self._tts.model_path, self.DURATIONS)

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        from hibari import dsp

        speed = np.asarray([rng.uniform(0.8, 1.3)], np.float32)
        pieces, out, start = [], [], 0.0
        for symbols in self._tts.phonemize(text):
            ids = self._tts.ids(symbols)
            *spectra, durations = self._session.run(None, {"ids": np.asarray([ids], np.int64), "speed": speed})
            pieces.append(dsp.synth(*(s[0] for s in spectra), rng))
            known = [None, *(c for c in symbols if c in self._tts.vocab), None]
            seconds = durations.ravel() * HIBARI_UNIT / dsp.SR
            seconds *= len(pieces[-1]) / dsp.SR / seconds.sum()
            out += hibari_phones(known, seconds, start)
            start += len(pieces[-1]) / dsp.SR
        samples = np.concatenate(pieces).astype(np.float32)
        return Utterance(samples, dsp.SR, quiet_pauses_only(tuple(out), samples, dsp.SR), "hibari")


def with_output(path: str | Path, name: str) -> Any:
    """An onnxruntime session, one thread, that also gives a value from inside the graph."""
    import onnx
    import onnxruntime

    graph = onnx.load(path)
    graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(name))
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])


def hibari_phones(symbols: list[str | None], seconds: npt.NDArray[Any], start: float) -> list[Phone]:
    """Phones from symbols and their lengths; the first pause takes the correction of the predictor's lag,
    which Kokoro, hibari's teacher, has too."""
    ends = start + np.cumsum(seconds) - HIBARI_LATE_S
    ends[-1] += HIBARI_LATE_S
    starts = np.concatenate([[start], ends[:-1]])
    names = [phones.HIBARI.get(symbol or "", PAUSE) for symbol in symbols]
    return [Phone(n, float(a), float(b)) for n, a, b in zip(names, starts, ends, strict=True)]


def quiet_pauses_only(spoken: tuple[Phone, ...], samples: Floats, rate: int) -> tuple[Phone, ...]:
    """Stress marks and spaces come as pauses: its neighbours share one that is under 70 ms or as loud as speech."""
    loud = 0.2 * float(np.sqrt(np.mean(np.square(samples)) + 1e-12))
    out: list[Phone] = []
    start = 0.0
    for phone in spoken:
        piece = samples[int(phone.start_s * rate) : int(phone.end_s * rate)]
        level = float(np.sqrt(np.mean(np.square(piece)))) if len(piece) else 0.0
        if out and phone.name == PAUSE and (phone.end_s - phone.start_s < 0.07 or level > loud):
            start = 0.5 * (phone.start_s + phone.end_s)
            out[-1] = Phone(out[-1].name, out[-1].start_s, start)
        else:
            out.append(Phone(phone.name, start, phone.end_s))
            start = phone.end_s
    return tuple(out)
