"""The head: lids and lips meet, eyes turn, sides mirror, landmarks lie on their contours, units on their sides."""

import numpy as np
import pytest

from engine.face import LES_TO_FACE, Part, load
from engine.face.build_closing import shares
from engine.face.coefficients import ARKIT, FACE, GAZE_DEGREES
from engine.face.draw import IRIS, draw
from engine.les import AXES, ISOLATION

HEAD = load()
REST = HEAD.vertices.astype(np.float64)
LEVELS = np.linspace(0, 1, 11)
PAIRS = [
    (name, name.replace("Left", "Right"))
    for name in FACE
    if name.endswith("Left") and name not in ("jawLeft", "mouthLeft")
]


def shape(name: str) -> np.ndarray:
    out: np.ndarray = HEAD.shapes[FACE.index(name)].astype(np.float64)
    return out


def posed(**levels: float) -> np.ndarray:
    out = REST.copy()
    for name, level in levels.items():
        out += level * shape(name)
    return out


def vertices_of(*parts: Part) -> np.ndarray:
    return np.unique(HEAD.triangles[np.isin(HEAD.part, parts)])


def gap(vertices: np.ndarray, upper: str, lower: str) -> np.ndarray:
    """[N, 3] from the lower edge to each vertex of the upper one, compared at the same share of their lengths."""
    above, below = HEAD.rings[upper], HEAD.rings[lower]
    at, along = shares(REST[above]), shares(REST[below])
    out: np.ndarray = vertices[above] - np.stack([np.interp(at, along, vertices[below, axis]) for axis in range(3)], 1)
    return out


def mirrored() -> np.ndarray:
    """[V] each vertex's partner on the other side; lips that touch are told apart by where the jaw takes them."""
    at = np.concatenate([HEAD.vertices, shape("jawOpen")], 1)
    return np.array([np.argmin(((at * [-1, 1, 1, -1, 1, 1] - point) ** 2).sum(1)) for point in at])


class TestMesh:
    def test_inter_ocular_distance_is_the_unit(self) -> None:
        np.testing.assert_allclose(HEAD.eye_centre, [[0.5, 0, 0], [-0.5, 0, 0]], atol=1e-6)
        for part, centre in ((Part.EYE_LEFT, HEAD.eye_centre[0]), (Part.EYE_RIGHT, HEAD.eye_centre[1])):
            np.testing.assert_allclose(HEAD.vertices[vertices_of(part)].mean(0), centre, atol=0.1)

    def test_every_triangle_and_number_is_sound(self) -> None:
        assert HEAD.triangles.max() == len(HEAD.vertices) - 1 and len(HEAD.part) == len(HEAD.triangles)
        assert set(HEAD.part.tolist()) == set(Part)
        for values in (HEAD.vertices, HEAD.shapes, HEAD.identity, HEAD.uv, HEAD.landmark_weights):
            assert np.isfinite(values).all()

    def test_skin_faces_outwards(self) -> None:
        corners = HEAD.vertices[HEAD.triangles[HEAD.part == Part.SKIN]]
        normal = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        forehead = (abs(corners[..., 0]) < 0.5).all(1) & (corners[..., 1] > 0.4).all(1) & (corners[..., 2] > 0).all(1)
        assert forehead.sum() > 50 and (normal[forehead, 2] > 0).all()

    def test_rings_run_from_right_to_left_and_share_their_ends(self) -> None:
        for upper in ("lips_upper", "lips_outer_upper", "lid_upper_left", "lid_upper_right"):
            above, below = HEAD.rings[upper], HEAD.rings[upper.replace("upper", "lower")]
            assert above[0] == below[0] and above[-1] == below[-1] and not set(above[1:-1]) & set(below)
            assert HEAD.vertices[above[0], 0] < HEAD.vertices[above[-1], 0]
            assert HEAD.vertices[above, 1].mean() > HEAD.vertices[below, 1].mean()

    def test_identity_is_no_pose(self) -> None:
        face = HEAD.vertices[:, 2] > -0.6
        strength = np.linalg.norm(HEAD.identity[:, (REST[:, 1] > -2) & (REST[:, 2] > -0.8)], axis=(1, 2))
        assert len(strength) >= 40 and (np.diff(strength) <= 1e-2).all()
        assert abs(HEAD.identity[:, face].mean(1)).max() < 1e-3
        askew = HEAD.identity[:, mirrored()] * [-1, 1, 1] - HEAD.identity
        assert np.linalg.norm(askew[:, face], axis=2).mean() < 2e-3


