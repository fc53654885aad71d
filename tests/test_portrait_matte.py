"""Person and background apart, on a portrait whose background is known to be plain."""

from dataclasses import replace
from functools import cache

import cv2
import numpy as np

from engine.face import load
from engine.portrait.default import default_photo
from engine.portrait.fit import fit_head
from engine.portrait.frame import Frame, make_frame
from engine.portrait.landmarks import find_faces
from engine.portrait.matte import Separated, separate
from engine.portrait.photo import Rgb, load_photo

SIDE = 1024


def framed(photo: Rgb) -> Frame:
    return make_frame(photo, find_faces(photo)[0])


def cut(frame: Frame) -> Separated:
    return separate(frame, fit_head(frame, load()), load())


@cache
def anna() -> Frame:
    return framed(load_photo(default_photo("anna")))


@cache
def separated() -> Separated:
    return cut(anna())


def composite(parts: Separated, background: np.ndarray) -> np.ndarray:
    alpha = parts.matte[..., None] / 255
    return np.asarray(parts.picture * alpha + background * (1 - alpha))


class TestMatte:
    def test_hair_in_the_shadow_above_a_shoulder_is_in(self) -> None:
        """The segmenter takes some of it for background."""
        assert separated().matte[840:890, 205:260].min() > 240

    def test_the_face_is_in_and_the_corners_are_out(self) -> None:
        outline = cv2.convexHull(np.round(anna().landmarks[:468, :2] * 2).astype(np.int32))
        hull = cv2.erode(cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.uint8), outline, 1), np.ones((17, 17)))
        parts = separated()
        assert parts.sure and (parts.matte[hull > 0] == 255).all()
        assert not parts.matte[:60, :200].any() and not parts.matte[:60, -200:].any()

    def test_hair_is_in_and_its_edge_soft(self) -> None:
        matte = separated().matte
        assert (matte[200, 400:600] == 255).all()  # the crown
        assert 2000 < ((matte > 20) & (matte < 235)).sum() < 60_000

    def test_over_its_own_background_nothing_changes(self) -> None:
        picture, parts = anna().picture, separated()
        error = abs(composite(parts, picture) - picture)
        assert error.mean() < 0.5 and np.percentile(error, 99.9) < 40

    def test_over_another_background_no_halo(self) -> None:
        parts = separated()
        edge = (parts.matte > 60) & (parts.matte < 200)
        old = parts.background[edge].astype(float).mean(0)
        hair = parts.picture[edge].astype(float).mean(0)
        assert np.linalg.norm(hair) < 0.75 * np.linalg.norm(old)  # dark hair before a lighter wall


class TestBackground:
    def test_is_as_in_the_photo_where_it_was_seen(self) -> None:
        np.testing.assert_array_equal(separated().background[:100, :100], anna().picture[:100, :100])

    def test_nothing_of_the_person_is_left_behind_the_head(self) -> None:
        behind = separated().background[200:600, 350:700].astype(float)
        wall = separated().background[60:500, 30:200].astype(float)
        assert abs(behind.mean((0, 1)) - wall.mean((0, 1))).max() < 30
        assert behind.std((0, 1)).max() < 12

    def test_its_texture_goes_on_behind_the_edge_of_the_head(self) -> None:
        frame = before(stripes())
        parts = cut(frame)
        rim = rim_of(parts.matte)
        now, true = (detail(a)[rim].std() for a in (parts.background, stripes()))
        assert 0.4 * true < now < 1.3 * true


def before(background: np.ndarray) -> Frame:
    """The default portrait's person before another background [1024, 1024, 3]."""
    return replace(anna(), picture=composite(separated(), background).astype(np.uint8))


def shelves() -> np.ndarray:
    """Boxes of every colour, hair's and skin's among them."""
    colours = np.random.default_rng(3).integers(10, 230, (16, 16, 3), np.uint8)
    colours[::3, ::3], colours[1::4, 1::4] = (30, 24, 20), (190, 140, 115)
    return np.asarray(np.kron(colours, np.ones((64, 64, 1), np.uint8)))


def stripes() -> np.ndarray:
    wave = 120 + 40 * np.sin(np.arange(SIDE) * 2 * np.pi / 14)
    return np.repeat(np.tile(wave[:, None], (1, SIDE))[..., None], 3, 2).astype(np.uint8)


def detail(picture: np.ndarray) -> np.ndarray:
    grey = picture.astype(np.float32).mean(2)
    return np.asarray(grey - cv2.GaussianBlur(grey, (0, 0), 12))


def rim_of(matte: np.ndarray) -> np.ndarray:
    """15 to 40 texels inside the person, above the shoulders."""
    away = cv2.distanceTransform((matte > 5).astype(np.uint8), cv2.DIST_L2, 5)
    return np.asarray((away > 15) & (away < 40) & (np.arange(SIDE)[:, None] < 600))


class TestDifficulties:
    def test_a_busy_background_with_the_colours_of_hair_and_skin(self) -> None:
        found, true = cut(before(shelves())).matte > 127, separated().matte > 127
        assert (found & true).sum() / (found | true).sum() > 0.97

    def test_a_face_that_fills_the_photo_keeps_its_head(self) -> None:
        close = framed(np.ascontiguousarray(load_photo(default_photo("anna"))[230:740, 300:730]))
        parts = cut(close)
        outline = cv2.convexHull(np.round(close.landmarks[:468, :2] * 2).astype(np.int32))
        face = cv2.fillConvexPoly(np.zeros((SIDE, SIDE), np.uint8), outline, 1) > 0
        assert parts.sure and (parts.matte[face] > 240).mean() > 0.99

    def test_a_drawing_in_ink_and_flat_paint(self) -> None:
        page = np.full((SIDE, SIDE, 3), (150, 190, 230), np.uint8)
        inked = replace(before(page), picture=lined(before(page).picture))
        found, true = cut(inked), separated().matte > 127
        assert found.sure and ((found.matte > 127) & true).sum() / ((found.matte > 127) | true).sum() > 0.9

    def test_person_and_wall_of_one_colour_stay_together(self) -> None:
        grey = np.full_like(anna().picture, 128)
        cv2.polylines(grey, [contour().astype(np.int32)], True, (100, 100, 100), 2)
        parts = cut(replace(anna(), picture=grey))
        assert not parts.sure and (parts.matte == 255).all()
        np.testing.assert_array_equal(parts.picture, grey)


def contour() -> np.ndarray:
    """Of the face, texels."""
    return np.asarray(cv2.convexHull(anna().landmarks[:468, :2] * 2))


def lined(picture: np.ndarray) -> np.ndarray:
    """A flat drawing: three levels, and ink where they meet."""
    flat = np.asarray(cv2.medianBlur((picture // 64 * 64 + 32).astype(np.uint8), 9))
    ink = cv2.morphologyEx(flat, cv2.MORPH_GRADIENT, np.ones((3, 3), np.uint8)).max(2) > 20
    flat[ink] = 0
    return flat
