"""Person and background apart, on a portrait whose background is known to be plain."""

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


class TestFailure:
    def test_a_face_that_fills_the_frame_keeps_its_background(self) -> None:
        """There is no background left to tell it from: the cut must not eat the head."""
        close = framed(np.ascontiguousarray(load_photo(default_photo("anna"))[230:740, 300:730]))
        parts = cut(close)
        assert not parts.sure and (parts.matte == 255).all()
        np.testing.assert_array_equal(parts.picture, close.picture)
