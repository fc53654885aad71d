"""One thread owns the engine and steps every session; the event loop hands it work and never waits for it.

Jobs of one stream run in the order they were submitted. Steps that wait together are one batch, each stream at most
once. A step that raises ends its own stream's session alone. Results return by `loop.call_soon_threadsafe`; nobody
polls.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol, TypeVar

import numpy as np
import numpy.typing as npt

from engine.background import Background
from engine.les import Les
from engine.motion import MotionAmounts
from engine.portrait import Portrait
from server.conversation import Activity

log = logging.getLogger(__name__)
T = TypeVar("T")
Samples = npt.NDArray[np.float32]


class Picture(Protocol):
    @property
    def frame(self) -> int: ...
    @property
    def rgb(self) -> npt.NDArray[np.uint8]: ...


class Stream(Protocol):
    """One session's state inside the engine; touched by the engine thread only."""

    def set_emotion(self, target: Les, *, transition_s: float, hold_s: float | None = None) -> int: ...
    def set_motion(self, amounts: MotionAmounts) -> None: ...
    def set_activity(self, activity: Activity, *, addressed: bool) -> None: ...
    def skip(self, frames: int) -> None: ...
    def stand_before(self, background: Background) -> None: ...
    def hush(self) -> None: ...
    def unhear(self, chunks: int) -> None: ...


class Engine(Protocol):
    """`engine.avatar.Avatar`, or a fake of it."""

    @property
    def look_ahead(self) -> int: ...
    def open(self, portrait: Portrait, *, seed: int = 0, size: int = 512, look_ahead: int | None = None) -> Any: ...
    def resize(self, stream: Any, size: int) -> None: ...
    def step(self, work: Sequence[tuple[Any, Samples]]) -> Sequence[Picture]: ...
    def twin(self) -> "Engine":
        """One for another thread."""
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
    forget: int = 0
    """How many of the last chunks it heard it should not have heard."""
    skipped: int = 0
    """Frames between the last picture and this one that are not drawn."""


@dataclass(frozen=True)
class Run:
    """Do anything else with the engine, between steps. Its result reaches the loop before those of later steps."""

    work: Callable[[Engine], Any]
    done: Callable[[Any], None]
    failed: Callable[[BaseException], None]


class EngineThread:
    def __init__(self, factory: Callable[[], Engine]) -> None:
        self._factory = factory
        self._jobs: queue.SimpleQueue[Step | Run | None] = queue.SimpleQueue()
        self._loop = asyncio.get_running_loop()
        self._thread = threading.Thread(target=self._main, name="engine", daemon=True)
        self.ready: asyncio.Future[Engine] = self._loop.create_future()
        self.busy_s = 0.0
        """Time spent at work."""
        self._thread.start()

    @property
    def look_ahead(self) -> int:
        return self.ready.result().look_ahead

    @property
    def waiting(self) -> int:
        """Jobs not yet begun."""
        return self._jobs.qsize()

    def submit(self, job: Step | Run) -> None:
        self._jobs.put(job)

    async def run(self, work: Callable[[Engine], T]) -> T:
        """`work(engine)`, in the engine's thread."""
        future: asyncio.Future[T] = self._loop.create_future()
        self.submit(Run(work, partial(_succeed, future), partial(_fail, future)))
        return await future

    async def close(self) -> None:
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    def _main(self) -> None:
        try:
            engine = self._factory()
        except BaseException as error:  # the thread's root: whoever awaits `ready` gets to know
            self._post(_fail, self.ready, error)
            return
        self._post(_succeed, self.ready, engine)
        while jobs := self._waiting_jobs():
            begun = time.perf_counter()
            self._do([job for job in jobs if job is not None], engine)
            self.busy_s += time.perf_counter() - begun
            if jobs[-1] is None:
                return
            jobs.clear()  # a waiting thread keeps no session alive

    def _waiting_jobs(self) -> list[Step | Run | None]:
        jobs = [self._jobs.get()]
        while jobs[-1] is not None and not self._jobs.empty():
            jobs.append(self._jobs.get())
        return jobs

    def _do(self, jobs: list[Step | Run], engine: Engine) -> None:
        batch: list[Step] = []
        for job in jobs:
            if isinstance(job, Run) or any(job.stream is step.stream for step in batch):
                self._step(batch, engine)
                batch = []
            if isinstance(job, Run):
                self._run(job, engine)
            else:
                if job.forget:
                    job.stream.unhear(job.forget)
                if job.skipped:
                    job.stream.skip(job.skipped)
                batch.append(job)
        self._step(batch, engine)

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
        for step, picture in zip(batch, pictures, strict=True):
            self._post(step.done, picture, seconds)

    def _step_alone(self, batch: list[Step], engine: Engine, error: Exception) -> None:
        """After a batch failed: one by one, so that only the culprit ends. The others may have skipped a frame."""
        if len(batch) == 1:
            log.error("a session's engine stream failed", exc_info=error)
            self._post(batch[0].failed, error)
            return
        for step in batch:
            self._step([step], engine)

    def _post(self, callback: Callable[..., object], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(callback, *arguments)
        except RuntimeError:  # the loop has closed: nobody is left to tell
            log.debug("result dropped, the event loop has closed")


def _succeed(future: asyncio.Future[T], result: T) -> None:
    if not future.done():
        future.set_result(result)


def _fail(future: asyncio.Future[Any], error: BaseException) -> None:
    if not future.done():
        future.set_exception(error)
