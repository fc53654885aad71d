"""From photo to prepared portrait: a usable photo works, any other is refused in one line that says what to do."""

import io
from functools import cache

import numpy as np
import pytest
from PIL import Image

from engine.portrait import Portrait, PortraitError, default_names, default_photo, prepare
from engine.portrait.prepare import SMALLEST_FACE_PX


def anna() -> Image.Image:
    return Image.open(io.BytesIO(default_photo("anna")))


def encoded(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


@cache
def prepared() -> Portrait:
    return prepare(default_photo("anna"))


def refusal(data: bytes) -> str:
    """The code of the refusal, whose message must be one line of some length."""
    with pytest.raises(PortraitError) as caught:
        prepare(data)
    message = str(caught.value)
    assert "\n" not in message and ":" in message and 30 < len(message) < 140
    return caught.value.code


class TestDefaults:
    def test_are_there(self) -> None:
        assert default_names() == ["anna", "marc", "otto", "zola"]

    def test_have_nothing_to_complain_about(self) -> None:
        report = prepared().report
        assert report.warnings == [] and report.face_px > 400
        assert max(map(abs, (report.yaw, report.pitch, report.roll))) < 8

    def test_rest_without_an_expression(self) -> None:
        assert prepared().source.max() < 0.15


class TestThePreparedFile:
    def test_is_small_and_keeps_everything(self) -> None:
        data = prepared().to_bytes()
        assert len(data) < 20_000_000
        again = Portrait.from_bytes(data)
        assert again.layers.keys() == prepared().layers.keys() and again.report == prepared().report
        for name, layer in prepared().layers.items():
            np.testing.assert_array_equal(again.layers[name], layer)

    def test_its_thumbnail_shows_the_frame(self) -> None:
        thumbnail = Image.open(io.BytesIO(prepared().thumbnail))
        assert thumbnail.format == "JPEG" and thumbnail.size == (512, 512)
        skin = np.asarray(thumbnail, float)[240:260, 250:262].mean((0, 1))  # below the point between the eyes
        assert skin[0] > skin[2] + 20

    def test_the_same_photo_gives_the_same_portrait(self) -> None:
        assert prepare(default_photo("anna")).to_bytes() == prepared().to_bytes()


class TestUnusualPhotos:
    def test_a_photo_stored_lying_down_and_partly_transparent(self) -> None:
        image = anna().convert("RGBA")
        image.paste((0, 0, 0, 0), (0, 0, 1024, 60))
        exif = Image.Exif()
        exif[0x0112] = 6
        portrait = prepare(encoded(image.transpose(Image.Transpose.ROTATE_90), "WEBP", exif=exif))
        assert abs(portrait.report.face_px - prepared().report.face_px) < 15
        assert portrait.source.max() < 0.25

    def test_a_huge_photo_gives_the_same_face(self) -> None:
        huge = Image.new("RGB", (8600, 5800), (90, 95, 100))
        huge.paste(anna().resize((5000, 5000)), (1000, 800))
        report = prepare(encoded(huge, "JPEG", quality=80)).report
        assert report.face_px > 800 and report.warnings == []

    def test_a_small_face_is_used_with_a_warning(self) -> None:
        small = anna().resize((200, 200), Image.Resampling.LANCZOS)
        report = prepare(encoded(small)).report
        assert SMALLEST_FACE_PX <= report.face_px < 100
        assert any("pixels high" in words for words in report.warnings)

    def test_a_tight_crop_is_continued_beyond_its_edges(self) -> None:
        report = prepare(encoded(anna().crop((240, 180, 800, 800)))).report
        assert any("beyond the photo" in words for words in report.warnings)


class TestRefusals:
    def test_no_face(self) -> None:
        assert refusal(encoded(Image.linear_gradient("L"))) == "no_face"

    def test_tiny_face(self) -> None:
        assert refusal(encoded(anna().resize((150, 150), Image.Resampling.LANCZOS))) == "face_too_small"

    def test_half_a_face(self) -> None:
        assert refusal(encoded(anna().crop((430, 0, 1024, 1024)))) == "face_cut_off"

    def test_not_a_photo(self) -> None:
        assert refusal(b"hello") == "not_an_image"

    def test_a_prepared_file_is_no_photo(self) -> None:
        assert refusal(prepared().to_bytes()) == "not_an_image"
