"""The Linear Emotion Space: names, levels, text and JSON, and the way from one vector to the next."""

import json
import math
from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import pytest

from engine.les import ACTION, AXES, DESCRIPTIONS, EMOTIONS, ISOLATION, Les, LesError, Trajectory, parse, parse_json


def random_les(random: np.random.Generator) -> Les:
    return Les.clipped(random.random(len(AXES)) * (random.random(len(AXES)) < 0.3))


class TestAxes:
    def test_two_subspaces_of_27_and_14(self) -> None:
        assert (len(ACTION), len(ISOLATION), len(set(AXES))) == (27, 14, 41)
        assert AXES[:3] == ("AU1", "AU2", "AU4") and AXES[26:29] == ("AU39", "AUL1", "AUR1") and AXES[-1] == "AUR14"

    def test_every_axis_has_words(self) -> None:
        assert DESCRIPTIONS.keys() == set(AXES) and DESCRIPTIONS["AUL12"] == "left lip corner puller"

    def test_emotions_use_axes_only(self) -> None:
        assert len(EMOTIONS) == 7
        assert all(axis in AXES and 0 < peak <= 1 for peaks in EMOTIONS.values() for axis, peak in peaks.items())


class TestAddition:
    def test_levels_are_linear(self) -> None:
        full = np.array(Les.of(emotion={"fear": 1.0}).values)
        for level in (0.0, 0.25, 1 / 3, 0.5):
            np.testing.assert_allclose(Les.of(emotion={"fear": level}).values, level * full)

    def test_emotions_and_units_add_and_clip(self) -> None:
        les = Les.of({"AU4": 0.3, "AU12": 0.5}, {"happiness": 1.0, "anger": 0.5})
        assert les.units()["AU4"] == pytest.approx(0.3 + 0.5)
        assert les.units()["AU12"] == 1.0

    def test_neutral_is_the_origin(self) -> None:
        assert Les() == Les.of() == parse("") and not any(Les().values)


class TestText:
    def test_the_documented_example(self) -> None:
        assert parse("happiness=0.6, AU4=0.2") == Les.of({"AU4": 0.2}, {"happiness": 0.6})

    def test_round_trips(self) -> None:
        random = np.random.default_rng(1)
        for les in [Les(), *(random_les(random) for _ in range(50))]:
            assert parse(str(les)) == les
            assert parse_json(json.loads(json.dumps({"units": les.units()}))) == les

    @pytest.mark.parametrize(
        ("text", "words"),
        [
            ("hapiness=0.5", "did you mean happiness"),
            ("au12=0.5", "did you mean AU12"),
            ("AU3=0.5", "there is no emotion or unit 'AU3'"),
            ("AU4", "must be name=level"),
            ("AU4=much", "must be a number"),
            ("AU4=1.5", "from 0 to 1"),
            ("AU4=-0.1", "from 0 to 1"),
            ("AU4=nan", "from 0 to 1"),
            ("AU4=inf", "from 0 to 1"),
            ("AU4=0.1, AU4=0.2", "twice"),
        ],
    )
    def test_refusals_say_what_to_do(self, text: str, words: str) -> None:
        with pytest.raises(LesError, match=words):
            parse(text)

    @pytest.mark.parametrize(
        "data",
        [{"AU4": 0.2}, {"units": [0.2]}, {"units": {"AU4": "0.2"}}, {"units": {"AU4": True}}, {"emotion": {"AU4": 0}}],
    )
    def test_json_of_another_form_is_refused(self, data: dict[str, object]) -> None:
        with pytest.raises(LesError):
            parse_json(data)

    @pytest.mark.parametrize("values", [(0.0,) * 40, (0.0,) * 40 + (math.nan,), (0.0,) * 40 + (1.1,)])
    def test_no_vector_outside_the_space(self, values: tuple[float, ...]) -> None:
        with pytest.raises(LesError):
            Les(values)


def sampled(trajectory: Trajectory, start: float, end: float, step: float = 0.005) -> np.ndarray:
    return np.array([trajectory.value(t).values for t in np.arange(start, end, step)])


def wandering(
    random: np.random.Generator, walks: int, sent: bool = True
) -> Iterator[tuple[Trajectory, float, Les, float]]:
    """Trajectories, the time, a target that they were just sent to (or, not `sent`, were not yet), and a stay."""
    for _ in range(walks):
        trajectory, now = Trajectory(random_les(random)), 0.0
        for _ in range(6):
            target, stay = random_les(random), random.uniform(0.01, 1.0)
            if sent:
                trajectory.set(target, now, transition_s=random.uniform(0.05, 1.5))
            yield trajectory, now, target, stay
            now += stay
            if not sent:
                trajectory.set(random_les(random), now, transition_s=random.uniform(0.2, 1.5))
                now += random.uniform(0.05, 0.3)


