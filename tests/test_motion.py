"""Motion: the same for a seed, off when it is off, lifelike in size, and without jumps."""

import copy

import numpy as np
import pytest

from engine.face.coefficients import GAZE_DEGREES, INDEX, NAMES
from engine.motion import Motion, MotionAmounts

MINUTE = 25 * 60
STILL = MotionAmounts(head=0, gaze=0, blink=0)
GAZE = [i for name, i in INDEX.items() if name.startswith("eyeLook")]
HEAD = [INDEX[name] for name in ("headYaw", "headPitch", "headRoll", "headX", "headY", "headScale")]
LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]


def run(seed: int, frames: int = MINUTE, amounts: MotionAmounts | None = None, voice: bool = False) -> np.ndarray:
    motion = Motion(seed, amounts)
    loudness = np.maximum(np.sin(np.arange(frames) * 0.8), 0) * 0.6
    return np.array([motion.step((1.0, float(level), 0.3) if voice else (0.0, 0.0, 0.0)) for level in loudness])


def column(track: np.ndarray, name: str) -> np.ndarray:
    return track[:, INDEX[name]]


class TestSeed:
    def test_same_seed_same_motion(self) -> None:
        np.testing.assert_array_equal(run(5, 500, voice=True), run(5, 500, voice=True))

    def test_other_seed_other_motion(self) -> None:
        assert not np.array_equal(run(5, 500), run(6, 500))

    def test_a_copy_goes_on_the_same(self) -> None:
        motion = Motion(5)
        for _ in range(100):
            motion.step((1.0, 0.5, 0.0))
        twin = copy.deepcopy(motion)
        ahead = [motion.step() for _ in range(100)]
        np.testing.assert_array_equal(ahead, [twin.step() for _ in range(100)])

    def test_amounts_do_not_disturb_the_sequence(self) -> None:
        np.testing.assert_array_equal(run(5, 500)[:, LIDS], run(5, 500, MotionAmounts(head=0, gaze=0))[:, LIDS])


class TestAmounts:
    def test_off_is_exactly_still(self) -> None:
        assert not run(1, amounts=STILL, voice=True).any()

    @pytest.mark.parametrize(("amounts", "moving"), [((1, 0, 0), HEAD[:3]), ((0, 1, 0), GAZE), ((0, 0, 1), LIDS)])
    def test_each_moves_its_own_part(self, amounts: tuple[float, float, float], moving: list[int]) -> None:
        track = run(1, amounts=MotionAmounts(*amounts))
        assert track[:, moving].any(axis=0).all()
        others = set(range(len(NAMES))) - set(moving) - set(HEAD if amounts[0] else ())
        assert not track[:, sorted(others)].any()

    def test_a_change_does_not_jump(self) -> None:
        motion = Motion(3)
        before = [motion.step() for _ in range(200)]
        motion.amounts = STILL
        after = [motion.step() for _ in range(30)]
        yaw = column(np.array(before + after), "headYaw")
        assert abs(np.diff(yaw)).max() < 0.6 and abs(yaw[199]) > 0.3
        assert not after[-1][HEAD].any()

    @pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
    def test_out_of_range_is_refused(self, bad: float) -> None:
        with pytest.raises(ValueError, match="from 0 to 1"):
            MotionAmounts(head=bad)


class TestLifelike:
    """Sizes and rates that people show; a rate is taken over many seeds."""

    def test_blinks_a_minute(self) -> None:
        counts = [int((np.diff((column(run(seed), "eyeBlinkLeft") > 0.9).astype(int)) == 1).sum()) for seed in range(8)]
        assert 10 < np.mean(counts) < 25

    def test_a_blink_closes_fully_and_both_lids_together(self) -> None:
        track = run(4)
        assert column(track, "eyeBlinkLeft").max() == 1
        np.testing.assert_array_equal(*track[:, LIDS].T)

    @pytest.mark.parametrize("name", ["headYaw", "headPitch", "headRoll"])
    @pytest.mark.parametrize("voice", [False, True])
    def test_head_sways_by_degrees_without_jerks(self, name: str, voice: bool) -> None:
        track = np.concatenate([column(run(seed, voice=voice), name) for seed in range(4)])
        assert 0.4 < track.std() < 4 and abs(track).max() < 12
        assert max(abs(np.diff(column(run(seed, voice=voice), name))).max() for seed in range(4)) < 1.0

    def test_the_voice_nods_and_raises_brows(self) -> None:
        quiet, loud = run(2), run(2, voice=True)
        assert not column(quiet, "browInnerUp").any() and column(loud, "browInnerUp").max() > 0.05
        assert column(loud, "headPitch").min() < column(quiet, "headPitch").min()

    def test_eyes_rest_on_the_viewer_while_the_head_moves(self) -> None:
        track = run(3)
        eye = (column(track, "eyeLookOutLeft") - column(track, "eyeLookInLeft")) * GAZE_DEGREES[0]
        at_viewer = abs(eye + column(track, "headYaw")) < 2.5
        assert at_viewer.mean() > 0.6

    def test_begins_near_rest(self) -> None:
        assert abs(run(9, 1)[0]).max() < 0.3
