"""What eyes promise: a glance moves no skin and keeps the iris whole, lashes turn with the lid, lights stay behind."""

import functools
from dataclasses import replace
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.face.coefficients import INDEX, NAMES
from engine.portrait import Portrait, default_names, default_photo, layers_eyes, layers_lids, prepare
from engine.portrait.layers_layout import EYE, LEFT, TEXELS, texture
from engine.portrait.layers_slit import Slit
from engine.renderer import CpuRenderer

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
GREEN = (0, 255, 0)
TO_LEFT = {"eyeLookOutLeft": 1.0, "eyeLookInRight": 1.0}
TO_RIGHT = {"eyeLookInLeft": 1.0, "eyeLookOutRight": 1.0}
UP, DOWN = ({f"eyeLook{way}{side}": 1.0 for side in ("Left", "Right")} for way in ("Up", "Down"))
BLINK = {"eyeBlinkLeft": 1.0, "eyeBlinkRight": 1.0}


@functools.cache
def portrait(who: str = "anna") -> Portrait:
    return prepare(default_photo(who))


@functools.cache
def renderer(size: int = 512) -> CpuRenderer:
    return CpuRenderer(size)


def draw(who: str, levels: dict[str, float] | None = None, **pictures: npt.NDArray[Any]) -> Image:
    """The portrait at some coefficients, some of its pictures replaced."""
    values = np.zeros(len(NAMES), np.float32)
    values[INDEX["headScale"]] = 1
    for name, level in (levels or {}).items():
        values[INDEX[name]] = level
    shown = replace(portrait(who), layers={**portrait(who).layers, **pictures}) if pictures else portrait(who)
    return renderer().render(shown, values)


def in_green(who: str, name: str) -> Image:
    """A picture of the portrait in green; its alpha is kept."""
    picture = portrait(who).layers[name].copy()
    picture[..., :3] = GREEN
    return picture


def is_green(picture: Image) -> npt.NDArray[np.bool_]:
    rgb = picture.astype(np.int32)
    return np.asarray(rgb[..., 1] - np.maximum(rgb[..., 0], rgb[..., 2]) > 100)


