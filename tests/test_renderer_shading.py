"""What light does: it is found from skin, folds come and go with the expression, and a head turns under it."""

import functools
from collections.abc import Mapping

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.face import load
from engine.face.coefficients import FACE, INDEX, NAMES
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.portrait.folds import FOLDS, heights, lined
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import find_faces
from engine.portrait.layers_layout import SHADE, SHADE_ORIGIN
from engine.portrait.light import GAMMA, fit_light, unit, vertex_normals
from engine.portrait.photo import load_photo
from engine.portrait.shading import BRIGHTNESS, tint
from engine.renderer import CpuRenderer

Floats = npt.NDArray[np.float32]


@functools.cache
def portrait(who: str = "anna") -> Portrait:
    return prepare(default_photo(who))


@functools.cache
def renderer() -> CpuRenderer:
    return CpuRenderer(512)


@functools.cache
def landmarks(who: str = "anna") -> Floats:
    """[478, 2] of the photo, in units."""
    photo = load_photo(default_photo(who))
    return make_frame(photo, find_faces(photo)[0]).landmarks[:, :2]


def face(levels: Mapping[str, float] = {}) -> Floats:  # noqa: B006 (never written to)
    """Coefficients by name; a name without a side means both."""
    values = np.zeros(len(NAMES), np.float32)
    values[INDEX["headScale"]] = 1
    for name, level in levels.items():
        values[[INDEX[n] for n in ((name,) if name in INDEX else (name + "Left", name + "Right"))]] = level
    return values


def gain(of: Portrait, **levels: float) -> Floats:
    """[rows, cols] how much brighter green is."""
    shade: Floats = renderer().fields(of, face(levels))["shade"][0, 1]
    return shade


def near(shade: Floats, *points: int, who: str = "anna", reach: int = 3) -> Floats:
    """The values within `reach` cells of the middle of some landmarks."""
    column, row = ((landmarks(who)[list(points)].mean(0) - SHADE_ORIGIN) / SHADE.cell).astype(int)
    return shade[row - reach : row + reach + 1, column - reach : column + reach + 1]


class TestLight:
    WAY = unit(np.array([-0.5, -0.6, 0.7], np.float32))

    def ball(self) -> tuple[Floats, Floats]:
        """Normals [96, 96, 3] of half a ball, and its values under a lamp with a quarter of its light all around."""
        x, y = np.meshgrid(*2 * [np.linspace(-0.65, 0.65, 96, dtype=np.float32)])
        normals = unit(np.stack([x, y, np.sqrt(1 - x * x - y * y)], -1))
        lit = 0.1 + 0.4 * np.maximum(normals @ self.WAY, 0)
        return normals, (lit ** (1 / GAMMA)).astype(np.float32)

    def test_known_light_is_found_in_spite_of_hair_and_shine(self) -> None:
        normals, values = self.ball()
        seen = values.copy()
        seen[:20], seen[40:50, 40:60] = 0.05, 1.0
        light = fit_light(seen, normals, np.ones(seen.shape, bool))
        clear = np.ones(seen.shape, bool)
        clear[:20] = clear[40:50, 40:60] = False
        assert np.abs(light.log(normals) - np.log(values))[clear].mean() < 0.04

    def test_skin_that_turns_to_the_lamp_grows_brighter(self) -> None:
        normals, values = self.ball()
        light = fit_light(values, normals, np.ones(values.shape, bool))
        ahead = np.array([0, 0, 1], np.float32)
        assert light.change(ahead, ahead + 0.3 * self.WAY) > 0.03
        assert light.change(ahead, ahead - 0.3 * self.WAY) < -0.03

    def test_normals_point_to_the_viewer(self) -> None:
        head = load()
        shown = head.vertices * np.array([1, -1, 1], np.float32)
        normals = vertex_normals(shown, head.triangles)
        np.testing.assert_allclose(np.linalg.norm(normals[head.triangles[0]], axis=-1), 1, atol=1e-5)
        nose = normals[head.triangles[head.landmark_triangle[4]]].mean(0)
        assert nose[2] > 0.8


