"""The fitted head: what is known of a made-up face is found again, and a real one is met exactly."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from engine.face import Part, load
from engine.face.coefficients import FACE, INDEX
from engine.portrait.default import default_photo
from engine.portrait.fit import Geometry, fit_head
from engine.portrait.frame import EYES_APART, EYES_AT, Frame, make_frame
from engine.portrait.landmarks import BLENDSHAPES, Face, find_faces
from engine.portrait.photo import load_photo
from engine.portrait.solve import bounded, solve

Doubles = npt.NDArray[np.float64]
LIPS = ([81, 82, 13, 312, 311], [178, 87, 14, 317, 402])  # the middle of the slit, upper before lower
LIDS = ([159, 386], [145, 374])


def turn(yaw: float, pitch: float) -> Doubles:
    a, b = np.radians([yaw, -pitch])
    ry = np.array([[np.cos(a), 0, np.sin(a)], [0, 1, 0], [-np.sin(a), 0, np.cos(a)]])
    rx = np.array([[1, 0, 0], [0, np.cos(b), -np.sin(b)], [0, np.sin(b), np.cos(b)]])
    return np.asarray(rx @ ry)


def made_up(units: dict[str, float], rotation: Doubles, seed: int = 1) -> Doubles:
    """[468, 3] landmarks, y up, of somebody with that expression."""
    head = load()
    person = np.random.default_rng(seed).standard_normal(len(head.identity)) * 0.7
    vertices = head.vertices + np.tensordot(person, head.identity, 1)
    for name, level in units.items():
        vertices = vertices + level * head.shapes[INDEX[name]]
    points = head.landmarks(vertices.astype(np.float32))[:468].astype(np.float64)
    return 98 * points @ rotation.T + [256, -215, 0]


def scores(**seen: float) -> dict[str, float]:
    return dict.fromkeys(BLENDSHAPES, 0.0) | seen


@cache
def frame(name: str) -> Frame:
    photo = load_photo(default_photo(name))
    return make_frame(photo, find_faces(photo)[0])


@cache
def fitted(name: str) -> Geometry:
    return fit_head(frame(name), load())


class TestSolve:
    @pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (18, -6), (-12, 9)])
    def test_finds_the_pose(self, yaw: float, pitch: float) -> None:
        found = solve(load(), made_up({}, turn(yaw, pitch)), scores())
        np.testing.assert_allclose(found.rotation, turn(yaw, pitch), atol=0.03)
        assert found.scale == pytest.approx(98, rel=0.03)

    def test_a_face_at_rest_has_no_expression(self) -> None:
        for seed in range(4):
            assert solve(load(), made_up({}, np.eye(3), seed), scores()).source.max() < 0.1

    @pytest.mark.parametrize(
        "units",
        [
            {"jawOpen": 0.5},
            {"mouthSmileLeft": 0.7, "mouthSmileRight": 0.7},
            {"eyeBlinkLeft": 0.6, "eyeBlinkRight": 0.6},
            {"jawOpen": 0.3, "mouthUpperUpLeft": 0.4, "mouthUpperUpRight": 0.4},
        ],
        ids=" ".join,
    )
    def test_finds_an_expression_that_the_detector_believes(self, units: dict[str, float]) -> None:
        found = solve(load(), made_up(units, turn(5, 3)), scores(**dict.fromkeys(units, 0.8)))
        expected = np.array([units.get(name, 0.0) for name in FACE])
        assert np.abs(found.source - expected).max() < 0.2

    def test_doubts_a_smile_that_the_detector_does_not_see(self) -> None:
        smile = {"mouthSmileLeft": 0.3, "mouthSmileRight": 0.3}
        points = made_up(smile, np.eye(3))
        doubted, believed = (solve(load(), points, scores(**dict.fromkeys(smile, s))).source.sum() for s in (0.0, 0.8))
        assert doubted < 0.5 * believed


class TestBoundedLeastSquares:
    def test_meets_the_conditions_of_an_optimum(self) -> None:
        random = np.random.default_rng(3)
        rows, goal = random.standard_normal((40, 9)), random.standard_normal(40)
        gram, target = rows.T @ rows, rows.T @ goal
        low, high = np.full(9, -0.05), np.full(9, 0.08)
        x = bounded(gram, target, low, high)
        slope = gram @ x - target
        free = (x > low) & (x < high)
        assert 0 < free.sum() < 9
        assert np.abs(slope[free]).max() < 1e-6
        assert (slope[x == low] >= 0).all() and (slope[x == high] <= 0).all()


class TestFit:
    @pytest.mark.parametrize("name", ["anna", "zola"])
    def test_meets_the_landmarks(self, name: str) -> None:
        geometry, head = fitted(name), load()
        apart = np.hypot(*(head.landmarks(geometry.vertices)[:468] - geometry.landmarks[:468])[:, :2].T)
        assert apart.mean() < 0.5 and apart.max() < 1.5

    @pytest.mark.parametrize("name", ["anna", "zola"])
    def test_closes_mouth_and_eyes(self, name: str) -> None:
        geometry, head = fitted(name), load()
        at_rest = head.landmarks(geometry.neutral)
        closed = geometry.neutral + sum(geometry.shapes[INDEX[f"eyeBlink{side}"]] for side in ("Left", "Right"))
        lips = at_rest[LIPS[1], 1] - at_rest[LIPS[0], 1]
        lids = (head.landmarks(closed)[LIDS[1]] - head.landmarks(closed)[LIDS[0]])[:, 1]
        opened = (at_rest[LIDS[1]] - at_rest[LIDS[0]])[:, 1]
        assert np.abs(lips).max() < 3
        assert (lids < 0.45 * opened).all()

    def test_is_its_neutral_and_its_expression(self) -> None:
        geometry = fitted("zola")
        expected = geometry.neutral + np.tensordot(geometry.source, geometry.shapes, 1)
        np.testing.assert_allclose(geometry.vertices, expected, atol=1e-2)

    def test_jaw_goes_down_and_brows_up(self) -> None:
        shapes, head = fitted("anna").shapes, load()
        chin = head.triangles[head.landmark_triangle[152]]
        brow = head.triangles[head.landmark_triangle[105]]
        assert shapes[INDEX["jawOpen"], chin, 1].mean() > 10 and shapes[INDEX["browOuterUpRight"], brow, 1].mean() < -3

    def test_eyeballs_lie_behind_their_irises_and_stay_round(self) -> None:
        geometry, head = fitted("anna"), load()
        for part, iris in zip((Part.EYE_LEFT, Part.EYE_RIGHT), geometry.iris, strict=True):
            ball = geometry.vertices[np.unique(head.triangles[head.part == part])]
            middle = (ball.min(0) + ball.max(0)) / 2
            assert np.hypot(*(middle - iris[:3])[:2]) < 8
            width, height = np.ptp(ball, axis=0)[:2]
            assert width == pytest.approx(height, rel=0.1) and iris[3] < width / 2

    def test_nose_is_nearest_and_skull_behind(self) -> None:
        geometry, head = fitted("anna"), load()
        z = head.landmarks(geometry.vertices)[:, 2]
        assert z[[1, 4]].max() == pytest.approx(z[:468].max(), abs=3)
        assert geometry.pivot[2] < z.min()


class TestFrame:
    @pytest.mark.parametrize("name", ["anna", "zola"])
    def test_the_eyes_are_at_their_place(self, name: str) -> None:
        eyes = frame(name).landmarks[[33, 133, 362, 263], :2].reshape(2, 2, 2).mean(1)
        np.testing.assert_allclose(eyes.mean(0), EYES_AT, atol=0.5)
        assert np.linalg.norm(eyes[1] - eyes[0]) == pytest.approx(EYES_APART, rel=0.02)

    @pytest.mark.parametrize(("tilt", "left"), [(5.0, 5.0), (25.0, 8.0), (-30.0, -8.0)])
    def test_only_a_strong_tilt_is_turned_away(self, tilt: float, left: float) -> None:
        face = frame("anna").landmarks * [2, 2, -2]
        cos, sin = np.cos(np.radians(tilt)), np.sin(np.radians(tilt))
        middle = np.append(EYES_AT * 2, 0)
        turned = (face - middle) @ np.array([[cos, sin, 0], [-sin, cos, 0], [0, 0, 1]]) + middle
        photo = np.zeros((1024, 1024, 3), np.uint8)
        points = make_frame(photo, Face(turned.astype(np.float32), 1.0, 1.0)).landmarks
        across = points[[263, 362]].mean(0) - points[[33, 133]].mean(0)
        assert np.degrees(np.arctan2(across[1], across[0])) == pytest.approx(left, abs=0.7)

    def test_texels_lie_where_the_landmarks_say(self) -> None:
        """A white dot in the photo is found at the landmark that marks it."""
        face = frame("anna").landmarks * [3, 3, -3] + np.array([40, 70, 0], np.float32)
        photo = np.zeros((1900, 1800, 3), np.uint8)
        x, y = np.floor(face[1, :2]).astype(int)
        face[1, :2] = [x + 0.5, y + 0.5]
        photo[y - 4 : y + 5, x - 4 : x + 5] = 255
        made = make_frame(photo, Face(face.astype(np.float32), 1.0, 1.0))
        white = made.picture[..., 0].astype(float)
        rows, columns = np.indices(white.shape) + 0.5
        at = np.array([(white * columns).sum(), (white * rows).sum()]) / white.sum() / 2
        np.testing.assert_allclose(at, made.landmarks[1, :2], atol=0.05)

    def test_what_the_photo_does_not_show_is_marked(self) -> None:
        shown = frame("anna").landmarks * [2, 2, -2]
        photo = np.full((1024, 600, 3), 80, np.uint8)
        inside = make_frame(photo, Face(shown.astype(np.float32), 1.0, 1.0)).inside
        assert inside[:, :590].all() and not inside[:, 610:].any()
