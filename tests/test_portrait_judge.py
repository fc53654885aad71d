"""The report names what is wrong with a photo, and nothing else."""

from collections.abc import Callable
from functools import cache

import cv2
import numpy as np
import pytest

from engine.face import load
from engine.portrait.default import default_photo
from engine.portrait.fit import Fit, fit_head
from engine.portrait.frame import make_frame
from engine.portrait.judge import judge
from engine.portrait.landmarks import Rgb, find_faces
from engine.portrait.photo import load_photo
from engine.portrait.report import Report


@cache
def anna() -> Rgb:
    return load_photo(default_photo("anna"))


def report(photo: Rgb) -> Report:
    faces = find_faces(photo)
    frame = make_frame(photo, faces[0])
    whole = np.full(frame.picture.shape[:2], 255, np.uint8)
    fit = Fit(**vars(fit_head(frame, load())), picture=frame.picture, matte=whole, background=frame.picture)
    return judge(faces, frame, fit, True)


def glasses(photo: Rgb, thickness: int) -> Rgb:
    photo = photo.copy()
    for x in (430, 594):
        cv2.circle(photo, (x, 425), 64, (15, 15, 15), thickness)
    cv2.line(photo, (485, 415), (538, 415), (15, 15, 15), 8)
    return photo


def mask(photo: Rgb) -> Rgb:
    outline = np.array([(340, 500), (512, 480), (690, 500), (660, 680), (512, 730), (370, 680)])
    return np.asarray(cv2.fillConvexPoly(photo.copy(), outline, (120, 150, 200)), np.uint8)


def side_light(photo: Rgb) -> Rgb:
    light = np.interp(np.arange(photo.shape[1]), [350, 650], [0.1, 1.0])
    return (photo * light[None, :, None]).astype(np.uint8)


class TestWarnings:
    @pytest.mark.parametrize("name", ["anna", "zola"])
    def test_a_good_photo_has_none(self, name: str) -> None:
        assert report(load_photo(default_photo(name))).warnings == []

    @pytest.mark.parametrize(
        ("subject", "photo"),
        [
            ("sharpness", lambda a: cv2.GaussianBlur(a, (0, 0), 4)),
            ("light", lambda a: (a * 0.2).astype(np.uint8)),
            ("light", side_light),
            ("cover", mask),
            ("cover", lambda a: glasses(a, 7)),
            ("cover", lambda a: glasses(a, -1)),
            ("face", lambda a: cv2.resize(a, (250, 250), interpolation=cv2.INTER_AREA)),
            ("framing", lambda a: a[180:800, 240:800].copy()),
        ],
        ids=["blurred", "dark", "one-sided light", "mask", "glasses", "dark glasses", "small", "tight"],
    )
    def test_name_the_fault_alone(self, subject: str, photo: Callable[[Rgb], Rgb]) -> None:
        assert [remark.subject for remark in report(photo(anna())).remarks if remark.warning] == [subject]

    def test_have_an_order_that_does_not_change(self) -> None:
        subjects = [remark.subject for remark in report(anna()).remarks]
        assert subjects == ["face", "sharpness", "pose", "light", "cover", "mouth"]

    def test_of_several_faces_it_says_which(self) -> None:
        pair = np.hstack([anna(), load_photo(default_photo("otto"))])
        (choice,) = [remark for remark in report(pair).remarks if remark.subject == "choice"]
        assert choice.words.startswith("the largest of 2 faces") and not choice.warning
