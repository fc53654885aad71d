"""How well a way of repeating clips does: every figure of every clip, and the table of their means."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.evaluation import readings
from engine.evaluation.clips import Clip
from engine.evaluation.kept import Arrays
from engine.evaluation.landmarker import Landmarker
from engine.evaluation.likeness import REGIONS, lip_shape_error, psnr, region_error, ssim, unrest
from engine.evaluation.measures import correlation
from engine.evaluation.reenact import Way, small
from engine.evaluation.tables import markdown
from engine.portrait.landmarks import Rgb

Floats = npt.NDArray[np.floating]

MOVES, BLINKS = 0.05, 0.1  # inter-ocular distances; of the eye's width
SHOWN = slice(4, None, 9)  # frames for sheets
EVERY = 10  # frames: whose face it is does not change from one to the next


@dataclass(frozen=True, eq=False)
class Watched:
    """A clip as drawn, or as filmed, and what the judges see."""

    points: Floats
    """[T, 478, 2] pixels."""
    identity: Floats
    """[T / EVERY, 128] dlib's descriptors."""


@dataclass(frozen=True, eq=False)
class Repeated:
    """A clip drawn by one way, against the true one."""

    psnr: float
    ssim: float
    lip_shape: float
    aperture: float
    """Pearson's correlation over time; nan where the true mouth hardly moves."""
    blink: float
    """The same of the lids' opening."""
    regions: Floats
    """[regions] errors where the landmarks stand."""
    identity: float
    """Mean distance to the true frame of the same moment."""
    person: float
    """Mean distance to the portrait."""
    jitter: float
    """Unrest of the lips over the true one's."""
    face_jitter: float
    """The same of brows, nose and jaw."""
    error: Floats
    """[h, w] mean absolute difference to the true frames."""
    shown: npt.NDArray[np.uint8]
    """[n, h, w, 3] some of its pictures, for sheets."""

    def arrays(self) -> Arrays:
        """To be kept."""
        return {name: np.asarray(value) for name, value in vars(self).items()}

    @classmethod
    def of(cls, kept: Arrays) -> Self:
        """What `arrays` gave."""
        values: dict[str, Any] = {name: value if value.ndim else float(value) for name, value in kept.items()}
        return cls(**values)


class Judges:
    """MediaPipe and dlib. A context."""

    def __init__(self) -> None:
        from engine.evaluation.identity import Recogniser  # so that tables need no dlib

        self._landmarker, self._recogniser = Landmarker(), Recogniser()

    def watch(self, pictures: Sequence[Rgb]) -> Watched:
        points = np.stack([self._landmarker.see(picture).points for picture in pictures])
        told = [self._recogniser.describe(pictures[i], points[i]) for i in range(0, len(pictures), EVERY)]
        return Watched(points, np.stack(told))

    def portrait(self, clip: Clip) -> Floats:
        """[128] who the clip's portrait shows."""
        picture = small(clip.film.frame.picture)
        return self._recogniser.describe(picture, self._landmarker.see(picture).points)

    def close(self) -> None:
        self._landmarker.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def repeat(way: Way, clip: Clip, judges: Judges, true: Watched) -> Repeated:
    """Draws a clip and compares it; `true` is what the judges see in the clip as filmed."""
    pictures = list(way.draw(clip))
    seen = judges.watch(pictures)
    pairs = list(zip(pictures, clip.true, strict=True))
    apart = np.linalg.norm(seen.identity - true.identity, axis=1)
    home = np.linalg.norm(seen.identity - judges.portrait(clip), axis=1)
    lips = unrest(seen.points, "lips") / unrest(true.points, "lips")
    face = np.mean([unrest(seen.points, r) / unrest(true.points, r) for r in ("brows", "nose", "chin and jaw")])
    return Repeated(
        psnr=float(np.mean([psnr(a, b, clip.inside) for a, b in pairs])),
        ssim=float(np.mean([ssim(a, b, clip.inside) for a, b in pairs])),
        lip_shape=float(lip_shape_error(seen.points, true.points).mean()),
        aperture=follows(readings.aperture(seen.points), readings.aperture(true.points), MOVES),
        blink=follows(readings.lids(seen.points), readings.lids(true.points), BLINKS),
        regions=np.array([region_error(seen.points, true.points, region).mean() for region in REGIONS]),
        identity=float(apart.mean()),
        person=float(home.mean()),
        jitter=float(lips),
        face_jitter=float(face),
        error=np.mean([np.abs(a.astype(np.float32) - b).mean(-1) for a, b in pairs], axis=0) * clip.inside,
        shown=np.stack(pictures[SHOWN]),
    )


