"""A point of the Linear Emotion Space, written and read as text, as JSON and as numbers."""

import difflib
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from engine.les.axes import AXES, EMOTIONS

_POSITION = {axis: i for i, axis in enumerate(AXES)}


class LesError(ValueError):
    """A name or a level that the space does not have; the message says which and what would do."""


@dataclass(frozen=True)
class Les:
    """41 activations in [0, 1], in the order of `AXES`. The origin is the neutral face."""

    values: tuple[float, ...] = (0.0,) * len(AXES)

    def __post_init__(self) -> None:
        if len(self.values) != len(AXES):
            raise LesError(f"a vector has {len(AXES)} values, not {len(self.values)}")
        for axis, value in zip(AXES, self.values, strict=True):
            _check(axis, value)

    @classmethod
    def of(cls, units: Mapping[str, float] | None = None, emotion: Mapping[str, float] | None = None) -> Self:
        """Units by their activation and emotions by their level, summed and clipped; LesError for what is unknown."""
        total = np.zeros(len(AXES))
        for name, level in (emotion or {}).items():
            for axis, peak in EMOTIONS[_known(name, EMOTIONS, "emotion")].items():
                total[_POSITION[axis]] += _check(name, level) * peak
        for name, level in (units or {}).items():
            total[_POSITION[_known(name, AXES, "unit")]] += _check(name, level)
        return cls.clipped(total)

    @classmethod
    def clipped(cls, values: npt.ArrayLike) -> Self:
        """Any 41 finite numbers, each clipped to [0, 1]."""
        return cls(tuple(np.clip(np.asarray(values, np.float64), 0, 1).tolist()))

    def __add__(self, other: "Les") -> "Les":
        return Les.clipped(np.add(self.values, other.values))

    def units(self) -> dict[str, float]:
        """The axes that are not zero."""
        return {axis: value for axis, value in zip(AXES, self.values, strict=True) if value}

    def array(self) -> npt.NDArray[np.float32]:
        """[41]"""
        return np.array(self.values, np.float32)

    def __str__(self) -> str:
        """What `parse` reads back to an equal vector."""
        return ", ".join(f"{axis}={value!r}" for axis, value in self.units().items())


def parse(text: str) -> Les:
    """`"happiness=0.6, AU4=0.2"`: emotions and units in any order, each at most once; the empty text is neutral."""
    levels: dict[str, float] = {}
    for item in filter(None, (item.strip() for item in text.split(","))):
        name, equals, level = (part.strip() for part in item.partition("="))
        if not equals:
            raise LesError(f"{item!r} must be name=level, for example happiness=0.6")
        if name in levels:
            raise LesError(f"{name} stands twice")
        levels[name] = _number(name, level)
    return of_mixed(levels)


def of_mixed(levels: Mapping[str, float]) -> Les:
    """Emotions and units in one mapping."""
    for name in levels:
        _known(name, (*EMOTIONS, *AXES), "emotion or unit")
    emotion = {name: level for name, level in levels.items() if name in EMOTIONS}
    return Les.of({name: level for name, level in levels.items() if name not in EMOTIONS}, emotion)


def parse_json(data: Mapping[str, Any]) -> Les:
    """`{"emotion": {"happiness": 0.6}, "units": {"AU4": 0.2}}`, either may be absent; other keys are errors."""
    if unknown := sorted(data.keys() - {"emotion", "units"}):
        raise LesError(f"unknown key {unknown[0]!r}: emotion and units are known")
    parts = {key: data.get(key, {}) for key in ("units", "emotion")}
    for key, part in parts.items():
        if not isinstance(part, Mapping):
            raise LesError(f"{key} must be an object of names and levels")
    return Les.of(parts["units"], parts["emotion"])


def _known(name: str, names: Iterable[str], kind: str) -> str:
    names = list(names)
    if name in names:
        return name
    close = difflib.get_close_matches(name, names, 1, 0.5) or difflib.get_close_matches(name.upper(), names, 1, 0.5)
    hint = f"did you mean {close[0]}?" if close else f"known are {', '.join(names[:8])}, ..."
    raise LesError(f"there is no {kind} {name!r}: {hint}")


def _number(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise LesError(f"{name}={text}: the level must be a number from 0 to 1") from None


def _check(name: str, level: Any) -> float:
    fits = isinstance(level, int | float) and not isinstance(level, bool) and math.isfinite(level) and 0 <= level <= 1
    if not fits:
        raise LesError(f"{name}={level}: the level must be a number from 0 to 1")
    return float(level)
