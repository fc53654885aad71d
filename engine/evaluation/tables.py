"""The tables: rows with their targets, a column for each subject, as Markdown."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from engine.cdan.training.phones import BILABIAL
from engine.evaluation.judges import Judge
from engine.evaluation.measures import Figure
from engine.evaluation.readings import aperture, width
from engine.evaluation.speaking import (
    CLASSES,
    OPEN_VOWELS,
    OTHERS,
    ROUNDED,
    SHUT,
    SPREAD,
    STOPS,
    by_class,
    jitter,
    lag_ms,
    opening,
    rest_ms,
    separation,
    shut,
)
from engine.evaluation.stillness import Stillness
from engine.evaluation.subject import Subject
from engine.tracks import rest

CLEAN, NOISE, RECORDED, RECORDED_NOISE = "clean", "10 dB SNR", "recordings", "recordings, 10 dB SNR"
LEVEL = 0.8  # of the emotions
NEAR = 0.05  # the recordings may lie this far below the synthetic voices


@dataclass(frozen=True)
class Row:
    """One figure in one condition."""

    label: str
    condition: str
    of: Callable[[Subject, str], Figure]
    least: float = -np.inf
    most: float = np.inf
    """The target: between the two."""
    format: str = "{:.3f}"

    @property
    def target(self) -> str:
        parts = [
            f"≥ {self.least:g}" if np.isfinite(self.least) else "",
            f"≤ {self.most:g}" if np.isfinite(self.most) else "",
        ]
        return ", ".join(filter(None, parts)) or "–"


def consonants(subject: Subject, condition: str) -> Figure:
    return separation(subject.found(condition), OTHERS, BILABIAL, "opened")


def vowels(subject: Subject, condition: str) -> Figure:
    return separation(subject.found(condition), OPEN_VOWELS, BILABIAL, "opened")


def rounding(subject: Subject, condition: str) -> Figure:
    return separation(subject.found(condition), SPREAD, ROUNDED, "width")


def closed(subject: Subject, condition: str) -> Figure:
    return shut(subject.found(condition), BILABIAL, "least")


def closed_at_centre(subject: Subject, condition: str) -> Figure:
    return shut(subject.found(condition), BILABIAL, "aperture")


def stops_shut(subject: Subject, condition: str) -> Figure:
    return shut(subject.found(condition), STOPS, "aperture")


def lag(subject: Subject, condition: str) -> Figure:
    return lag_ms(subject.spoken(condition))


def spiking(subject: Subject, condition: str) -> Figure:
    return jitter(subject.spoken(condition))


def resting(subject: Subject, condition: str) -> Figure:
    return rest_ms(subject.spoken(condition), 50)


def resting_worst(subject: Subject, condition: str) -> Figure:
    return rest_ms(subject.spoken(condition), 100)


def opened(subject: Subject, condition: str) -> Figure:
    return Figure(opening(subject.spoken(condition)))


def speech_rows(emotions: Iterable[str]) -> list[Row]:
    names = (
        ("p b m / other consonants, AUC", consonants, (0.93, 0.88)),
        ("p b m / open vowels, AUC", vowels, (0.98, 0.96)),
        ("rounded / spread, AUC of width", rounding, (0.90, -np.inf)),
        ("p b m closed", closed, (0.90, 0.75)),
    )
    rows = []
    for label, of, (clean, noise) in names:
        rows += [
            Row(label, CLEAN, of, clean),
            Row(label, NOISE, of, noise),
            Row(label, RECORDED, of, clean - NEAR),
            Row(label, RECORDED_NOISE, of, noise - NEAR),
        ]
    rows += [Row("p b m closed", emotion, closed, 0.85) for emotion in emotions]
    rows += [Row("p b m closed at the phone's middle", c, closed_at_centre) for c in (CLEAN, NOISE, RECORDED)]
    rows += [Row("k g n t d shut", c, stops_shut, most=0.10) for c in (CLEAN, NOISE, RECORDED, RECORDED_NOISE)]
    rows += [Row("lag, ms", c, lag, -60, 20, "{:.0f}") for c in (CLEAN, NOISE, RECORDED)]
    rows += [Row("jitter", c, spiking, format="{:.4f}") for c in (CLEAN, NOISE, RECORDED)]
    rows += [Row("back at rest after, ms", CLEAN, resting, most=300, format="{:.0f}")]
    rows += [Row("the slowest of them, ms", CLEAN, resting_worst, most=300, format="{:.0f}")]
    return rows + [Row("mean opening in speech", c, opened) for c in (CLEAN, NOISE, RECORDED)]


def moving_rows() -> list[Row]:
    """What the head's motion may spoil."""
    return [
        Row("p b m / other consonants, AUC", CLEAN, consonants, 0.93),
        Row("p b m / open vowels, AUC", CLEAN, vowels, 0.98),
        Row("rounded / spread, AUC of width", CLEAN, rounding, 0.90),
        Row("p b m closed", CLEAN, closed, 0.90),
        Row("k g n t d shut", CLEAN, stops_shut, most=0.10),
        Row("lag, ms", CLEAN, lag, -60, 20, "{:.0f}"),
        Row("jitter", CLEAN, spiking, format="{:.4f}"),
    ]


