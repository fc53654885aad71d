"""Synthesizers that tell when each phone sounds. A voice is `speak(text, rng) -> Utterance`.

flite's `awb` and `rms` are absent on purpose: they are kept for evaluation.
"""

import ctypes
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
    """In order, without gaps."""


class Voice(Protocol):
    """Anything that speaks."""

    def speak(self, text: str, rng: np.random.Generator) -> Utterance: ...


class Flite:
    """One voice of the `flite` command."""

    def __init__(self, name: str) -> None:
        self._name = name

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        stretch, pitch = rng.uniform(0.8, 1.25), rng.uniform(85, 210)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech.wav"
            options = ["--setf", f"duration_stretch={stretch:.3f}", "--setf", f"int_f0_target_mean={pitch:.0f}"]
            command = ["flite", "-voice", self._name, *options, "-psdur", "-t", text, "-o", str(path)]
            said = subprocess.run(command, capture_output=True, text=True, check=True).stdout
            samples, rate = read_wave(path)
        return Utterance(samples, rate, flite_phones(said))


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


class HibariVoice:
    """hibari-tts; its duration predictor is a value inside the graph, made an output here."""

    UNIT = 600  # samples at 24 kHz of one duration step
    LATE_S = 0.065  # the durations lie this far behind the sound (bilabials against a pocketsphinx alignment)
    DURATIONS = "/Clip_output_0"

    def __init__(self) -> None:
        import onnx
        import onnxruntime
        from hibari import Hibari

        self._tts = Hibari()
        graph = onnx.load(self._tts.model_path)
        graph.graph.output.append(onnx.helper.make_empty_tensor_value_info(self.DURATIONS))
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(graph.SerializeToString(), options, ["CPUExecutionProvider"])

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        from hibari import dsp

        speed = np.asarray([rng.uniform(0.8, 1.3)], np.float32)
        pieces, out, start = [], [], 0.0
        for symbols in self._tts.phonemize(text):
            ids = self._tts.ids(symbols)
            *spectra, durations = self._session.run(None, {"ids": np.asarray([ids], np.int64), "speed": speed})
            pieces.append(dsp.synth(*(s[0] for s in spectra), rng))
            known = [None, *(c for c in symbols if c in self._tts.vocab), None]
            seconds = durations.ravel() * self.UNIT / dsp.SR
            seconds *= len(pieces[-1]) / dsp.SR / seconds.sum()
            out += _hibari_phones(known, seconds, start)
            start += len(pieces[-1]) / dsp.SR
        samples = np.concatenate(pieces).astype(np.float32)
        return Utterance(samples, dsp.SR, quiet_pauses_only(tuple(out), samples, dsp.SR))


def _hibari_phones(symbols: list[str | None], seconds: npt.NDArray[Any], start: float) -> list[Phone]:
    """Phones from symbols and their lengths; the first pause takes the correction of the predictor's lag."""
    ends = start + np.cumsum(seconds) - HibariVoice.LATE_S
    ends[-1] += HibariVoice.LATE_S
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


class _EventId(ctypes.Union):
    _fields_ = [("number", ctypes.c_int), ("name", ctypes.c_char_p), ("string", ctypes.c_char * 8)]


class _Event(ctypes.Structure):
    """espeak_EVENT of espeak-ng/speak_lib.h."""

    _fields_ = [
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),
        ("length", ctypes.c_int),
        ("audio_position", ctypes.c_int),
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("id", _EventId),
    ]


class Espeak:
    """libespeak-ng, whose phoneme events carry sample positions. One instance a process."""

    SYNCHRONOUS, PHONEME_EVENTS, PHONEME, UTF8 = 2, 1, 7, 1
    RATE, PITCH, RANGE = 1, 3, 4
    CLOSURE_S = 0.07  # a voiceless stop's event marks its burst: the closure before it was counted to the phone before
    VOICELESS_STOPS = frozenset({"p", "t", "k", "ch"})
    LANGUAGES = ("en-us", "en-gb", "en-gb-x-rp", "en-gb-scotland", "en-us-nyc", "en-029")
    VARIANTS = (
        "m1", "m2", "m3", "m4", "m5", "m6", "m7", "m8", "f1", "f2", "f3", "f4", "f5", "adam", "anika", "belinda",
        "boris", "caleb", "david", "edward", "gustave", "john", "linda", "marcelo", "michel", "norbert", "pablo",
        "paul", "quincy", "rob", "robert", "sandro", "shelby", "steph", "travis", "victor", "zac",
    )  # fmt: skip

    def __init__(self) -> None:
        self._library = ctypes.CDLL("libespeak-ng.so.1")
        self._rate = self._library.espeak_Initialize(self.SYNCHRONOUS, 200, None, self.PHONEME_EVENTS)
        signature = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(_Event))
        self._callback = signature(self._collect)  # kept: the library holds only a pointer
        self._library.espeak_SetSynthCallback(self._callback)
        self._pcm: list[npt.NDArray[np.int16]] = []
        self._marks: list[tuple[int, str]] = []

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        voice = f"{rng.choice(self.LANGUAGES)}+{rng.choice(self.VARIANTS)}"
        self._library.espeak_SetVoiceByName(voice.encode())
        for parameter, value in ((self.RATE, rng.integers(120, 200)), (self.PITCH, rng.integers(25, 75))):
            self._library.espeak_SetParameter(parameter, int(value), 0)
        self._pcm, self._marks = [], []
        data = text.encode()
        self._library.espeak_Synth(data, len(data) + 1, 0, 0, 0, self.UTF8, None, None)
        samples = np.asarray(np.concatenate(self._pcm) / 32768, np.float32)
        return Utterance(samples, self._rate, self._phones(len(samples)))

    def _collect(self, pcm: Any, count: int, events: Any) -> int:
        if pcm and count:
            self._pcm.append(np.ctypeslib.as_array(pcm, (count,)).copy())
        i = 0
        while events[i].type:
            if events[i].type == self.PHONEME:
                self._marks.append((events[i].sample, bytes(events[i].id.string).decode("utf-8", "replace")))
            i += 1
        return 0

    def _phones(self, total: int) -> tuple[Phone, ...]:
        starts = [0.0, *(position / self._rate for position, _ in self._marks)]
        names = [PAUSE, *(phones.ESPEAK.get(symbol, PAUSE) for _, symbol in self._marks)]
        for i in range(1, len(starts)):
            if names[i] in self.VOICELESS_STOPS:
                starts[i] -= min(self.CLOSURE_S, 0.45 * max(starts[i] - starts[i - 1], 0.0))
        ends = [*starts[1:], total / self._rate]
        return tuple(Phone(n, a, b) for n, a, b in zip(names, starts, ends, strict=True) if b > a)
