"""Where lips shut that should not: k g n t d whose middle looks shut, beside a true closure and far from any."""

from collections.abc import Sequence

import numpy as np

from engine.cdan.training.phones import BILABIAL
from engine.evaluation.speaking import SHUT, STOPS, Moment, moments
from engine.evaluation.subject import Subject
from engine.evaluation.tables import markdown

BESIDE_S = 0.04  # a frame: so near to a p b m a picture can hardly tell the two apart


def misses_table(ours: Subject, teacher: Subject, conditions: Sequence[str]) -> str:
    """Shut of all, in each condition. What the teacher shuts too is the articulation's doing and the judge's, what
    lies beside a closure is timing; the rest was heard as another phone."""
    lines = []
    for condition in conditions:
        found = stops(ours, condition)
        told = "–" if condition in teacher.skipped else told_shut([m for m, _ in stops(teacher, condition)])
        near, far = ([m for m, away in found if (away < BESIDE_S) == beside] for beside in (True, False))
        by_phone = [told_shut([m for m, _ in found if m.name == name]) for name in sorted(STOPS)]
        lines.append([condition, told_shut([m for m, _ in found]), told, told_shut(near), told_shut(far), *by_phone])
    header = ["condition", "shut", "teacher's", "within 40 ms of a p b m", "elsewhere", *sorted(STOPS)]
    return markdown(header, lines)


def stops(subject: Subject, condition: str) -> list[tuple[Moment, float]]:
    """Each k g n t d, and how many seconds its middle is away from a p b m."""
    out = []
    for one in subject.spoken(condition):
        edges = [e for p in one.said.phones if p.name in BILABIAL for e in (p.start_s, p.end_s)]
        out += [(m, min((abs(m.middle_s - e) for e in edges), default=np.inf)) for m in moments(one) if m.name in STOPS]
    return out


def told_shut(found: Sequence[Moment]) -> str:
    return f"{sum(m.aperture < SHUT for m in found)} of {len(found)}"
