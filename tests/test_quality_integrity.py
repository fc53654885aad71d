"""Portraits stay whole: no fold, tear, hole, spill or seam. The bench looks at ten of them; here are two."""

import functools
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest

from engine.evaluation.integrity import Inspector, determinant, everything, lids, still, sweep
from engine.face.coefficients import FACE, INDEX
from engine.portrait import Portrait, default_photo, prepare
from engine.portrait.layers_layout import MOUTH
from engine.renderer import CpuRenderer
from engine.tracks import rest

MIXTURES = 20
WHO = ("anna", "zola")


@functools.cache
def portrait(who: str) -> Portrait:
    return prepare(default_photo(who))


@functools.cache
def renderer(size: int = 256) -> CpuRenderer:
    return CpuRenderer(size)


def broken(**layers: npt.NDArray[np.generic]) -> Portrait:
    return replace(portrait(WHO[0]), layers={**portrait(WHO[0]).layers, **layers})


class TestWholeness:
    @pytest.mark.parametrize("who", WHO)
    def test_no_coefficient_and_no_mixture_breaks_a_face(self, who: str) -> None:
        inspector = Inspector(portrait(who), renderer())
        faults = {name: inspector.look(values).faults for name, values in everything(MIXTURES, levels=(1.0,))}
        assert {name: found for name, found in faults.items() if found} == {}

    @pytest.mark.parametrize("who", WHO)
    def test_lids_close(self, who: str) -> None:
        assert lids(portrait(who), renderer(512)) < 0.05 < 0.2 < lids(portrait(who), renderer(512), 0.5)

    def test_the_same_coefficients_are_the_same_pixels(self) -> None:
        for _, values in list(everything(3, levels=()))[-3:]:
            assert still(portrait(WHO[0]), renderer(), values)


class TestInspector:
    """It must see what it looks for."""

    def test_a_hole(self) -> None:
        person = portrait(WHO[0]).layers["person"].copy()
        person[500:520, 500:520, 3] = 0
        assert "hole" in Inspector(broken(person=person), renderer()).look(rest()).faults

    def test_the_mouths_inside_beyond_the_face(self) -> None:
        """As if what lies in the mouth might be seen wherever the head is clear."""
        who, values = portrait("marc"), rest()
        values[[INDEX[name] for name in ("headYaw", "headPitch", "jawOpen")]] = -20, -15, 1
        everywhere = replace(who, layers={**who.layers, "mouth_hole": np.ones_like(who.layers["mouth_hole"])})
        assert "spill" in Inspector(everywhere, renderer()).look(values).faults
        assert Inspector(who, renderer()).look(values).faults == []

    def test_a_seam(self) -> None:
        maps = portrait(WHO[0]).layers["mouth_maps"].copy()
        jaw = FACE.index("jawOpen")
        maps[jaw, 0] += 6  # the whole patch slides aside as the jaw opens, its rim with it
        values = next(values for name, values in everything(0) if name == "jawOpen 1.0")
        assert "seam" in Inspector(broken(mouth_maps=maps), renderer()).look(values).faults

    def test_a_fold_and_a_tear(self) -> None:
        places = MOUTH.centres()
        folded = places.copy()
        folded[20:24, :, 1] -= np.array([0, 6, 12, 18])[:, None]
        assert determinant(places, MOUTH.cell).min() == pytest.approx(1)
        assert determinant(folded, MOUTH.cell).min() < 0
        assert determinant(places * 4, MOUTH.cell).max() > 12

    def test_everything_is_every_coefficient_and_mixtures(self) -> None:
        found = dict(everything(5, levels=(0.5, 1.0)))
        assert len(found) == 2 * len(FACE) + 5
        assert all(found[f"{name} 1.0"][i] == 1 for i, name in enumerate(FACE))

    def test_a_sweep_is_smooth_and_comes_back(self) -> None:
        track = sweep()
        assert np.abs(np.diff(track, n=2, axis=0))[:, : len(FACE)].max() < 0.02
        assert np.abs(track[0] - track[-1]).max() < 1e-4
