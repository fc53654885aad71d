"""When things leave: literal times, no sleep."""

import pytest

from server.timeline import FIRST_HOLD_S, MAX_HOLD_S, MIN_HOLD_S, Hold, Timeline, media_ms, video_pts, widest_gap


class TestSoundAndPictureShareOneAnchor:
    def test_slot_and_its_first_packet_leave_together(self) -> None:
        timeline = Timeline(start=100.0)
        for slot in (0, 1, 25, 7500):
            assert timeline.due(slot) == pytest.approx(timeline.packet_due(2 * slot), abs=1e-9)

    def test_literal_times(self) -> None:
        timeline = Timeline(start=100.0)
        assert timeline.tick(25) == pytest.approx(101.0)
        assert timeline.due(25) == pytest.approx(101.0 + FIRST_HOLD_S)
        assert timeline.packet_due(51) == pytest.approx(101.020 + FIRST_HOLD_S)

    def test_pts_are_whole_numbers(self) -> None:
        assert (video_pts(3), media_ms(3)) == (10_800, 120)

    def test_short_lag_is_caught_up(self) -> None:
        timeline = Timeline(start=100.0)
        timeline.catch_up(25, now=101.9)
        assert timeline.tick(25) == pytest.approx(101.0)

    def test_sleeping_server_starts_anew_and_keeps_its_phase(self) -> None:
        timeline = Timeline(start=100.0)
        timeline.catch_up(25, now=161.03)
        assert timeline.tick(25) == pytest.approx(161.0)
        assert timeline.tick(26) == pytest.approx(161.04)


def held(*taken: float) -> float:
    """The hold after pictures that took these times, and 25 before them that did not count."""
    hold = Hold()
    for seconds in [1.0] * 25 + list(taken):
        hold.observe(seconds)
    return hold.seconds


class TestHold:
    def test_punctual_pictures_leave_it_alone(self) -> None:
        assert held(*[0.025] * 2000) == FIRST_HOLD_S

    def test_a_hiccup_of_the_machine_changes_nothing(self) -> None:
        assert held(*([0.025] * 240 + [0.070] * 10) * 4) == FIRST_HOLD_S

    def test_grows_soon_when_pictures_are_late_again_and_again(self) -> None:
        assert held(*[0.045] * 10) == FIRST_HOLD_S
        assert held(*[0.045] * 11) == pytest.approx(0.050)

    def test_shrinks_after_ten_quick_seconds(self) -> None:
        assert held(*[0.045] * 20, *[0.018] * 220) == pytest.approx(0.050)
        assert held(*[0.045] * 20, *[0.018] * 260) == pytest.approx(0.023)

    def test_has_bounds(self) -> None:
        assert held(*[0.5] * 20) == MAX_HOLD_S
        assert held(*[0.001] * 1000) == MIN_HOLD_S


class TestTurns:
    def test_second_session_is_half_a_slot_away(self) -> None:
        assert widest_gap([0.0]) == pytest.approx(0.020)

    def test_third_takes_a_quarter(self) -> None:
        assert widest_gap([0.005, 0.025]) in (pytest.approx(0.015), pytest.approx(0.035))

    def test_anchors_are_taken_modulo_a_slot(self) -> None:
        assert widest_gap([10.010, 20.020]) == pytest.approx(0.035)
