"""What CDAN learns from: phones in time, articulation, and the rule that lets emotion and speech share a face."""

import numpy as np
import numpy.typing as npt
import pytest
import torch

from engine.cdan.network import LipSeal
from engine.cdan.training import moods, phones
from engine.cdan.training.articulation import CHANNELS, GESTURES, Tracks, tracks
from engine.cdan.training.composition import Mouth, compose, table
from engine.cdan.training.phones import Phone
from engine.face.coefficients import FACE
from engine.les import AXES, EMOTIONS
from engine.units import FPS

COEFFICIENTS = len(FACE)


def said(*names: str, each_s: float = 0.1, loud: float = 0.55) -> Tracks:
    """Phones of equal length between half a second of rest on both sides."""
    start = 0.5
    spoken = [Phone(n, start + i * each_s, start + (i + 1) * each_s) for i, n in enumerate(names)]
    end = spoken[-1].end_s
    row = [Phone("pau", 0.0, start), *spoken, Phone("pau", end, end + 0.5)]
    hops = round(100 * (end + 0.5)) // 4 * 4
    return tracks(row, np.full(hops, loud, np.float32))


def peak(moves: Tracks, name: str) -> float:
    return float(moves.speech[:, FACE.index(name)].max())


def frame(second: float) -> int:
    return int(second * FPS)


class TestArticulation:
    def test_every_phone_has_a_gesture_of_known_channels(self) -> None:
        assert GESTURES.keys() == set(phones.PHONES)
        assert {c for row in GESTURES.values() for g in row for c in g.targets} <= set(CHANNELS)

    @pytest.mark.parametrize("phone", ["p", "b", "m"])
    def test_bilabials_shut_the_lips_and_only_they(self, phone: str) -> None:
        moves = said("aa", phone, "aa")
        assert moves.seal[frame(0.63)] == 1
        assert moves.seal[frame(0.54)] == 0 and moves.seal[frame(0.76)] == 0

    @pytest.mark.parametrize("phone", sorted(set(phones.CONSONANTS) - phones.BILABIAL))
    def test_other_consonants_do_not(self, phone: str) -> None:
        assert said("aa", phone, "aa").seal.max() == 0

    def test_lower_lip_meets_the_teeth_for_f(self) -> None:
        assert peak(said("aa", "f", "aa"), "mouthRollLower") > 0.25 > peak(said("aa", "s", "aa"), "mouthRollLower")

    def test_rounding_starts_ahead_of_w(self) -> None:
        pucker = FACE.index("mouthPucker")
        moves = said("iy", "t", "w", "uw")
        assert moves.speech[frame(0.67), pucker] > 0.1
        assert moves.speech[frame(0.83), pucker] > 0.45
        assert peak(said("iy", "t", "s", "iy"), "mouthPucker") < 0.02

    def test_open_vowels_open_the_jaw_and_hisses_narrow_it(self) -> None:
        jaw = FACE.index("jawOpen")
        moves = said("aa", "s", "aa")
        assert moves.speech[frame(0.55), jaw] > 0.25
        assert moves.speech[frame(0.65), jaw] < 0.17

    def test_loud_opens_wider_and_haste_less(self) -> None:
        assert peak(said("aa", loud=1.0), "jawOpen") > 1.2 * peak(said("aa", loud=0.2), "jawOpen")
        slow, fast = said(*["aa", "t"] * 6, each_s=0.12), said(*["aa", "t"] * 6, each_s=0.05)
        assert peak(slow, "jawOpen") > 1.15 * peak(fast, "jawOpen")

    def test_rest_is_exactly_zero(self) -> None:
        moves = said("aa", "m", "iy")
        assert moves.speech[: frame(0.4)].max() == 0 and moves.speech[frame(0.95) :].max() == 0
        assert moves.activity[frame(0.6)] == 1 and moves.activity[0] == moves.activity[-1] == 0

    def test_a_short_pause_does_not_rest_the_mouth(self) -> None:
        assert said("aa", "pau", "aa", each_s=0.1).activity[frame(0.5) : frame(0.8)].min() > 0.9

    def test_the_phone_heard_is_the_one_at_the_frames_middle(self) -> None:
        assert phones.PHONES[said("aa", "m", "iy").phone[frame(0.62)]] == "m"


def face(emotion: dict[str, float], mouth: Mouth) -> npt.NDArray[np.float32]:
    les = torch.tensor([[emotion.get(axis, 0.0) for axis in AXES]])
    return compose(les, mouth, table(), LipSeal())[0].numpy()


def mouth(seal: float = 0.0, activity: float = 1.0, **spoken: float) -> Mouth:
    speech = torch.tensor([[spoken.get(name, 0.0) for name in FACE]])
    return Mouth(speech, torch.tensor([seal]), torch.tensor([activity]))


class TestComposition:
    SILENT = mouth(activity=0.0)

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_in_silence_the_table_alone_counts(self, emotion: str) -> None:
        units = dict(EMOTIONS[emotion])
        expected = sum(level * table()[AXES.index(axis)] for axis, level in units.items())
        np.testing.assert_allclose(face(units, self.SILENT), torch.as_tensor(expected).clamp(0, 1), atol=1e-6)

    @pytest.mark.parametrize("emotion", EMOTIONS)
    def test_lips_shut_over_every_emotion(self, emotion: str) -> None:
        shut = face(dict(EMOTIONS[emotion]), mouth(seal=1.0, jawOpen=0.2, mouthUpperUpLeft=0.2))
        parted = {"mouthLowerDownLeft", "mouthLowerDownRight", "mouthUpperUpLeft", "mouthUpperUpRight"}
        assert shut[FACE.index("jawOpen")] - shut[FACE.index("mouthClose")] == pytest.approx(0, abs=1e-6)
        assert all(shut[FACE.index(name)] == 0 for name in parted)

    def test_mouth_units_yield_and_corners_stay(self) -> None:
        assert face({"AU24": 1.0}, mouth())[FACE.index("mouthPressLeft")] < 0.2
        assert face({"AU15": 1.0}, mouth())[FACE.index("mouthFrownLeft")] == pytest.approx(1)
        assert face({"AU4": 1.0}, mouth())[FACE.index("browDownLeft")] == pytest.approx(1)

    def test_rounding_takes_from_a_smile_and_a_smile_from_rounding(self) -> None:
        rounded = face({"AU12": 1.0}, mouth(mouthPucker=0.6))
        assert rounded[FACE.index("mouthSmileLeft")] < 0.75
        assert rounded[FACE.index("mouthPucker")] < 0.5

    def test_speech_opens_a_smile(self) -> None:
        lip = FACE.index("mouthUpperUpLeft")
        assert face({"AU12": 1.0}, mouth(jawOpen=0.3))[lip] > face({}, mouth(jawOpen=0.3))[lip] + 0.1


class TestMoods:
    def test_are_levels_that_move_and_rest(self) -> None:
        courses = moods.courses(64, 256, torch.Generator().manual_seed(0))
        assert courses.shape == (64, 256, len(AXES))
        assert courses.min() >= 0 and courses.max() <= 1
        resting = (courses.amax(dim=(1, 2)) == 0).float().mean()
        assert 0.1 < resting < 0.5
        assert (courses.diff(dim=1).abs().amax(dim=(1, 2)) > 0).float().mean() > 0.3
