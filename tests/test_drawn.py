"""What was drawn gives the same colours whatever the renderer handed over."""

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from engine.thrift import Drawn
from engine.tracks import rest

SIZE = 64


def drawn(image: npt.NDArray[np.uint8] | npt.NDArray[np.uint32]) -> Drawn:
    return Drawn(rest()[:63], rest(), image)


@pytest.fixture
def rgba() -> npt.NDArray[np.uint8]:
    picture = np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 4), np.uint8)
    picture[..., 3] = 255
    return picture


class TestDrawn:
    def test_words_are_the_colours_in_their_bytes(self, rgba: npt.NDArray[np.uint8]) -> None:
        words, rgb = drawn(rgba.view(np.uint32)[..., 0]), drawn(np.ascontiguousarray(rgba[..., :3]))
        assert np.array_equal(words.rgb, rgba[..., :3]) and np.array_equal(rgb.rgb, rgba[..., :3])
        assert words.i420.shape == (SIZE * 3 // 2, SIZE)
        assert np.array_equal(words.i420, rgb.i420)

    def test_what_is_i420_stays_and_turns_to_rgb_for_who_wants_it(self) -> None:
        grey = np.full((SIZE, SIZE, 3), (120, 120, 120), np.uint8)
        image = np.asarray(cv2.cvtColor(grey, cv2.COLOR_RGB2YUV_I420), np.uint8)
        found = drawn(image)
        assert found.i420 is image
        assert np.abs(found.rgb.astype(int) - grey).max() <= 2
