"""One thread owns the engine and steps every session; the event loop hands it work and never waits for it.

Jobs of one stream run in the order they were submitted. What is submitted in one turn of the event loop is handed over
together, and steps that wait together are one batch, each stream at most once: sessions that wait for the same `beat`
are one batch, and one that is late waits for the next and delays nobody. Where they take turns, a batch is no larger
than leaves all its pictures in time. Of two steps of one stream that wait, only the newer is drawn: the older one's
picture would come late, and so would all that follow. A step that fails ends its own stream's session alone. Results
return by `loop.call_soon_threadsafe`; nobody polls.
"""

import asyncio
import logging
import math
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from engine.background import Background
from engine.les import Les
from engine.motion import MotionAmounts
from engine.portrait import Portrait
from server.conversation import Activity
from server.foresight import MOST_OWED

log = logging.getLogger(__name__)
T = TypeVar("T")
Samples = npt.NDArray[np.float32]


class Picture(Protocol):
    @property
    def frame(self) -> int: ...
    @property
    def rgb(self) -> npt.NDArray[np.uint8]:
        """[size, size, 3]"""
        ...

    @property
    def i420(self) -> npt.NDArray[np.uint8]:
        """[size * 3 / 2, size]"""
        ...


class Stream(Protocol):
    """One session's state inside the engine; touched by the engine thread only."""

    def set_emotion(self, target: Les, *, transition_s: float, hold_s: float | None = None) -> int: ...
    def set_motion(self, amounts: MotionAmounts) -> None: ...
    def set_activity(self, activity: Activity, *, addressed: bool) -> None: ...
    def skip(self, frames: int) -> None: ...
    def stand_before(self, background: Background) -> None: ...
    def hush(self) -> None: ...
    def unhear(self, chunks: int) -> None: ...


class EngineLost(Exception):
    """What drew a stream is gone with all its streams; whoever noticed has said so."""


class Engine(Protocol):
    """`engine.avatar.Avatar`, one in another process, or a fake."""

    @property
    def look_ahead(self) -> int: ...
    @property
    def aligned(self) -> bool:
        """Whether all its sessions are best due at the same moment, as on a GPU; if not, they take turns."""
        ...

    def open(self, portrait: Portrait, *, seed: int = 0, size: int = 512, look_ahead: int | None = None) -> Any: ...
    def resize(self, stream: Any, size: int) -> None: ...
    def step(self, work: Sequence[tuple[Any, Samples]]) -> Sequence[Picture | Exception]:
        """A picture of each stream, or why it has none. If it raises, no stream has moved."""
        ...

    def check(self) -> None:
        """Raises if no step can succeed any more."""
        ...

    def close(self) -> None:
        """Frees what it holds; nothing follows."""
        ...


@dataclass(frozen=True)
class Step:
    """Advance `stream` by one frame."""

    stream: Stream
    chunks: Samples
    """[n, 640]"""
    done: Callable[[Picture, float], None]
    """Called in the event loop with the picture and the seconds its batch took."""
    failed: Callable[[BaseException], None]
    due: float = math.inf
    """From when on the picture is late, by the thread's clock."""
    forget: int = 0
    """How many of the last chunks it heard it should not have heard."""
    skipped: int = 0
    """Frames between the last picture and this one that are not drawn."""
    dropped: Callable[[], None] = lambda: None
    """Called in the event loop, and nothing else is, if a newer step takes its place."""

    def in_place_of(self, older: "Step") -> "Step":
        """This one after `older`, which still waits: all is heard, one picture is drawn."""
        keep = len(older.chunks) - self.forget
        heard = np.concatenate([older.chunks[: max(keep, 0)], self.chunks])[-MOST_OWED - len(self.chunks) :]
        skipped = older.skipped + 1 + self.skipped
        return replace(self, chunks=heard, forget=older.forget + max(-keep, 0), skipped=skipped)


@dataclass(frozen=True)
class Run:
    """Do anything else with the engine, between steps. Its result reaches the loop before those of later steps."""

    work: Callable[[Engine], Any]
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]
    stream: Stream | None = None
    """Which it touches, if any: its own jobs keep their order, and those of others wait for none of them."""


Job = Step | Run
SAME_S = 0.001  # two moments nearer than this are one beat: timers count in milliseconds