class TestLids:
    @pytest.mark.parametrize("side", ["left", "right"])
    def test_a_blink_closes_and_never_crosses(self, side: str) -> None:
        edges = f"lid_upper_{side}", f"lid_lower_{side}"
        opening = gap(HEAD.vertices, *edges)[:, 1].max()
        for level in LEVELS:
            still = gap(posed(**{f"eyeBlink{side.title()}": level}), *edges)[:, 1]
            assert still.min() > -0.01 * opening - 0.001 * (level < 1)
            assert still.max() == pytest.approx((1 - level) * opening, abs=0.01 * opening)
        closed = gap(posed(**{f"eyeBlink{side.title()}": 1.0}), *edges)
        assert np.linalg.norm(closed, axis=1).max() < 0.01 * opening

    def test_nothing_of_the_eyes_is_seen_when_they_are_shut(self) -> None:
        opened, shut = (_whites(posed(eyeBlinkLeft=level, eyeBlinkRight=level)) for level in (0.0, 1.0))
        assert opened > 50 and shut == 0


def _whites(vertices: np.ndarray) -> int:
    """Pixels of the left eye's white in a small drawing around it."""
    irises = HEAD.eye_centre + [0, 0, HEAD.eye_radius]
    near = (abs(REST[:, 1]) < 0.4)[HEAD.triangles].all(1) & (REST[:, 2] > -0.3)[HEAD.triangles].all(1)
    drawn, part = HEAD.triangles[near], HEAD.part[near]
    picture = draw(vertices, REST, drawn, part, HEAD.rings, irises, size=96, centre=(0.5, 0.0), zoom=1.2).astype(int)
    picture = picture[30:66]  # what lies further from the eye has no skin drawn behind its edges
    grey = np.ptp(picture, axis=2) < 12
    return int((grey & (picture.max(2) < 235) & (picture.max(2) > 120)).sum())


class TestMouth:
    def test_lips_touch_at_rest(self) -> None:
        assert np.linalg.norm(gap(HEAD.vertices, "lips_upper", "lips_lower"), axis=1).max() < 0.003

    @pytest.mark.parametrize("level", [0.2, 0.5, 1.0])
    def test_mouth_close_undoes_what_the_jaw_opened(self, level: float) -> None:
        edges = "lips_upper", "lips_lower"
        opened = gap(posed(jawOpen=level), *edges)[:, 1].max()
        closed = np.linalg.norm(gap(posed(jawOpen=level, mouthClose=level), *edges), axis=1).max()
        assert opened > 0.3 * level and closed < 0.02 * opened + 0.003

    def test_the_jaw_takes_lower_teeth_and_tongue_along(self) -> None:
        jaw = shape("jawOpen")
        assert jaw[vertices_of(Part.LOWER_TEETH), 1].max() < -0.1
        assert jaw[vertices_of(Part.TONGUE), 1].mean() < -0.15
        assert not jaw[vertices_of(Part.UPPER_TEETH, Part.EYE_LEFT, Part.EYE_RIGHT)].any()

    def test_the_tongue_comes_out(self) -> None:
        tongue = vertices_of(Part.TONGUE)
        lips = posed(jawOpen=0.25)[HEAD.rings["lips_lower"], 2].max()
        assert HEAD.vertices[tongue, 2].max() < lips < posed(jawOpen=0.25, tongueOut=1)[tongue, 2].max()


class TestGaze:
    @pytest.mark.parametrize("side", ["Left", "Right"])
    @pytest.mark.parametrize(("look", "axis", "sign"), [("Out", 0, 1), ("In", 0, -1), ("Up", 1, 1), ("Down", 1, -1)])
    def test_an_eye_turns_about_its_centre(self, side: str, look: str, axis: int, sign: int) -> None:
        part, centre = (Part.EYE_LEFT, HEAD.eye_centre[0]) if side == "Left" else (Part.EYE_RIGHT, HEAD.eye_centre[1])
        eye, moved = vertices_of(part), posed(**{f"eyeLook{look}{side}": 1.0})
        before, after = HEAD.vertices[eye] - centre, moved[eye] - centre
        np.testing.assert_allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), atol=1e-3)
        front = np.argmax(before[:, 2])
        cosine = before[front] @ after[front] / np.linalg.norm(before[front]) ** 2
        across = np.degrees(np.arccos(cosine))
        assert across == pytest.approx(GAZE_DEGREES[axis], abs=1.5)
        outwards = sign if axis or side == "Left" else -sign
        assert (after - before)[front, axis] * outwards > 0.05

    def test_the_other_eye_stays(self) -> None:
        assert not shape("eyeLookOutLeft")[vertices_of(Part.EYE_RIGHT)].any()


class TestSides:
    def test_left_is_the_persons_own(self) -> None:
        for left, right in PAIRS:
            for name, side in ((left, 1), (right, -1)):
                size = np.linalg.norm(shape(name), axis=1)
                assert (size * HEAD.vertices[:, 0]).sum() * side > 0, name

    def test_right_mirrors_left(self) -> None:
        partner = mirrored()
        for left, right in PAIRS:
            away = shape(left)[partner] * [-1, 1, 1] - shape(right)
            assert np.linalg.norm(away, axis=1).mean() < 2e-3 and abs(away).max() < 0.06, left

    def test_the_two_inner_brows_are_the_whole(self) -> None:
        both = shape("browInnerUpLeft") + shape("browInnerUpRight")
        np.testing.assert_allclose(both, shape("browInnerUp"), atol=2e-3)

    def test_no_shape_is_empty(self) -> None:
        strongest = np.linalg.norm(HEAD.shapes, axis=2).max(1)
        assert strongest.min() > 0.025, FACE[int(np.argmin(strongest))]
        assert len(HEAD.shapes) == len(FACE) == len(ARKIT) + 11


