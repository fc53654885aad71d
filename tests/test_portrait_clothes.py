"""Clothes lie still while a jaw drops; a chin is not held by them, and a neck is none."""

import functools
from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt

from engine.face import load
from engine.portrait import default_photo
from engine.portrait.clothes import clothes, slack
from engine.portrait.fit import Fit, fit_head
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import find_faces
from engine.portrait.layers_layout import TEXELS
from engine.portrait.photo import load_photo

Picture = npt.NDArray[np.uint8]
CHIN = 152
EYES = 96  # units


@functools.cache
def someone() -> Fit:
    photo = load_photo(default_photo("zola"))
    frame = make_frame(photo, find_faces(photo)[0])
    whole = np.full(frame.picture.shape[:2], 255, np.uint8)
    return Fit(**vars(fit_head(frame, load())), picture=frame.picture, matte=whole, background=frame.picture)


def below_chin(share: float) -> tuple[int, int]:
    """Row and column so many inter-ocular distances below the chin, units."""
    x, y = someone().landmarks[CHIN, :2]
    return int(y + share * EYES), int(x)


def under_chin(picture: Picture, share: float, paint: Picture) -> Fit:
    """With `paint` from there on."""
    row = below_chin(share)[0] * TEXELS
    return replace(someone(), picture=np.concatenate([picture[:row], paint[row:]]))


def test_a_shirt_is_clothes_and_a_neck_is_none() -> None:
    found = clothes(someone())
    assert found[below_chin(0.9)] and not found[below_chin(0.4)]
    assert slack(someone())[below_chin(0.95)] < 0.1


def test_a_pale_neck_under_a_flushed_face_is_a_neck() -> None:
    picture = someone().picture
    ycc = cv2.cvtColor(picture, cv2.COLOR_RGB2YCrCb).astype(np.float32)
    ycc[..., 1:] = 128 + 0.5 * (ycc[..., 1:] - 128)
    pale = np.asarray(cv2.cvtColor(ycc.round().astype(np.uint8), cv2.COLOR_YCrCb2RGB), np.uint8)
    assert not clothes(under_chin(picture, 0.1, pale))[below_chin(0.4)]


def test_a_high_collar_does_not_hold_the_chin() -> None:
    picture = someone().picture
    fit = under_chin(picture, 0.25, np.full_like(picture, (40, 70, 160)))
    assert clothes(fit)[below_chin(0.35)]
    free = slack(fit)
    assert free[below_chin(-0.1)] > 0.95
    assert free[below_chin(0.9)] < 0.1