def follows(seen: Floats, true: Floats, moves: float) -> float:
    """Correlation of two tracks [T]; nan where the true one moves less than `moves`: a shut mouth proves nothing."""
    return correlation(seen, true) if np.ptp(true) >= moves else float("nan")


def _of(name: str) -> Callable[[Repeated], float]:
    return lambda one: float(getattr(one, name))


def _region(index: int) -> Callable[[Repeated], float]:
    return lambda one: float(one.regions[index])


@dataclass(frozen=True)
class Row:
    """One figure of the table."""

    label: str
    of: Callable[[Repeated], float]
    least: float = -np.inf
    most: float = np.inf
    format: str = "{:.3f}"

    @property
    def target(self) -> str:
        if np.isfinite(self.least) and np.isfinite(self.most):
            return f"{self.least:g} … {self.most:g}"
        return f"≥ {self.least:g}" if np.isfinite(self.least) else f"≤ {self.most:g}" if np.isfinite(self.most) else "–"


ROWS = (
    Row("PSNR, dB", _of("psnr"), least=24, format="{:.2f}"),
    Row("SSIM", _of("ssim"), least=0.82),
    Row("lip-shape error", _of("lip_shape"), most=0.03),
    Row("aperture, correlation", _of("aperture"), least=0.93),
    Row("lids' opening, correlation", _of("blink")),
    Row("identity, to the true frame", _of("identity"), most=0.27),
    Row("identity, to the portrait", _of("person")),
    Row("jitter of the lips over the true", _of("jitter"), 0.9, 1.1, "{:.2f}"),
    Row("jitter of brows, nose and jaw", _of("face_jitter"), 0.9, 1.1, "{:.2f}"),
    *(Row(f"landmark error, {name}", _region(i)) for i, name in enumerate(REGIONS)),
)


def table(found: Mapping[str, Sequence[Repeated]]) -> str:
    """Means over clips, a column for each way; only the first way's targets count."""
    lines = []
    for row in ROWS:
        values = [float(np.nanmean([row.of(one) for one in clips])) for clips in found.values()]
        met = "" if row.target == "–" else " ✓" if row.least <= values[0] <= row.most else " ✗"
        lines.append([row.label, row.target, row.format.format(values[0]) + met, *map(row.format.format, values[1:])])
    return markdown(["mean over clips", "target", *found], lines)


def clip_table(names: Sequence[str], ours: Sequence[Repeated]) -> str:
    """The first rows again, clip by clip."""
    rows = ROWS[:9]
    lines = [[name, *(row.format.format(row.of(one)) for row in rows)] for name, one in zip(names, ours, strict=True)]
    return markdown(["clip", *(row.label for row in rows)], lines).replace("nan", "–")


def unrest_table(seen: Mapping[str, Sequence[Floats]]) -> str:
    """How restless landmarks are by region, mean over clips [T, 478, 2]: what a renderer adds to smooth motion."""
    lines = [
        [name, *(f"{np.mean([unrest(points, region) for points in clips]):.4f}" for region in REGIONS)]
        for name, clips in seen.items()
    ]
    return markdown(["jitter, inter-ocular distances", *REGIONS], lines)
