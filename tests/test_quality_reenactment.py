"""Repeating clips: the rivals do what they say, and the table judges by its targets."""

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

pytest.importorskip("mediapipe")

from engine.evaluation.clips import MEASURED, warped
from engine.evaluation.likeness import REGIONS
from engine.evaluation.reenact import warp
from engine.evaluation.repeating import Repeated, clip_table, follows, table
from engine.evaluation.study import _inverted

Rgb = npt.NDArray[np.uint8]


def ramp(size: int = MEASURED) -> Rgb:
    """A picture whose colours tell the place."""
    y, x = np.mgrid[0:size, 0:size]
    return np.stack([x, y, np.zeros_like(x)], -1).astype(np.uint8)


def repeated() -> Repeated:
    return Repeated(
        psnr=25, ssim=0.9, lip_shape=0.01, aperture=0.95, blink=0.9, regions=np.full(len(REGIONS), 0.02),
        identity=0.2, person=0.2, jitter=1, face_jitter=1, error=np.zeros((4, 4)),
        shown=np.zeros((1, 4, 4, 3), np.uint8),
    )  # fmt: skip


class TestWarps:
    def test_places_of_their_own_change_nothing(self) -> None:
        x = np.arange(0, MEASURED + 1, 2, dtype=np.float32) + 0.5
        assert np.array_equal(warp(ramp(), np.stack(np.meshgrid(x, x), -1), 2), ramp())

    def test_every_pixel_comes_from_the_place_that_is_named(self) -> None:
        x = np.arange(0, MEASURED + 1, 2, dtype=np.float32) + 0.5
        moved = warp(ramp(), np.stack(np.meshgrid(x + 5, x - 3), -1), 2)
        assert np.array_equal(moved[10:-10, 10:-10], ramp()[7:-13, 15:-5])

    def test_the_study_inverts_its_displacements(self) -> None:
        y, x = np.mgrid[0:128, 0:128] * 4 + 2.0
        forward = np.stack([6 * np.sin(y / 60), 4 * np.cos(x / 50)], -1).astype(np.float32)
        back = _inverted(forward)
        at = ((np.stack([x, y], -1) + back) / 4 - 0.5).astype(np.float32)
        round_trip = back + cv2.remap(forward, at, None, cv2.INTER_LINEAR)
        assert np.abs(round_trip[8:-8, 8:-8]).max() < 0.05

    def test_a_picture_lands_in_its_frame(self) -> None:
        half = np.array([[2, 0, 0], [0, 2, 0]], np.float64)  # a photo of 256 pixels is the frame of 512 units
        assert np.array_equal(warped(ramp(), half, MEASURED), ramp())


class TestTable:
    def test_only_our_own_targets_are_judged(self) -> None:
        text = table({"ours": [repeated()], "theirs": [replace(repeated(), psnr=10)]})
        assert "| PSNR, dB | ≥ 24 | 25.00 ✓ | 10.00 |" in text

    @pytest.mark.parametrize(
        ("name", "value"), [("psnr", 23), ("ssim", 0.8), ("lip_shape", 0.05), ("identity", 0.3), ("jitter", 0.6)]
    )
    def test_what_misses_its_target_is_marked(self, name: str, value: float) -> None:
        worse = Repeated.of({**repeated().arrays(), name: np.array(value)})
        assert table({"ours": [worse]}).count("✗") == 1

    def test_a_mouth_that_stays_shut_proves_nothing(self) -> None:
        still, moving = np.linspace(0, 0.01, 20), np.linspace(0, 0.2, 20)
        assert np.isnan(follows(moving, still, 0.05)) and follows(still, moving, 0.05) == pytest.approx(1)
        both = [repeated(), replace(repeated(), aperture=np.nan)]
        assert "| aperture, correlation | ≥ 0.93 | 0.950 ✓ |" in table({"ours": both})
        assert "| – |" in clip_table(["a", "b"], both)

    def test_results_survive_being_kept(self) -> None:
        again = Repeated.of(repeated().arrays())
        assert again.psnr == 25 and np.array_equal(again.regions, repeated().regions)
