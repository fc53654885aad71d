"""The speech that CDAN learns from: who speaks, when each phone sounds, and what a call does to it."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from engine.cdan.training import augment, corpus, espeak, kokoro, noises, phones, speaker, studio, texts
from engine.cdan.training.festival import festival_phones
from engine.cdan.training.opus import FRAME, losses, through_opus
from engine.cdan.training.phones import Phone
from engine.cdan.training.prosody import prosody
from engine.cdan.training.shard import SAMPLES, Segment, Truth, read, statistics, write
from engine.cdan.training.studio import SHARES, VOICES
from engine.cdan.training.voices import Utterance, flite_phones, hibari_phones, quiet_pauses_only
from engine.units import HOP, SAMPLE_RATE

Floats = npt.NDArray[np.float32]


def random(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def buzz(seconds: float = 1.0, pitch: float = 120.0, formant: float = 900.0) -> Floats:
    """A voice-like sound: harmonics under one resonance, cut into syllables."""
    t = np.arange(int(seconds * SAMPLE_RATE)) / SAMPLE_RATE
    sound = np.zeros(len(t))
    for k in range(1, int(6000 / pitch)):
        sound += np.exp(-0.5 * ((pitch * k - formant) / 250) ** 2) * np.sin(2 * np.pi * pitch * k * t)
    return np.asarray(0.1 * sound * (np.sin(2 * np.pi * 4 * t) > -0.3), np.float32)


def spectral_centre(sound: Floats) -> float:
    """Hz"""
    power = np.abs(np.fft.rfft(sound)) ** 2
    return float(np.sum(np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE) * power) / np.sum(power))


LAGS = np.arange(SAMPLE_RATE // 400, SAMPLE_RATE // 60)


def periodicity(sound: Floats) -> Floats:
    """[lags] autocorrelation over a quarter of a second."""
    correlation = np.correlate(sound[:4000], sound[:4000], "full")[3999:]
    return np.asarray(correlation[LAGS] / correlation[0], np.float32)


def pitch_of(sound: Floats) -> float:
    """Hz"""
    return float(SAMPLE_RATE / LAGS[np.argmax(periodicity(sound))])


def voicing(sound: Floats) -> float:
    return float(periodicity(sound).max())


def delay(heard: Floats, sound: Floats, most: int = 400) -> int:
    """Samples by which `heard` lags."""
    shifts = range(-most, most + 1)
    return shifts[int(np.argmax([np.dot(np.roll(heard, -s), sound) for s in shifts]))]


class TestPhoneTimes:
    def test_flite_times_run_on_over_sentences(self) -> None:
        row = flite_phones("pau:0.2 hh:0.3 ay:0.5 pau:0.7\npau:0.1 y:0.2 uw:0.4")
        assert [p.name for p in row] == ["pau", "hh", "ay", "pau", "pau", "y", "uw"]
        np.testing.assert_allclose([p.end_s for p in row], [0.2, 0.3, 0.5, 0.7, 0.8, 0.9, 1.1])
        assert all(a.end_s == b.start_s for a, b in zip(row, row[1:], strict=False))

    def test_festival_segments(self) -> None:
        assert festival_phones("#\n0.2200 100 pau\n0.2569 100 dh\n0.2919 100 ax\n") == (
            Phone("pau", 0.0, 0.22),
            Phone("dh", 0.22, 0.2569),
            Phone("ax", 0.2569, 0.2919),
        )

    def test_festival_segments_of_the_russian(self) -> None:
        row = festival_phones("#\n0.2 100 pau\n0.3 100 pp\n0.4 100 yy\n0.5 100 rr\n", phones.RUSSIAN)
        assert [p.name for p in row] == ["pau", "p", "ih", "d"]

    def test_the_lag_of_neural_durations_is_taken_off_and_the_length_kept(self) -> None:
        row = hibari_phones([None, "m", "ɑ", None], np.array([0.2, 0.1, 0.3, 0.2]), 1.0)
        assert [p.name for p in row] == ["pau", "m", "aa", "pau"]
        np.testing.assert_allclose([p.start_s for p in row], [1.0, 1.135, 1.235, 1.535])
        assert row[-1].end_s == pytest.approx(1.8)

    def test_a_loud_or_short_pause_is_shared_by_its_neighbours(self) -> None:
        sound = np.concatenate([np.full(4000, 0.1), np.zeros(4000)]).astype(np.float32)
        row = (Phone("s", 0, 0.1), Phone("pau", 0.1, 0.2), Phone("aa", 0.2, 0.25), Phone("pau", 0.25, 0.5))
        merged = quiet_pauses_only(row, sound, SAMPLE_RATE)
        assert [(p.name, round(p.start_s, 3), round(p.end_s, 3)) for p in merged] == [
            ("s", 0, 0.15),
            ("aa", 0.15, 0.25),
            ("pau", 0.25, 0.5),
        ]

    def test_every_alphabet_leads_into_ours(self) -> None:
        tables = [
            phones.FLITE,
            phones.HIBARI,
            phones.RUSSIAN,
            phones.ESPEAK,
            phones.FOREIGN,
            *phones.OF_LANGUAGE.values(),
        ]
        assert {phone for table in tables for phone in table.values()} <= set(phones.PHONES)
        assert phones.OF_LANGUAGE.keys() <= set(espeak.OTHERS)

    def test_foreign_sounds_never_shut_lips_that_are_open(self) -> None:
        for table, shut in ((phones.FOREIGN, "p b m"), (phones.RUSSIAN, "p pp b bb m mm")):
            assert {symbol for symbol, phone in table.items() if phone in phones.BILABIAL} == set(shut.split())


class TestVoices:
    def test_the_reserved_ones_are_not_among_them(self) -> None:
        assert not {"awb", "rms"} & VOICES.keys()
        assert not re.search(r'Flite\("(awb|rms)"\)', Path(studio.__file__).read_text())

    def test_the_held_out_one_is_not_in_the_mixture(self) -> None:
        assert "held" not in SHARES and not set(espeak.HELD) & set(espeak.VARIANTS)
        assert sum(SHARES.values()) == pytest.approx(1)

    def test_flite_speaks_with_its_phones(self) -> None:
        said = VOICES["slt"]().speak("A big map.", random())
        assert [p.name for p in said.phones if p.name in phones.BILABIAL] == ["b", "m", "p"]
        assert said.phones[-1].end_s == pytest.approx(len(said.samples) / said.rate, abs=0.05)

    def test_kokoro_without_speakers_tells_where_they_come_from(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kokoro, "STYLES", tmp_path)
        with pytest.raises(FileNotFoundError, match="npm pack kokoro-js"):
            VOICES["kokoro"]()

    def test_pico_is_aligned_abroad_by_the_phones_of_its_words(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts, "names", lambda *_: ["Lampe", "Bube", "Mama", "mama"])
        said = VOICES["pico-de"]().speak("", random())
        closures = [p for p in said.phones if p.name in phones.BILABIAL]
        assert [p.name for p in closures] == ["m", "p", "b", "b", "m", "m", "m", "m"]
        assert all(0.02 <= p.end_s - p.start_s < 0.25 for p in closures)
        p = closures[1]
        inside = said.samples[int(p.start_s * said.rate) : int(p.end_s * said.rate)]
        around = said.samples[int((p.start_s - 0.1) * said.rate) : int((p.end_s + 0.1) * said.rate)]
        assert np.std(inside) < 0.5 * np.std(around)

    def test_what_pico_says_otherwise_than_it_is_spelled_is_not_taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts, "names", lambda *_: ["Lampe", "Bube", "Mama"])
        monkeypatch.setattr(espeak, "pronounced", lambda *_: ["s", "iy", "sh", "uw", "k"])
        assert VOICES["pico-de"]().speak("", random()).phones == ()

    def test_flite_obeys_the_random_numbers_alone(self) -> None:
        once, again = (VOICES["slt"]().speak("A big map.", random(3)) for _ in range(2))
        assert np.array_equal(once.samples, again.samples) and once.phones == again.phones


class TestSpeaker:
    SILENT = speaker.breath(0.0, 1000.0)

    def test_nothing_asked_changes_nothing(self) -> None:
        sound = buzz()
        np.testing.assert_allclose(speaker.changed(sound, 1.0, 0.0, self.SILENT, 1, random()), sound, atol=1e-5)

    @pytest.mark.parametrize("factor", [0.85, 1.18])
    def test_formants_move_and_the_pitch_stays(self, factor: float) -> None:
        sound = buzz()
        other = speaker.changed(sound, factor, 0.0, self.SILENT, 1, random())
        assert spectral_centre(other) / spectral_centre(sound) == pytest.approx(factor, abs=0.06)
        assert pitch_of(other) == pytest.approx(pitch_of(sound), rel=0.02)

    def test_a_whisper_has_no_pitch_and_keeps_its_syllables(self) -> None:
        sound = buzz(2.0)
        whisper = speaker.changed(sound, 1.0, 0.0, speaker.breath(1.0, 20.0), 1, random())
        assert voicing(whisper) < 0.3 < 0.8 < voicing(sound)
        loudness = [np.sqrt(np.mean(s[: 100 * 320].reshape(-1, 320) ** 2, axis=1)) for s in (sound, whisper)]
        assert np.corrcoef(*loudness)[0, 1] > 0.8

    def test_the_blurred_change_more_slowly_and_keep_the_time(self) -> None:
        sound = VOICES["kal16"]().speak("A big map of the world.", random()).samples
        blurred = speaker.changed(sound, 1.0, 0.0, self.SILENT, 5, random())
        slower, faster = (
            np.abs(np.diff(speaker._envelope(speaker._frames_to_bins(s)), axis=0)).mean() for s in (blurred, sound)
        )
        assert 0.5 * faster < slower < 0.85 * faster
        assert abs(delay(blurred, sound)) <= 2


class TestOpus:
    def test_keeps_the_time(self) -> None:
        sound = buzz()
        assert abs(delay(through_opus(sound, 24_000), sound)) <= 2

    def test_what_is_lost_is_concealed_and_the_rest_untouched(self) -> None:
        sound = buzz()
        early, late = np.zeros(52, np.bool_), np.zeros(52, np.bool_)
        early[20:22] = late[40:42] = True
        torn, whole = through_opus(sound, 24_000, early), through_opus(sound, 24_000, late)
        gap = slice(20 * FRAME, 22 * FRAME)
        assert np.abs(torn[gap] - whole[gap]).max() > 0.005
        assert np.sqrt(np.mean(torn[gap] ** 2)) > 0.3 * np.sqrt(np.mean(whole[gap] ** 2))  # made up, not cut out
        np.testing.assert_array_equal(torn[: 19 * FRAME], whole[: 19 * FRAME])

    def test_redundancy_in_the_next_packet_repairs_better_than_a_guess(self) -> None:
        sound = VOICES["kal16"]().speak("A big map of the world.", random()).samples
        lost = np.arange(len(sound) // FRAME + 2) % 5 == 3
        torn = np.repeat(lost, FRAME)[: len(sound)]
        guessed, repaired = (through_opus(sound, 32_000, lost, fec)[torn] - sound[torn] for fec in (False, True))
        assert np.std(repaired) < 0.8 * np.std(guessed)

    def test_bursts_lose_the_share_they_are_told(self) -> None:
        lost = losses(200_000, 0.1, 2.5, random())
        starts = np.flatnonzero(np.diff(lost.astype(int)) == 1)
        assert lost.mean() == pytest.approx(0.1, abs=0.01)
        assert lost.sum() / len(starts) == pytest.approx(2.5, abs=0.2)


class TestNoises:
    COUNT = 3 * SAMPLE_RATE

    @pytest.mark.parametrize("name", noises.VOICELESS)
    def test_each_is_finite_of_unit_level_and_repeatable(self, name: str) -> None:
        make = noises.VOICELESS[name][1]
        once, again = (noises.unit(make(self.COUNT, random(4))) for _ in range(2))
        assert once.shape == (self.COUNT,) and once.dtype == np.float32
        assert np.sqrt(np.mean(once**2)) == pytest.approx(1, abs=1e-3)
        np.testing.assert_array_equal(once, again)

    def test_shares_sum_to_one(self) -> None:
        assert sum(share for share, _ in noises.VOICELESS.values()) == pytest.approx(1)

    def test_pink_falls_three_decibels_an_octave(self) -> None:
        power = np.abs(np.fft.rfft(noises.tilted(2**17, random(), -3.0))) ** 2
        octave = [power[2**i : 2 ** (i + 1)].mean() for i in range(11, 15)]
        np.testing.assert_allclose(-np.diff(10 * np.log10(octave)), 3.0, atol=0.4)

    def test_babble_is_many_voices_and_only_where_there_are_some(self) -> None:
        voices = [buzz(3.0, pitch) for pitch in (90.0, 130.0, 210.0)]
        assert np.isfinite(noises.babble(self.COUNT, random(), voices)).all()
        assert all(np.isfinite(noises.noise(self.COUNT, random(i), [])).all() for i in range(8))


class TestDegrading:
    def test_copies_keep_length_and_range(self) -> None:
        sound, rng = buzz(2.0), random(1)
        for _ in range(12):
            for heard in (augment.near(sound, rng), augment.far(sound, rng, [sound])):
                assert heard.shape == sound.shape and np.abs(heard).max() <= 1.01 and np.isfinite(heard).all()

    def test_far_keeps_the_time(self) -> None:
        sound, rng = buzz(2.0), random(5)
        lags = [delay(augment.far(sound, rng, [sound]), sound, 80) for _ in range(8)]
        assert np.median(np.abs(lags)) <= 8

    def test_without_speech_there_is_no_voice(self) -> None:
        kinds = [augment.without_speech(SAMPLE_RATE, random(i)) for i in range(30)]
        assert any(not kind.any() for kind in kinds) and sum(bool(kind.any()) for kind in kinds) > 20
        assert max(np.abs(kind).max() for kind in kinds) <= 1.01


class TestProsody:
    def test_follows_level_and_pitch(self) -> None:
        t = np.arange(2 * SAMPLE_RATE) / SAMPLE_RATE
        hz = np.where(t < 1, 120, 170)
        buzzing = sum(np.sin(2 * np.pi * np.cumsum(hz * k) / SAMPLE_RATE) / k for k in range(1, 8))
        sound = (buzzing * np.where(t % 1 < 0.5, 0.02, 0.1)).astype(np.float32)
        loudness, pitch = prosody(Utterance(sound, SAMPLE_RATE, ()))
        assert loudness[25] < loudness[75] - 0.3
        assert pitch[150] - pitch[50] == pytest.approx(np.log2(170 / 120), abs=0.05)


class TestShards:
    SHARES = {"slt": 0.5, "kal": 0.5}

    @pytest.fixture(autouse=True)
    def small(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """One segment a file, and texts of our own."""
        for name in ("PER_SHARD", "TALKERS"):
            monkeypatch.setattr(studio, name, 1)
        books = tmp_path / "books"
        books.mkdir()
        (books / "fortunes").write_text("Bob moved the map.\n%\nMy boat came by the pier. Who put it there?\n")
        words = tmp_path / "words"
        words.write_text("maple\nbarber\npepper\nmumble\nvivid\nfifty\nthimble\nwhisper\nzebra\n")
        for name, path in {"FORTUNES": books, "WORDS": words, "FOREIGN": (words,)}.items():
            monkeypatch.setattr(texts, name, path)
        self.forget()
        yield
        self.forget()

    @staticmethod
    def forget() -> None:
        for cached in (texts._fortunes, texts._words, texts._foreign_words):
            cached.cache_clear()

    def test_texts_that_are_not_installed_are_named(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(texts, "FORTUNES", tmp_path / "nowhere")
        with pytest.raises(FileNotFoundError, match="install Debian's packages fortunes"):
            next(texts.sentences(0))

    def test_a_command_makes_them_again_alike_and_goes_on_where_it_was(self, tmp_path: Path) -> None:
        wanted = corpus.Wanted(2 * SAMPLES / SAMPLE_RATE / 3600, 0.0, seed=7, shares=self.SHARES)
        corpus.make(tmp_path / "a", wanted, 1)
        corpus.make(tmp_path / "b", wanted, 2)
        (tmp_path / "b" / "shard0000.npz").unlink()
        kept = (tmp_path / "b" / "shard0001.npz").stat().st_mtime_ns
        corpus.make(tmp_path / "b", wanted, 1)
        assert (tmp_path / "b" / "shard0001.npz").stat().st_mtime_ns == kept
        files = sorted(path.name for path in (tmp_path / "a").iterdir())
        assert files == ["noise0000.npz", "shard0000.npz", "shard0001.npz"]
        for name in files:
            with np.load(tmp_path / "a" / name) as one, np.load(tmp_path / "b" / name) as other:
                assert all(np.array_equal(one[key], other[key]) for key in one)

    def test_phones_stand_where_the_sound_is(self, tmp_path: Path) -> None:
        pcm, segments = studio.Studio(self.SHARES, 0.0, 4, 0).shard(2)
        write(tmp_path / "shard0000.npz", pcm, segments)
        heard, truths = read(tmp_path / "shard0000.npz")
        assert heard.shape == (1, 2, SAMPLES)
        for segment, truth in zip(segments, truths, strict=True):
            spoken = np.zeros(SAMPLES, np.bool_)
            for phone in truth.phones:
                if phone.name != phones.PAUSE:
                    spoken[int(phone.start_s * SAMPLE_RATE) : int(phone.end_s * SAMPLE_RATE)] = True
            assert segment.voices
            assert np.sum(segment.sound[~spoken] ** 2) < 0.05 * np.sum(segment.sound**2)
            assert truth.loudness[~spoken[::HOP]].mean() < 0.3 * truth.loudness[spoken[::HOP]].mean()

    def test_statistics_count_phones_and_speakers(self, tmp_path: Path) -> None:
        truth = Truth((Phone("b", 0.0, 0.1), Phone("aa", 0.1, 0.4)), np.zeros(1024, "f4"), np.zeros(1024, "f4"))
        row = [Segment(np.zeros(SAMPLES, "f4"), truth, ("espeak de m1", "flite slt"))]
        write(tmp_path / "shard0000.npz", np.zeros((1, 1, SAMPLES), np.int16), row)
        told = statistics(tmp_path)
        assert "2 utterances of 2 speakers: espeak de 1, flite slt 1" in told
        assert "b 1 (100)" in told and "aa 1 (300)" in told and "2 phones" in told

    def test_an_unknown_voice_is_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr("sys.argv", ["corpus", "--out", str(tmp_path), "--voices", "slt,nobody"])
        with pytest.raises(SystemExit) as refused:
            corpus.main()
        assert refused.value.code == 2 and "unknown voices: nobody" in capsys.readouterr().err
