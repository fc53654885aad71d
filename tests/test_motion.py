"""Motion: the same for a seed, off when it is off, lifelike in size, and without jumps."""

import copy
from functools import cache

import numpy as np
import pytest

from engine.face.coefficients import GAZE_DEGREES, INDEX, NAMES
from engine.motion import Activity, Motion, MotionAmounts
from engine.motion.gaze import LIMIT_DEG
from engine.motion.manner import MANNERS
from engine.motion.spring import Springs
from engine.motion.stress import Stress
from engine.units import FPS

MINUTE = 25 * 60
STILL = MotionAmounts(head=0, gaze=0, blink=0)
GAZE = [i for name, i in INDEX.items() if name.startswith("eyeLook")]
HEAD = [INDEX[name] for name in ("headYaw", "headPitch", "headRoll", "headX", "headY", "headScale")]
LIDS = [INDEX["eyeBlinkLeft"], INDEX["eyeBlinkRight"]]


@cache
def run(
    seed: int,
    frames: int = MINUTE,
    amounts: MotionAmounts | None = None,
    voice: bool = False,
    activity: Activity = "listening",
) -> np.ndarray:
    motion = Motion(seed, amounts)
    motion.activity = activity
    track = np.array([motion.step(prosody) for prosody in (phrases(frames) if voice else [SILENCE] * frames)])
    track.flags.writeable = False
    return track


SILENCE = (0.0, 0.0, 0.0)


def phrases(frames: int) -> list[tuple[float, float, float]]:
    """Two seconds of syllables of 0.3 s, every fourth accented, and a second of pause, again and again."""
    out = []
    for i in range(frames):
        syllable, at = divmod(i % 75, 7.5)
        accent = 1.0 if syllable % 4 == 1 else 0.6
        loudness = 0.8 * accent * max(np.sin(np.pi * at / 7.5), 0.0)
        out.append((1.0, float(loudness), 0.2 * (accent - 0.7)) if i % 75 < 50 else SILENCE)
    return out


def eyes(track: np.ndarray) -> np.ndarray:
    """[frames, 2] where the eyes look, the head's turn counted: degrees to the person's left and up."""
    yaw = (column(track, "eyeLookOutLeft") - column(track, "eyeLookInLeft")) * GAZE_DEGREES[0]
    pitch = (column(track, "eyeLookUpLeft") - column(track, "eyeLookDownLeft")) * GAZE_DEGREES[1]
    return np.stack([yaw + column(track, "headYaw"), pitch + column(track, "headPitch")], axis=1)


def blinks(track: np.ndarray) -> int:
    return int((np.diff((column(track, "eyeBlinkLeft") > 0.9).astype(int)) == 1).sum())


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

    def test_off_before_the_first_frame_is_off_in_it(self) -> None:
        motion = Motion(1)
        motion.amounts = STILL
        assert not np.array([motion.step(prosody) for prosody in phrases(50)]).any()

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
        motion.activity = "thinking"
        before = [motion.step() for _ in range(200)]
        motion.amounts = STILL
        after = [motion.step() for _ in range(30)]
        yaw = column(np.array(before + after), "headYaw")
        assert abs(np.diff(yaw)).max() < 0.6 and abs(yaw[199]) > 0.5
        assert not after[-1][HEAD].any()

    @pytest.mark.parametrize("bad", [-0.1, 1.1, float("nan")])
    def test_out_of_range_is_refused(self, bad: float) -> None:
        with pytest.raises(ValueError, match="from 0 to 1"):
            MotionAmounts(head=bad)


class TestLifelike:
    """Sizes and rates that people show; a rate is taken over many seeds."""

    @pytest.mark.parametrize("activity", MANNERS)
    def test_blinks_a_minute(self, activity: Activity) -> None:
        counts = [blinks(run(seed, activity=activity)) for seed in range(6)]
        assert np.mean(counts) == pytest.approx(MANNERS[activity].blinks_a_minute, abs=4)

    def test_blinks_at_the_voice_s_pauses_are_no_more_blinks(self) -> None:
        assert 22 < np.mean([blinks(run(seed, voice=True)) for seed in range(6)]) < 27

    def test_a_blink_closes_fully_and_both_lids_together(self) -> None:
        track = run(4)
        assert column(track, "eyeBlinkLeft").max() == 1
        np.testing.assert_array_equal(*track[:, LIDS].T)

    @pytest.mark.parametrize("name", ["headYaw", "headPitch", "headRoll"])
    @pytest.mark.parametrize("activity", MANNERS)
    @pytest.mark.parametrize("voice", [False, True])
    def test_head_sways_by_degrees_without_jerks(self, name: str, activity: Activity, voice: bool) -> None:
        tracks = [column(run(seed, voice=voice, activity=activity), name) for seed in range(4)]
        assert 0.25 < np.std(np.concatenate(tracks)) < 4 and np.abs(tracks).max() < 12
        assert np.abs(np.diff(tracks, axis=1)).max() < 1.5

    def test_begins_near_rest(self) -> None:
        assert abs(run(9, 1)[0]).max() < 0.3


