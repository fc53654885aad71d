"""Films: every frame once, the sound with it, and no half-written file."""

import wave
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from engine.film import Film, Stills, i420

GREYS = range(16, 236, 4)


@pytest.fixture
def tone(tmp_path: Path) -> Path:
    samples = (8000 * np.sin(np.arange(int(16_000 * 2.2)) * 0.2)).astype(np.int16)
    with wave.open(str(tmp_path / "tone.wav"), "wb") as file:
        file.setparams((1, 2, 16_000, 0, "NONE", ""))
        file.writeframes(samples.tobytes())
    return tmp_path / "tone.wav"


def make(path: Path, sound: Path | None) -> Path:
    with Film(path, 64, sound) as film:
        for grey in GREYS:
            film.add(np.full((64, 64, 3), grey, np.uint8))
    return path


class TestFilm:
    @pytest.mark.parametrize("ending", ["mp4", "webm", "mkv"])
    def test_frames_and_sound_come_back(self, tmp_path: Path, tone: Path, ending: str) -> None:
        with av.open(str(make(tmp_path / f"out.{ending}", tone))) as film:
            greys = [frame.to_ndarray(format="rgb24").mean() for frame in film.decode(video=0)]
        np.testing.assert_allclose(greys, list(GREYS), atol=3)
        with av.open(str(tmp_path / f"out.{ending}")) as film:
            heard = np.concatenate([frame.to_ndarray().reshape(-1) for frame in film.decode(audio=0)])
            seconds = sum(1 for _ in heard) / film.streams.audio[0].channels / film.streams.audio[0].rate
        assert abs(seconds - 2.2) < 0.08 and np.abs(heard).max() > 0.1

    def test_without_sound(self, tmp_path: Path) -> None:
        with av.open(str(make(tmp_path / "out.mp4", None))) as film:
            assert not film.streams.audio and film.streams.video[0].frames == len(GREYS)

    def test_a_failure_leaves_no_file(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), Film(tmp_path / "out.mp4", 64, None) as film:
            film.add(np.zeros((64, 64, 3), np.uint8))
            raise RuntimeError
        assert not list(tmp_path.iterdir())

    def test_an_ending_that_no_film_has(self, tmp_path: Path) -> None:
        with pytest.raises(ValueError, match="must end in .mp4"):
            Film(tmp_path / "out.gif", 64, None)


class TestStills:
    @pytest.mark.parametrize("channels", [3, 4])
    def test_come_back_to_the_last_bit(self, tmp_path: Path, channels: int) -> None:
        pictures = np.random.default_rng(0).integers(0, 255, (3, 32, 32, channels), np.uint8)
        with Stills(tmp_path / "stills") as out:
            for picture in pictures:
                out.add(picture)
        files = sorted((tmp_path / "stills").iterdir())
        assert [file.name for file in files] == ["00000.png", "00001.png", "00002.png"]
        np.testing.assert_array_equal([np.asarray(Image.open(file)) for file in files], pictures)

    def test_do_not_mix_with_what_is_there(self, tmp_path: Path) -> None:
        (tmp_path / "mine.txt").touch()
        with pytest.raises(ValueError, match="is not empty: name a new folder"):
            Stills(tmp_path)

    def test_a_refusal_leaves_no_folder(self, tmp_path: Path) -> None:
        with pytest.raises(RuntimeError), Stills(tmp_path / "stills"):
            raise RuntimeError
        assert not list(tmp_path.iterdir())


class TestColour:
    def test_i420_is_what_decoders_expect(self) -> None:
        colours = np.random.default_rng(0).integers(0, 255, (4, 4, 3), np.uint8)
        rgb = np.kron(colours, np.ones((16, 16, 1), np.uint8))
        back = i420(rgb).to_ndarray(format="rgb24")
        np.testing.assert_allclose(back[8::16, 8::16], colours, atol=4)
