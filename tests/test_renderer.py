"""What the renderer promises: both paths agree, lids close, the gaze turns, and nothing tears or shows through."""

import functools
import itertools
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest

import engine.renderer
from engine.face.coefficients import FACE, INDEX, NAMES
from engine.portrait import Portrait, default_names, default_photo, prepare
from engine.portrait.layers_layout import EYE, FACE_ORIGIN, FRAME, MOUTH, SIDE
from engine.portrait.layers_layout import FACE as FACE_WINDOW
from engine.renderer import CpuRenderer
from engine.renderer.names import MAPS, PICTURES
from engine.runtime import OpenVinoNetwork

Image = npt.NDArray[np.uint8]
Floats = npt.NDArray[np.float32]
GREEN = np.array([0, 255, 0], np.uint8)
MIXTURES = 100


@functools.cache
def portrait(who: str = "anna") -> Portrait:
    return prepare(default_photo(who))


@functools.cache
def renderer(size: int = 256) -> CpuRenderer:
    return CpuRenderer(size)


def face(**levels: float) -> Floats:
    """Coefficients by name; a name without a side means both."""
    values = np.zeros(len(NAMES), np.float32)
    values[INDEX["headScale"]] = 1
    for name, level in levels.items():
        values[[INDEX[n] for n in ((name,) if name in INDEX else (name + "Left", name + "Right"))]] = level
    return values


def as_photographed() -> Floats:
    values = face()
    values[: len(FACE)] = portrait().source
    return values


def mixtures(count: int = MIXTURES) -> Iterator[Floats]:
    """Random: some eight coefficients at once, and the head within its limits."""
    random = np.random.default_rng(7)
    for _ in range(count):
        values = face()
        values[random.choice(len(FACE), 8, replace=False)] = random.random(8)
        values[len(FACE) : len(FACE) + 3] = random.uniform([-15, -10, -12], [15, 10, 12])
        yield values


def everything() -> Iterator[Floats]:
    """Each coefficient alone at two levels, and mixtures."""
    for name, level in itertools.product(FACE, (0.5, 1.0)):
        yield face(**{name: level})
    yield from mixtures()


def painted(who: str = "anna", **pictures: npt.NDArray[Any]) -> Portrait:
    """The portrait with some of its pictures replaced."""
    return replace(portrait(who), layers={**portrait(who).layers, **pictures})


def green(picture: Image) -> int:
    """Pixels in which pure green shows."""
    rgb = picture.astype(np.int32)
    return int((rgb[..., 1] - np.maximum(rgb[..., 0], rgb[..., 2]) > 100).sum())


def filled(name: str, who: str = "anna") -> Image:
    """A picture of the portrait in green; its alpha is kept."""
    picture = portrait(who).layers[name].copy()
    picture[..., :3] = GREEN
    return picture


class TestPicture:
    def test_the_photo_with_its_own_expression_is_the_photo(self) -> None:
        """But for the texels beside the lids, which the eyeball's completion replaced."""
        drawn = renderer(512).render(portrait(), as_photographed())
        thumbnail = cv2.imdecode(np.frombuffer(portrait().thumbnail, np.uint8), cv2.IMREAD_COLOR)
        assert thumbnail is not None
        assert psnr(drawn, thumbnail[..., ::-1]) > 34

    def test_the_same_coefficients_give_the_same_bits(self) -> None:
        values = next(mixtures())
        first = renderer().render(portrait(), values)
        renderer().render(portrait(), face(jawOpen=1))
        assert np.array_equal(first, renderer().render(portrait(), values))

    def test_a_small_change_of_coefficients_is_a_small_change_of_the_picture(self) -> None:
        for values in mixtures(10):
            near = values.copy()
            near[: len(FACE)] *= 0.995
            near[len(FACE) : len(FACE) + 3] += 0.02
            pair = [renderer().render(portrait(), v).astype(np.int32) for v in (values, near)]
            change = np.abs(pair[0] - pair[1])
            assert change.mean() < 0.5
            assert np.percentile(change, 99.9) < 24

    @pytest.mark.parametrize("size", [256, 384, 1024])
    def test_every_size_shows_the_same(self, size: int) -> None:
        values = face(jawOpen=0.4, eyeBlinkLeft=0.6, headYaw=8)
        whole = renderer(512).render(portrait(), values)
        other = cv2.resize(renderer(size).render(portrait(), values), (512, 512), interpolation=cv2.INTER_AREA)
        assert psnr(whole, other) > 28

    @pytest.mark.parametrize("size", [128, 500, 2048])
    def test_other_sizes_are_refused(self, size: int) -> None:
        with pytest.raises(ValueError, match="multiple of 32"):
            CpuRenderer(size)


