"""The loop closes: what the renderer was told to show, the fit finds again in its picture."""

from functools import cache

import numpy as np
import numpy.typing as npt
import pytest

from engine.face import load
from engine.face.coefficients import INDEX, NAMES
from engine.portrait import Portrait, default_photo, prepare
from engine.portrait.fit import Geometry, fit_head
from engine.portrait.frame import make_frame
from engine.portrait.landmarks import find_faces
from engine.renderer import CpuRenderer


@cache
def stage() -> tuple[Portrait, CpuRenderer]:
    return prepare(default_photo("anna")), CpuRenderer(512)


def seen(**units: float) -> Geometry:
    """The fit of the picture that the renderer makes of these coefficients."""
    values: npt.NDArray[np.float32] = np.zeros(len(NAMES), np.float32)
    values[INDEX["headScale"]] = 1
    for name, level in units.items():
        values[INDEX[name]] = level
    portrait, renderer = stage()
    picture = np.ascontiguousarray(renderer.render(portrait, values))
    return fit_head(make_frame(picture, find_faces(picture)[0]), load())


@pytest.mark.parametrize("yaw", [-15, 15])
def test_yaw(yaw: float) -> None:
    assert seen(headYaw=yaw).pose[0] - seen().pose[0] == pytest.approx(yaw, abs=3)


@pytest.mark.parametrize("pitch", [-10, 10])
def test_pitch(pitch: float) -> None:
    assert seen(headPitch=pitch).pose[1] - seen().pose[1] == pytest.approx(pitch, abs=3.5)


def test_roll() -> None:
    assert seen(headRoll=7).pose[2] - seen().pose[2] == pytest.approx(7, abs=1.5)


def test_jaw() -> None:
    source = seen(jawOpen=0.5).source
    assert source[INDEX["jawOpen"]] == pytest.approx(0.5, abs=0.15)
    assert source.sum() - source[INDEX["jawOpen"]] < 0.3


def test_smile() -> None:
    source = seen(mouthSmileLeft=0.6, mouthSmileRight=0.6).source
    assert source[[INDEX["mouthSmileLeft"], INDEX["mouthSmileRight"]]] == pytest.approx([0.6, 0.6], abs=0.2)