def rest_table(judge: Judge) -> str:
    """What shut lips measure: the judge's own floor, which no figure is corrected for."""
    lines = []
    for name in judge.portraits:
        points = judge.watch(name, rest()[None]).points
        lines.append([name, f"{float(aperture(points)[0]):.3f}", f"{float(width(points)[0]):.3f}"])
    return markdown(["portrait", "aperture", "width"], lines)


def markdown(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|" + "---|" * len(header)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def cell(figure: Figure, row: Row, judged: bool) -> str:
    """The value, its interval, and for our own column whether the target is met."""
    if np.isnan(figure.value):
        return "–"
    text = row.format.format(figure.value)
    if not np.isnan(figure.low):
        text += f" ({row.format.format(figure.low)} … {row.format.format(figure.high)})"
    met = row.least <= figure.value <= row.most
    return text + ("" if row.target == "–" or not judged else " ✓" if met else " ✗")


def speech_table(subjects: Sequence[Subject], rows: Iterable[Row]) -> str:
    """The first subject is the one whose targets count."""
    lines = []
    for row in rows:
        figures = [None if row.condition in s.skipped else row.of(s, row.condition) for s in subjects]
        cells = ["" if f is None else cell(f, row, i == 0) for i, f in enumerate(figures)]
        count = str(figures[0].n or "") if figures[0] else ""
        lines.append([row.label, row.condition, count, row.target, *cells])
    return markdown(["measure", "condition", "n", "target", *(s.name for s in subjects)], lines)


def class_table(subject: Subject, conditions: Sequence[str]) -> str:
    """Per class of phones: how many, aperture (median, 10 to 90 %), share shut, and width against rest."""
    lines = []
    apertures = [by_class(subject.found(c), "aperture") for c in conditions]
    widths = [by_class(subject.found(c), "width") for c in conditions]
    for name in CLASSES:
        cells = [name]
        for aperture_of, width_of in zip(apertures, widths, strict=True):
            low, middle, high = np.percentile(aperture_of[name], [10, 50, 90])
            shut_share = np.mean(np.array(aperture_of[name]) < SHUT)
            cells += [
                str(len(aperture_of[name])), f"{middle:.3f} ({low:.3f} … {high:.3f})", f"{shut_share:.2f}",
                f"{np.median(width_of[name]):+.3f}",
            ]  # fmt: skip
        lines.append(cells)
    columns = [
        f"{word} ({c})" if word == "n" else word for c in conditions for word in ("n", "aperture", "shut", "width")
    ]
    return markdown(["phones", *columns], lines)


def still_table(found: dict[str, Stillness]) -> str:
    lines = []
    for name, one in found.items():
        met = "✓" if one.spread < 0.004 and one.mean < 0.02 else "✗"
        lines.append(
            [name, f"{one.spread:.4f}", f"{one.mean:.4f}", f"{one.above_rest:+.4f}", f"{one.still:.3f}", met]
        )  # fmt: skip
    return markdown(
        ["background", "spread < 0.004", "mean < 0.02", "mean above rest", "frames at exact rest", ""], lines
    )
