"""The refiner's rules: nothing before it is trained and nothing at the photo itself, few multiplications, no seams."""

import itertools
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch

from engine.face.coefficients import INDEX, NAMES
from engine.portrait.layers_layout import EYE, Window
from engine.refiner.crops import WINDOWS, Rgb, away, places
from engine.refiner.data import AUTHOR, Pairs
from engine.refiner.evaluate import (
    REGIONS_A_FRAME,
    Figures,
    Judged,
    figures,
    gradients,
    milliseconds,
    refined,
    sharpness,
    softer,
)
from engine.refiner.network import Config, Refiner, macs, moved
from engine.refiner.train import FOLDS, batches, fit, learnable
from engine.tracks import rest

SMALL = Window(16, 20, 2)  # 32 x 40 pixels
BUDGET = 100_000_000  # multiplications a frame


def pictures(count: int = 1, rows: int = 32, cols: int = 40, seed: int = 0) -> Rgb:
    return np.random.default_rng(seed).integers(40, 200, (count, rows, cols, 3), np.uint8)


def stirred() -> Refiner:
    """A network whose last layer is no longer nought."""
    torch.manual_seed(0)
    net = Refiner(SMALL)
    torch.nn.init.normal_(net.leave.weight)
    return net


def inputs(count: int = 1) -> tuple[torch.Tensor, torch.Tensor]:
    torch.manual_seed(1)
    return torch.rand(count, 3, 32, 40), torch.rand(count, 3, 32, 40)


class TestNetwork:
    def test_untrained_it_changes_nothing(self) -> None:
        drawn, photo = inputs()
        assert torch.allclose(Refiner(SMALL)(drawn, photo, torch.ones(1, len(NAMES))), drawn, atol=1e-4)

    def test_at_the_photo_itself_it_changes_nothing_whatever_it_learned(self) -> None:
        drawn, photo = inputs()
        net = stirred()
        assert torch.allclose(net(drawn, photo, torch.zeros(1, len(NAMES))), drawn, atol=1e-4)
        assert not torch.allclose(net(drawn, photo, torch.ones(1, len(NAMES))), drawn, atol=0.1)

    def test_it_changes_little_where_coefficients_are_near(self) -> None:
        drawn, photo = inputs()
        at = [(stirred()(drawn, photo, torch.full((1, len(NAMES)), v)) - drawn).abs().mean() for v in (1e-4, 1e-3, 0.1)]
        assert at[0] < at[1] < at[2]

    def test_it_fades_towards_the_windows_edge(self) -> None:
        drawn, photo = inputs()
        change = (stirred()(drawn, photo, torch.ones(1, len(NAMES))) - drawn).abs().mean((0, 1))
        assert change[0].mean() < 0.2 * change[16].mean() and change[:, -1].mean() < 0.2 * change[:, 20].mean()

    def test_what_it_moves_moves_by_whole_pixels_too(self) -> None:
        picture = inputs()[0]
        step = torch.zeros(1, 2, 32, 40)
        step[:, 0], step[:, 1] = 3, -2
        assert torch.allclose(moved(picture, step)[:, :, 2:, :-3], picture[:, :, :-2, 3:], atol=1e-4)

    def test_a_frame_costs_what_is_allowed(self) -> None:
        total = sum(times * macs(Refiner(WINDOWS[name])) for name, times in REGIONS_A_FRAME.items())
        assert 10_000_000 < total < BUDGET

    def test_multiplications_are_those_of_every_layer(self) -> None:
        net = Refiner(SMALL, Config(width=8, blocks=1, wider=2))
        texel = 96 * 8 + (25 * 8 + 8 * 16 + 16 * 8) + 8 * (48 + 2)
        assert macs(net) == 8 * 10 * texel + 69 * 8


class TestLearning:
    def test_a_fault_that_every_picture_has_is_learned(self) -> None:
        true = pictures(16)
        drawn = true.copy()
        drawn[:, 12:20, 12:28] //= 2  # a dark mouth
        far = np.ones((16, len(NAMES)), np.float32)
        pairs = Pairs(drawn, true[::-1].copy(), true, far)
        torch.manual_seed(0)
        net = Refiner(SMALL, Config(width=16, blocks=1))
        some = batches(pairs, False, torch.Generator().manual_seed(0))
        seen = list(fit(net, some, 150))
        assert np.mean(seen[-10:]) < 0.6 * np.mean(seen[:10])
        before, after = figures(drawn, true), figures(refined(net, pairs), true)
        assert all(ours > closed for ours, closed in zip(after, before, strict=True))

    def test_a_mirror_shows_the_other_sides_coefficients(self) -> None:
        far = np.zeros((1, len(NAMES)), np.float32)
        far[0, INDEX["mouthLeft"]] = far[0, INDEX["headYaw"]] = 1
        pairs = Pairs(pictures(), pictures(seed=1), pictures(seed=2), far)
        sides = {
            tuple(b[3][0, [INDEX["mouthLeft"], INDEX["mouthRight"], INDEX["headYaw"]]].tolist())
            for b in itertools.islice(batches(pairs, True, torch.Generator().manual_seed(0)), 20)
        }
        assert sides == {(1, 0, 1), (0, 1, -1)}

    def test_nobody_who_judges_was_learned_from(self, tmp_path: Path) -> None:
        for name in ("anna--a", "anna--b", "marc--a", "stranger_1--a", "franck--franck", f"{AUTHOR}--cap12"):
            (tmp_path / f"{name}.npz").touch()
        for left_out in FOLDS:
            names = {path.stem.split("--")[0] for path in learnable(tmp_path, left_out)}
            assert "stranger_1" in names and not names & {*left_out, "franck"}


