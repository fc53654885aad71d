"""What the future is worth: the stream at each look-ahead against the whole utterance at once."""

from collections.abc import Mapping

import numpy as np

from engine.evaluation.drivers import Driver
from engine.evaluation.judges import ModelJudge
from engine.evaluation.subject import Condition, Subject
from engine.evaluation.tables import (
    CLEAN,
    NOISE,
    RECORDED,
    closed,
    consonants,
    lag,
    markdown,
    rounding,
    stops_shut,
    vowels,
)


def causal_table(drivers: Mapping[str, Driver], offline: Driver, conditions: Mapping[str, Condition]) -> str:
    """Read off the face model, which tells the drivers apart no worse than pictures do."""
    lines = []
    for condition in (CLEAN, NOISE, RECORDED):
        whole = Subject("offline", offline, ModelJudge(), conditions)
        for name, driver in {**drivers, "offline": offline}.items():
            lines.append([condition, name, *_cells(Subject(name, driver, ModelJudge(), conditions), whole, condition)])
    header = ["p b m / consonants", "/ open vowels", "rounded / spread", "closed", "k g n t d shut", "lag, ms"]
    return markdown(["condition", "look-ahead, frames", *header, "aperture off the offline one's, rms"], lines)


def _cells(subject: Subject, whole: Subject, condition: str) -> list[str]:
    figures = (of(subject, condition).value for of in (consonants, vowels, rounding, closed, stops_shut))
    pairs = zip(subject.spoken(condition), whole.spoken(condition), strict=True)
    off = np.concatenate([a.aperture - b.aperture for a, b in pairs])
    return [*(f"{v:.3f}" for v in figures), f"{lag(subject, condition).value:.0f}", f"{np.sqrt(np.mean(off**2)):.4f}"]