class TestProsody:
    """The voice's stresses nod the head and raise the brows; its pauses blink."""

    def test_only_a_voice_nods_and_raises_brows(self) -> None:
        quiet, loud = run(2), run(2, voice=True)
        assert not column(quiet, "browInnerUp").any() and 0.05 < column(loud, "browInnerUp").max() < 0.5

    def test_accents_are_found_and_other_syllables_passed_over(self) -> None:
        stress, voice = Stress(), phrases(MINUTE)
        found = [i for i, prosody in enumerate(voice) if stress.step(*prosody)]
        accented = [i for i in found if i % 75 // 7.5 % 4 == 1]
        assert 20 <= len(found) <= 60 and len(accented) > 0.7 * len(found)

    def test_a_stress_is_never_told_in_silence_or_in_a_steady_voice(self) -> None:
        stress = Stress()
        assert not any(stress.step(0.0, i % 2, 1.0) for i in range(200))
        steady = [stress.step(1.0, 0.5, 0.0) for _ in range(200)]
        assert sum(size > 0 for size in steady) <= 1

    def test_the_head_moves_with_the_stresses(self) -> None:
        """Beside the same head under a voice without stress, all that differs are nods, most of them downwards."""
        voice, stress = phrases(MINUTE), Stress()
        begun = np.array([i for i, prosody in enumerate(voice) if stress.step(*prosody)])
        moving, steady = Motion(7), Motion(7)
        nods = np.array(
            [
                moving.step(prosody)[INDEX["headPitch"]] - steady.step((prosody[0], 0.0, 0.0))[INDEX["headPitch"]]
                for prosody in voice
            ]
        )
        peaks = np.array([nods[i : i + 10][np.abs(nods[i : i + 10]).argmax()] for i in begun])
        assert not nods[: begun[0]].any()
        assert 0.4 < np.median(abs(peaks)) < 2.5 and 0.55 < (peaks < 0).mean() < 0.95

    def test_lids_close_where_the_voice_pauses(self) -> None:
        begun = [
            i % 75
            for seed in range(4)
            for i in np.flatnonzero(np.diff((column(run(seed, voice=True), "eyeBlinkLeft") > 0.5).astype(int)) == 1)
        ]
        at_pause = np.mean([50 <= i + 1 < 56 for i in begun])
        assert at_pause > 3 * 6 / 75


class TestActivities:
    """What is done while the voice is silent; a voice always speaks."""

    def test_listening_is_calmer_than_idling_and_both_than_speaking(self) -> None:
        def movement(activity: Activity, voice: bool = False) -> float:
            tracks = [run(seed, activity=activity, voice=voice)[:, HEAD[:3]] for seed in range(4)]
            return float(np.mean([np.abs(np.diff(track, axis=0)).mean() for track in tracks]))

        assert 1.3 * movement("listening") < movement("idle") < movement("idle", voice=True)

    def test_who_listens_looks_at_the_viewer_and_who_thinks_away(self) -> None:
        away = {
            a: np.mean([abs(eyes(run(seed, activity=a))[50:]).max(axis=1) > 4 for seed in range(4)]) for a in MANNERS
        }
        assert away["listening"] < 0.12 < away["idle"] < 0.4 and away["thinking"] > 0.6

    def test_who_thinks_looks_up_to_one_side_within_two_frames_and_frowns(self) -> None:
        motion = Motion(3)
        for _ in range(100):
            motion.step()
        motion.activity = "thinking"
        track = np.array([motion.step() for _ in range(100)])
        yaw, pitch = eyes(track)[2]
        assert abs(yaw) > 4 and pitch > 0
        assert 0.05 < column(track, "browDownLeft").max() < 0.2
        motion.activity = "listening"
        track = np.array([motion.step() for _ in range(50)])
        assert abs(eyes(track)[2]).max() < 3
        assert column(track, "browDownLeft")[-1] < 0.01

    @pytest.mark.parametrize("activity", MANNERS)
    def test_a_voice_speaks_in_every_state(self, activity: Activity) -> None:
        voiced = np.array([prosody[0] > 0.5 for prosody in phrases(MINUTE)])
        away = [
            (abs(eyes(run(seed, activity=activity, voice=True)))[voiced].max(axis=1) > 5).mean() for seed in range(4)
        ]
        assert np.mean(away) < 0.35

    @pytest.mark.parametrize("activity", MANNERS)
    def test_off_is_off_in_every_state(self, activity: Activity) -> None:
        assert not run(1, amounts=STILL, voice=True, activity=activity).any()
        assert not run(1, amounts=STILL, activity=activity).any()

    def test_a_listener_nods_when_addressed_and_mostly_as_it_ends(self) -> None:
        def nods(addressed: list[bool]) -> np.ndarray:
            still, nodding = Motion(5), Motion(5)
            out = []
            for told in addressed:
                nodding.addressed = told
                out.append(nodding.step()[INDEX["headPitch"]] - still.step()[INDEX["headPitch"]])
            return np.array(out)

        assert not nods([False] * 500).any()
        long = nods([True] * MINUTE)
        assert long.min() < -1 and 0.02 < (long < -0.5).mean() < 0.3
        ended = [nods([False] * 50 + [True] * 60 + [False] * 40)[110:].min() for _ in range(1)]
        assert min(ended) < -1

    def test_eyes_stay_within_their_limits(self) -> None:
        for activity in MANNERS:
            assert (abs(eyes(run(6, activity=activity))) <= LIMIT_DEG + 1e-3).all()


class TestSprings:
    @pytest.mark.parametrize("time_s", [0.13, 0.17])
    def test_a_blow_swings_it_out_without_a_jerk(self, time_s: float) -> None:
        springs = Springs([time_s])
        springs.kick(0, 1.0)
        way = np.array([springs.step([0.0])[0] for _ in range(3 * FPS)])
        steps = np.diff(way, prepend=0)
        assert abs(way.max() - 1) < 0.05
        assert abs(way.argmax() / FPS - time_s) < 0.09
        assert np.abs(np.diff(steps, prepend=0)).max() < 0.2
        assert abs(way[-1]) < 1e-3
