"""Lips against the phones that are heard: what each phone looks like, closures, rounding, lag, jitter."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from engine.cdan.training.phones import BILABIAL, CONSONANTS, PAUSE, VOWELS
from engine.cdan.training.voices import Utterance
from engine.evaluation import readings
from engine.evaluation.drivers import Driver
from engine.evaluation.judges import Judge, Watched
from engine.evaluation.measures import Figure, auc, bootstrapped, correlation, peak, share, spikes
from engine.les import Les
from engine.tracks import rest
from engine.units import FPS

Floats = npt.NDArray[np.floating]

SHUT = 0.03  # inter-ocular distances: the lips of p b m
OPEN_VOWELS = frozenset({"aa", "ae", "ah", "ao", "aw", "ay", "eh"})
OTHERS = frozenset(CONSONANTS) - BILABIAL
STOPS = frozenset({"k", "g", "n", "t", "d"})
ROUNDED, SPREAD = frozenset({"uw", "ow", "w", "ao"}), frozenset({"iy", "ey"})

CLASSES: Mapping[str, frozenset[str]] = {
    "p b m": BILABIAL,
    "f v": frozenset("fv"),
    "th dh": frozenset({"th", "dh"}),
    "s z": frozenset("sz"),
    "sh zh ch jh": frozenset({"sh", "zh", "ch", "jh"}),
    "t d n l": frozenset("tdnl"),
    "k g ng": frozenset({"k", "g", "ng"}),
    "r": frozenset("r"),
    "w": frozenset("w"),
    "uw uh": frozenset({"uw", "uh"}),
    "ow ao oy": frozenset({"ow", "ao", "oy"}),
    "iy ih ey": frozenset({"iy", "ih", "ey"}),
    "er ax": frozenset({"er", "ax"}),
    "aa ae ah eh ay aw": OPEN_VOWELS - {"ao"},
}
"""Phones that look alike."""

OPENNESS: Mapping[str, float] = (
    dict.fromkeys(VOWELS, 0.6)
    | dict.fromkeys(OPEN_VOWELS, 1.0)
    | dict.fromkeys(("iy", "uw"), 0.4)
    | dict.fromkeys(CONSONANTS, 0.3)
    | dict.fromkeys("fv", 0.1)
    | dict.fromkeys(BILABIAL, 0.0)
    | {PAUSE: 0.0}
)
"""How far a mouth opens for each phone, by the height of vowels: the yardstick of the lag, no model of ours."""
FINE = 8
LAGS = np.arange(-40.0, 41.0)  # FINE of them a frame


@dataclass(frozen=True, eq=False)
class Spoken:
    """A sentence, and what the judge read off the face that spoke it."""

    said: Utterance
    portrait: str
    aperture: Floats
    """[T]"""
    width: Floats
    """[T]"""
    rest_aperture: float
    """Of the portrait without speech and emotion, as the same judge reads it."""
    rest_width: float

    @property
    def times(self) -> Floats:
        """[T] seconds: the middle of each frame's showing."""
        return (np.arange(len(self.aperture)) + 0.5) / FPS


@dataclass(frozen=True)
class Moment:
    """One phone as the judge saw it."""

    name: str
    middle_s: float
    aperture: float
    """At the phone's middle, between frames interpolated."""
    least: float
    """The smallest within the phone."""
    width: float
    """At the middle, against the portrait's at rest."""
    opened: float
    """`aperture` against the portrait's at rest."""


def speak(driver: Driver, judge: Judge, said: Sequence[Utterance], les: Les) -> list[Spoken]:
    """Every sentence by one of the judge's portraits in turn."""
    faces = driver.drive(said, les)
    neutral = {name: judge.watch(name, rest()[None]) for name in judge.portraits}
    out = []
    for i, (one, face) in enumerate(zip(said, faces, strict=True)):
        portrait = judge.portraits[i % len(judge.portraits)]
        out.append(observed(one, portrait, judge.watch(portrait, whole(face)), neutral[portrait]))
    return out


def observed(said: Utterance, portrait: str, seen: Watched, neutral: Watched) -> Spoken:
    still = float(readings.aperture(neutral.points)[0]), float(readings.width(neutral.points)[0])
    return Spoken(said, portrait, readings.aperture(seen.points), readings.width(seen.points), *still)


def whole(face: Floats) -> npt.NDArray[np.float32]:
    """[T, 63] -> [T, 69] with the head at rest; [T, 69] as they are."""
    out = np.tile(rest(), (len(face), 1))
    out[:, : face.shape[1]] = face
    return out


