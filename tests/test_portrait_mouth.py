"""What shows between the lips: model teeth without gaps, the photo's own where it has any, lips in their own colour."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.portrait import build_plates, layers_blur, layers_lips, layers_mouth, layers_teeth
from engine.portrait.dentition import LOWER, TEETH_MM, UPPER, UPPER_EDGE, Arch
from engine.portrait.layers_layout import PLATE_COLS, PLATE_ROWS, TEXELS, UPPER_TEETH, Array
from engine.portrait.layers_slit import Slit

Picture = npt.NDArray[np.uint8]
WHITE = np.ones(3, np.float32)
LIP, DARK, TOOTH = (190, 110, 105), (25, 12, 10), (225, 215, 190)
START, END = np.array([60, 128], np.float32), np.array([196, 128], np.float32)
UNITS = 256
FACE: Array = np.array([[20, 20], [236, 236]], np.float32)  # two landmarks about it


def slit(open_by: float) -> Slit:
    """From (60, 128) to (196, 128), parted by so many units in the middle."""
    bow = np.asarray(np.sqrt(1 - np.linspace(-1, 1, 201) ** 2), np.float32)
    return Slit(START, END, 1, np.zeros_like(bow), np.float32(open_by) * bow, depth=40, reach=30, lip=0.5, fringe=0.5)


def picture(*bands: tuple[float, float, tuple[int, int, int]]) -> Picture:
    """A lip-coloured picture with bands from one y to another, in units."""
    drawn = np.full((UNITS * TEXELS, UNITS * TEXELS, 3), LIP, np.uint8)
    for top, bottom, colour in bands:
        drawn[int(top * TEXELS) : int(bottom * TEXELS)] = colour
    return drawn


def row(drawn: Picture, y: float) -> Picture:
    """The colours [136 units] between the corners' inner 80 % at a height."""
    return drawn[int(y * TEXELS), 75 * TEXELS : 181 * TEXELS]


LIPS_HIGH = 20 * np.asarray(np.sqrt(1 - np.linspace(-1, 1, 201) ** 2), np.float32)
RIMS = replace(slit(0), base=-LIPS_HIGH, patch=LIPS_HIGH)


