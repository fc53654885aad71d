"""Photos of every kind come in upright and in RGB; what is no photo is refused in one line."""

import io

import numpy as np
import pytest
from PIL import Image

from engine.portrait.errors import PortraitError
from engine.portrait.photo import ENOUGH, GROUND, load_photo

RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 40), (40, 50, 210), (240, 240, 240)


def quarters(size: int = 64) -> Image.Image:
    """Red, green over blue, white: no two turns of it look alike."""
    image = Image.new("RGB", (size, size))
    half = size // 2
    for i, colour in enumerate((RED, GREEN, BLUE, WHITE)):
        image.paste(colour, (i % 2 * half, i // 2 * half, i % 2 * half + half, i // 2 * half + half))
    return image


def encoded(image: Image.Image, kind: str, **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def corners(pixels: np.ndarray) -> list[tuple[int, ...]]:
    q = pixels.shape[0] // 4
    return [tuple(int(c) for c in pixels[y, x]) for y in (q, 3 * q) for x in (q, 3 * q)]


def assert_quarters(pixels: np.ndarray, tolerance: int = 12) -> None:
    assert pixels.dtype == np.uint8 and pixels.shape[2] == 3
    np.testing.assert_allclose(corners(pixels), [RED, GREEN, BLUE, WHITE], atol=tolerance)


class TestKinds:
    @pytest.mark.parametrize(("kind", "options"), [("JPEG", {"quality": 95}), ("PNG", {}), ("WEBP", {"quality": 95})])
    def test_each_format(self, kind: str, options: dict[str, object]) -> None:
        assert_quarters(load_photo(encoded(quarters(), kind, **options)))

    @pytest.mark.parametrize("mode", ["P", "RGBA"])
    def test_palette_and_opaque_alpha(self, mode: str) -> None:
        assert_quarters(
            load_photo(encoded((quarters().quantize(8) if mode == "P" else quarters().convert(mode)), "PNG"))
        )

    def test_cmyk(self) -> None:
        assert_quarters(load_photo(encoded(quarters().convert("CMYK"), "JPEG", quality=95)), 30)

    @pytest.mark.parametrize("depth", ["L", "I;16"])
    def test_grey(self, depth: str) -> None:
        grey = np.tile(np.linspace(0, 255, 64), (64, 1))
        values = grey.astype(np.uint8) if depth == "L" else (grey * 257).astype(np.uint16)
        pixels = load_photo(encoded(Image.fromarray(values), "PNG"))
        np.testing.assert_allclose(pixels, np.repeat(grey[..., None], 3, 2), atol=2)

    def test_transparent_lies_over_grey(self) -> None:
        image = quarters().convert("RGBA")
        image.putalpha(0)
        assert corners(load_photo(encoded(image, "PNG"))) == [GROUND] * 4

    @pytest.mark.parametrize("orientation", range(1, 9))
    def test_exif_orientation_is_undone(self, orientation: int) -> None:
        turns = Image.Transpose
        undone = [None, turns.FLIP_LEFT_RIGHT, turns.ROTATE_180, turns.FLIP_TOP_BOTTOM]
        undone += [turns.TRANSPOSE, turns.ROTATE_90, turns.TRANSVERSE, turns.ROTATE_270]
        stored, turn = quarters(), undone[orientation - 1]
        exif = Image.Exif()
        exif[0x0112] = orientation
        stored = stored if turn is None else stored.transpose(turn)
        assert_quarters(load_photo(encoded(stored, "JPEG", quality=95, exif=exif)))

    @pytest.mark.parametrize("kind", ["JPEG", "PNG"])
    def test_fifty_megapixels_are_scaled_down(self, kind: str) -> None:
        image = quarters(64).resize((8660, 5774), Image.Resampling.NEAREST)
        options = {"compress_level": 1} if kind == "PNG" else {}
        pixels = load_photo(encoded(image, kind, **options))
        assert max(pixels.shape) <= ENOUGH and pixels.shape[1] > pixels.shape[0] > 1000
        np.testing.assert_allclose(pixels[100, 100], RED, atol=12)


class TestRefusals:
    @pytest.mark.parametrize(
        ("data", "named"),
        [
            (b"", "an empty file"),
            (b"hello", "no picture"),
            (b"GIF89a" + b"\0" * 50, "a GIF"),
            (b"%PDF-1.7\n", "a PDF"),
            (b"\0\0\0\x18ftypheic\0\0\0\0mif1heic", "an HEIC photo"),
            (b"\0\0\0\x0aftypavif\0\0\0\0", "an AVIF"),
            (b"\n<svg xmlns='http://www.w3.org/2000/svg'/>", "an SVG"),
        ],
    )
    def test_not_an_image(self, data: bytes, named: str) -> None:
        with pytest.raises(PortraitError, match=f"this is {named}.*: save the photo as JPEG, PNG or WebP") as refusal:
            load_photo(data)
        assert refusal.value.code == "not_an_image"

    @pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
    @pytest.mark.parametrize("share", [0.3, 0.7, 0.95])
    def test_truncated(self, kind: str, share: float) -> None:
        noise = np.random.default_rng(0).integers(0, 255, (300, 300, 3), np.uint8)
        data = encoded(Image.fromarray(noise), kind)
        with pytest.raises(PortraitError, match="cut off or damaged|JPEG, PNG or WebP"):
            load_photo(data[: int(len(data) * share)])

    @pytest.mark.parametrize("size", [(10_000, 8_100), (20_000, 20_000)])
    def test_more_pixels_than_memory_allows(self, size: tuple[int, int]) -> None:
        with pytest.raises(PortraitError, match="scale it down") as refusal:
            load_photo(encoded(Image.new("1", size), "PNG"))
        assert refusal.value.code == "too_many_pixels"

    def test_refusals_are_one_line(self) -> None:
        with pytest.raises(PortraitError) as refusal:
            load_photo(b"x")
        assert "\n" not in str(refusal.value)
