"""Landmarks: as MediaPipe's own, whatever the face's place, size and tilt."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.portrait.default import default_photo
from engine.portrait.landmarks import BLENDSHAPES, PATH, Detection, Rgb, _merge, blendshapes, find_faces
from engine.portrait.photo import load_photo


def photo(name: str) -> Rgb:
    return load_photo(default_photo(name))


def eyes_apart(points: npt.NDArray[np.float32]) -> float:
    return float(np.hypot(*(points[468] - points[473])[:2]))


class TestAgainstMediaPipe:
    @pytest.mark.parametrize("name", ["anna", "zola"])
    def test_landmarks_and_scores_agree(self, name: str) -> None:
        mediapipe = pytest.importorskip("mediapipe")
        vision, base = mediapipe.tasks.vision, mediapipe.tasks.BaseOptions(model_asset_path=str(PATH))
        picture = photo(name)
        options = vision.FaceLandmarkerOptions(base_options=base, output_face_blendshapes=True)
        with vision.FaceLandmarker.create_from_options(options) as judge:
            truth = judge.detect(mediapipe.Image(mediapipe.ImageFormat.SRGB, picture))
        height, width = picture.shape[:2]
        theirs = np.array([[p.x * width, p.y * height] for p in truth.face_landmarks[0]], np.float32)
        ours = find_faces(picture)[0].points
        assert np.hypot(*(ours[:, :2] - theirs).T).mean() < 0.015 * eyes_apart(theirs)
        scores = blendshapes(theirs)
        assert tuple(scores) == tuple(c.category_name for c in truth.face_blendshapes[0]) == BLENDSHAPES
        assert scores == pytest.approx({c.category_name: c.score for c in truth.face_blendshapes[0]}, abs=1e-4)


class TestWhereverTheFaceIs:
    @pytest.mark.parametrize("angle", [-40, 25])
    def test_a_tilted_head_has_the_same_landmarks(self, angle: float) -> None:
        picture = photo("anna")
        turn = cv2.getRotationMatrix2D((500, 450), angle, 0.8)
        upright = find_faces(picture)[0].points[:, :2]
        tilted = find_faces(np.asarray(cv2.warpAffine(picture, turn, (1000, 1000)), np.uint8))[0].points[:, :2]
        apart = np.hypot(*(tilted - (upright @ turn[:, :2].T + turn[:, 2])).T)
        assert apart.mean() < 0.03 * 0.8 * eyes_apart(upright)

    def test_a_small_face_in_a_large_photo_is_found(self) -> None:
        large = np.full((2400, 3600, 3), 120, np.uint8)
        small = cv2.resize(photo("anna"), (200, 200), interpolation=cv2.INTER_AREA)
        large[1900:2100, 300:500] = small
        (face,) = find_faces(large)
        expected = (find_faces(photo("anna"))[0].points[:, :2] * 200 / 1024) + [300, 1900]
        assert np.hypot(*(face.points[:, :2] - expected).T).mean() < 2

    def test_the_largest_of_several_comes_first(self) -> None:
        large = np.full((1100, 2300, 3), 120, np.uint8)
        large[:1024, 1200:2224] = photo("zola")
        large[100:740, 100:740] = cv2.resize(photo("anna"), (640, 640), interpolation=cv2.INTER_AREA)
        first, second = find_faces(large)
        assert first.size > second.size
        assert first.points[:, 0].mean() > 1200 > second.points[:, 0].mean()

    def test_there_is_no_face_in_noise(self) -> None:
        noise = np.random.default_rng(1).integers(0, 255, (300, 400, 3), np.uint8)
        assert find_faces(noise) == []

    @pytest.mark.parametrize("shape", [(1, 1), (1, 5000), (5000, 1), (40, 3000)])
    def test_there_is_no_face_in_a_sliver(self, shape: tuple[int, int]) -> None:
        assert find_faces(np.full((*shape, 3), 100, np.uint8)) == []


class TestMerging:
    def test_detections_of_one_score_are_told_apart(self) -> None:
        """The detector's scores are coarse where it is sure: equal ones are common."""
        box = np.array([0, 0, 10, 10], np.float32)
        points = np.zeros((6, 2), np.float32)
        near, far = Detection(0.9, box + 1, points), Detection(0.9, box + 100, points)
        merged = _merge([Detection(0.9, box, points), near, far])
        assert [tuple(hit.box) for hit in merged] == [(0.5, 0.5, 10.5, 10.5), (100, 100, 110, 110)]