def moments(spoken: Spoken) -> Iterator[Moment]:
    for phone in spoken.said.phones:
        if phone.name == PAUSE or phone.end_s > spoken.times[-1]:
            continue
        middle = 0.5 * (phone.start_s + phone.end_s)
        aperture, width = (float(np.interp(middle, spoken.times, v)) for v in (spoken.aperture, spoken.width))
        within = np.interp(np.linspace(phone.start_s, phone.end_s, 9), spoken.times, spoken.aperture)
        least, wider, opened = float(within.min()), width - spoken.rest_width, aperture - spoken.rest_aperture
        yield Moment(phone.name, middle, aperture, least, wider, opened)


Sample = tuple[int, Moment]


def gather(spoken: Sequence[Spoken]) -> list[Sample]:
    """All phones, each with its sentence's number."""
    return [(i, moment) for i, one in enumerate(spoken) for moment in moments(one)]


def separation(found: Sequence[Sample], higher: frozenset[str], lower: frozenset[str], of: str) -> Figure:
    """AUC of a reading between two classes of phones."""

    def ranked(some: list[Moment]) -> float:
        by = [[getattr(m, of) for m in some if m.name in names] for names in (higher, lower)]
        return auc(*by)

    kept = [sample for sample in found if sample[1].name in higher | lower]
    return bootstrapped(kept, ranked, sum(m.name in lower for _, m in kept))


def shut(found: Sequence[Sample], names: frozenset[str], of: str) -> Figure:
    """Share of the phones whose reading is under SHUT."""
    kept = [(i, getattr(m, of) < SHUT) for i, m in found if m.name in names]
    return bootstrapped(kept, share)


def lag_ms(spoken: Sequence[Spoken]) -> Figure:
    """How much later than the phones the lips open, from the mean over sentences of the correlation at each lag;
    negative: the lips lead."""
    curves = [(i, np.array([_match(one, lag / FINE) for lag in LAGS])) for i, one in enumerate(spoken)]
    return bootstrapped(curves, lambda some: 1000 / FPS / FINE * peak(LAGS, np.mean(some, axis=0)))


def _match(spoken: Spoken, lag: float) -> float:
    edge = -int(LAGS[0]) // FINE  # frames that every lag has a partner for
    return correlation(openness(spoken, lag)[edge:-edge], spoken.aperture[edge:-edge])


def openness(spoken: Spoken, lag: float = 0.0) -> Floats:
    """[T] what the phones ask for, `lag` frames later: the mean over each frame's showing."""
    t = ((np.arange(len(spoken.aperture) * FINE) + 0.5) / FINE - lag) / FPS
    asked = np.zeros(len(t))
    for phone in spoken.said.phones:
        asked[(t >= phone.start_s) & (t < phone.end_s)] = OPENNESS[phone.name]
    return np.asarray(asked.reshape(-1, FINE).mean(1))


def jitter(spoken: Sequence[Spoken]) -> Figure:
    """Single-frame spikes of the aperture where no p b m is near, which are spikes by right."""
    each = [(i, spikes(one.aperture, _calm(one))) for i, one in enumerate(spoken)]
    return bootstrapped([(i, v) for i, v in each if not np.isnan(v)], lambda some: float(np.mean(some)))


def _calm(spoken: Spoken) -> npt.NDArray[np.bool_]:
    near = 0.06
    calm = np.ones(len(spoken.aperture), np.bool_)
    for phone in spoken.said.phones:
        if phone.name in BILABIAL:
            calm &= (spoken.times < phone.start_s - near) | (spoken.times > phone.end_s + near)
    return calm


REST = 0.01  # of the aperture at rest


def rest_ms(spoken: Sequence[Spoken], percent: float) -> Figure:
    """From the end of the last phone until the lips are at rest for good; a percentile over sentences."""
    times = [(i, _settled(one)) for i, one in enumerate(spoken)]
    return bootstrapped(times, lambda some: float(np.percentile(some, percent)))


def _settled(spoken: Spoken) -> float:
    end = max(phone.end_s for phone in spoken.said.phones if phone.name != PAUSE)
    away = np.flatnonzero(np.abs(spoken.aperture - spoken.rest_aperture) > REST)
    return 1000 * max(0.0, (int(away[-1]) + 1) / FPS - end) if len(away) else 0.0


def by_class(found: Sequence[Sample], of: str) -> dict[str, list[float]]:
    return {label: [getattr(m, of) for _, m in found if m.name in names] for label, names in CLASSES.items()}


def opening(spoken: Iterable[Spoken]) -> float:
    """Mean aperture above rest while there is speech."""
    total: list[float] = []
    for one in spoken:
        speech = openness(one) > 0
        total += list(one.aperture[speech] - one.rest_aperture)
    return float(np.mean(total))
