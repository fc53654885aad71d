"""What a portrait does at the edges of its frame and of the photo."""

import functools

import numpy as np
import pytest

from engine.face.coefficients import INDEX
from engine.portrait import Portrait, default_photo, prepare
from engine.renderer import CpuRenderer
from engine.tracks import rest


@functools.cache
def portrait(who: str) -> Portrait:
    return prepare(default_photo(who))


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

    def test_hair_that_goes_on_beyond_the_frame_stays_at_its_edge(self) -> None:
        weight = portrait("zola").layers["frame_pose"][1].astype(np.float32)
        assert weight[0].min() < 0.1 and weight[40].min() == 1  # the brows' row

    def test_the_little_that_would_reach_beyond_is_left_out(self) -> None:
        assert portrait("anna").layers["person"][0, :, 3].max() == 0
