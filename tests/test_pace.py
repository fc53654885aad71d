"""How fast a session's messages are read, with literal times."""

import pytest

from server.pace import MESSAGES, PIECE, Pace


class TestPace:
    def test_a_slider_never_waits(self) -> None:
        pace = Pace()
        assert not any(pace.wait_s(100, 50 + i / 1000) for i in range(60_000))

    def test_neither_does_a_second_worth_at_once(self) -> None:
        pace = Pace()
        assert not any(pace.wait_s(100, 50.0) for _ in range(MESSAGES - 1))
        pace.wait_s(100, 50.0)
        assert pace.wait_s(100, 50.0) == pytest.approx(1 / MESSAGES)

    def test_a_flood_is_read_at_the_bound(self) -> None:
        pace, now = Pace(), 50.0
        for _ in range(5 * MESSAGES):
            now += pace.wait_s(100, now)
        assert now == pytest.approx(54.0)

    def test_long_messages_count_by_their_length(self) -> None:
        pace = Pace()
        assert pace.wait_s(MESSAGES * PIECE * 3, 50.0) == pytest.approx(2.0, abs=0.01)

    def test_a_minute_of_sound_at_once_does_not_wait(self) -> None:
        assert not Pace().wait_s(60 * 48_000 * 2, 50.0)

    def test_it_is_told_once_a_second(self) -> None:
        pace = Pace()
        assert [now for now in (50.0, 50.5, 51.0, 51.9, 52.1) if pace.tell(now)] == [50.0, 51.0, 52.1]