class EngineThread:
    def __init__(self, factory: Callable[[], Engine], clock: Callable[[], float] = time.monotonic) -> None:
        self._factory, self._clock = factory, clock
        self._handed: list[Job] = []
        self._awake, self._closing = threading.Condition(), False
        self._loop = asyncio.get_running_loop()
        self._gathered: list[Job] = []
        """Submitted in this turn of the loop."""
        self._beats: dict[float, asyncio.Event] = {}
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self.ready: asyncio.Future[Engine] = self._loop.create_future()
        self.busy_s = 0.0
        """Time spent at work."""
        self._step_s = 0.0
        """Of it on the last picture."""
        self.failure = ""
        """Why it will never draw again, if so."""
        self._thread.start()

    @property
    def look_ahead(self) -> int:
        return self.ready.result().look_ahead

    @property
    def aligned(self) -> bool:
        return self.ready.result().aligned

    @property
    def waiting(self) -> int:
        """Jobs not yet begun."""
        return len(self._gathered) + len(self._handed)

    async def beat(self, at: float, now: float) -> None:
        """Sleeps until `at`; all that sleep until the same moment wake in one turn of the loop."""
        moment = next((moment for moment in self._beats if abs(moment - at) < SAME_S), None)
        if moment is None:
            moment, self._beats[at] = at, asyncio.Event()
            self._loop.call_later(at - now, self._strike, at)
        await self._beats[moment].wait()

    def _strike(self, moment: float) -> None:
        self._beats.pop(moment).set()

    def submit(self, job: Job) -> None:
        """In the event loop."""
        if not self._gathered:
            self._loop.call_soon(self._hand_over)
        self._gathered.append(job)

    def _hand_over(self) -> None:
        jobs, self._gathered = self._gathered, []
        with self._awake:
            for job in jobs:
                self._line_up(job)
            self._awake.notify()

    def _line_up(self, job: Job) -> None:
        """Last, or in the place of the step of its stream that waits, unless that one must come before something."""
        at = next((i for i in reversed(range(len(self._handed))) if self._handed[i].stream is job.stream), None)
        if at is None or not isinstance(job, Step) or not isinstance(older := self._handed[at], Step):
            self._handed.append(job)
        else:
            self._handed[at] = job.in_place_of(older)
            older.dropped()

    async def run(self, work: Callable[[Engine], T], stream: Stream | None = None) -> T:
        """`work(engine)`, in the engine's thread; `stream` is the one that it touches."""
        future: asyncio.Future[T] = self._loop.create_future()
        self.submit(Run(work, partial(_succeed, future), partial(_fail, future), stream))
        return await future

    async def close(self) -> None:
        """After what was submitted is done."""
        self._hand_over()
        with self._awake:
            self._closing = True
            self._awake.notify()
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        try:
            engine = self._factory()
        except BaseException as error:  # the thread's root: whoever awaits `ready` gets to know
            self._post(_fail, self.ready, error)
            return
        self._post(_succeed, self.ready, engine)
        while jobs := self._next_jobs(engine):
            begun = time.perf_counter()
            self._do(jobs, engine)
            self.busy_s += time.perf_counter() - begun
            jobs.clear()  # a waiting thread keeps no session alive
        engine.close()

    def _next_jobs(self, engine: Engine) -> list[Job]:
        """What is done next; nothing at the end."""
        with self._awake:
            self._awake.wait_for(lambda: self._handed or self._closing)
            jobs, self._handed = next_of(self._handed, (lambda _: True) if engine.aligned else self._in_time)
        return jobs

    def _in_time(self, batch: Sequence[Step]) -> bool:
        """Whether all its pictures would be, if each took as long as the last."""
        return self._clock() + len(batch) * self._step_s <= min(step.due for step in batch)

    def _do(self, jobs: list[Job], engine: Engine) -> None:
        batch: list[Step] = []
        for job in jobs:
            if isinstance(job, Run):
                self._run(job, engine)
            elif self._brought_up(job, engine):
                batch.append(job)
        self._step(batch, engine)

    def _brought_up(self, step: Step, engine: Engine) -> bool:
        """Takes the stream to where the step begins; False if that fails."""
        try:
            if step.forget:
                step.stream.unhear(step.forget)
            if step.skipped:
                step.stream.skip(step.skipped)
        except Exception as error:  # the root of a session, and of no other
            self._lose(step, error, engine)
            return False
        return True

    def _run(self, job: Run, engine: Engine) -> None:
        try:
            result = job.work(engine)
        except Exception as error:  # the caller's to handle
            self._post(job.failed, error)
        else:
            self._post(job.done, result)

    def _step(self, batch: list[Step], engine: Engine) -> None:
        if not batch:
            return
        begun = time.perf_counter()
        try:
            pictures = engine.step([(step.stream, step.chunks) for step in batch])
        except Exception as error:  # the root of all sessions: find the one that failed and end it alone
            self._step_alone(batch, engine, error)
            return
        seconds = time.perf_counter() - begun
        self._step_s = seconds / len(batch)
        for step, picture in zip(batch, pictures, strict=True):
            if isinstance(picture, Exception):
                self._lose(step, picture, engine)
            else:
                self._post(step.done, picture, seconds)

    def _step_alone(self, batch: list[Step], engine: Engine, error: Exception) -> None:
        """After a batch failed: one by one, so that only the culprit ends."""
        if len(batch) == 1:
            self._lose(batch[0], error, engine)
            return
        for step in batch:
            self._step([step], engine)

    def _lose(self, step: Step, error: Exception, engine: Engine) -> None:
        if not isinstance(error, EngineLost):
            log.error("a session's engine stream failed", exc_info=error)
            self._examine(engine)
        self._post(step.failed, error)

    def _examine(self, engine: Engine) -> None:
        """Whether it was the stream that failed, or all that draws."""
        try:
            engine.check()
        except Exception as error:  # whatever a driver says
            if not self.failure:
                self.failure = str(error).partition("\n")[0] or type(error).__name__
                log.critical("nothing can be drawn any more, start the server again: %s", self.failure)

    def _post(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop has closed: nobody is left to tell
            log.debug("result dropped, the event loop has closed")


def next_of(jobs: Sequence[Job], in_time: Callable[[Sequence[Step]], bool]) -> tuple[list[Job], list[Job]]:
    """The jobs done next, with the first step and those of other streams that stay `in_time` with it; and the rest.

    A stream's jobs wait for its step, those of others do not.
    """
    now, later, batch = list[Job](), list[Job](), list[Step]()
    stepping: set[int] = set()
    for job in jobs:
        if id(job.stream) in stepping:
            later.append(job)
        elif isinstance(job, Run):
            now.append(job)
        else:
            stepping.add(id(job.stream))
            if not batch or in_time([*batch, job]):
                batch.append(job)
                now.append(job)
            else:
                later.append(job)
    return now, later


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
