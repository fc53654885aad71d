"""Sessions of a GPU's engine on a clock that the test turns: one batch a tick, whoever comes, goes or fails."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import replace
from typing import Any, cast

import numpy as np
import pytest

import server.engines
from engine.les import Les
from engine.portrait import Portrait
from server.engine_thread import EngineThread, Job, Run, Step
from server.engines import Engines
from server.live import LiveSession
from server.protocol import CreateSession
from server.sessions import Sessions
from server.settings import Settings
from server.timeline import FRAME_S
from tests.server_fakes import BITS, FakeEngine, FakePicture, FakeStream
from tests.server_running import FakePortrait

SIZE = 256


class Waiting(selectors.DefaultSelector):
    """Lets time pass instead of sleeping, unless an engine is at work or nobody has any plans."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None or Watched.at_work:
            return super().select(timeout and 0.001)
        events = super().select(0)
        if not events:
            self.now += timeout
        return events


class SimulatedLoop(asyncio.SelectorEventLoop):
    def __init__(self) -> None:
        self._turned = Waiting()
        super().__init__(self._turned)

    def time(self) -> float:
        return self._turned.now


class Watched(EngineThread):
    """Knows whether it is at work."""

    at_work = 0

    def submit(self, job: Job) -> None:
        def then(callback: Callable[..., object]) -> Any:
            def called(*arguments: object) -> None:
                Watched.at_work -= 1
                callback(*arguments)

            return called

        Watched.at_work += 1
        more = {"dropped": then(job.dropped)} if isinstance(job, Step) else {}
        super().submit(replace(job, done=then(job.done), failed=then(job.failed), **more))


class Gpu(FakeEngine):
    """Notes when it drew whom."""

    aligned = True

    def __init__(self, fault: Callable[[FakeStream], None] | None = None) -> None:
        super().__init__(fault=fault)
        self.batches: list[tuple[float, list[int]]] = []
        self.clock: Callable[[], float] = lambda: 0.0

    def step(self, work: Any) -> list[FakePicture]:
        self.batches.append((self.clock(), [stream.seed for stream, _ in work]))
        return super().step(work)


class Room:
    """Sessions on one engine, and what each of them saw when."""

    def __init__(self, engine: Gpu) -> None:
        loop = asyncio.get_running_loop()
        engine.clock = loop.time
        self.engine, self.clock = engine, loop.time
        self.engines = Engines(lambda: engine)
        self.sessions = Sessions(Settings(max_sessions=100), self.engines, loop.time)
        self.seen: dict[int, list[tuple[float, int]]] = {}
        """By seed: when a picture left, and its number."""
        self.present: dict[int, tuple[LiveSession, asyncio.Task[None]]] = {}

    async def join(self, seed: int, after: float = 0.0) -> None:
        await asyncio.sleep(after)
        request = CreateSession(portrait="anna", source="push", seed=seed, size=SIZE)
        session, _ = await self.sessions.create(request, cast(Portrait, FakePortrait()), Les())
        self.present[seed] = session, asyncio.create_task(self._watch(seed, session))

    async def leave(self, seed: int) -> None:
        session, watching = self.present.pop(seed)
        await session.end("deleted")
        await watching

    async def _watch(self, seed: int, session: LiveSession) -> None:
        async with session.performance() as shown:
            async for each in shown:
                number = sum(int(each.picture[0, i * SIZE // BITS, 0] > 126) << i for i in range(BITS))
                self.seen.setdefault(seed, []).append((self.clock(), number))

    async def close(self) -> None:
        for seed in list(self.present):
            await self.leave(seed)
        await self.engines.close()


def simulated(scene: Callable[[Room], Coroutine[Any, Any, None]], engine: Gpu) -> Mapping[int, list[tuple[float, int]]]:
    """What was seen of the scene."""

    async def played() -> Mapping[int, list[tuple[float, int]]]:
        room = Room(engine)
        await room.engines.ready
        await scene(room)
        await room.close()
        return room.seen

    Watched.at_work = 0
    with asyncio.Runner(loop_factory=SimulatedLoop) as runner:
        return runner.run(played())


@pytest.fixture(autouse=True)
def _watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server.engines, "EngineThread", Watched)


def assert_smooth(seen: list[tuple[float, int]]) -> None:
    """Every picture in turn, at its time."""
    times, numbers = np.array([time for time, _ in seen]), [number for _, number in seen]
    assert np.ptp(np.diff(times)) < 0.006  # the hold is set once, by steps of 5 ms
    assert np.median(np.diff(times)) == pytest.approx(FRAME_S, abs=1e-6)
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))


