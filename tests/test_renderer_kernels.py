"""The CPU's own loops say what the torch module and plain arithmetic say."""

import functools
from collections.abc import Iterator
from itertools import islice
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.renderer import CpuRenderer, picture_kernels, warp_kernels
from engine.renderer.bench import talking
from engine.renderer.cpu_fields import Maps
from engine.renderer.names import FIELDS, MAPS
from tests.test_renderer import face, mixtures

Floats = npt.NDArray[np.float32]
NEAR = {name: 0.02 for name in FIELDS} | {"shade": 0.01, "shut": 1e-5, "sprites": 1e-3}  # units, but for these


@functools.cache
def portrait(who: str) -> Portrait:
    """As calls have it, from a file: its arrays can't be written to."""
    return Portrait.from_bytes(prepare(default_photo(who)).to_bytes())


def faces() -> Iterator[Floats]:
    yield face()
    yield face(eyeBlink=1)
    yield face(tongueOut=1, jawOpen=0.4)
    yield face(mouthClose=1, mouthPucker=1, jawOpen=0.6)
    yield from mixtures(6)
    yield from islice(talking(90), 0, None, 15)


def words(picture: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    return np.ascontiguousarray(picture).view(np.uint32)[..., 0]


class TestFields:
    @pytest.mark.parametrize("who", default_names())
    def test_every_place_is_the_modules(self, who: str) -> None:
        torch = pytest.importorskip("torch")
        from engine.renderer.fields import Fields

        torch.set_num_threads(1)
        maps = [torch.from_numpy(np.array(portrait(who).layers[name], np.float32))[None] for name in MAPS]
        module, renderer = Fields(), CpuRenderer(256)
        for values in faces():
            with torch.inference_mode():
                wanted = module(torch.from_numpy(values)[None], *maps)._asdict()
            found = renderer.fields(portrait(who), values)
            assert tuple(found) == FIELDS
            for name, array in found.items():
                assert array.shape == wanted[name].shape
                np.testing.assert_allclose(array, wanted[name].numpy(), rtol=0, atol=NEAR[name], err_msg=name)


class TestMaps:
    @pytest.mark.parametrize("kind", [np.float16, np.float32])
    def test_a_cropped_map_loses_nothing_but_what_is_nothing(self, kind: type) -> None:
        random = np.random.default_rng(3)
        maps: npt.NDArray[Any] = np.zeros((4, 3, 20, 30), kind)
        maps[0, :, 4:9, 7:20] = random.normal(size=(3, 5, 13))
        maps[1, 1, 0, 0], maps[1, 2, 19, 29] = 2, -3
        maps[3] = random.normal(size=(3, 20, 30))
        weights = np.array([0.5, 2, 1, -1], np.float32)
        maps[2] = random.choice([-1, 1], (3, 20, 30)) * kind(2**-10)
        cropped = Maps.cropped(maps, 2**-10)
        assert cropped.values.size == 3 * (5 * 13 + 20 * 30 + 20 * 30)
        np.testing.assert_allclose(cropped.sum(weights), np.tensordot(weights, maps.astype(np.float32), 1), atol=1.1e-3)


class TestPictures:
    def layer(self, seed: int, rows: int = 9, cols: int = 37) -> npt.NDArray[np.uint8]:
        return np.random.default_rng(seed).integers(0, 256, (rows, cols, 4), dtype=np.uint8)

    def test_a_layer_lies_over_its_part_of_the_picture(self) -> None:
        picture, layer = self.layer(1, 20, 50), self.layer(2)
        layer[:3, :, 3], layer[3:6, :, 3] = 0, 255
        wanted = picture.astype(np.float32)
        share = layer[..., 3:] / np.float32(255)
        wanted[4:13, 5:42, :3] += (layer[..., :3] - wanted[4:13, 5:42, :3]) * share
        drawn = picture.copy()
        warp_kernels.over(words(drawn), words(layer), 4, 5)
        assert np.abs(drawn[..., :3] - wanted[..., :3]).max() <= 1.01
        assert np.array_equal(drawn[4:7], picture[4:7])
        assert np.array_equal(drawn[7:10, 5:42, :3], layer[3:6, :, :3])

    def test_light_multiplies_colours_and_leaves_alpha(self) -> None:
        layer, gain = self.layer(3), self.layer(4)
        wanted = layer.astype(np.float32)
        wanted[..., :3] = (wanted[..., :3] * gain[..., :3] / 128).clip(0, 255)
        for line, by in zip(words(layer), words(gain), strict=True):
            warp_kernels.light_up(line, by)
        assert np.abs(layer - wanted).max() <= 0.5

    def test_texels_are_interpolated_and_the_edges_go_on(self) -> None:
        texture, random = self.layer(6), np.random.default_rng(7)
        x, y = random.uniform(-3, 40, 500).astype(np.float32), random.uniform(-3, 12, 500).astype(np.float32)
        found = self.fetched(texture, x, y)
        u, v = x.clip(0, 36), y.clip(0, 8)
        left, top = np.minimum(u.astype(int), 35), np.minimum(v.astype(int), 7)
        s, t = (u - left)[:, None], (v - top)[:, None]
        above, below = ((1 - s) * texture[row, left] + s * texture[row, left + 1] for row in (top, top + 1))
        assert np.abs(found - ((1 - t) * above + t * below)).max() < 2.5
        assert np.array_equal(
            self.fetched(texture, np.array([4], np.float32), np.array([5], np.float32)), texture[5:6, 4]
        )

    @staticmethod
    def fetched(texture: npt.NDArray[np.uint8], x: Floats, y: Floats) -> npt.NDArray[np.uint8]:
        out, scratch = np.empty((len(x), 4), np.uint8), np.empty((7, len(x)), np.uint32)
        warp_kernels.fetch(words(texture), x, y, scratch, words(out))
        return out

    def test_a_lattice_is_draped_where_it_lies(self) -> None:
        """Moved by a cell, over a part of the picture; half of it in half the light."""
        texture, picture = self.layer(8, 32, 48), self.layer(9, 40, 60)
        texture[..., 3], texture[:8, :, 3], texture[:, 40:, 3] = 255, 0, 0
        shown = np.zeros((8, 2), np.float32)
        shown[2:] = 0, 20  # units, of which a cell has two, and a texel a half
        lattice = np.stack(np.meshgrid(np.arange(12) * 2 + 3, np.arange(8) * 2 + 1), -1).astype(np.float32)
        gain = np.full((16, 24, 4), 128, np.uint8)
        gain[1:-1, 12:-1, :3] = 64
        drawn, light = picture.copy(), (0.5, -0.25, -0.25)
        warp_kernels.drape(
            words(drawn), words(texture), shown, lattice, 2.0, 0.0, 2.0, (6, 4), 2.0, words(gain), light, True
        )
        part, taken = drawn[12:34, 8:24], texture[8:30, 6:22]  # a pixel is a texel
        assert np.array_equal(part[..., :3], taken[..., :3])
        lit = drawn[16:32, 32:40].astype(int) - texture[12:28, 30:38] // 2
        assert np.abs(lit[..., :3]).max() <= 1
        assert np.array_equal(drawn[:12], picture[:12]) and np.array_equal(drawn[:, 44:], picture[:, 44:])

    def test_a_plate_lies_where_its_place_says_and_nowhere_else(self) -> None:
        texture, picture = self.layer(10), self.layer(11, 30, 60)
        texture[..., 3] = 255
        wide, high = (n / 2 - 1 for n in (texture.shape[1], texture.shape[0]))  # half of it, without its margin
        # From units of two pixels, whose columns are rows of the texture.
        place = np.array([[0, 2 / wide, -6 / wide - 1], [2 / high, 0, -21 / high - 1]], np.float32)
        drawn = picture.copy()
        warp_kernels.plate(words(drawn), words(texture), place, 2.0, 1, (20, 5, 27, 30), (0, 0), True)
        assert np.array_equal(drawn[5:30, 20:27], texture[:7, :25].transpose(1, 0, 2))
        drawn[5:30, 20:27] = picture[5:30, 20:27]
        assert np.array_equal(drawn, picture)
        warp_kernels.plate(words(drawn), words(texture), place, 2.0, 1, (40, 0, 60, 30), (0, 0), True)
        assert np.array_equal(drawn, picture)

    def test_what_goes_under_a_picture_shows_as_far_as_the_picture_lets_it(self) -> None:
        picture, below = self.layer(12), self.layer(13)[2:6, 3:9]
        below[..., 3] = 255
        drawn = picture.copy()
        warp_kernels.under(words(drawn), words(np.ascontiguousarray(below)), 2, 3)
        part, share = picture[2:6, 3:9], picture[2:6, 3:9, 3:].astype(np.float32) / 255
        assert np.abs(drawn[2:6, 3:9, :3] - (share * part[..., :3] + (1 - share) * below[..., :3])).max() < 2
        assert (drawn[2:6, 3:9, 3] == 255).all()
        drawn[2:6, 3:9] = part
        assert np.array_equal(drawn, picture)

    def test_a_table_is_read_within_its_ends(self) -> None:
        table, values = np.arange(101, dtype=np.uint32), np.array([[-9, -1, 0, 0.5, 1, 9]], np.float32)
        out = np.empty(values.shape, np.uint32)
        picture_kernels.look_up(values, table, 1.0, out)
        np.testing.assert_array_equal(out, [[0, 0, 50, 75, 100, 100]])

    def test_the_gap_in_a_layer_is_found(self) -> None:
        layer = self.layer(5)
        layer[..., 3] = 255
        top, bottom, left, right = picture_kernels.gap(words(layer), 1, 8, 2, 30)
        assert bottom <= top
        layer[3, 6, 3] = layer[5, 20, 3] = 254
        assert picture_kernels.gap(words(layer), 1, 8, 2, 30) == (3, 6, 6, 21)
        assert picture_kernels.gap(words(layer), 4, 8, 2, 30) == (5, 6, 20, 21)

    def test_what_a_cell_sees_of_the_mouths_hole(self) -> None:
        """The hole's two cells, moved by half a cell; and nothing beyond the part that is asked about."""
        seen = np.zeros((6, 6), np.float32)
        seen[2, 3:5] = 1
        offset, out = np.zeros((16, 16, 2), np.float32), np.zeros((16, 16), np.uint8)
        corner = np.array([8, 16], np.float32)  # cells of 4 units: the hole is in row 6, columns 5 and 6
        assert picture_kernels.hole(offset, seen, corner, 4.0, (0, 0, 16, 16), out) == (5, 6, 7, 7)
        assert out[6, 5:7].tolist() == [255, 255] and out.astype(int).sum() == 510
        offset[..., 0], out[:] = 2, 0
        assert picture_kernels.hole(offset, seen, corner, 4.0, (0, 0, 16, 16), out) == (4, 6, 7, 7)
        assert out[6, 4:8].tolist() == [128, 255, 128, 0]
        assert picture_kernels.hole(offset, seen, corner, 4.0, (0, 0, 4, 16), np.zeros_like(out))[0] == 4

    def test_a_person_is_found_in_each_row_wherever_it_is_moved(self) -> None:
        outline = np.zeros((16, 2), np.float32)
        outline[4:12] = 20, 32  # units, of 4 a cell: its cells 5 to 7
        offset = np.zeros((16, 16, 2), np.float32)
        assert warp_kernels.spans(offset, outline, 4.0, 1.0).tolist() == [[0, 0]] * 3 + [[4, 9]] * 10 + [[0, 0]] * 3
        offset[..., 0], offset[..., 1] = 8, 20
        assert warp_kernels.spans(offset, outline, 4.0, 1.0).tolist() == [[2, 7]] * 8 + [[0, 0]] * 8

    def test_a_person_at_the_photos_edge_goes_on_beyond_it(self) -> None:
        outline = np.tile(np.array([0, 64], np.float32), (16, 1))
        offset = np.full((16, 16, 2), -40, np.float32)
        assert warp_kernels.spans(offset, outline, 4.0, 1.0).tolist() == [[0, 16]] * 16
        assert warp_kernels.spans(-offset, outline, 4.0, 1.0).tolist() == [[0, 16]] * 16
