"""Overload by a simulated clock: what is drawn goes down in steps, comes back, and does not flutter."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from websockets.asyncio.client import connect

from server.load import MAX_PATIENCE_S, PATIENCE_S, STEPS, Governor, Quality
from server.sessions import late_share
from tests.server_fakes import Caller
from tests.server_running import running, until


def seconds(governor: Governor, first: int, count: int, late: float, busy: float) -> list[int]:
    """The step after each of `count` seconds that go alike."""
    steps = []
    for now in range(first, first + count):
        governor.observe(float(now), late, busy)
        steps.append(governor.step)
    return steps


class TestGovernor:
    def test_one_bad_second_is_an_accident(self) -> None:
        governor = Governor()
        for now in range(20):
            governor.observe(float(now), 0.5 if now % 2 else 0.0, 0.9)
        assert governor.step == 0

    def test_a_few_bad_seconds_are_a_disturbance(self) -> None:
        governor = Governor()
        for now in range(60):
            governor.observe(float(now), 0.5 if now % 4 else 0.0, 1.0)
        assert governor.step == 0

    def test_an_overloaded_machine_goes_down_within_a_few_seconds(self) -> None:
        assert seconds(Governor(), 0, 5, late=0.3, busy=1.0)[-1] == 1

    def test_late_for_no_want_of_time_is_no_overload(self) -> None:
        governor = Governor()
        for now in range(0, 300, 10):
            seconds(governor, now, 6, late=0.5, busy=0.7)
            seconds(governor, now + 6, 4, late=0.0, busy=0.7)
        assert governor.step == 0

    def test_late_for_long_is_overload_whatever_is_seen_of_it(self) -> None:
        assert seconds(Governor(), 0, 15, late=0.5, busy=0.3)[-1] == 1

    def test_comes_back_though_a_picture_in_25_is_late(self) -> None:
        """As calls on an engine that is shared have it at any rate."""
        governor = Governor()
        seconds(governor, 0, 4, late=0.3, busy=1.0)
        assert seconds(governor, 4, 30, late=0.04, busy=0.65)[-1] == 0

    def test_goes_down_step_by_step_while_pictures_are_late(self) -> None:
        steps = seconds(Governor(), 0, 60, late=0.3, busy=1.0)
        assert steps[-1] == len(STEPS) - 1
        assert max(np.diff(steps)) == 1 and sorted(steps) == steps

    def test_a_busy_machine_that_keeps_up_stays(self) -> None:
        assert set(seconds(Governor(), 0, 60, late=0.0, busy=0.95)) == {0}

    def test_comes_back_when_the_load_is_gone(self) -> None:
        governor = Governor()
        seconds(governor, 0, 30, late=0.3, busy=1.0)
        steps = seconds(governor, 30, 120, late=0.0, busy=0.1)
        assert steps[int(PATIENCE_S) - 2] == len(STEPS) - 1 and steps[-1] == 0

    def test_does_not_climb_to_what_would_not_fit(self) -> None:
        governor = Governor()
        seconds(governor, 0, 4, late=0.3, busy=1.0)
        assert set(seconds(governor, 4, 100, late=0.0, busy=0.75)) == {1}

    def test_tries_less_and_less_often(self) -> None:
        governor, climbs = Governor(), []
        before = 0
        for now in range(4000):
            governor.observe(float(now), *((0.3, 1.0) if governor.step == 0 else (0.0, 0.3)))
            if governor.step < before:
                climbs.append(now)
            before = governor.step
        pauses = np.diff(climbs)
        assert len(climbs) > 3 and (np.diff(pauses) >= 0).all() and pauses[-1] >= MAX_PATIENCE_S

    @pytest.mark.parametrize("size", [256, 512, 1024])
    def test_sides_are_those_that_a_renderer_draws(self, size: int) -> None:
        assert [Quality(15, share).side(size) for share in (1.0, 0.5)] == [size, max(256, size // 2)]

    def test_the_share_of_late_pictures_is_that_of_settled_calls_in_the_last_second(self) -> None:
        before = {"a": (100, 50), "gone": (180, 0), "again": (500, 400), "joining": (75, 20)}
        now = {"a": (125, 55), "new": (25, 25), "again": (10, 10), "joining": (100, 45)}
        assert late_share(now, before) == pytest.approx(5 / 25)
        assert late_share({}, before) == 0
        assert late_share({"a": (102, 56)}, before) == 1, "four of them were due in the second before"


class TestUnderStrain:
    async def test_a_call_is_told_and_gets_fewer_and_smaller_pictures(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            await caller.call()
            async with connect(caller.control_url) as control:
                live = server.place.sessions.get(caller.session["id"])
                assert live
                server.place.sessions.adapt(Quality(15, 0.5))
                told: list[dict[str, Any]] = []
                while not told or told[-1]["type"] != "degraded":
                    told.append(json.loads(await control.recv()))
                assert told[-1] == {"type": "degraded", "fps": 15, "size": 256}
            await until(lambda: caller.pictures[-1].size == 256)
            seen = len(caller.pictures)
            await until(lambda: len(caller.pictures) > seen + 16)
            shown = caller.pictures[seen + 1 :]
            slots = np.diff([round(picture.time_s * 25) for picture in shown])
            assert slots.sum() / len(slots) == pytest.approx(25 / 15, abs=0.25)
            np.testing.assert_array_equal(np.diff([picture.frame for picture in shown]), slots)
            async with connect(caller.control_url) as late:
                assert [json.loads(await late.recv())["type"] for _ in range(2)] == ["state", "degraded"]

    async def test_an_overloaded_machine_takes_nobody_in(self, tmp_path: Path) -> None:
        async with running(tmp_path) as server, Caller(server.url) as caller:
            sessions, wish = server.place.sessions, {"portrait": "anna", "source": "push"}
            sessions.governor.step = len(STEPS) - 1
            assert (await caller.http.post("/v1/sessions", json=wish)).status_code == 201, "nobody else is there"
            response = await caller.http.post("/v1/sessions", json=wish)
            assert response.status_code == 503 and int(response.headers["Retry-After"]) > 0
            assert "overloaded" in response.text
            capacity = (await caller.http.get("/v1/capacity")).json()
            assert capacity["free"] == 0 and capacity["quality"] == {"fps": 15, "size_share": 0.5}
