"""What stands behind the person: chosen by name, drawn behind every portrait, and clear where films can be."""

import base64
import io
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from typing import cast

import av
import httpx
import numpy as np
import numpy.typing as npt
import pytest
from av.video.codeccontext import VideoCodecContext
from PIL import Image

from engine.avatar import Stream
from engine.background import KEY, Background
from engine.cdan import StreamState
from engine.film import Film
from engine.portrait import Portrait, PortraitError, Remark, Report, default_photo, prepare
from engine.renderer import CpuRenderer
from engine.thrift import Drawn
from engine.tracks import rest
from server.commands import Refusal
from server.commands.sources import chosen_background
from tests.server_running import Running, running

Pixels = npt.NDArray[np.uint8]
SIZE = 256
CORNER = (slice(4, 30), slice(4, 30))  # wall, in the default portrait
FACE = (slice(110, 140), slice(110, 140))
RED = (200, 30, 40)


@cache
def anna() -> Portrait:
    return prepare(default_photo("anna"))


@cache
def renderer() -> CpuRenderer:
    return CpuRenderer(SIZE)


def drawn(background: Background) -> Pixels:
    return renderer().render(anna(), rest(), background.plate(anna(), SIZE))


def png(pixels: Pixels) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


def halves() -> bytes:
    """Red above, black below; twice as wide as high, with white sides that no square shows."""
    picture = np.full((300, 600, 3), 255, np.uint8)
    picture[:150, 150:450], picture[150:, 150:450] = RED, 0
    return png(picture)


class TestChoice:
    def test_by_name_and_by_colour(self) -> None:
        assert Background.parse("blur").kind == "blur"
        assert Background.parse("#c81E28").colour == RED
        assert Background.parse("transparent").clear and not Background.parse("photo").clear

    @pytest.mark.parametrize("text", ["", "red", "#fff", "#12345g", "picture", "colour", "/etc/passwd"])
    def test_anything_else_is_refused(self, text: str) -> None:
        with pytest.raises(ValueError, match="a background is photo, blur, transparent"):
            Background.parse(text)

    def test_a_picture_of_too_many_pixels(self) -> None:
        with pytest.raises(PortraitError, match="scale it down"):
            Background.of_picture(halves(), 100_000)

    def test_a_portrait_that_was_not_cut_out_keeps_its_own(self) -> None:
        whole = Portrait(anna().layers, Report(400, 0, 0, 0, (Remark("background", "is one", True),)), b"")
        Background().check(whole)
        with pytest.raises(PortraitError) as refusal:
            Background.parse("blur").check(whole)
        assert refusal.value.code == "not_cut_out"


class TestPictures:
    def test_a_colour_is_exact_and_leaves_the_face_alone(self) -> None:
        own, red = drawn(Background()), drawn(Background.parse("#c81e28"))
        assert (red[CORNER] == RED).all()
        np.testing.assert_array_equal(red[FACE], own[FACE])

    def test_a_picture_shows_its_middle(self) -> None:
        shown = drawn(Background.of_picture(halves()))
        assert (shown[CORNER] == RED).all() and (shown[:30, -30:] == RED).all()

    def test_transparent_is_the_key_where_there_is_no_alpha(self) -> None:
        assert (drawn(Background.parse("transparent"))[CORNER] == KEY).all()

    def test_blur_takes_detail_and_leaves_the_light(self) -> None:
        own = anna().layers["background"]
        plate = Background.parse("blur").plate(anna(), SIZE)
        assert plate is not None
        assert abs(plate.mean((0, 1)) - own.mean((0, 1))).max() < 2
        assert np.abs(np.diff(plate.astype(float), axis=1)).max() < 3

    def test_the_photo_is_drawn_anew_after_another(self) -> None:
        before = drawn(Background())
        drawn(Background.parse("#000000"))
        np.testing.assert_array_equal(drawn(Background()), before)


class TestStream:
    def test_the_background_follows_the_size_and_asks_for_a_new_picture(self) -> None:
        stream = Stream(anna(), cast(StreamState, None), 0, SIZE, 0)
        stream.drawn = Drawn(rest()[:63], rest(), drawn(Background()))
        stream.stand_before(Background.parse("#c81e28"))
        assert stream.drawn is None and stream.plate is not None and stream.plate.shape == (SIZE, SIZE, 3)
        stream.resize(384)
        assert stream.plate.shape == (384, 384, 3) and (stream.plate == RED).all()
        stream.stand_before(Background())
        assert stream.plate is None