class TestFields:
    """Every map from the picture to the photo is one to one and smooth."""

    @pytest.mark.parametrize("who", default_names())
    def test_nothing_folds(self, who: str) -> None:
        for values in everything():
            fields = renderer().fields(portrait(who), values)
            here = FRAME.centres()
            self.check_unfolded(here + fields["person"][0].transpose(1, 2, 0), FRAME.cell, values)
            self.check_unfolded(fields["mouth"][0].transpose(1, 2, 0), MOUTH.cell, values)
            for eye in fields["eyes"][0]:
                self.check_unfolded(eye.transpose(1, 2, 0), EYE.cell, values)

    @staticmethod
    def check_unfolded(places: Floats, cell: float, values: Floats) -> None:
        dy, dx = (np.gradient(places, axis=axis)[2:-2, 2:-2] / cell for axis in (0, 1))
        area = dx[..., 0] * dy[..., 1] - dx[..., 1] * dy[..., 0]
        assert area.min() > 0, f"a fold at {named(values)}"
        assert area.max() < 12, f"a tear at {named(values)}"

    def test_the_lower_lip_moves_with_the_head_where_it_fades_into_it(self) -> None:
        """Else its rim would show as a seam."""
        layers = portrait().layers
        left, top = ((layers["mouth_at"] - FACE_ORIGIN) / FACE_WINDOW.cell).astype(int)
        head = layers["face_maps"][:, :, top : top + MOUTH.rows, left : left + MOUTH.cols].astype(np.float32)
        lip = layers["mouth_maps"][: len(FACE)].astype(np.float32)
        alpha = cv2.resize(layers["lower"][..., 3], (MOUTH.cols, MOUTH.rows), interpolation=cv2.INTER_AREA)
        fading = cv2.dilate(((alpha > 8) & (alpha < 247)).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0
        below = fading & (np.arange(MOUTH.rows)[:, None] > MOUTH.rows * 0.6)  # the rim at the chin, not the lip's edge
        assert below.sum() > 12
        assert np.abs(head - lip)[..., below].max() < 0.5


class TestLayers:
    @pytest.mark.parametrize("who", default_names())
    def test_the_background_never_shows_through_the_face(self, who: str) -> None:
        behind = painted(who, background=filled("background", who), person=solid(who))
        for values in everything():
            assert green(renderer().render(behind, values)) == 0, named(values)

    @pytest.mark.parametrize("who", default_names())
    def test_the_mouth_is_shut_until_it_opens(self, who: str) -> None:
        inside = painted(who, mouth_pictures=filled("mouth_pictures", who))
        assert green(renderer(512).render(inside, face())) == 0
        assert green(renderer(512).render(inside, face(jawOpen=0.5))) > 300

    @pytest.mark.parametrize("who", default_names())
    def test_lids_close(self, who: str) -> None:
        eyeballs = painted(who, whites=filled("whites", who), irises=filled("irises", who))
        seen = [green(renderer(512).render(eyeballs, face(eyeBlink=level))) for level in (0, 0.25, 0.5, 0.75, 1)]
        assert seen == sorted(seen, reverse=True)
        assert seen[0] > 300
        assert seen[-1] < 0.05 * seen[0]

    @pytest.mark.parametrize("also", ["eyeLookDown", "eyeSquint", "cheekSquint"])
    def test_a_lid_stops_at_the_other(self, also: str) -> None:
        """Closed is closed: what would shut an eye further leaves it as it is."""
        shut = renderer(512).fields(portrait(), face(eyeBlink=1))["eyes"]
        more = renderer(512).fields(portrait(), face(eyeBlink=1, **{also: 1}))["eyes"]
        assert np.abs(shut - more)[..., 22:26, 22:34].max() < 6

    @pytest.mark.parametrize(("name", "way"), [("Out", 1), ("In", -1)])
    def test_the_left_eye_looks_to_its_side(self, name: str, way: int) -> None:
        eyes = painted(irises=filled("irises"))
        pictures = (renderer(512).render(eyes, values) for values in (face(), face(**{f"eyeLook{name}Left": 1})))
        ahead, aside = (np.nonzero(is_green(p)[:, SIDE // 2 :])[1].mean() for p in pictures)
        assert way * (aside - ahead) > 4

    def test_the_head_turns_as_it_should(self) -> None:
        """Yaw brings the mouth to the picture's right, pitch brings it up, roll brings it to the left."""
        lips = painted(lower=filled("lower"))
        at = {
            name: np.argwhere(is_green(renderer(512).render(lips, face(**{name: 10} if name else {})))).mean(0)
            for name in ("", "headYaw", "headPitch", "headRoll")
        }
        assert at["headYaw"][1] - at[""][1] > 10
        assert at["headPitch"][0] - at[""][0] < -8
        assert at["headRoll"][1] - at[""][1] < -1


class TestPaths:
    def test_the_cpu_draws_what_the_module_defines(self) -> None:
        torch = pytest.importorskip("torch")
        from engine.renderer.module import Renderer

        torch.set_num_threads(1)
        module = Renderer(256)
        inputs = [torch.from_numpy(array)[None] for array in inputs_of(portrait())]
        for values in [*mixtures(4), face(tongueOut=1, jawOpen=0.3), face(jawOpen=1), face(eyeBlink=0.5)]:
            with torch.inference_mode():
                wanted = module(torch.from_numpy(values)[None], *inputs)[0].numpy()
            drawn = renderer().render(portrait(), values)
            assert psnr(drawn, wanted) > 45, named(values)
            assert np.abs(drawn.astype(np.int32) - wanted).max() <= 8, named(values)

    def test_a_batch_mixes_portraits(self) -> None:
        torch = pytest.importorskip("torch")
        from engine.renderer.module import Renderer

        module = Renderer(256)
        values = np.stack([face(jawOpen=0.5), face(mouthSmile=1, headYaw=5)])
        other = painted(background=np.zeros_like(portrait().layers["background"]))
        both = [torch.from_numpy(np.stack(p)) for p in zip(inputs_of(portrait()), inputs_of(other), strict=True)]
        with torch.inference_mode():
            drawn = module(torch.from_numpy(values), *both).numpy()
            alone = module(torch.from_numpy(values[1:]), *(b[1:] for b in both)).numpy()
        assert np.abs(drawn[1:].astype(np.int32) - alone).max() <= 1
        assert not np.array_equal(drawn[0], drawn[1])

    def test_the_whole_graph_draws_the_same(self) -> None:
        """On another runtime than the one that traced it, with a batch of two."""
        values = np.stack([face(jawOpen=0.5, eyeBlink=0.3), face(mouthSmile=1, headYaw=5)])
        names = ("coefficients", *MAPS, *PICTURES)
        inputs = [values, *(np.stack([array, array]) for array in inputs_of(portrait()))]
        graph = OpenVinoNetwork(Path(engine.renderer.__file__).parent / "data" / "renderer.onnx")
        drawn = graph(dict(zip(names, inputs, strict=True)))["picture"]
        for picture, own in zip(drawn, values, strict=True):
            assert psnr(picture, renderer(512).render(portrait(), own)) > 45

    def test_the_graph_that_ships_is_a_fresh_export(self, tmp_path: Path) -> None:
        pytest.importorskip("torch")
        onnx = pytest.importorskip("onnx")
        from engine.renderer import export

        export.export_renderer(tmp_path / "fresh.onnx")
        fresh, shipped = (onnx.load(path).graph for path in (tmp_path / "fresh.onnx", export.DATA / "renderer.onnx"))
        assert fresh.SerializeToString() == shipped.SerializeToString(), "run python -m engine.renderer.export"

    def test_the_names_are_the_modules(self) -> None:
        pytest.importorskip("torch")
        from engine.renderer.export import map_shapes, picture_shapes
        from engine.renderer.fields import FieldInputs
        from engine.renderer.module import Pictures

        assert FieldInputs._fields == MAPS == tuple(map_shapes())
        assert Pictures._fields == PICTURES == tuple(picture_shapes())
        for name, shape in (map_shapes() | picture_shapes()).items():
            assert portrait().layers[name].shape == shape, name


def solid(who: str = "anna") -> Image:
    """The person without a matte: opaque but for mouth and eyes."""
    person = portrait(who).layers["person"].copy()
    size = person.shape[0]
    rows, cols = np.mgrid[0:size, 0:size] / size
    around = (np.abs(cols - 0.5) < 0.15) & (rows > 0.3) & (rows < 0.69)  # above the gap beside the neck
    person[~around] = (128, 128, 128, 255)
    return person


def inputs_of(of: Portrait) -> list[npt.NDArray[Any]]:
    maps = [np.ascontiguousarray(of.layers[name], np.float32) for name in MAPS]
    return maps + [np.ascontiguousarray(of.layers[name]) for name in PICTURES]


def is_green(picture: Image) -> npt.NDArray[np.bool_]:
    rgb = picture.astype(np.int32)
    return np.asarray(rgb[..., 1] - np.maximum(rgb[..., 0], rgb[..., 2]) > 100)


def psnr(a: npt.NDArray[Any], b: npt.NDArray[Any]) -> float:
    error = float(((a.astype(np.float64) - b) ** 2).mean())
    return 10 * float(np.log10(255**2 / max(error, 1e-9)))


def named(values: Floats) -> Mapping[str, float]:
    """The coefficients that are not at rest."""
    return {name: round(float(v), 2) for name, v in zip(NAMES, values, strict=True) if v}