class TestPlaces:
    @pytest.mark.parametrize("eyes_at", [((60, 90), (250, 90)), ((-30, -16), (440, 470))])
    def test_what_was_cut_goes_back_where_it_was(self, eyes_at: tuple[tuple[int, int], tuple[int, int]]) -> None:
        picture = pictures(1, 512, 512)[0]
        kept = picture.copy()
        for place in places((160, 300), eyes_at):
            crop = place.cut(picture)
            assert crop.shape == (round(place.window.height), round(place.window.width), 3)
            picture[:] = 0
            place.put(picture, crop)
            shown = picture.any(-1)
            assert shown.sum() > 1000 and np.array_equal(picture[shown], kept[shown])
            picture[:] = kept

    def test_a_change_comes_back_on_its_own_side(self) -> None:
        picture = np.zeros((512, 512, 3), np.uint8)
        _, left, right = places((160, 300), ((300, 100), (100, 100)))
        crop = right.cut(picture)
        crop = crop.copy()
        crop[:, :10] = 255  # in the mirror
        right.put(picture, crop)
        rows, cols = np.flatnonzero(picture.any((1, 2))), np.flatnonzero(picture.any((0, 2)))
        assert (cols[0], cols[-1]) == (100 + EYE.width - 10, 100 + EYE.width - 1)
        assert (rows[0], rows[-1]) == (100, 100 + EYE.height - 1) and not left.mirrored

    def test_nothing_is_away_at_the_photos_own_expression(self) -> None:
        source = np.linspace(0, 0.5, 63, dtype=np.float32)
        own = rest()
        own[:63] = source
        assert not away(own, source).any()
        own[INDEX["headYaw"]] = 10
        assert away(own, source).sum() == pytest.approx(0.5)

    def test_two_mirrors_are_none(self) -> None:
        told = np.random.default_rng(0).random(len(NAMES), np.float32)
        _, _, right = places((0, 0), ((0, 0), (0, 0)))
        assert np.array_equal(right.told(right.told(told)), told) and not np.array_equal(right.told(told), told)


class TestFigures:
    def test_slopes_count_and_brightness_does_not(self) -> None:
        picture = np.zeros((64, 64, 3), np.uint8)
        picture[:, 32:] = 120
        moved = np.roll(picture, 3, 1)
        assert gradients(picture, picture) == 1
        assert gradients(picture + np.uint8(50), picture) == pytest.approx(1)
        assert gradients(moved, picture) < 0.95

    def test_a_blurred_picture_is_less_sharp(self) -> None:
        true = pictures(2)
        blurred = np.stack([cv2.GaussianBlur(picture, (0, 0), 2) for picture in true])
        assert sharpness(true, true) == 1 and sharpness(blurred, true) < 0.5

    def test_the_rival_is_as_blurred_as_the_refined(self) -> None:
        true = pictures(2)
        rival = softer(true, true, 0.7)
        assert 0.6 < sharpness(rival, true) <= 0.7 and softer(true, true, 1.2) is true

    def test_what_a_blur_does_as_well_is_no_better(self) -> None:
        closed, blurred, between, above = (Figures(30 + i, 0.9 + i / 50, 0.9 + i / 50) for i in (0, 2, 1, 3))
        assert not Judged("a", "mouth", closed, between, blurred, (1, 0.9), pictures()[0]).better
        assert Judged("a", "mouth", closed, above, blurred, (1, 0.9), pictures()[0]).better
        assert not Judged("a", "mouth", closed, above._replace(ssim=0.9), blurred, (1, 0.9), pictures()[0]).better


class TestCost:
    def test_a_network_runs_where_it_would_serve(self) -> None:
        assert all(
            milliseconds(Refiner(window, Config(width=8, blocks=1)), name, 2) > 0 for name, window in WINDOWS.items()
        )