class TestCommandLine:
    def test_a_file_is_a_picture(self, tmp_path: Path) -> None:
        (tmp_path / "red.png").write_bytes(halves())
        assert chosen_background(str(tmp_path / "red.png")).kind == "picture"

    @pytest.mark.parametrize("text", ["red", "nowhere.png"])
    def test_anything_else_is_refused_in_one_line(self, text: str) -> None:
        with pytest.raises(Refusal, match=f"--background {text}: a background is photo"):
            chosen_background(text)


class TestCutOut:
    def test_over_any_colour_it_is_the_picture_before_that_colour(self) -> None:
        clear = renderer().cut_out(anna(), rest()).astype(float)
        share = clear[..., 3:] / 255
        difference = np.abs(clear[..., :3] * share + np.array(RED) * (1 - share) - drawn(Background.parse("#c81e28")))
        assert difference.mean() < 1 and np.percentile(difference, 99.9) < 8

    def test_the_person_is_solid_and_the_wall_is_not(self) -> None:
        alpha = renderer().cut_out(anna(), rest())[..., 3]
        assert (alpha[FACE] == 255).all() and (alpha[CORNER] == 0).all()
        assert (alpha[-5:, 110:146] == 255).all()

    def test_colours_go_on_beyond_the_edge(self) -> None:
        """Encoders mix colours over two pixels, whatever the alpha: black there would be a dark rim."""
        clear = renderer().cut_out(anna(), rest())
        beside = (clear[..., 3] < 30) & (np.roll(clear[..., 3], 3, 1) > 240)
        inside = np.roll(clear, 3, 1)[..., :3][beside].astype(float)
        assert beside.sum() > 50 and np.abs(clear[..., :3][beside] - inside).mean() < 25


class TestFilm:
    @pytest.mark.parametrize(("ending", "decoder"), [("webm", "libvpx-vp9"), ("mov", "prores")])
    def test_alpha_comes_back(self, tmp_path: Path, ending: str, decoder: str) -> None:
        frame = np.zeros((64, 64, 4), np.uint8)
        frame[..., :3] = RED
        frame[16:48, 16:48, 3] = 255
        with Film(tmp_path / f"out.{ending}", 64, None, alpha=True) as film:
            for _ in range(5):
                film.add(frame)
        with av.open(str(tmp_path / f"out.{ending}")) as film:
            reader = cast(VideoCodecContext, av.CodecContext.create(decoder, "r"))
            reader.extradata = film.streams.video[0].codec_context.extradata
            packets = [packet for packet in film.demux(video=0) if packet.size]
            pictures = [picture for packet in [*packets, None] for picture in reader.decode(packet)]
        assert len(pictures) == 5
        shown = pictures[2].to_ndarray(format="rgba")
        np.testing.assert_allclose(shown[..., 3], frame[..., 3], atol=12)
        np.testing.assert_allclose(shown[20:44, 20:44, :3].mean((0, 1)), RED, atol=6)

    def test_an_ending_without_alpha_is_refused(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="with alpha must end in .webm, .mov"):
            Film(tmp_path / "out.mp4", 64, None, alpha=True)


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Running]:
    async with running(tmp_path, max_sessions=2) as server:
        yield server


class TestSessions:
    """`background` at creation, and `PUT .../background` at any time."""

    async def open(self, http: httpx.AsyncClient, **fields: str) -> httpx.Response:
        return await http.post("/v1/sessions", json={"portrait": "anna", "source": "microphone"} | fields)

    async def test_from_the_start_and_changed_later(self, server: Running) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
            opened = (await self.open(http, background="#c81e28")).json()
            stream = server.engine.streams[-1]
            assert stream.plate is not None and (stream.plate == RED).all()
            way = f"/v1/sessions/{opened['id']}/background"
            token = {"Authorization": f"Bearer {opened['token']}"}
            picture = "data:image/png;base64," + base64.b64encode(halves()).decode()
            assert (await http.put(way, json={"background": picture}, headers=token)).status_code == 204
            assert (stream.plate[CORNER] == RED).all() and not stream.plate[-30:].any()
            assert (await http.put(way, json={"background": "photo"}, headers=token)).status_code == 204
            assert server.engine.streams[-1].plate is None
            assert (await http.put(way, json={"background": "photo"})).status_code == 401

    @pytest.mark.parametrize(
        "wrong", ["red", "/etc/passwd", "data:image/png;base64,!", "data:image/png;base64,aGVsbG8="]
    )
    async def test_a_refusal_takes_no_place(self, server: Running, wrong: str) -> None:
        async with httpx.AsyncClient(base_url=server.url, timeout=10) as http:
            answer = await self.open(http, background=wrong)
            assert answer.status_code == 422 and answer.json()["code"] in ("invalid", "not_an_image")
            assert (await http.get("/readyz")).json()["sessions"] == 0
