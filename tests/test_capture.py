"""What the tracker promises: it finds the coefficients and the pose that moved the landmarks, and no others."""

import functools
from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.capture import CaptureError, Tracker, capture
from engine.capture.film import calmest, resampled
from engine.capture.smoothing import smooth
from engine.face import load
from engine.face.coefficients import FACE, INDEX, NAMES
from engine.film import Film
from engine.portrait import default_photo, prepare
from engine.portrait.fit import Geometry, fit_head
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import find_faces
from engine.portrait.photo import load_photo
from engine.renderer import CpuRenderer
from engine.tracks import read_coefficients, rest
from server.cli import main

Floats = npt.NDArray[np.float32]
APART = 60.0  # units between the pupils


@functools.cache
def geometry() -> Geometry:
    photo = load_photo(default_photo("anna"))
    return fit_head(make_frame(photo, find_faces(photo)[0]), load())


def face(**levels: float) -> Floats:
    """[69] by name; a name without a side means both."""
    values = rest()
    for name, level in levels.items():
        values[[INDEX[n] for n in ((name,) if name in INDEX else (name + "Left", name + "Right"))]] = level
    return values


def landmarks(values: Floats) -> Floats:
    """[478, 3] of the fitted head, moved as the renderer moves it; the detector's own depth where nothing moves."""
    head, known = load(), geometry()
    corners = head.triangles[head.landmark_triangle]
    delta = np.tensordot(values[: len(FACE)] - known.source, known.shapes[:, corners], 1)
    depth = np.einsum("lc,lc->l", head.landmark_weights, known.vertices[corners, 2])
    at = np.column_stack([known.landmarks[:, :2], depth]) + np.einsum("lc,lcd->ld", head.landmark_weights, delta)
    yaw, pitch, roll, x, y, scale = values[len(FACE) :]
    turns = [about(1, yaw), about(0, pitch), about(2, roll)]
    moved = scale * (at - known.pivot) @ (turns[2] @ turns[1] @ turns[0]).T + known.pivot + [x * APART, y * APART, 0]
    moved[:, 2] += known.landmarks[:, 2] - depth
    return np.asarray(moved, np.float32)


def about(axis: int, degrees: float) -> npt.NDArray[np.float64]:
    """[3, 3] x right, y down, z to the viewer: yaw brings the nose right, pitch up, roll the crown right."""
    vector = np.zeros(3)
    vector[axis] = np.radians(degrees)
    return np.asarray(cv2.Rodrigues(vector)[0])


def followed(values: Floats) -> Floats:
    tracker = Tracker(geometry(), load(), APART)
    for _ in range(3):  # as in a film: one step after the other
        found = tracker.follow(landmarks(values))
    return found


class TestTracker:
    def test_the_fitted_picture_has_its_own_expression_and_no_pose(self) -> None:
        found = followed(np.concatenate([geometry().source, rest()[len(FACE) :]]))
        assert np.abs(found[: len(FACE)] - geometry().source).max() < 1e-3
        assert np.abs(found - rest())[len(FACE) :].max() < 1e-3

    @pytest.mark.parametrize(
        ("name", "level"), [("jawOpen", 0.5), ("eyeBlink", 1.0), ("browInnerUp", 0.7), ("mouthPucker", 0.8)]
    )
    def test_a_move_is_found_and_no_other(self, name: str, level: float) -> None:
        wanted = face(**{name: level})
        found = followed(wanted)
        moved = wanted[: len(FACE)] > 0
        assert found[: len(FACE)][moved] == pytest.approx(level, abs=0.25)
        assert found[: len(FACE)][~moved].max() < 0.3

    def test_the_pose_is_found_beside_an_expression(self) -> None:
        wanted = face(jawOpen=0.4, headYaw=12, headPitch=-6, headRoll=5, headX=0.2, headY=-0.1, headScale=1.1)
        found = followed(wanted)
        assert found[len(FACE) : len(FACE) + 3] == pytest.approx([12, -6, 5], abs=1)
        assert found[len(FACE) + 3 :] == pytest.approx([0.2, -0.1, 1.1], abs=0.03)

    def test_the_landmarks_are_explained(self) -> None:
        wanted = face(jawOpen=0.3, mouthSmile=0.6, eyeSquint=0.4, browDown=0.5, headYaw=6)
        apart = landmarks(followed(wanted))[:468, :2] - landmarks(wanted)[:468, :2]
        assert np.hypot(*apart.T).mean() < 0.35  # units; 96 lie between the eyes

    def test_coefficients_keep_within_bounds(self) -> None:
        found = followed(face(jawOpen=1.6, mouthSmile=1.5))
        assert found[: len(FACE)].min() >= 0 and found[: len(FACE)].max() <= 1