class TestModel:
    @pytest.mark.parametrize("name", build_plates.PICTURES)
    def test_what_ships_is_what_the_script_draws(self, name: str) -> None:
        shipped = cv2.imread(str(build_plates.DATA / name), cv2.IMREAD_UNCHANGED)
        assert shipped is not None
        drawn = cv2.cvtColor(np.ascontiguousarray(build_plates.PICTURES[name]()), cv2.COLOR_RGBA2BGRA)
        assert np.abs(shipped.astype(int) - drawn).max() <= 1, "run python -m engine.portrait.build_plates"

    @pytest.mark.parametrize("arch", [UPPER, LOWER], ids=["upper", "lower"])
    def test_no_gap_between_the_crowns(self, arch: Arch) -> None:
        """Half way down the crowns of the front teeth."""
        height = arch.neck + 0.6 * arch.crowns[0].height
        rgba = build_plates.teeth(arch)[round((height / TEETH_MM[1] + 0.5) * PLATE_ROWS)]
        front = rgba[np.abs(np.arange(PLATE_COLS) - PLATE_COLS / 2) < 30]
        assert front[:, 3].min() == 255
        assert front[:, :3].mean(1).min() > 0.45 * np.median(front[:, :3].mean(1))

    def test_incisors_end_where_they_are_said_to(self) -> None:
        middle = build_plates.teeth(UPPER)[:, PLATE_COLS // 2 - 12, 3]
        assert np.flatnonzero(middle > 127).max() == pytest.approx((UPPER_EDGE / TEETH_MM[1] + 0.5) * PLATE_ROWS, abs=2)

    def test_nothing_dark_bleeds_in_at_the_edges(self) -> None:
        """A sampler that blends a clear texel with the incisor's edge finds about the edge's colour."""
        rgba = build_plates.teeth(UPPER).astype(int)
        column = rgba[:, PLATE_COLS // 2 - 12]
        end = int(np.flatnonzero(column[:, 3] > 250).max())
        assert np.abs(column[end + 1 : end + 4, :3] - column[end, :3]).max() < 40


class TestSeam:
    @pytest.mark.parametrize("aside", [-2.0, 1.5])
    def test_shut_lips_part_where_they_meet_in_the_photo(self, aside: float) -> None:
        y = START[1] + aside
        found = layers_lips.on_seam(slit(0), picture((y - 0.5, y + 0.5, DARK)))
        middle = np.s_[30:171]
        np.testing.assert_allclose(found.base[middle], aside, atol=0.3)
        assert found.base is found.patch and found.base[0] == found.base[-1] == 0

    def test_without_a_line_the_landmarks_are_believed(self) -> None:
        np.testing.assert_allclose(layers_lips.on_seam(slit(0), picture()).base, 0, atol=0.05)

    def test_parted_lips_stay(self) -> None:
        parted = slit(6)
        assert layers_lips.on_seam(parted, picture((130, 131, DARK))) is parted


class TestLight:
    def test_the_brighter_cheek_tells_the_brighter_side(self) -> None:
        ramp = (picture() * np.linspace(1.2, 0.6, UNITS * TEXELS)[None, :, None]).astype(np.uint8)
        left, right = layers_mouth.sidelight(ramp, slit(0))
        assert left > 1.05 and right < 0.95
        teeth = layers_mouth.pictures(WHITE, np.array([left, right], np.float32))[UPPER_TEETH].astype(int)
        even = layers_mouth.pictures(WHITE, np.ones(2, np.float32))[UPPER_TEETH].astype(int)
        assert (teeth - even)[:, : PLATE_COLS // 2].sum() > 0 > (teeth - even)[:, PLATE_COLS // 2 :].sum()

    def test_even_light_changes_nothing(self) -> None:
        assert layers_mouth.sidelight(picture(), slit(0)) == pytest.approx([1, 1], abs=0.01)


class TestLips:
    def test_the_seam_does_not_part_with_them(self) -> None:
        photo = picture((127, 129, DARK))
        lips = layers_lips.unseamed(photo, slit(0), RIMS)
        for own, y in ((lips.upper, 127.2), (lips.lower, 128.4)):
            assert row(photo, y).mean() < 20
            assert row(own, y).mean() > 0.75 * np.mean(LIP)

    def test_neither_has_the_others_colour(self) -> None:
        """A lower lip that shines must not leave a bright line on the upper."""
        photo = picture((128, 200, (255, 220, 220)))
        upper = layers_lips.unseamed(photo, slit(0), RIMS).upper
        assert row(upper, 128.5).mean() < np.mean(LIP) + 5

    def test_the_skin_behind_a_thin_lip_makes_no_rim(self) -> None:
        """6 units of upper lip below pale skin, and a dark line where it meets the lower."""
        photo = picture((0, 122, (235, 215, 200)), (127, 129, DARK))
        thin = replace(RIMS, base=0.3 * RIMS.base)
        upper = layers_lips.unseamed(photo, slit(0), thin).upper
        assert row(upper, 127.7)[100:-100].mean() < np.mean(LIP)

    def test_lips_that_show_no_dark_keep_their_texels(self) -> None:
        photo = picture()
        lips = layers_lips.unseamed(photo, slit(0), RIMS)
        assert np.array_equal(lips.upper[: 127 * TEXELS], photo[: 127 * TEXELS])
        assert np.array_equal(lips.lower[130 * TEXELS :], photo[130 * TEXELS :])


BOXES: Array = np.array([[128, 128, 99, 37], [128, 140, 99, 37]], np.float32)


def rows_of(photo: Picture, open_by: float) -> tuple[list[Picture], list[Picture]]:
    """The plates with the photo's own teeth, and the models'."""
    upper, lower = build_plates.teeth(UPPER), np.ascontiguousarray(build_plates.teeth(LOWER)[::-1])
    return layers_teeth.with_own(upper, lower, photo, slit(open_by), BOXES, WHITE), [upper, lower]


def at(plate: Picture, box: Array, y: float) -> npt.NDArray[np.float64]:
    """RGBA in the middle third of a plate at a height of the picture, in units."""
    line = round(((y - float(box[1])) / float(box[3]) + 0.5) * PLATE_ROWS - 0.5)
    return np.asarray(plate[line, PLATE_COLS // 3 : -PLATE_COLS // 3].astype(float).mean(0))


def at_row(plate: Picture, box: Array, y: float) -> Picture:
    """RGBA [PLATE_COLS / 3] along the middle third of a plate."""
    line = round(((y - float(box[1])) / float(box[3]) + 0.5) * PLATE_ROWS - 0.5)
    return plate[line, PLATE_COLS // 3 : -PLATE_COLS // 3]


class TestBlur:
    @pytest.mark.parametrize("sigma", [1.5, 2.0])
    def test_a_blurred_photo_is_found_to_be_so(self, sigma: float) -> None:
        photo = np.kron(np.random.default_rng(1).integers(40, 220, (32, 32)), np.ones((16, 16))).astype(np.uint8)
        found = layers_blur.blur(cv2.GaussianBlur(np.dstack([photo] * 3), (0, 0), sigma), FACE)
        assert found == pytest.approx(np.sqrt(sigma**2 - 1.05**2), abs=0.25)

    def test_a_sharp_photo_has_none(self) -> None:
        photo = np.kron(np.random.default_rng(1).integers(40, 220, (32, 32)), np.ones((16, 16))).astype(np.uint8)
        assert layers_blur.blur(np.dstack([photo] * 3), FACE) == 0

    def test_what_is_clear_darkens_no_edge(self) -> None:
        plate = np.zeros((40, 40, 4), np.uint8)
        plate[:, 20:] = (*TOOTH, 255)
        soft = layers_blur.softened(plate, 1.5)[20]
        assert 60 < soft[19, 3] < 128 < soft[20, 3] < 200
        assert np.abs(soft[18:, :3].astype(int) - TOOTH).max() <= 3


class TestOwnTeeth:
    def test_the_photos_own_are_kept(self) -> None:
        upper = rows_of(picture((128, 138, TOOTH)), 10)[0][0]
        assert at(upper, BOXES[0], 133)[:3] == pytest.approx(TOOTH, abs=6)

    def test_the_row_that_is_hidden_takes_their_tone(self) -> None:
        """Yellow teeth: the model's lose more blue than red, and keep their shape."""
        (_, lower), (_, model) = rows_of(picture((128, 138, (225, 205, 150))), 10)
        assert np.array_equal(lower[..., 3], model[..., 3])
        ratio = at(lower, BOXES[1], 136)[:3] / at(model, BOXES[1], 136)[:3]
        assert ratio[2] < 0.85 * ratio[0]

    def test_a_few_give_their_tone_only(self) -> None:
        """Two thirds of the middle show yellow teeth, the rest a shadow: no patch stands beside the model's teeth."""
        photo = picture((128, 138, (225, 205, 150)))
        photo[:, int(132 * TEXELS) : int(147 * TEXELS)] = DARK
        (upper, _), (model, _) = rows_of(photo, 10)
        toned = upper[..., :3].astype(float)[model[..., 3] > 250].mean(0)
        assert toned[2] / toned[0] < 0.85 * model[..., 2].mean() / model[..., 0].mean()
        line = at_row(upper, BOXES[0], 133)
        assert np.abs(np.diff(line.astype(int), axis=0)).max() < 40

    def test_they_go_on_behind_the_lip_they_hang_from(self) -> None:
        (upper, _), _ = rows_of(picture((128, 138, TOOTH)), 10)
        assert at(upper, BOXES[0], 127)[:3] == pytest.approx(TOOTH, abs=12)

    def test_after_a_dark_gap_comes_the_lower_row(self) -> None:
        (upper, lower), _ = rows_of(picture((128, 134, TOOTH), (134, 140, DARK), (140, 146, (180, 176, 160))), 18)
        assert at(upper, BOXES[0], 132)[:3] == pytest.approx(TOOTH, abs=8)
        assert at(upper, BOXES[0], 143)[3] < 30
        assert at(lower, BOXES[1], 144)[:3] == pytest.approx((180, 176, 160), abs=8)

    @pytest.mark.parametrize("inside", [DARK, LIP, (150, 70, 70)])
    def test_a_mouth_without_teeth_keeps_the_models(self, inside: tuple[int, int, int]) -> None:
        drawn, models = rows_of(picture((128, 138, inside)), 10)
        assert all(np.array_equal(a, b) for a, b in zip(drawn, models, strict=True))