@pytest.mark.parametrize("who", default_names())
class TestGlances:
    """25 degrees to a side."""

    @pytest.mark.parametrize("way", [TO_LEFT, TO_RIGHT])
    def test_no_skin_moves(self, who: str, way: dict[str, float]) -> None:
        eyeballs = is_green(draw(who, whites=in_green(who, "whites"), irises=in_green(who, "irises")))
        skin = cv2.dilate(eyeballs.astype(np.uint8), np.ones((7, 7), np.uint8)) == 0
        change = np.abs(draw(who, way).astype(np.int32) - draw(who))
        assert change[~skin].max() > 60, "the eyes did not move"
        assert change[skin].max() <= 1

    @pytest.mark.parametrize("way", [TO_LEFT, TO_RIGHT])
    def test_the_iris_stays_whole(self, who: str, way: dict[str, float]) -> None:
        """Drawn without lids it covers what the foreshortened disk covers, without a hole."""
        irises, layers = in_green(who, "irises"), portrait(who).layers
        irises[2:, ..., 3] = 0  # the catch-lights
        irises[..., 3] = np.where(irises[..., 3] > 127, 255, 0)
        nobody = layers["person"].copy()
        nobody[..., 3] = 0
        clear = {name: np.where(np.arange(4) < 3, layers[name], 0).astype(np.uint8) for name in ("lids", "lashes")}
        shown = is_green(draw(who, way, irises=irises, person=nobody, **clear))[:, 256:]
        tall, wide = 2 * np.argwhere(shown).std(axis=0)  # an ellipse's half axes, finer than its extent in pixels
        assert 0.75 < wide / tall < 1.02
        assert shown.sum() == pytest.approx(np.pi * wide * tall, rel=0.04)

    def test_catch_lights_stay_behind(self, who: str) -> None:
        moves = portrait(who).layers["sprite_moves"][:, INDEX["eyeLookOutLeft"], 0]
        iris, light = moves[6], moves[8]
        assert 0 < light < 0.8 * iris

    def test_iris_and_catch_light_together_are_the_photo(self, who: str) -> None:
        drawn = draw(who)
        photo = cv2.imdecode(np.frombuffer(portrait(who).thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert photo is not None
        left, top = (int(v) for v in portrait(who).layers["eye_at"][LEFT])
        part = slice(top + 24, top + 72), slice(left + 24, left + 88)
        assert np.abs(drawn[part].astype(np.float32) - photo[..., ::-1][part]).mean() < 5


@pytest.mark.parametrize("who", default_names())
class TestLooksUpAndDown:
    """17 degrees."""

    def test_lids_go_down_with_the_eye(self, who: str) -> None:
        """Nearly as much of the iris is seen as straight ahead."""
        ahead, down = (iris_seen(who, levels) for levels in (None, DOWN))
        assert 0.7 < down / ahead < 1.1

    def test_the_upper_lid_goes_up_with_the_eye(self, who: str) -> None:
        layers = portrait(who).layers
        ahead, up = (lid_edge(who, levels) for levels in (None, UP))
        rises = -float(layers["sprite_moves"][6, INDEX["eyeLookUpLeft"], 1])
        assert 0.6 * rises < ahead - up < rises


def iris_seen(who: str, levels: dict[str, float] | None) -> int:
    """Pixels of the irises between the lids."""
    shown = in_green(who, "irises")
    shown[2:, ..., 3] = 0  # the catch-lights
    return int(is_green(draw(who, levels, irises=shown)).sum())


@pytest.mark.parametrize("who", default_names())
class TestLashes:
    def test_they_turn_down_on_a_shut_lid(self, who: str) -> None:
        """Above the lid's edge when it is open, below when it is shut: painted ones, as dense on everybody."""
        lashes = np.zeros_like(portrait(who).layers["lashes"])
        rows, cols = lashes.shape[1:3]
        above = -cv2.resize(portrait(who).layers["lash_turn"][LEFT, 1], (cols, rows))
        lashes[LEFT][(above > 2) & (above < 12)] = (*GREEN, 255)
        middle = middle_of_left(who)
        up, down = (np.nonzero(is_green(draw(who, levels, lashes=lashes))[:, middle])[0] for levels in (None, BLINK))
        assert min(len(up), len(down)) > 8
        edge = [lid_edge(who, levels) for levels in (None, BLINK)]
        assert up.mean() < edge[0] - 1
        assert down.mean() > edge[1] + 1

    def test_bare_lids_and_lashes_are_the_photo(self, who: str) -> None:
        layers = portrait(who).layers
        lashes, bare = layers["lashes"].astype(np.float32), layers["lids"][..., :3]
        opaque = layers["lids"][..., 3] == 255
        together = bare + (lashes[..., :3] - bare) * lashes[..., 3:] / 255
        assert (np.abs(together - bare).max(-1) > 30)[opaque].sum() > 50, "there are no lashes"
        photo = cv2.imdecode(np.frombuffer(portrait(who).thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert photo is not None
        for i in (0, 1):
            x, y = (int(v) for v in layers["eye_at"][i])
            here = photo[y : y + int(EYE.height), x : x + int(EYE.width), ::-1].astype(np.float32)
            whole = cv2.erode(opaque[i].astype(np.uint8), np.ones((3, 3), np.uint8))[::TEXELS, ::TEXELS] > 0
            small = cv2.resize(together[i], here.shape[1::-1], interpolation=cv2.INTER_AREA)
            assert np.abs(small - here)[whole].mean() < 6


class TestShutLids:
    @pytest.mark.parametrize("who", ["anna", "marc", "otto"])
    def test_they_take_no_catch_light_along(self, who: str) -> None:
        """Marc's lies on his lids' edges."""
        layers = portrait(who).layers
        for lid, shut in zip(layers["lids"], layers["shut"], strict=True):
            soft = (lid[..., 3] > 16) & (lid[..., 3] < 128)  # the edge that falls on the cheek
            soft[: soft.shape[0] // 3] = False
            soft[:, np.abs(np.arange(soft.shape[1]) - soft.shape[1] / 2) > 40] = False  # the corners' skin stays
            assert shut[soft].min(-1).max() < shut[lid[..., 3] == 255].min(-1).max()


def lid_edge(who: str, levels: dict[str, float] | None) -> float:
    """The left upper lid's edge: the lowest row that its skin reaches in the middle."""
    lids = in_green(who, "lids")
    lids[1] = 0
    lashes = np.zeros_like(portrait(who).layers["lashes"])
    shut = np.broadcast_to(np.array(GREEN, np.uint8), portrait(who).layers["shut"].shape)
    shown = is_green(draw(who, levels, lids=lids, shut=shut, lashes=lashes))
    return float(np.nonzero(shown[:, middle_of_left(who)])[0].max())


def middle_of_left(who: str) -> slice:
    """Columns about the left eye's middle."""
    x = int(portrait(who).layers["eye_at"][LEFT][0] + EYE.width / 2)
    return slice(x - 4, x + 4)


class TestOwnGaze:
    """Coefficient 0 looks into the camera, wherever the photo looks."""

    @pytest.mark.parametrize("who", default_names())
    def test_a_photo_that_looks_into_the_camera_has_none(self, who: str) -> None:
        assert portrait(who).source[[INDEX[name] for name in (*TO_LEFT, *TO_RIGHT)]].max() < 0.1

    @pytest.mark.parametrize(("way", "other"), [(TO_LEFT, TO_RIGHT), (TO_RIGHT, TO_LEFT)])
    def test_a_photo_that_looks_aside_is_known_to(self, way: dict[str, float], other: dict[str, float]) -> None:
        aside = prepare(cv2.imencode(".png", draw("anna", way)[..., ::-1])[1].tobytes())
        assert aside.source[[INDEX[name] for name in way]].min() > 0.4
        assert aside.source[[INDEX[name] for name in other]].max() == 0


SKIN, FOLD, HAIR = (200, 150, 130), (120, 80, 70), (48, 32, 24)
IRIS = np.array([56, 46, 0, 9], np.float32)


def painted_eye(apart: float) -> tuple[Image, Slit, Floats]:
    """Skin over an eye's window, a fold 6 units above the upper lid, lids `apart` units: picture, slit, points."""
    points = texture(EYE).centres()
    bow = np.asarray(np.sqrt(1 - np.linspace(-1, 1, 201) ** 2), np.float32)
    corners = np.array([28, 48], np.float32), np.array([84, 48], np.float32)
    flat = np.zeros_like(bow)
    slit = Slit(*corners, -1, flat, np.float32(apart) * bow, 16, 20, 0.2, 0.8, 1.3, True)
    eye = np.full((*points.shape[:2], 3), SKIN, np.uint8)
    above = layers_lids.height(slit, points)
    eye[(above > 0) & (above < 6)] = FOLD  # a socket's shade up to the fold
    return eye, slit, points


class TestLowerLids:
    """Where the eyeball ends in the photo, whatever the landmarks say."""

    @staticmethod
    def moved(white: tuple[int, int, int], off: float) -> Floats:
        """[201] how far below its landmarks the lower lid of a painted eye is found, which lies `off` units below."""
        _, slit, points = painted_eye(10)
        eye = np.full((*points.shape[:2], 3), SKIN, np.uint8)
        u, v = slit.local(points)
        bow = np.sqrt(np.clip(1 - u * u, 0, 1))
        eye[(v < 10 * bow) & (v > -off * bow**3) & (np.abs(u) < 1)] = white
        picture = np.full((2 * 512, 2 * 512, 3), SKIN, np.uint8)
        picture[: eye.shape[0], : eye.shape[1]] = eye
        return slit.base - layers_eyes.on_lid(slit, picture).base

    def test_white_below_the_landmarks_is_the_eyeballs(self) -> None:
        assert np.abs(self.moved((210, 195, 185), 2.5)[80:121] - 2.5).max() < 0.6

    def test_landmarks_on_the_lid_stay(self) -> None:
        assert not self.moved((210, 195, 185), 0).any()

    def test_a_white_that_may_be_skin_tells_nothing(self) -> None:
        assert not self.moved((210, 150, 120), 2.5).any()


class TestLashesAndFolds:
    """What is dark across the lid is a lash, what is dark along it is its fold."""

    @pytest.mark.parametrize("blur", [0, 1.5])
    def test_a_fold_is_no_lash(self, blur: float) -> None:
        eye, slit, points = painted_eye(10)
        middle = np.abs(slit.local(points)[0]) < 0.5
        assert layers_lids.lid(eye, slit, 1, IRIS, points, blur).lashes[middle, 3].max() < 24

    @pytest.mark.parametrize("fold", [False, True])
    def test_a_lash_is_one_on_a_fold_too(self, fold: bool) -> None:
        eye, slit, points = painted_eye(10)
        above = layers_lids.height(slit, points)
        if not fold:
            eye[:] = SKIN
        bare = eye.copy()
        hair = (np.abs(points[..., 0] % 8 - 4) < 0.6) & (above > 0) & (above < 7)
        eye[hair] = HAIR
        lid = layers_lids.lid(eye, slit, 1, IRIS, points)
        seen = (np.abs(slit.local(points)[0]) < 0.5) & (above > 2) & (above < 5)
        assert lid.lashes[hair & seen, 3].min() > 60
        assert np.abs(lid.bare.astype(np.float32) - bare)[seen].mean() < 6

    def test_no_lash_is_left_on_the_shut_lid(self) -> None:
        eye, slit, points = painted_eye(10)
        above = layers_lids.height(slit, points)
        eye[(np.abs(points[..., 0] % 8 - 4) < 0.6) & (above > 0) & (above < 7)] = HAIR
        shut = layers_lids.lid(eye, slit, 1, IRIS, points).shut.astype(np.float32)
        lid = (above > 3) & (above < 10) & (np.abs(slit.local(points)[0]) < 0.5)
        assert np.abs(np.diff(shut.mean(-1), axis=1))[lid[:, 1:]].max() < 6


class TestLowBrows:
    def test_their_hair_does_not_darken_the_shut_lid(self) -> None:
        """It lies where the skin below a brow is looked for."""
        eye, slit, points = painted_eye(1)
        above, u = layers_lids.height(slit, points), slit.local(points)[0]
        low = eye.copy()
        low[above > 0.65 * slit.depth] = HAIR
        lid = (above > 0.2 * slit.depth) & (above < 0.5 * slit.depth) & (np.abs(u) < 0.4)
        bare, hairy = (layers_lids.lid(photo, slit, 1, IRIS, points).shut[lid].mean() for photo in (eye, low))
        assert hairy > 0.9 * bare


class TestShutLidsLight:
    def test_it_is_the_light_about_the_eye(self) -> None:
        """Lit from one side, the shut lid is lit as the skin above and below it is, column by column."""
        eye, slit, points = painted_eye(10)
        side = 0.5 + 0.5 * points[..., :1] / EYE.width
        eye = np.where(layers_lids.height(slit, points)[..., None] > 6, SKIN, eye)
        shut = layers_lids.lid((eye * side).astype(np.uint8), slit, 1, IRIS, points).shut.astype(np.float32)
        above, u = layers_lids.height(slit, points), slit.local(points)[0]
        lid = (above > 0.3 * slit.depth) & (above < 0.7 * slit.depth) & (np.abs(u) < 0.6)
        told = (shut / (SKIN * side))[lid]
        assert 0.85 < told.min() and told.max() < 1.15


class TestShutEyes:
    """A photo in which lids hide the eyeball: it is made up."""

    def test_no_white_outshines_the_skin(self) -> None:
        eye, slit, points = painted_eye(1)
        hole = slit.hole(texture(EYE), (0, 0))
        white = layers_eyes.white(eye, slit, IRIS, points, hole)
        shown = white[white[..., 3] > 0, :3]
        assert 0.4 * np.mean(SKIN) < shown.mean() < 0.8 * np.mean(SKIN)

    def test_the_iris_has_a_pupil(self) -> None:
        eye, slit, points = painted_eye(1)
        white = layers_eyes.white(eye, slit, IRIS, points, slit.hole(texture(EYE), (0, 0)))
        disk, _ = layers_eyes.iris_disk(eye, white, slit, IRIS, (0, 0))
        middle = layers_eyes.IRIS_TEXELS // 2
        assert disk[middle, middle, :3].mean() < 0.5 * disk[middle, middle + 16, :3].mean()
