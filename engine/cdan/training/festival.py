"""Festival's voices, whose segments it saves beside the sound: a diphone voice (ked), an HTS voice (slt), and a Russian
whose speech is cut out of recorded sentences.
"""

import subprocess
import tempfile
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from engine.cdan.training import phones, texts
from engine.cdan.training.phones import PAUSE, Phone
from engine.cdan.training.voices import Utterance, read_wave

SAY = """
(define (say text name)
  (let ((spoken (utt.synth (eval (list 'Utterance 'Text text)))))
    (utt.save.wave spoken (string-append name ".wav"))
    (utt.save.segs spoken (string-append name ".segs"))
    (format t "said\\n")
    (fflush nil)))
"""
PITCH = """
(set! int_lr_params
  '((target_f0_mean {mean:.0f}) (target_f0_std {spread:.0f}) (model_f0_mean 170) (model_f0_std 34)))
"""


class Festival:
    """One voice of the `festival` command, which is kept running."""

    VOICES = {"ked": "voice_ked_diphone", "hts": "voice_cmu_us_slt_arctic_hts", "ru": "voice_msu_ru_nsh_clunits"}

    def __init__(self, name: str) -> None:
        self._name = name
        self._process = subprocess.Popen(
            ["festival", "--pipe"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            encoding="utf-8",
        )
        self._command(f"{SAY} ({self.VOICES[name]})")

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        """The Russian reads a prompt of his own instead of the text, at his own pitch and pace."""
        settings = ""
        if self._name == "ru":
            text = texts.russian(rng)
        else:
            settings = PITCH.format(mean=rng.uniform(85, 190), spread=rng.uniform(8, 28))
            settings += f"(Parameter.set 'Duration_Stretch {rng.uniform(0.8, 1.25):.2f})"
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "speech"
            plain = text.replace("\\", " ").replace('"', " ")
            self._command(f'{settings} (say "{plain}" "{path}")')
            assert self._process.stdout is not None
            if self._process.stdout.readline() != "said\n":
                raise RuntimeError(f"festival's voice {self._name} could not say {text!r}; is its package installed?")
            samples, rate = read_wave(path.with_suffix(".wav"))
            table = phones.RUSSIAN if self._name == "ru" else phones.FLITE
            spoken = festival_phones(path.with_suffix(".segs").read_text(), table)
        return Utterance(samples, rate, spoken, f"festival {self._name}")

    def _command(self, scheme: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(scheme + "\n")
        self._process.stdin.flush()


def festival_phones(saved: str, table: Mapping[str, str] = phones.FLITE) -> tuple[Phone, ...]:
    """From an xlabel file: "#", then a line of end_s, colour and name each; `table` has our names."""
    rows = [line.split() for line in saved.splitlines() if line.count(" ") >= 2]
    ends = [float(end) for end, *_ in rows]
    named = zip((row[-1] for row in rows), [0.0, *ends[:-1]], ends, strict=True)
    return tuple(Phone(table.get(name, PAUSE), start, end) for name, start, end in named)
