"""Coefficient and emotion tracks as files: a row a frame, a line an event; times in seconds, public names."""

import csv
import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import numpy.typing as npt

from engine.face.coefficients import HEAD, INDEX, NAMES
from engine.les import AXES, Les, LesError, parse_json
from engine.units import FPS

Coefficients = npt.NDArray[np.float32]


_FACE_RANGE = (-1.0, 1.0)  # below 0 where values are relative to a portrait's own expression
_HEAD_RANGES = dict(zip(HEAD, [(-90.0, 90.0)] * 3 + [(-10.0, 10.0)] * 2 + [(0.1, 10.0)], strict=True))


class TrackError(ValueError):
    """A track file that can't be used; the message says where and why."""


def rest() -> Coefficients:
    """[69] the face at rest: zeros, and a head scale of 1."""
    values = np.zeros(len(NAMES), np.float32)
    values[INDEX["headScale"]] = 1
    return values


def read_coefficients(path: Path) -> Coefficients:
    """[frames, 69] from a CSV with the header `time,<name>,...` and 25 rows a second; absent columns are at rest.

    TrackError, with its line, for a value outside what its name can mean, or a time that lies elsewhere.
    """
    rows = csv.reader(_text(path).splitlines())
    names = _columns(next(rows, []), path)
    frames: list[Coefficients] = []
    begin = 0.0
    for row in filter(None, rows):
        where = f"{path.name}, line {rows.line_num}"
        values = _row(row, names, where)
        time_s = _number(row[0], f"{where}, time")
        begin = begin if frames else time_s
        _check_time(time_s, begin + len(frames) / FPS, where)
        frames.append(values)
    if not frames:
        raise TrackError(f"{path.name} has no rows below its header")
    return np.stack(frames)


def _check_time(time_s: float, expected: float, where: str) -> None:
    if abs(time_s - expected) > 0.5 / FPS:
        raise TrackError(f"{where}: time {time_s:g} where {expected:g} comes next; resample it to {FPS} rows a second")


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise TrackError(f"{path.name} is no text file") from None


def _columns(header: Sequence[str], path: Path) -> list[str]:
    names = [name.strip() for name in header]
    if not names or names[0] != "time":
        raise TrackError(f"{path.name} must begin with the header time,<coefficient name>,...")
    if unknown := [name for name in names[1:] if name not in INDEX]:
        raise TrackError(f"{path.name} names no coefficient of the face: {', '.join(unknown[:3])}")
    if len(set(names)) != len(names):
        raise TrackError(f"{path.name} names a column twice")
    return names


def _row(row: Sequence[str], names: Sequence[str], where: str) -> Coefficients:
    if len(row) != len(names):
        raise TrackError(f"{where}: {len(row)} values for {len(names)} columns")
    values = rest()
    for name, text in zip(names[1:], row[1:], strict=True):
        low, high = _HEAD_RANGES.get(name, _FACE_RANGE)
        value = _number(text, f"{where}, {name}")
        if not low <= value <= high:
            raise TrackError(f"{where}, {name}: {text} is outside {low:g} to {high:g}")
        values[INDEX[name]] = value
    return values


def _number(text: str, where: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise TrackError(f"{where}: {text!r} is no number")
    return value


def write_coefficients(file: TextIO, frames: Iterable[Coefficients]) -> None:
    """The CSV that `read_coefficients` reads."""
    _write_rows(file, NAMES, frames)


def write_units(file: TextIO, frames: Iterable[Les]) -> None:
    """The Linear Emotion Space's vector of every frame: the header `time,AU1,...`, 41 axes from 0 to 1."""
    _write_rows(file, AXES, (frame.array() for frame in frames))


def _write_rows(file: TextIO, names: Sequence[str], frames: Iterable[npt.NDArray[np.float32]]) -> None:
    out = csv.writer(file, lineterminator="\n")
    out.writerow(["time", *names])
    for i, frame in enumerate(frames):
        out.writerow([f"{i / FPS:.2f}", *(f"{value:.5g}" for value in frame)])


@dataclass(frozen=True)
class EmotionEvent:
    """A change of the emotion at a time."""

    time_s: float
    target: Les
    transition_s: float
    hold_s: float | None = None
    """Afterwards it eases back; None: it stays."""


def read_emotions(path: Path) -> list[EmotionEvent]:
    """One JSON object a line, in order of time; the fields are those of the protocol's `emotion.set`.

    `{"time": 1.5, "emotion": {"happiness": 0.6}, "units": {"AU4": 0.2}, "transition_ms": 300, "hold_ms": 2000}`
    """
    lines = _text(path).splitlines()
    events = [_event(line, f"{path.name}, line {i}") for i, line in enumerate(lines, 1) if line.strip()]
    return sorted(events, key=lambda event: event.time_s)


def _event(line: str, where: str) -> EmotionEvent:
    try:
        data = json.loads(line)
        if not isinstance(data, dict):
            raise TypeError("no JSON object")
        time_s, transition_ms = float(data.pop("time")), float(data.pop("transition_ms", 300))
        hold_ms = float(data.pop("hold_ms")) if "hold_ms" in data else None
        if not (math.isfinite(time_s) and 0 <= transition_ms < math.inf and 0 <= (hold_ms or 0) < math.inf):
            raise ValueError("times must be finite, transition_ms and hold_ms not negative")
        return EmotionEvent(time_s, parse_json(data), transition_ms / 1000, None if hold_ms is None else hold_ms / 1000)
    except json.JSONDecodeError as error:
        raise TrackError(f"{where}: no JSON object ({error})") from None
    except KeyError as error:
        raise TrackError(f"{where}: {error} is missing") from None
    except (LesError, TypeError, ValueError, RecursionError) as error:
        raise TrackError(f"{where}: {error}") from None


def add_source(frame: Coefficients, source: Coefficients) -> Coefficients:
    """[69] a frame given relative to the portrait's own expression `source` [63], as an absolute one."""
    absolute = frame.copy()
    absolute[: len(source)] += source
    return absolute
