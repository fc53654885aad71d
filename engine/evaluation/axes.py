"""The 41 axes one by one: level against response in the coefficients, what leaks, and what rises in the picture."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.cdan.training.voices import Utterance
from engine.evaluation.drivers import NetworkDriver
from engine.evaluation.judges import Judge
from engine.evaluation.measures import linearity, rank_correlation
from engine.evaluation.speaking import whole
from engine.evaluation.tables import markdown
from engine.evaluation.units import SIGHTS, region
from engine.face.coefficients import INDEX
from engine.les import AXES
from engine.units import CHUNK, SAMPLE_RATE

Floats = npt.NDArray[np.float32]

LEVELS = np.linspace(0, 1, 11)
SEEN_LEVELS = np.linspace(0, 1, 5)
SHIFTS = ((0.0, 0.0), (0.031, 0.017), (-0.023, 0.029))
"""Where the head stands in the pictures, inter-ocular distances: a landmark's error changes with the pixels it sees."""
SURE = 3.0  # standard errors


@dataclass(frozen=True)
class Response:
    """How the coefficients follow an axis's level."""

    rank: float
    """Spearman's correlation of level and response."""
    line: float
    """R² of the straight line."""
    leak: float
    """Share of all change at level 1 that lies outside the axis's region."""


@dataclass(frozen=True)
class Rise:
    """What the picture shows of an axis."""

    by_level: Floats
    """[5] the reading at each of SEEN_LEVELS against level 0, mean over portraits and positions."""
    error: float
    """Standard error at level 1."""

    @property
    def seen(self) -> bool:
        """The reading goes up with the level, at level 1 beyond doubt."""
        return rank_correlation(SEEN_LEVELS, self.by_level) >= 0.9 and self.by_level[-1] > SURE * self.error


def response(face: Floats, axis: str) -> Response:
    """Of faces [levels, T, 63] at LEVELS. The response is the mean change along its own direction at level 1."""
    change = face - face[0]
    mean = change.mean(1)  # [levels, 63]
    along = mean @ mean[-1]
    outside = np.abs(change[-1][:, ~region(axis)]).sum() / max(float(np.abs(change[-1]).sum()), 1e-9)
    return Response(rank_correlation(LEVELS, along), linearity(LEVELS, along), float(outside))


def rise(judge: Judge, face: Floats, axis: str) -> Rise:
    """Of faces [5, 63] at SEEN_LEVELS."""
    views = np.stack([_readings(judge, portrait, face, axis) for portrait in judge.portraits])  # [portraits, 5, shifts]
    views = views.transpose(0, 2, 1).reshape(-1, len(SEEN_LEVELS))
    views = views - views[:, :1]
    return Rise(views.mean(0).astype(np.float32), float(views[:, -1].std(ddof=1) / len(views) ** 0.5))


def _readings(judge: Judge, portrait: str, face: Floats, axis: str) -> Floats:
    """[5, shifts]"""
    placed = np.repeat(whole(face), len(SHIFTS), 0)
    placed[:, [INDEX["headX"], INDEX["headY"]]] = np.tile(SHIFTS, (len(face), 1))
    seen = SIGHTS[axis].of(judge.watch(portrait, placed).points)
    return np.asarray(seen.reshape(len(face), len(SHIFTS)), np.float32)


@dataclass(frozen=True)
class AxisReport:
    axis: str
    silent: Response
    speaking: Response
    rise: Rise


def examine(driver: NetworkDriver, judge: Judge, said: Utterance) -> list[AxisReport]:
    """Every axis in silence, while `said` is spoken, and in the picture."""
    silence = Utterance(np.zeros(2 * CHUNK, np.float32), SAMPLE_RATE, ())
    out = []
    for axis in AXES:
        still, spoken = (driver.levels(one, axis, LEVELS) for one in (silence, said))
        shown = driver.levels(silence, axis, SEEN_LEVELS)[:, -1]
        out.append(AxisReport(axis, response(still, axis), response(spoken, axis), rise(judge, shown, axis)))
    return out


def axis_table(found: Sequence[AxisReport]) -> str:
    lines = []
    for one in found:
        level = " ".join(f"{value:+.3f}" for value in one.rise.by_level[1:])
        lines.append(
            [one.axis, *_cells(one.silent), *_cells(one.speaking), SIGHTS[one.axis].words, level,
             f"{one.rise.error:.3f}", "✓" if one.rise.seen else "✗"]
        )  # fmt: skip
    header = ["axis", "rank", "R²", "leak", "rank, speaking", "R², speaking", "leak, speaking"]
    return markdown([*header, "seen in the picture", "at 0.25, 0.5, 0.75, 1", "±", ""], lines)


def _cells(response: Response) -> list[str]:
    return [f"{response.rank:.3f}", f"{response.line:.3f}", f"{response.leak:.1%}"]


def summary(found: Sequence[AxisReport]) -> str:
    """The promises, counted."""
    level = sum(one.silent.rank >= 0.98 and one.silent.line >= 0.95 for one in found)
    sealed = sum(one.silent.leak < 0.05 for one in found)
    talking = sum(one.speaking.rank >= 0.98 and one.speaking.line >= 0.95 for one in found)
    seen = sum(one.rise.seen for one in found)
    return markdown(
        ["promise", "kept by", "of"],
        [
            ["level response: rank ≥ 0.98 and R² ≥ 0.95, at rest", str(level), "41"],
            ["the same while speaking", str(talking), "41"],
            ["leak < 5 % at rest", str(sealed), "41"],
            ["rises in the picture (37 wanted)", str(seen), "41"],
        ],
    )
