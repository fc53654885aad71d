"""An engine too slow for a while, on a clock that the test turns: what it misses then costs nobody anything later."""

import asyncio
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import pytest

import server.engines
from engine.portrait import Portrait
from server.engine_thread import Engine, EngineThread, Job, Run, Step, next_of
from server.foresight import MOST_OWED
from server.microphone import Samples
from tests.server_fakes import FakeEngine, FakeStream
from tests.test_ticks import Room, SimulatedLoop

TOGETHER = 13.8 / 15.9  # of what two pictures take one by one, as docs/performance.md has it
CHUNKS = np.arange(40, dtype=np.float32)[:, None].repeat(640, axis=1)


class Paced(EngineThread):
    """At work for as long as `cost(now)` says for each picture, and a little less for two together."""

    cost: Callable[[float], float] = staticmethod(lambda _: 0.0)

    def __init__(self, factory: Callable[[], Engine]) -> None:
        self._at_work, self._each = False, 0.0
        super().__init__(factory, asyncio.get_running_loop().time)

    def _main(self) -> None:
        self._engine = self._factory()
        self._post(self.ready.set_result, self._engine)

    def _hand_over(self) -> None:
        super()._hand_over()
        self._begin()

    def _begin(self) -> None:
        if self._at_work or not self._handed:
            return
        self._at_work, jobs = True, self._next_jobs(self._engine)
        pictures = sum(isinstance(job, Step) for job in jobs)
        self._each = self.cost(self._clock()) * (TOGETHER if pictures > 1 else 1)
        self._loop.call_later(pictures * self._each, self._end, jobs)

    def _end(self, jobs: list[Job]) -> None:
        self._do(jobs, self._engine)
        self._at_work, self._step_s = False, self._each
        self._begin()


def late_shares(monkeypatch: pytest.MonkeyPatch, cost: Callable[[float], float], seconds: int) -> list[float]:
    """Of the pictures of two calls on one engine, the share that was late or dropped, in each tenth of a second."""
    monkeypatch.setattr(server.engines, "EngineThread", Paced)
    monkeypatch.setattr(Paced, "cost", staticmethod(cost))

    async def played() -> list[float]:
        room = Room(cast(Any, Clocked()))
        await room.engines.ready
        await asyncio.gather(room.join(0), room.join(1, 0.007))
        owed = []
        for _ in range(10 * seconds + 1):
            owed.append(np.sum([live.owed for live, _ in room.present.values()], axis=0))
            await asyncio.sleep(0.1)
        await room.close()
        due, late = np.diff(owed, axis=0).T
        return list(late / due)

    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(played())


class Clocked(FakeEngine):
    clock: Callable[[], float]


class TestTooSlow:
    @pytest.mark.parametrize("cost", [0.019, 0.021, 0.0225])
    def test_two_together_are_cheaper_and_still_in_time(self, monkeypatch: pytest.MonkeyPatch, cost: float) -> None:
        """Up to 40 ms / (2 * TOGETHER)."""
        assert max(late_shares(monkeypatch, lambda _: cost, 8)[40:]) == 0

    @pytest.mark.parametrize("cost", [0.0235, 0.025, 0.030])
    def test_an_engine_owes_no_more_than_it_lacks(self, monkeypatch: pytest.MonkeyPatch, cost: float) -> None:
        """What it can draw of two calls' pictures, one by one, is in time."""
        shares = late_shares(monkeypatch, lambda _: cost, 8)
        assert np.mean(shares[40:]) < 1 - 0.020 / cost + 0.03

    def test_a_bad_second_costs_nothing_once_it_is_over(self, monkeypatch: pytest.MonkeyPatch) -> None:
        shares = late_shares(monkeypatch, lambda now: 0.060 if 4 <= now < 5 else 0.019, 8)
        assert max(shares[20:40]) == 0 < min(shares[42:50])
        assert max(shares[52:]) == 0


def step(stream: FakeStream, chunks: Samples = CHUNKS[:1], forget: int = 0, skipped: int = 0) -> Step:
    return Step(cast(Any, stream), chunks, lambda *_: None, lambda _: None, forget=forget, skipped=skipped)


def run(stream: FakeStream | None) -> Run:
    return Run(lambda _: None, lambda _: None, lambda _: None, cast(Any, stream))


def streams(count: int) -> list[FakeStream]:
    engine = FakeEngine()
    return [engine.open(cast(Portrait, None), seed=seed) for seed in range(count)]


class TestNext:
    """Literal jobs."""

    def test_a_batch_has_each_stream_once(self) -> None:
        a, b = streams(2)
        first, second, third, fourth = jobs = list[Job]([step(a), step(b), run(a), step(a)])
        assert next_of(jobs, lambda _: True) == ([first, second], [third, fourth])

    def test_a_batch_that_would_be_late_has_one(self) -> None:
        a, b = streams(2)
        first, second, third, fourth, fifth = jobs = list[Job]([step(a), run(b), step(b), run(b), run(None)])
        assert next_of(jobs, lambda _: False) == ([first, second, fifth], [third, fourth])


class TestInPlaceOf:
    """What the engine would have heard of both it hears of the one."""

    @pytest.mark.parametrize(("forget", "first"), [(0, 3), (1, 3), (3, 3), (2, 1)])
    def test_hears_the_same(self, forget: int, first: int) -> None:
        heard, [a] = [10.0, 11.0, 12.0], streams(1)
        older, newer = step(a, CHUNKS[:first], forget=1), step(a, CHUNKS[20:22], forget=forget)
        both = newer.in_place_of(older)
        assert hear(hear(heard, older), newer) == hear(heard, both)

    def test_counts_what_was_not_drawn(self) -> None:
        [a] = streams(1)
        assert step(a, skipped=2).in_place_of(step(a, skipped=3)).skipped == 6

    def test_an_engine_that_hangs_is_not_owed_more_and_more(self) -> None:
        [a] = streams(1)
        waiting = step(a)
        for _ in range(100):
            waiting = step(a).in_place_of(waiting)
        assert len(waiting.chunks) == MOST_OWED + 1 and waiting.skipped == 100


def hear(heard: list[float], fed: Step) -> list[float]:
    return heard[: len(heard) - fed.forget] + [float(chunk[0]) for chunk in fed.chunks]


class TestInTheLine:
    async def lined_up(self, jobs: list[Job]) -> list[Job]:
        thread = Paced(FakeEngine)
        await thread.ready
        thread._at_work = True
        for job in jobs:
            thread.submit(job)
        await asyncio.sleep(0)
        waiting, thread._handed = thread._handed, []
        await thread.close()
        return waiting

    async def test_a_newer_step_takes_the_place_of_one_that_waits(self) -> None:
        dropped: list[str] = []
        a, b = streams(2)
        older = Step(cast(Any, a), CHUNKS[:1], lambda *_: None, lambda _: None, dropped=lambda: dropped.append("a"))
        waiting = await self.lined_up([older, step(b), step(a)])
        assert [job.stream for job in waiting] == [a, b] and dropped == ["a"]

    async def test_what_is_asked_between_two_steps_stays_between_them(self) -> None:
        [a] = streams(1)
        jobs: list[Job] = [step(a), run(a), step(a)]
        assert await self.lined_up(jobs) == jobs