class TestTrajectory:
    def test_reaches_its_target_in_the_time_asked_for(self) -> None:
        trajectory, target = Trajectory(), Les.of({"AU12": 0.8})
        trajectory.set(target, 1.0, transition_s=0.5)
        assert trajectory.value(1.0) == Les()
        assert 0.35 < trajectory.value(1.25).units()["AU12"] < 0.45
        assert trajectory.value(1.49) != target and trajectory.value(1.5) == target

    def test_no_transition_is_at_once(self) -> None:
        trajectory, target = Trajectory(), Les.of(emotion={"anger": 1})
        trajectory.set(target, 3.0, transition_s=0)
        assert trajectory.value(3.0) == target

    def test_never_passes_its_target_nor_leaves_the_space(self) -> None:
        random = np.random.default_rng(2)
        for trajectory, now, target, stay in wandering(random, 30):
            here = np.array(trajectory.value(now).values)
            path = np.array([trajectory._leg.at(t) for t in np.arange(now, now + stay, 0.005)])  # not yet clipped
            beyond = (path - target.values) * np.sign(np.array(target.values) - here)
            assert beyond.max() < 1e-9 and path.min() > -1e-9 and path.max() < 1 + 1e-9

    def test_turns_once_at_most(self) -> None:
        random = np.random.default_rng(3)
        for trajectory, now, target, stay in wandering(random, 30):
            here = np.array(trajectory.value(now).values)
            onwards = np.diff(sampled(trajectory, now, now + stay), axis=0) * np.sign(np.array(target.values) - here)
            falling, rising = onwards < -1e-9, onwards > 1e-9
            first_rise = np.where(rising.any(0), rising.argmax(0), len(onwards))
            assert all(not falling[first:, axis].any() for axis, first in enumerate(first_rise))

    def test_values_and_rates_do_not_jump_where_targets_change(self) -> None:
        random, tick = np.random.default_rng(4), 1e-5
        for trajectory, now, target, _ in wandering(random, 30, sent=False):
            before = [np.array(trajectory.value(now - k * tick).values) for k in (1, 0)]
            trajectory.set(target, now, transition_s=0.4)
            after = [np.array(trajectory.value(now + k * tick).values) for k in (0, 1)]
            np.testing.assert_allclose(after[0], before[1], atol=1e-12)
            rates = (before[1] - before[0]) / tick, (after[1] - after[0]) / tick
            near = abs(np.array(target.values) - before[1]) < 0.02
            np.testing.assert_allclose(rates[1][~near], rates[0][~near], atol=0.02)

    def test_a_target_raised_in_mid_way_keeps_its_speed(self) -> None:
        trajectory = Trajectory()
        trajectory.set(Les.of({"AU1": 0.5}), 0.0, transition_s=1.0)
        before = np.diff(sampled(trajectory, 0.4, 0.5, 0.001)[:, 0])[-1]
        trajectory.set(Les.of({"AU1": 1.0}), 0.5, transition_s=1.0)
        after = np.diff(sampled(trajectory, 0.5, 0.6, 0.001)[:, 0])[0]
        assert after == pytest.approx(before, rel=0.02)

    def test_small_steps_without_jumps(self) -> None:
        trajectory = Trajectory()
        trajectory.set(Les.of({"AU1": 1.0}), 0.0, transition_s=1.0)
        path = [value[0] for value in sampled(trajectory, 0.0, 1.1)]
        assert max(b - a for a, b in pairwise(path)) < 2.0 * 0.005

    def test_a_hold_returns_to_the_target_before(self) -> None:
        smile, frown = Les.of({"AU12": 0.4}), Les.of({"AU4": 1.0})
        trajectory = Trajectory()
        trajectory.set(smile, 0.0, transition_s=0)
        trajectory.set(frown, 1.0, transition_s=0.2, hold_s=1.0)
        assert trajectory.value(2.19) == frown
        assert trajectory.value(2.3) not in (smile, frown)
        assert trajectory.value(2.5) == smile

    def test_a_new_target_ends_a_hold(self) -> None:
        trajectory, target = Trajectory(), Les.of({"AU2": 0.5})
        trajectory.set(Les.of({"AU4": 1.0}), 0.0, transition_s=0, hold_s=1.0)
        trajectory.set(target, 0.5, transition_s=0)
        assert trajectory.value(9.0) == target
