"""The bench's own rules: measures that know what is equal, judges that say no, results kept while they hold."""

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.evaluation import kept, truth
from engine.evaluation.kept import Kept
from engine.evaluation.likeness import lip_shape_error, psnr, region_error, ssim, unrest
from engine.face.coefficients import INDEX
from engine.portrait import default_photo
from engine.portrait.landmarks import find_faces
from engine.portrait.photo import load_photo

Rgb = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.floating]

LIPS, BROWS = (13, 14, 61, 291, 78, 308), (105, 334)


def photo(name: str = "anna") -> Rgb:
    return np.asarray(cv2.resize(load_photo(default_photo(name)), (512, 512), interpolation=cv2.INTER_AREA), np.uint8)


def points() -> Floats:
    """[478, 2]"""
    return find_faces(photo())[0].points[:, :2].astype(np.float64)


def whole(picture: Rgb) -> npt.NDArray[np.bool_]:
    return np.ones(picture.shape[:2], np.bool_)


class TestPictures:
    def test_a_known_error_has_a_known_psnr(self) -> None:
        grey = np.full((64, 64, 3), 100, np.uint8)
        assert psnr(grey + np.uint8(16), grey, whole(grey)) == pytest.approx(20 * np.log10(255 / 16), abs=1e-3)

    def test_what_is_masked_does_not_count(self) -> None:
        grey = np.full((64, 64, 3), 100, np.uint8)
        other, mask = grey.copy(), whole(grey)
        other[:32], mask[:40] = 0, False
        assert psnr(other, grey, mask) > 90 and ssim(other, grey, mask) == pytest.approx(1)

    def test_structure_counts_and_brightness_hardly(self) -> None:
        picture = photo()
        brighter = np.clip(picture.astype(np.int32) + 6, 0, 255).astype(np.uint8)
        blurred = cv2.GaussianBlur(picture, (0, 0), 3)
        mask = whole(picture)
        assert ssim(picture, picture, mask) == pytest.approx(1)
        assert ssim(blurred, picture, mask) < ssim(brighter, picture, mask) - 0.05


class TestLandmarks:
    def test_where_the_head_is_does_not_change_the_lips(self) -> None:
        angle = np.radians(12)
        turn = 1.3 * np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
        moved = points() @ turn.T + [30, -12]
        assert lip_shape_error(moved, points()) == pytest.approx(0, abs=1e-9)
        assert region_error(moved, points(), "lips") > 0.1

    def test_a_mouth_that_opens_changes_them(self) -> None:
        opened = points()
        opened[[14, 17, 84, 314, 87, 317]] += [0, 12]
        assert lip_shape_error(opened, points()) > 0.02
        assert region_error(opened, points(), "brows") == 0

    def test_unrest_is_noise_and_no_motion(self) -> None:
        still = np.tile(points(), (60, 1, 1))
        apart = np.linalg.norm(points()[468] - points()[473])
        drifting = still + np.linspace(0, 20, 60)[:, None, None]
        noisy = still + np.random.default_rng(0).standard_normal(still.shape)
        assert unrest(still, "lips") == 0 == pytest.approx(unrest(drifting, "lips"), abs=1e-9)
        # a point's own noise, that of the middle of its neighbours, in x and y; the steady points' on top
        assert unrest(noisy, "lips") == pytest.approx(np.sqrt(2 * 1.5) / apart, rel=0.1)


class TestKept:
    def test_is_made_again_only_when_its_sources_change(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(kept, "ENGINE", tmp_path)
        source, made = tmp_path / "part.py", []

        def result() -> dict[str, Floats]:
            made.append(1)
            return {"value": np.arange(3.0)}

        for text, times in (("one", 1), ("one", 1), ("two", 2), ("one", 2)):
            kept.digest.cache_clear()
            source.write_text(text)
            found = Kept(tmp_path / "kept").of("result", ["part.py"], result)
            assert found["value"].tolist() == [0, 1, 2] and len(made) == times
        kept.digest.cache_clear()


class TestTruth:
    def test_coefficients_are_read(self) -> None:
        values = truth.coefficients("jawOpen=.5,headYaw=-10")
        assert values[INDEX["jawOpen"]] == 0.5 and values[INDEX["headYaw"]] == -10 and values[INDEX["headScale"]] == 1

    def test_a_person_is_compared(self, tmp_path: Path) -> None:
        """A "truth" that is the neutral picture again: only a face at rest is drawn right."""
        pytest.importorskip("mediapipe")
        from engine.evaluation.landmarker import Landmarker
        from engine.renderer import CpuRenderer

        person = tmp_path / "anna"
        person.mkdir()
        (person / "expressions.json").write_text('{"neutral": {"units": ""}, "jaw": {"units": "jawOpen=.6"}}')
        for name in ("neutral", "jaw"):
            (person / f"{name}.jpg").write_bytes(default_photo("anna"))
        landmarker = Landmarker()
        found = list(truth.compare(truth.people(tmp_path)[0], CpuRenderer(), landmarker))
        landmarker.close()
        figures = {(one.expression, one.way): one for one in found}
        rest, jaw = (figures[name, "avatar"] for name in ("neutral", "jaw"))
        assert rest.psnr > 30 and rest.lip_shape < 0.01
        assert jaw.psnr < rest.psnr - 5 and jaw.lip_shape > 0.05
        assert truth.sheet(found, "anna").shape[2] == 3
        assert "jaw" in truth.table(found)


class TestJudges:
    def test_dlib_tells_people_apart(self) -> None:
        pytest.importorskip("dlib")
        from engine.evaluation.identity import Recogniser

        judge = Recogniser()
        anna, zola = (photo(name) for name in ("anna", "zola"))
        bright = np.clip(anna.astype(np.int32) + 20, 0, 255).astype(np.uint8)
        own, again, other = (judge.describe(p, find_faces(p)[0].points[:, :2]) for p in (anna, bright, zola))
        assert np.linalg.norm(own - again) < 0.3 < 0.5 < np.linalg.norm(own - other)  # made from one head, all of them