class TestLandmarks:
    def test_each_lies_inside_its_triangle(self) -> None:
        assert HEAD.landmarks().shape == (478, 3)
        assert HEAD.landmark_weights.min() >= -1e-5
        np.testing.assert_allclose(HEAD.landmark_weights.sum(1), 1, atol=1e-5)

    @pytest.mark.parametrize(
        ("ring", "landmarks"),
        [
            ("lips_upper", [78, 81, 13, 311, 308]),
            ("lips_lower", [78, 178, 14, 402, 308]),
            ("lips_outer_lower", [61, 84, 17, 314, 291]),
            ("lid_upper_right", [33, 160, 159, 158, 133]),
            ("lid_lower_left", [362, 380, 374, 373, 263]),
        ],
    )
    def test_contours_lie_on_their_rings(self, ring: str, landmarks: list[int]) -> None:
        for landmark in landmarks:
            used = HEAD.triangles[HEAD.landmark_triangle[landmark]][HEAD.landmark_weights[landmark] > 1e-6]
            assert set(used.tolist()) <= set(HEAD.rings[ring].tolist())

    def test_the_lips_landmarks_part_with_the_lips(self) -> None:
        opened = HEAD.landmarks(posed(jawOpen=0.5).astype(np.float32))
        assert opened[13, 1] - opened[14, 1] > 0.15 and HEAD.landmarks()[13, 1] - HEAD.landmarks()[14, 1] < 0.003

    def test_irises_lie_on_the_eyeballs(self) -> None:
        points = HEAD.landmarks()
        for first, part, centre in ((468, Part.EYE_RIGHT, -0.5), (473, Part.EYE_LEFT, 0.5)):
            assert (HEAD.part[HEAD.landmark_triangle[first : first + 5]] == part).all()
            np.testing.assert_allclose(points[first, :2], [centre, 0], atol=0.01)
            radii = np.linalg.norm(points[first + 1 : first + 5, :2] - points[first, :2], axis=1)
            np.testing.assert_allclose(radii, IRIS, atol=0.01)

    @pytest.mark.parametrize(("right", "left"), [(33, 263), (133, 362), (61, 291), (105, 334), (172, 397), (159, 386)])
    def test_sides_mirror(self, right: int, left: int) -> None:
        points = HEAD.landmarks()
        np.testing.assert_allclose(points[right] * [-1, 1, 1], points[left], atol=0.02)

    def test_the_middle_is_in_the_middle(self) -> None:
        assert abs(HEAD.landmarks()[[1, 4, 9, 13, 14, 17, 152, 168], 0]).max() < 0.01


class TestUnits:
    def test_every_axis_moves_the_face(self) -> None:
        assert LES_TO_FACE.shape == (len(AXES), len(FACE)) == (41, 63)
        moved = np.einsum("ak,kvc->avc", LES_TO_FACE, HEAD.shapes)
        assert np.linalg.norm(moved, axis=2).max(1).min() > 0.025
        assert LES_TO_FACE.min() >= 0 and LES_TO_FACE.max() <= 1

    @pytest.mark.parametrize("axis", ISOLATION)
    def test_a_one_sided_axis_stays_on_its_side(self, axis: str) -> None:
        size = np.linalg.norm(np.einsum("k,kvc->vc", LES_TO_FACE[AXES.index(axis)], HEAD.shapes), axis=1)
        own = HEAD.vertices[:, 0] > 0 if axis.startswith("AUL") else HEAD.vertices[:, 0] < 0
        assert size[own].sum() > 5 * size[~own].sum()

    def test_both_sides_make_the_whole(self) -> None:
        moved = np.einsum("ak,kvc->avc", LES_TO_FACE, HEAD.shapes)
        for axis in ("1", "2", "4", "6", "10", "12", "14"):
            left, right, both = (moved[AXES.index(name)] for name in (f"AUL{axis}", f"AUR{axis}", f"AU{axis}"))
            np.testing.assert_allclose(left + right, both, atol=2e-3)

    def test_lips_part_then_the_jaw_drops_then_the_mouth_stretches(self) -> None:
        def opening(axis: str) -> float:
            vertices = HEAD.vertices + np.einsum("k,kvc->vc", LES_TO_FACE[AXES.index(axis)], HEAD.shapes)
            return float(gap(vertices, "lips_upper", "lips_lower")[:, 1].max())

        assert 0.02 < opening("AU25") < opening("AU26") < 0.6 * opening("AU27")