class TestFolds:
    def test_every_fold_and_its_mirror_image_lie_on_the_face(self) -> None:
        points, at = SHADE.centres(SHADE_ORIGIN), np.pad(landmarks(), ((0, 0), (0, 1)))
        symmetric = load().landmarks()
        mirror = np.linalg.norm(symmetric[:, None] * [-1, 1, 1] - symmetric, axis=-1).argmin(1)
        for fold in FOLDS:
            drawn = list(heights(fold, at, mirror, points))
            assert len(drawn) == (1 if fold.central else 2)
            for height, shares in drawn:
                assert np.abs(height).max() > 0.5 * abs(fold.depth)
                assert shares.max() > 0
            if not fold.central:
                middles = [np.average(points[..., 0], weights=np.abs(height)) for height, _ in drawn]
                assert middles[0] < landmarks()[168, 0] < middles[1]

    @pytest.mark.parametrize("who", default_names())
    @pytest.mark.parametrize(
        ("name", "at"),
        [
            ("browDown", (9, 107)),
            ("mouthSmile", (206, 216)),
            ("noseSneer", (129, 203)),
            ("mouthFrown", (43, 202)),
            ("mouthShrugLower", (18, 200)),
            ("cheekSquint", (230,)),
        ],
    )
    def test_an_expression_folds_its_skin(self, who: str, name: str, at: tuple[int, ...]) -> None:
        crease = near(gain(portrait(who), **{name: 1}), *at, who=who, reach=5)
        assert crease.min() < 0.95
        assert np.ptp(crease) > 0.06

    @pytest.mark.parametrize("who", default_names())
    def test_a_raised_brow_folds_a_forehead_softly(self, who: str) -> None:
        assert near(gain(portrait(who), browInnerUp=1), 151, 9, who=who, reach=10).min() < 0.98

    def test_a_forehead_is_as_lined_as_its_picture(self) -> None:
        at = load().landmarks()
        at = (at - at.mean(0)) * [1, -1, 1] * 100 + 256
        row, col = np.mgrid[:1024, :1024]

        def found(along: npt.NDArray[np.int64], depth: float) -> float:
            tone = 160 * np.exp(depth * np.sin(along * np.pi / 12))
            return lined(np.repeat(tone.astype(np.uint8)[..., None], 3, -1), at.astype(np.float32))

        assert found(row, 0) == 0 and found(col, 0.05) == 0
        assert 0 < found(row, 0.01) < found(row, 0.05) == 1

    def test_a_one_sided_expression_folds_one_side(self) -> None:
        shade = gain(portrait(), mouthSmileRight=1)
        assert near(shade, 206, 216).min() < 0.95
        assert np.abs(near(shade, 426, 436) - 1).max() < 0.02

    def test_at_rest_nothing_changes(self) -> None:
        assert np.abs(gain(portrait()) - 1).max() < 0.02 + 0.2 * np.abs(portrait().source).max()

    def test_however_many_meet_skin_stays_skin(self) -> None:
        shade = renderer().fields(portrait(), face({name: 1.0 for name in FACE}))["shade"][0]
        brightness = np.tensordot(BRIGHTNESS, shade, 1)
        assert 0.49 < brightness.min() < brightness.max() < 2.01

    def test_a_shadow_keeps_the_skins_own_hue(self) -> None:
        """Red falls least and blue most."""
        for red, green, blue in (portrait(name).layers["shade_tint"] for name in default_names()):
            assert 0.5 < red < 0.85 < 1 < green < 1.3 < blue < 2

    def test_a_skins_hue_in_shadow_is_found(self) -> None:
        levels, falls = np.linspace(0.3, 1, 4000, dtype=np.float32)[:, None], np.array([0.6, 1.1, 1.5], np.float32)
        red, green, blue = tint(255 * levels**falls)
        assert abs(red / green - falls[0] / falls[1]) < 0.02
        assert abs(blue / green - falls[2] / falls[1]) < 0.02
        assert abs(BRIGHTNESS @ [red, green, blue] - 1) < 0.05

    def test_a_photo_without_skin_takes_what_is_common(self) -> None:
        red, green, blue = tint(np.zeros((0, 3), np.float32))
        assert red < 1 < green < blue


class TestOwnFolds:
    """A photo that smiles: its lines go when the smile goes."""

    @staticmethod
    def tone(picture: npt.NDArray[np.uint8]) -> Floats:
        """Log of the brightness beside nose and mouth, without what is finer or broader than a line."""
        tone = np.log(picture.astype(np.float32).mean(-1) + 1)
        lines = cv2.GaussianBlur(tone, (0, 0), 1.5) - cv2.GaussianBlur(tone, (0, 0), 8)
        column, row = landmarks()[[206, 216]].mean(0).astype(int)
        return np.asarray(lines[row - 16 : row + 17, column - 14 : column + 15], np.float32)

    def test_the_line_of_a_smile_goes_with_it(self) -> None:
        smiling = renderer().render(portrait(), face({"mouthSmile": 1, "cheekSquint": 0.4}))
        found = prepare(cv2.imencode(".png", smiling[..., ::-1])[1].tobytes())
        assert found.source[INDEX["mouthSmileRight"]] > 0.3
        unlit = {**found.layers, "shade_maps": np.zeros_like(found.layers["shade_maps"])}
        own = self.tone(renderer().render(portrait(), face()))
        kept, gone = (
            float(np.abs(self.tone(renderer().render(of, face())) - own).mean())
            for of in (Portrait(unlit, found.report, found.thumbnail), found)
        )
        assert gone < 0.75 * kept


class TestHead:
    def test_a_head_turns_under_its_light(self) -> None:
        """The lamp stands to the picture's left of anna: turned to it her face is brighter, turned away darker."""
        cheeks = (50, 280)
        to, away = (gain(portrait(), headYaw=yaw) for yaw in (-12, 12))
        for cheek in cheeks:
            assert near(to, cheek).mean() > 1 > near(away, cheek).mean()

    @pytest.mark.parametrize("who", default_names())
    def test_the_light_is_not_the_hairs(self, who: str) -> None:
        """Nothing but the face changes."""
        shade = renderer().fields(portrait(who), face({"headYaw": 15, "headPitch": 10, "jawOpen": 1}))["shade"]
        assert np.abs(shade[..., [0, -1], :] - 1).max() < 1e-3
        assert np.abs(shade[..., [0, -1]] - 1).max() < 1e-3
