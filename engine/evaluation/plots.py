"""The tables as pictures: small PNGs that a reader takes in at a glance."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure as Page

from engine.cdan.training.phones import BILABIAL, PAUSE
from engine.evaluation.axes import SEEN_LEVELS, AxisReport
from engine.evaluation.speaking import SHUT, Spoken, by_class
from engine.evaluation.subject import Subject
from engine.evaluation.tables import CLEAN, closed, stops_shut

INK, OURS, RIVAL, SOFT = "#222222", "#1f6feb", "#d9822b", "#9aa4b1"
COLOURS = (OURS, RIVAL, "#6d597a", "#b56576", "#8c6d1f", SOFT, "#2a9d5c")  # of the subjects


def save(page: Page, path: Path) -> None:
    page.savefig(path, dpi=100, bbox_inches="tight")
    plt.close(page)


def _plain(axes: Axes) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def phones(subject: Subject, condition: str, path: Path) -> None:
    """Aperture and width of each class of phones."""
    page, panels = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True)
    for axes, of, words in zip(panels, ("aperture", "width"), ("aperture", "width against rest"), strict=True):
        values = by_class(subject.found(condition), of)
        axes.boxplot(list(values.values()), whis=(10, 90), showfliers=False, medianprops={"color": OURS, "lw": 2})
        axes.axhline(SHUT if of == "aperture" else 0, color=SOFT, ls="--", lw=1)
        axes.set_ylabel(f"{words}\n(inter-ocular)")
        axes.set_xticks(range(1, len(values) + 1), [name.replace(" ", "\n", 2) for name in values], fontsize=8)
        _plain(axes)
    panels[0].set_title(f"{subject.name}, {condition}: what each phone looks like at its middle (box 25–75 %, 10–90 %)")
    save(page, path)


def sentence(ours: Spoken, rival: Spoken, words: str, path: Path) -> None:
    """One sentence: the lips over time, p b m shaded, beside a loudness jaw."""
    page, axes = plt.subplots(figsize=(11, 3.2))
    for number, phone in enumerate(ours.said.phones):
        if phone.name in BILABIAL:
            axes.axvspan(phone.start_s, phone.end_s, color=OURS, alpha=0.15, lw=0)
        if phone.name != PAUSE:
            middle = 0.5 * (phone.start_s + phone.end_s)
            axes.text(middle, (-0.012, -0.028)[number % 2], phone.name, ha="center", va="top", fontsize=7, color=INK)
    axes.plot(ours.times, ours.aperture, color=OURS, lw=1.8, label="CDAN")
    axes.plot(rival.times, rival.aperture, color=RIVAL, lw=1.2, label="a jaw that follows loudness")
    axes.axhline(SHUT, color=SOFT, ls="--", lw=1)
    axes.set(ylim=(-0.05, None), xlabel="s", ylabel="aperture (inter-ocular)", title=words)
    axes.legend(frameon=False, loc="upper right")
    _plain(axes)
    save(page, path)


def closures(subjects: Sequence[Subject], conditions: Sequence[str], path: Path) -> None:
    """Closures kept, and what shuts that should not, of the first subject and its rivals."""
    page, panels = plt.subplots(1, 2, figsize=(11, 3.4), width_ratios=(3, 1))
    for axes, of, names, title in (
        (panels[0], closed, conditions, "p b m closed"),
        (panels[1], stops_shut, [c for c in conditions if "0.8" not in c], "k g n t d shut"),
    ):
        for i, subject in enumerate(subjects):
            at = [k for k, c in enumerate(names) if c not in subject.skipped]
            heights = [of(subject, names[k]).value for k in at]
            width = 0.8 / len(subjects)
            axes.bar(np.array(at) + i * width, heights, width, color=COLOURS[i % len(COLOURS)], label=subject.name)
        axes.set_xticks(np.arange(len(names)) + 0.4, [n.replace(" ", "\n", 1) for n in names], fontsize=8)
        axes.set(title=title, ylim=(0, 1.02))
        _plain(axes)
    panels[0].legend(frameon=False, fontsize=8, ncols=4, loc="upper center", bbox_to_anchor=(0.6, -0.2))
    save(page, path)


def levels(found: Sequence[AxisReport], path: Path) -> None:
    """What the picture shows of each axis, over its level."""
    page, panels = plt.subplots(6, 7, figsize=(12, 9), sharex=True, gridspec_kw={"hspace": 0.4, "wspace": 0.4})
    for axes, one in zip(panels.flat, found, strict=False):
        axes.plot(SEEN_LEVELS, one.rise.by_level, "o-", color=OURS if one.rise.seen else RIVAL, ms=3)
        axes.set_title(one.axis, fontsize=8, pad=2)
        axes.tick_params(labelsize=6)
        _plain(axes)
    for axes in panels.flat[len(found) :]:
        axes.axis("off")
    page.suptitle("Reading of each axis's sign in the picture against its level (inter-ocular distances)", y=0.93)
    save(page, path)


def draw(subjects: Sequence[Subject], found: Sequence[AxisReport], texts: Mapping[int, str], folder: Path) -> None:
    """All plots of a report."""
    ours, rival = subjects[:2]
    shown = [c for c in ours.conditions if not all(c in s.skipped for s in subjects[1:])]
    for number, words in texts.items():
        sentence(ours.spoken(CLEAN)[number], rival.spoken(CLEAN)[number], words, folder / f"sentence-{number}.png")
    phones(ours, CLEAN, folder / "phones.png")
    closures(subjects, shown, folder / "closures.png")
    levels(found, folder / "levels.png")
