"""Coefficient and emotion tracks: what is written is read back, and a mistake is named with its place."""

import json
from pathlib import Path

import numpy as np
import pytest

from engine.face.coefficients import INDEX, NAMES
from engine.les import AXES, Les
from engine.tracks import (
    EmotionEvent,
    TrackError,
    add_source,
    read_coefficients,
    read_emotions,
    rest,
    write_coefficients,
    write_units,
)


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


class TestCoefficients:
    def test_round_trip(self, tmp_path: Path) -> None:
        frames = np.random.default_rng(0).uniform(0.1, 1, (30, len(NAMES))).astype(np.float32)
        with (tmp_path / "c.csv").open("w", newline="") as file:
            write_coefficients(file, frames)
        np.testing.assert_allclose(read_coefficients(tmp_path / "c.csv"), frames, rtol=1e-4)

    def test_a_track_may_begin_late(self, tmp_path: Path) -> None:
        frames = read_coefficients(write(tmp_path / "c.csv", "time,jawOpen", "8.2,0", "8.24,0.5"))
        np.testing.assert_array_equal(frames[:, INDEX["jawOpen"]], [0, 0.5])

    def test_absent_columns_are_at_rest_and_order_is_free(self, tmp_path: Path) -> None:
        frames = read_coefficients(write(tmp_path / "c.csv", "time,jawOpen,eyeBlinkLeft", "0,0.5,1", "0.04,0.25,0"))
        assert frames.shape == (2, 69)
        np.testing.assert_array_equal(frames[:, INDEX["jawOpen"]], [0.5, 0.25])
        np.testing.assert_array_equal(frames[:, INDEX["headScale"]], [1, 1])
        assert frames.sum() == 2 + 0.75 + 1

    def test_relative_ones_lie_on_the_portraits_own_expression(self) -> None:
        source = np.full(63, 0.25, np.float32)
        absolute = add_source(rest(), source)
        np.testing.assert_array_equal(absolute[:63], source)
        np.testing.assert_array_equal(absolute[63:], rest()[63:])

    @pytest.mark.parametrize(
        ("lines", "words"),
        [
            (["jawOpen", "0"], "must begin with the header time"),
            ([""], "must begin with the header time"),
            (["time,jaw", "0,0"], "names no coefficient of the face: jaw"),
            (["time,jawOpen,jawOpen", "0,0,0"], "a column twice"),
            (["time,jawOpen"], "no rows"),
            (["time,jawOpen", "0,0", "0.04"], "line 3: 1 values for 2 columns"),
            (["time,jawOpen", "0,wide"], "line 2, jawOpen: 'wide' is no number"),
            (["time,jawOpen", "0,nan"], "line 2, jawOpen: 'nan' is no number"),
            (["time,headScale", "0,1", "0.04,0"], "line 3, headScale: 0 is outside 0.1 to 10"),
            (["time,headYaw", "0,-120"], "line 2, headYaw: -120 is outside -90 to 90"),
            (["time,jawOpen", "0,40"], "line 2, jawOpen: 40 is outside -1 to 1"),
            (["time,jawOpen", "0,0", "0.0167,0"], "line 3: time 0.0167 where 0.04 comes next; resample"),
            (["time,jawOpen", "now,0"], "line 2, time: 'now' is no number"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, lines: list[str], words: str) -> None:
        with pytest.raises(TrackError, match=words):
            read_coefficients(write(tmp_path / "c.csv", *lines))


class TestUnits:
    def test_every_axis_has_a_column(self, tmp_path: Path) -> None:
        with (tmp_path / "u.csv").open("w", newline="") as file:
            write_units(file, [Les(), Les.of({"AU4": 0.2})])
        header, rest, frown = (tmp_path / "u.csv").read_text().splitlines()
        assert header.split(",") == ["time", *AXES]
        assert rest.split(",") == ["0.00", *["0"] * 41]
        assert frown.split(",") == ["0.04", *("0.2" if axis == "AU4" else "0" for axis in AXES)]


class TestEmotions:
    def test_events_come_in_order_of_time(self, tmp_path: Path) -> None:
        later = {"time": 2, "emotion": {"anger": 1}, "transition_ms": 0, "hold_ms": 500}
        path = write(tmp_path / "t.jsonl", json.dumps(later), "", '{"time": 0.5, "units": {"AU4": 0.2}}')
        assert read_emotions(path) == [
            EmotionEvent(0.5, Les.of({"AU4": 0.2}), 0.3),
            EmotionEvent(2.0, Les.of(emotion={"anger": 1}), 0.0, hold_s=0.5),
        ]

    @pytest.mark.parametrize(
        ("line", "words"),
        [
            ("{", "line 1: no JSON object"),
            ('{"time": 0, "hold_ms": -1}', "hold_ms not negative"),
            ("[]", "no JSON object"),
            ("[" * 100_000, "line 1: maximum recursion"),
            ('{"emotion": {}}', "'time' is missing"),
            ('{"time": 0, "units": {"AU3": 1}}', "AU3"),
            ('{"time": 0, "mood": {}}', "unknown key 'mood'"),
            ('{"time": NaN}', "finite"),
            ('{"time": 0, "transition_ms": -1}', "not negative"),
        ],
    )
    def test_mistakes_are_named(self, tmp_path: Path, line: str, words: str) -> None:
        with pytest.raises(TrackError, match=words):
            read_emotions(write(tmp_path / "t.jsonl", line))
