"""Figures of tracks and samples: ranks with their uncertainty, lags, spikes, lines. No face, no file."""

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter
from scipy.stats import rankdata, spearmanr

Floats = npt.NDArray[np.floating]
T = TypeVar("T")

RESAMPLES = 300


@dataclass(frozen=True)
class Figure:
    """A number, how sure it is, and of how many things."""

    value: float
    low: float = float("nan")
    """Lower end of the 95 % interval."""
    high: float = float("nan")
    n: int = 0

    def __str__(self) -> str:
        if np.isnan(self.value):
            return "–"
        interval = "" if np.isnan(self.low) else f" ({self.low:.2f}–{self.high:.2f})"
        return f"{self.value:.3f}{interval}"


def auc(higher: Sequence[float], lower: Sequence[float]) -> float:
    """Chance that one of `higher` exceeds one of `lower`; ties count half."""
    if not len(higher) or not len(lower):
        return float("nan")
    ranks = rankdata(np.concatenate([higher, lower]))[: len(higher)]
    return float((ranks.sum() - len(higher) * (len(higher) + 1) / 2) / (len(higher) * len(lower)))


def share(true: Sequence[bool]) -> float:
    return float(np.mean(true)) if len(true) else float("nan")


def bootstrapped(samples: Sequence[tuple[Hashable, T]], of: Callable[[list[T]], float], n: int = 0) -> Figure:
    """`of` all samples; the interval draws whole groups (sentences), whose samples are not independent."""
    groups: dict[Hashable, list[T]] = {}
    for group, sample in samples:
        groups.setdefault(group, []).append(sample)
    members, random = list(groups.values()), np.random.default_rng(0)
    draws = [of([s for i in random.integers(len(members), size=len(members)) for s in members[i]])
             for _ in range(RESAMPLES)] if members else []  # fmt: skip
    kept = [draw for draw in draws if not np.isnan(draw)]
    low, high = np.percentile(kept, [2.5, 97.5]) if kept else (np.nan, np.nan)
    return Figure(of([sample for _, sample in samples]), float(low), float(high), n or len(samples))


def correlation(a: Floats, b: Floats) -> float:
    """Pearson's; 0 where one does not move."""
    return float(np.corrcoef(a, b)[0, 1]) if np.ptp(a) and np.ptp(b) else 0.0


def peak(lags: Floats, curve: Floats) -> float:
    """Where a curve over evenly spaced lags is highest, refined by the parabola through the top and its neighbours."""
    if not np.ptp(curve):
        return float("nan")
    top = int(np.clip(curve.argmax(), 1, len(lags) - 2))
    before, at, after = curve[top - 1 : top + 2]
    bend = before - 2 * at + after
    return float(lags[top] + (0.5 * (before - after) / bend if bend < 0 else 0.0) * (lags[1] - lags[0]))


def spikes(track: Floats, counted: npt.NDArray[np.bool_]) -> float:
    """Jitter of a track [T]: the root mean square of what its running median of three takes away, where `counted`."""
    off = (track - median_filter(track, 3, mode="nearest"))[counted]
    return float(np.sqrt(np.mean(np.square(off)))) if len(off) else float("nan")


def rank_correlation(x: Floats, y: Floats) -> float:
    """Spearman's; 0 where y does not move."""
    return 0.0 if np.ptp(y) == 0 else float(spearmanr(x, y).statistic)


def linearity(x: Floats, y: Floats) -> float:
    """R² of the straight line through the points; 0 where y does not move."""
    return correlation(x, y) ** 2
