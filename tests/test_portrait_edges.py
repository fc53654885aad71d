"""What a portrait does at the edges of its frame and of the photo."""

import functools

import numpy as np
import numpy.typing as npt
import pytest

from engine.evaluation.integrity import determinant
from engine.face import load
from engine.face.coefficients import INDEX
from engine.portrait import Portrait, crown, default_photo, prepare
from engine.portrait.behind import mirrored
from engine.portrait.fit import fit_head
from engine.portrait.frame import Frame, make_frame
from engine.portrait.landmarks import Rgb, find_faces
from engine.portrait.layers_layout import FRAME
from engine.portrait.photo import load_photo
from engine.portrait.surround import continued
from engine.renderer import CpuRenderer
from engine.tracks import rest


@functools.cache
def portrait(who: str) -> Portrait:
    return prepare(default_photo(who))


def disc(middle: int) -> npt.NDArray[np.uint8]:
    """A matte with a head of 300 texels' radius and its middle in that row."""
    y, x = np.mgrid[:1024, :1024]
    return np.where(np.hypot(x - 512, y - middle) < 300, 255, 0).astype(np.uint8)


class TestUpperEdge:
    @pytest.mark.parametrize("who", ["anna", "zola"])
    def test_a_bowed_head_has_no_streaks_above_it(self, who: str) -> None:
        """The frame's upper edge, drawn on beyond it, would be the same in row after row."""
        bowed = rest()
        bowed[INDEX["headPitch"]] = -15
        green = np.full((512, 512, 3), (0, 255, 0), np.uint8)
        picture = CpuRenderer(512).render(portrait(who), bowed, green).astype(int)
        person = (picture[:16, :, 1] - picture[:16, :, 0] < 128).all(0)
        assert not person.any() or np.abs(np.diff(picture[:16, person], axis=0)).max(-1).mean() > 1.5

    def test_a_crown_that_would_end_soon_above_it_ends_below(self) -> None:
        """So the head turns whole; at its sides the hair stays as it is."""
        matte = disc(middle=270)
        assert crown.cut_off(matte) == 0
        rounded = crown.rounded(matte, 0)
        assert rounded[0].max() == 0
        assert np.array_equal(rounded[60:], matte[60:])
        lost = (matte > 127).sum() - (rounded > 127).sum()
        assert 0 < lost < 0.02 * (matte > 127).sum()

    def test_what_goes_on_as_wide_stays_at_it(self) -> None:
        matte = np.zeros((1024, 1024), np.uint8)
        matte[:, 300:700] = 255
        assert crown.cut_off(matte) == 1
        assert np.array_equal(crown.rounded(matte, 1), matte)

    def test_hair_that_ends_within_the_frame_is_left_alone(self) -> None:
        matte = disc(middle=310)
        assert crown.cut_off(matte) == 0 and np.array_equal(crown.rounded(matte, 0), matte)

    @pytest.mark.parametrize("who", ["anna", "zola"])
    def test_nobody_whose_hair_is_nearly_whole_is_held_there(self, who: str) -> None:
        layers = portrait(who).layers
        assert layers["person"][0, :, 3].max() == 0 and layers["frame_pose"][1, 0, 64] == 1


class TestShoulders:
    @pytest.mark.parametrize("who", ["anna", "zola"])
    @pytest.mark.parametrize("way", [-20, 20])
    def test_a_leaning_head_crushes_none(self, who: str, way: float) -> None:
        leaning = rest()
        leaning[INDEX["headRoll"]] = way
        offset = CpuRenderer(256).fields(portrait(who), leaning)["person"][0].transpose(1, 2, 0)
        assert determinant(FRAME.centres() + offset, FRAME.cell)[FRAME.rows // 2 :].max() < 5

    def test_they_follow_the_less_the_farther_from_the_neck(self) -> None:
        row = portrait("zola").layers["frame_pose"][1, 104]  # 22 units below the chin
        assert row[64] > 0.7 > 0.2 > row[[0, -1]].max()


@functools.cache
def cropped(who: str) -> tuple[Frame, Rgb]:
    """A photo cut at the hairline, beside the hair and below the chin; and the frame with it continued."""
    photo = load_photo(default_photo(who))
    points = find_faces(photo)[0].points[:468, :2]
    (left, top), (right, bottom) = points.min(0), points.max(0)
    wide = (right - left) / 4
    part = photo[round(top - wide / 3) : round(bottom + wide / 2), round(left - wide) : round(right + wide)]
    frame = make_frame(np.ascontiguousarray(part), find_faces(part)[0])
    return frame, continued(frame, fit_head(frame, load()), load()).picture


class TestPatterns:
    def test_a_wall_goes_on_in_its_pattern(self) -> None:
        stripes = (128 + 60 * np.sin(np.arange(400) * 2 * np.pi / 40)).astype(np.uint8)
        wall = np.repeat(np.repeat(stripes[:, None, None], 400, 1), 3, 2)
        beyond = np.zeros((400, 400), np.uint8)
        beyond[:, 200:] = 1
        found = mirrored(wall, beyond, 24, 160)[50:350, :, 0]
        assert not found[:, :195].any()
        strength = [float(found[:, x].std()) for x in (210, 260, 310)]
        assert np.std(wall[50:350, 0]) * 0.7 < strength[0]
        assert strength[0] > strength[1] > strength[2]
        assert not found[:, 370:].any()


class TestCropped:
    """zola: dark skin, a black afro, before light grey."""

    def test_hair_is_rounded_off_above_the_photo(self) -> None:
        frame, picture = cropped("zola")
        top = int(np.flatnonzero(frame.inside.any(1))[0])
        assert picture[top - 60 : top - 20, 470:550].mean() < 60
        assert picture[top - 60 : top - 20, :60].mean() > 100

    def test_shoulders_are_dressed(self) -> None:
        _, picture = cropped("zola")
        red, _, blue = picture[980:, 480:540].astype(float).mean((0, 1))
        face = picture[500:560, 480:540].astype(float).mean((0, 1))
        assert red - blue < 10 < face[0] - face[2]

    def test_the_photo_stays_as_it_is(self) -> None:
        frame, picture = cropped("zola")
        rows, cols = (np.flatnonzero(frame.inside.any(axis)) for axis in (1, 0))
        own = np.s_[rows[0] + 8 : rows[-1] - 8, cols[0] + 8 : cols[-1] - 8]
        np.testing.assert_array_equal(picture[own], frame.picture[own])
