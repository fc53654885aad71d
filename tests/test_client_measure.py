"""What the browser measurements rest on: sounds and movements whose place is known are found there."""

import shutil

import numpy as np
import pytest

from tests.browser import speech
from tests.browser.alignment import NotFound, lag, locate, rise
from tests.browser.checks import first_difference, late_share
from tests.browser.harness import Shot, Sound
from tests.browser.report import Row, table

needs_flite = pytest.mark.skipif(shutil.which("flite") is None, reason="needs Debian's flite")
RATE = speech.MICROPHONE_RATE


@pytest.fixture(scope="module")
def clip() -> speech.Clip:
    return speech.join([speech.silence(0.5), speech.speak("Papa put a map by the pond."), speech.silence(0.3)])


def noisy(samples: speech.Samples) -> speech.Samples:
    noise = np.random.default_rng(1).standard_normal(len(samples)) * 0.01
    return (samples + noise).astype(np.float32)


@needs_flite
class TestSpeech:
    def test_phones_follow_one_another(self, clip: speech.Clip) -> None:
        for before, after in zip(clip.phones, clip.phones[1:], strict=False):
            assert before.end == pytest.approx(after.start, abs=0.005)
        assert clip.phones[-1].end == pytest.approx(clip.seconds, abs=0.02)
        assert {"p", "m", "b", "pau"} <= {phone.name for phone in clip.phones}


@needs_flite
class TestLocate:
    def test_a_clip_in_noise(self, clip: speech.Clip) -> None:
        before = np.zeros(2 * RATE, np.float32)
        timing = locate(Sound(noisy(np.concatenate([before, clip.samples, before])), RATE, start=1000.0), clip)
        assert timing.at(0.7) == pytest.approx(1000 + 2000 + 700, abs=1)

    def test_a_gap_that_the_player_made(self, clip: speech.Clip) -> None:
        cut = len(clip.samples) // 2
        gap = np.zeros(round(0.03 * RATE), np.float32)
        heard = np.concatenate([gap, clip.samples[:cut], gap, clip.samples[cut:], gap])
        timing = locate(Sound(noisy(heard), RATE, start=0.0), clip)
        assert timing.at(0.5) == pytest.approx(30 + 500, abs=1)
        assert timing.at(clip.seconds - 0.5) == pytest.approx(60 + 1000 * (clip.seconds - 0.5), abs=1)

    def test_another_sound_is_not_taken_for_it(self, clip: speech.Clip) -> None:
        other = speech.speak("Eleven sheep are sleeping in the tall green grass this evening.")
        with pytest.raises(NotFound):
            locate(Sound(noisy(other.samples), RATE, start=0.0), clip)


class TestCurves:
    times = np.arange(0.0, 4000.0, 40.0)

    def test_lag(self) -> None:
        opening = np.random.default_rng(2).random(len(self.times))
        assert lag(self.times + 70, opening, self.times, opening) == pytest.approx(70, abs=1)
        assert lag(self.times - 55, opening, self.times, opening) == pytest.approx(-55, abs=1)

    def test_rise_is_half_way_up_from_the_closure(self) -> None:
        opening = np.clip((self.times - 1000) / 200, 0, 1)
        assert rise(self.times, opening, 800, 1500) == pytest.approx(1100)

    def test_lips_that_rest_do_not_rise(self) -> None:
        assert rise(self.times, np.zeros_like(self.times), 800, 1500) is None


class TestPictures:
    @staticmethod
    def shots(levels: list[float]) -> list[Shot]:
        noise = np.random.default_rng(3)
        pictures = [level + noise.normal(0, 1, (16, 16, 3)) for level in levels]
        return [Shot(40.0 * i, 3600 * i, picture.clip(0, 255).astype(np.uint8)) for i, picture in enumerate(pictures)]

    def test_the_first_that_differs(self) -> None:
        found = first_difference(self.shots([100, 100, 100, 130, 131, 131, 131]))
        assert found is not None and found.rtp == 3 * 3600

    def test_none_differs(self) -> None:
        assert first_difference(self.shots([100] * 8)) is None


class TestReport:
    def test_what_is_promised_and_what_is_kept(self) -> None:
        assert Row("wait", 90, "ms", 120).kept
        assert Row("offset", -50, "ms", 40).kept is False
        assert Row("frames", 24.0, "a second", 24.9, at_least=True).kept is False
        assert Row("offset", None, "ms", 40).kept is False
        assert Row("encoder", 2.0, "ms").kept is None
        assert "MISSED" in table([Row("offset", -50, "ms", 40)])

    def test_late_frames_before_the_watch_do_not_count(self) -> None:
        stats = [{"media_ms": 4000, "late_share": 0.5}, {"media_ms": 104_000, "late_share": 0.5 * 4 / 104}]
        assert late_share(stats) == pytest.approx(0)
