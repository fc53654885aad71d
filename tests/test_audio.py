"""Sound from anywhere becomes 16 kHz mono chunks of 640 samples, whole and in time."""

import itertools
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.audio import AudioError, Chunker, Samples, as_chunks, load_audio
from engine.audio.mel import BANDS, mel_filters
from engine.units import CHUNK, SAMPLE_RATE


def tone(rate: int, seconds: float = 1.0, hz: float = 440.0) -> Samples:
    return (0.5 * np.sin(2 * np.pi * hz * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


def pushed(samples: npt.NDArray[np.generic], rate: int, sizes: list[int]) -> Samples:
    chunker, out, at = Chunker(), [], 0
    for size in itertools.cycle(sizes):
        if at >= len(samples):
            break
        out += chunker.push(samples[at : at + size], rate)
        at += size
    return np.concatenate([*out, *chunker.flush()])


class TestChunker:
    @pytest.mark.parametrize("rate", [8_000, 16_000, 22_050, 24_000, 44_100, 48_000])
    def test_length_and_pitch_are_kept(self, rate: int) -> None:
        out = pushed(tone(rate), rate, [rate // 50])
        assert len(out) == -(-SAMPLE_RATE // CHUNK) * CHUNK
        np.testing.assert_allclose(out[200:15_800], tone(SAMPLE_RATE)[200:15_800], atol=0.01)

    def test_chunks_are_what_the_networks_take(self) -> None:
        (chunk,) = Chunker().push(tone(16_000)[:700], 16_000)
        assert chunk.shape == (CHUNK,) and chunk.dtype == np.float32
        np.testing.assert_array_equal(chunk, tone(16_000)[:CHUNK])

    def test_how_it_was_cut_does_not_matter(self) -> None:
        sound = tone(48_000)
        np.testing.assert_allclose(pushed(sound, 48_000, [960]), pushed(sound, 48_000, [1, 77, 5000]), atol=1e-6)

    def test_int16_equals_float(self) -> None:
        sound = tone(16_000)
        pcm = np.round(sound * 32768).astype(np.int16)
        np.testing.assert_allclose(pushed(pcm, 16_000, [320]), pushed(sound, 16_000, [320]), atol=1e-4)

    def test_stereo_becomes_the_mean_of_both_sides(self) -> None:
        sides = np.stack([tone(16_000), np.zeros(16_000, np.float32)], axis=1)
        np.testing.assert_allclose(pushed(sides, 16_000, [320]), 0.5 * tone(16_000), atol=1e-3)

    def test_a_source_may_change_its_format(self) -> None:
        chunker = Chunker()
        out = chunker.push(tone(48_000), 48_000) + chunker.push(np.zeros((8_000, 2), np.int16), 8_000) + chunker.flush()
        sound = np.concatenate(out)
        assert len(sound) == 2 * SAMPLE_RATE
        assert np.abs(sound[:15_900]).max() > 0.45 and np.abs(sound[16_100:]).max() < 0.01

    def test_flush_fills_with_silence_and_starts_anew(self) -> None:
        chunker = Chunker()
        chunker.push(np.ones(100, np.float32), 16_000)
        (last,) = chunker.flush()
        assert last[:100].min() == 1 and last[100:].max() == 0
        assert chunker.flush() == []

    def test_nothing_in_nothing_out(self) -> None:
        assert Chunker().push(np.zeros(0, np.float32), 16_000) == []

    def test_as_chunks_pads_the_last(self) -> None:
        assert as_chunks(np.ones(641, np.float32)).sum(axis=1).tolist() == [640, 1]
        assert as_chunks(np.zeros(0, np.float32)).shape == (0, CHUNK)


def write_wave(path: Path, pcm: npt.NDArray[np.int16], rate: int) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if pcm.ndim == 1 else pcm.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(pcm.tobytes())
    return path


class TestLoadAudio:
    def test_resamples_and_mixes(self, tmp_path: Path) -> None:
        pcm = np.round(np.stack([tone(44_100)] * 2, axis=1) * 32767).astype(np.int16)
        sound = load_audio(write_wave(tmp_path / "a.wav", pcm, 44_100))
        assert sound.dtype == np.float32 and len(sound) == SAMPLE_RATE
        np.testing.assert_allclose(sound[200:15_800], tone(SAMPLE_RATE)[200:15_800], atol=0.01)

    def test_missing_file(self, tmp_path: Path) -> None:
        with pytest.raises(AudioError, match="no such file; give"):
            load_audio(tmp_path / "none.wav")

    @pytest.mark.parametrize("content", [b"", b"this is no sound", bytes(2000)])
    def test_no_sound_file(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "bad.wav").write_bytes(content)
        with pytest.raises(AudioError) as error:
            load_audio(tmp_path / "bad.wav")
        assert "\n" not in str(error.value) and "convert it" in str(error.value)

    def test_a_file_without_samples(self, tmp_path: Path) -> None:
        with pytest.raises(AudioError, match="holds no sound|cannot be read"):
            load_audio(write_wave(tmp_path / "empty.wav", np.zeros(0, np.int16), 16_000))


class TestMelFilters:
    def test_every_band_hears_and_all_tile_the_spectrum(self) -> None:
        filters = mel_filters()
        assert filters.shape == (BANDS, 257)
        assert (filters.sum(axis=1) > 0.8).all() and (filters >= 0).all()
        np.testing.assert_allclose(filters[:, 10:220].sum(axis=0), 1, atol=1e-9)

    def test_deaf_to_direct_current(self) -> None:
        assert mel_filters()[:, 0].max() == 0