class TestSmoothing:
    def test_noise_shrinks_and_a_peak_stays(self) -> None:
        random, track = np.random.default_rng(0), np.tile(rest(), (100, 1))
        track[:, 0] = 0.5 + 0.05 * random.standard_normal(100)
        track[:, 1] = 0.4 * np.exp(-(((np.arange(100) - 50) / 3) ** 2))  # a closure's length
        out = smooth(track)
        assert out[5:-5, 0].std() < 0.92 * track[5:-5, 0].std()
        assert out[:, 1].max() > 0.98 * track[:, 1].max() and out[:, 1].argmax() == 50

    def test_a_still_face_stays_as_it_is(self) -> None:
        still = np.tile(face(jawOpen=0.3, headYaw=4), (8, 1))
        assert smooth(still) == pytest.approx(still, abs=1e-6)

    def test_rows_come_25_a_second(self) -> None:
        times = np.arange(31) / 30
        track = np.tile(times[:, None], (1, len(NAMES))).astype(np.float32)
        out = resampled(track, times)
        assert len(out) == 26 and out[:, 3] == pytest.approx(np.arange(26) / 25, abs=1e-6)


class TestFilm:
    def test_what_a_film_shows_is_captured(self, tmp_path: Path) -> None:
        asked = [face(jawOpen=level, headYaw=8 * level) for level in (0, 0, 0.2, 0.4, 0.6, 0.4, 0.2, 0)]
        portrait, renderer = prepare(default_photo("anna")), CpuRenderer(512)
        with Film(tmp_path / "film.mp4", 512, None) as film:
            for values in asked:
                film.add(renderer.render(portrait, values))
        found = capture(tmp_path / "film.mp4").coefficients
        assert len(found) == len(asked)
        for name, least in (("jawOpen", 0.95), ("headYaw", 0.95)):
            column = INDEX[name]
            assert np.corrcoef(found[:, column], np.stack(asked)[:, column])[0, 1] > least

    def test_the_command_writes_a_track_and_its_portrait(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        portrait, renderer = prepare(default_photo("anna")), CpuRenderer(256)
        with Film(tmp_path / "film.mp4", 256, None) as film:
            for level in (0.0, 0.3, 0.6):
                film.add(renderer.render(portrait, face(jawOpen=level)))
        to = ["-o", str(tmp_path / "c.csv"), "--save-portrait", str(tmp_path / "p.png")]
        assert main(["track", str(tmp_path / "film.mp4"), *to]) == 0
        jaw = read_coefficients(tmp_path / "c.csv")[:, INDEX["jawOpen"]]
        assert len(jaw) == 3 and jaw[0] < jaw[1] < jaw[2]
        assert prepare((tmp_path / "p.png").read_bytes()).source[INDEX["jawOpen"]] < 0.1
        assert main(["track", str(tmp_path / "none.mp4"), *to]) == 2
        assert capsys.readouterr().err.count("\n") == 1

    def test_a_film_without_a_face_is_refused(self, tmp_path: Path) -> None:
        with Film(tmp_path / "wall.mp4", 256, None) as film:
            film.add(np.full((256, 256, 3), 128, np.uint8))
        with pytest.raises(CaptureError, match="no face"):
            capture(tmp_path / "wall.mp4")

    def test_what_is_no_film_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "text.mp4").write_text("no film")
        with pytest.raises(CaptureError, match=r"text\.mp4"):
            capture(tmp_path / "text.mp4")

    def test_the_calm_frame_is_the_portrait(self) -> None:
        portrait, renderer = prepare(default_photo("anna")), CpuRenderer(512)
        faces = [find_faces(renderer.render(portrait, v))[0] for v in (face(jawOpen=0.8), face(), face(mouthSmile=1))]
        assert calmest(faces) == 1