class TestOneBatchATick:
    def test_sessions_that_come_whenever_they_like_are_due_together(self) -> None:
        engine, random = Gpu(), np.random.default_rng(0)

        async def scene(room: Room) -> None:
            await asyncio.gather(*(room.join(seed, after) for seed, after in enumerate(random.uniform(0, 1, 9))))
            engine.batches.clear()
            await asyncio.sleep(2)

        seen = simulated(scene, engine)
        full = [(at, seeds) for at, seeds in engine.batches if len(seeds) == 9]
        assert len(full) >= 49 and all(sorted(seeds) == list(range(9)) for _, seeds in full)
        assert np.diff([at for at, _ in full]) == pytest.approx(FRAME_S, abs=1e-6)
        for pictures in seen.values():
            assert_smooth(pictures)

    def test_one_that_comes_waits_no_longer_than_a_tick(self) -> None:
        joined: dict[int, float] = {}

        async def scene(room: Room) -> None:
            for seed, after in enumerate((0.0, 0.0113, 0.0271, 0.0399)):
                await room.join(seed, after)
                joined[seed] = room.clock()
                await asyncio.sleep(0.5)

        engine = Gpu()
        simulated(scene, engine)
        for seed, at in joined.items():
            first = next(time for time, seeds in engine.batches if seed in seeds)
            assert at <= first <= at + FRAME_S + 1e-6

    def test_comings_and_goings_cost_nobody_a_picture(self) -> None:
        async def scene(room: Room) -> None:
            await asyncio.gather(*(room.join(seed, 0.013 * seed) for seed in range(4)))
            for seed in range(4, 12):
                await asyncio.sleep(0.217)
                await room.join(seed)
                await room.leave(seed - 2)
            await asyncio.sleep(0.2)

        seen = simulated(scene, Gpu())
        assert len(seen) == 12 and len(seen[0]) > 40
        for pictures in seen.values():
            assert_smooth(pictures)

    def test_one_that_fails_costs_nobody_a_picture(self) -> None:
        def fault(stream: FakeStream) -> None:
            if stream.seed == 1 and stream.frame == 20:
                raise ValueError("a scripted fault")

        async def scene(room: Room) -> None:
            await asyncio.gather(*(room.join(seed, 0.011 * seed) for seed in range(3)))
            await asyncio.sleep(2)
            assert room.present[1][0].closed and not room.present[2][0].closed

        seen = simulated(scene, Gpu(fault))
        assert len(seen[1]) <= 20 and len(seen[0]) >= 45
        for pictures in seen.values():
            assert_smooth(pictures)


class TestOrder:
    """Literal jobs on a real thread."""

    async def played(self, jobs: list[tuple[str, int]], engine: Gpu) -> list[str]:
        """`("step", seed)`, `("run", seed)` and `("alone", 0)`, all at once; what was done in which order."""
        thread = EngineThread(lambda: engine)
        await thread.ready
        streams, order = [engine.open(cast(Portrait, None), seed=seed) for seed in range(3)], list[str]()
        for what, seed in jobs:
            if what == "step":
                note = f"step {seed}"
                thread.submit(Step(streams[seed], np.zeros((1, 640), np.float32), _noting(order, note), _raise))
            else:
                stream = streams[seed] if what == "run" else None
                thread.submit(Run(lambda _: None, _noting(order, f"{what} {seed}"), _raise, stream))
        await thread.close()
        await asyncio.sleep(0)
        return order

    async def test_what_one_session_wants_does_not_part_the_others(self) -> None:
        engine = Gpu()
        jobs = [("step", 0), ("run", 1), ("step", 1), ("alone", 0), ("run", 2), ("step", 2)]
        order = await self.played(jobs, engine)
        assert [seeds for _, seeds in engine.batches] == [[0, 1, 2]]
        assert order == ["run 1", "alone 0", "run 2", "step 0", "step 1", "step 2"]

    async def test_each_sessions_own_order_stays(self) -> None:
        engine = Gpu()
        order = await self.played([("step", 0), ("run", 0), ("step", 0), ("step", 1)], engine)
        assert [seeds for _, seeds in engine.batches] == [[0, 1], [0]]
        assert order == ["step 0", "step 1", "run 0", "step 0"]

    async def test_what_comes_late_is_not_waited_for(self) -> None:
        engine, done = Gpu(), asyncio.Event()
        thread = EngineThread(lambda: engine)
        a, b = (engine.open(cast(Portrait, None), seed=seed) for seed in range(2))
        thread.submit(Step(a, np.zeros((1, 640), np.float32), lambda *_: done.set(), _raise))
        await asyncio.wait_for(done.wait(), 10)
        thread.submit(Step(b, np.zeros((1, 640), np.float32), lambda *_: None, _raise))
        await thread.close()
        assert [seeds for _, seeds in engine.batches] == [[0], [1]]


def _noting(order: list[str], note: str) -> Callable[..., None]:
    return lambda *_: order.append(note)


def _raise(error: BaseException) -> None:
    raise error
