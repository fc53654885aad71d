"""An engine in another process: what an engine thread asks of it goes to `server.worker`, and the thread waits.

So the interpreter lock of this process is free for the network while others draw, and every core draws. A worker that
dies takes its own streams with it, no others; a new one takes its place at the next opening.
"""

import itertools
import logging
import mmap
import os
import subprocess
import sys
import tempfile
import weakref
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from engine.background import Background
from engine.les import Les
from engine.motion import MotionAmounts
from engine.portrait import Portrait
from engine.units import FRAME_SIZE, exact_div
from server.conversation import Activity
from server.engine_thread import Engine, EngineLost, Samples
from server.worker import Placed, Request, Same, Turn

log = logging.getLogger(__name__)

MEMORY = 8 << 20  # bytes for the pictures of a step; as many as go in are one batch
PATIENCE_S = 30.0  # for an answer; whoever takes longer has hung
START_S = 120.0  # until its first picture: kernels are compiled for it, on a machine that is busy or slow
END_S = 5.0


class RemotePicture:
    def __init__(self, frame: int, i420: npt.NDArray[np.uint8]) -> None:
        self.frame, self.i420 = frame, i420

    @cached_property
    def rgb(self) -> npt.NDArray[np.uint8]:
        return np.asarray(cv2.cvtColor(self.i420, cv2.COLOR_YUV2RGB_I420), np.uint8)


class RemoteStream:
    """See `engine_thread.Stream`. It dies with its worker."""

    def __init__(self, worker: "Worker", number: int, size: int) -> None:
        self.worker, self.number, self.size = worker, number, size
        self.shown = np.zeros((0, 0), np.uint8)
        """Its last picture, I420."""
        self._before: list[tuple[str, int]] = []
        weakref.finalize(self, worker.gone.append, number).atexit = False

    def set_emotion(self, target: Les, *, transition_s: float, hold_s: float | None = None) -> int:
        frame: int = self._tell("set_emotion", target, transition_s=transition_s, hold_s=hold_s)
        return frame

    def set_motion(self, amounts: MotionAmounts) -> None:
        self._tell("set_motion", amounts)

    def set_activity(self, activity: Activity, *, addressed: bool) -> None:
        self._tell("set_activity", activity, addressed=addressed)

    def skip(self, frames: int) -> None:
        self._before.append(("skip", frames))

    def stand_before(self, background: Background) -> None:
        self._tell("stand_before", background)

    def hush(self) -> None:
        self._tell("hush")

    def unhear(self, chunks: int) -> None:
        self._before.append(("unhear", chunks))

    def turn(self, chunks: Samples) -> Turn:
        """What its worker is asked for with the next step, the only thing that follows `skip` and `unhear`."""
        before, self._before = tuple(self._before), []
        return Turn(self.number, before, chunks)

    def _tell(self, method: str, *arguments: Any, **options: Any) -> Any:
        return self.worker.ask("tell", self.number, method, arguments, options)


class Worker:
    """One process, from its start to its end. For one thread."""

    def __init__(self, factory: Callable[[], Engine]) -> None:
        """Returns at once; the first question waits until the engine is there. `factory` has to be picklable."""
        self.gone: deque[int] = deque()
        """Numbers of the streams that nobody has any more. Any thread may add to it."""
        file = os.memfd_create("les-avatar") if hasattr(os, "memfd_create") else _unnamed_file()
        os.ftruncate(file, MEMORY)
        self._memory = np.frombuffer(mmap.mmap(file, MEMORY), np.uint8)
        self._connection, its = Pipe()
        command = [sys.executable, "-m", "server.worker", str(its.fileno()), str(file)]
        self._process = subprocess.Popen(command, pass_fds=(its.fileno(), file))
        its.close()
        os.close(file)
        self._patience, self._epitaph = START_S, ""
        self._connection.send(factory)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def lost(self) -> bool:
        return bool(self._epitaph)

    def ask(self, name: str, *arguments: Any) -> Any:
        """The answer of `worker.Host`, whose exceptions are raised here; EngineLost if there will be none."""
        if self.lost:
            raise EngineLost(self._epitaph)
        gone = tuple(self.gone.popleft() for _ in range(len(self.gone)))
        try:
            self._connection.send(Request(gone, name, arguments))
            if not self._connection.poll(self._patience):
                raise TimeoutError(f"no answer in {self._patience:.0f} s")
            answer = self._connection.recv()
        except (EOFError, OSError) as error:
            self._bury(error)
            raise EngineLost(self._epitaph) from error
        if name == "step":
            self._patience = PATIENCE_S
        if isinstance(answer, Exception):
            raise answer
        return answer

    def picture(self, placed: Placed) -> npt.NDArray[np.uint8]:
        """A copy of what the last answer placed."""
        size = placed.shape[0] * placed.shape[1]
        return self._memory[placed.offset :][:size].reshape(placed.shape).copy()

    def end(self) -> None:
        self._connection.close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _bury(self, why: Exception) -> None:
        self._process.kill()
        self.end()
        self._epitaph = (
            f"drawing process {self.pid} is lost ({str(why) or 'it ended'}, status {self._process.returncode})"
        )
        log.error("%s; its calls end, a new one serves the next", self._epitaph)


class RemoteEngine:
    """See `engine_thread.Engine`."""

    aligned = False

    def __init__(self, factory: Callable[[], Engine]) -> None:
        self._factory, self._numbers = factory, itertools.count()
        self._worker = Worker(factory)
        try:
            self.look_ahead: int = self._worker.ask("look_ahead")
        except Exception:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of the process that draws."""
        return self._worker.pid

    def open(
        self, portrait: Portrait, *, seed: int = 0, size: int = FRAME_SIZE, look_ahead: int | None = None
    ) -> RemoteStream:
        options = {"seed": seed, "size": size, "look_ahead": look_ahead}
        try:
            return self._open(portrait.file or portrait, options)
        except EngineLost:  # it died while nobody called, perhaps: this caller has not to know
            return self._open(portrait.file or portrait, options)

    def _open(self, portrait: Portrait | Path, options: dict[str, Any]) -> RemoteStream:
        if self._worker.lost:
            self._worker = Worker(self._factory)
        stream = RemoteStream(self._worker, next(self._numbers), options["size"])
        self._worker.ask("open", stream.number, portrait, options)
        return stream

    def resize(self, stream: RemoteStream, size: int) -> None:
        stream.worker.ask("resize", stream.number, size)
        stream.size = size

    def step(self, work: Sequence[tuple[RemoteStream, Samples]]) -> list[RemotePicture | Exception]:
        return [picture for part in parts(work) for picture in self._step(part)]

    def check(self) -> None:
        """A process that is lost gives way to a new one."""

    def close(self) -> None:
        self._worker.end()

    def _step(self, work: Sequence[tuple[RemoteStream, Samples]]) -> list[RemotePicture | Exception]:
        worker = work[0][0].worker
        try:
            answers = worker.ask("step", [stream.turn(chunks) for stream, chunks in work])
        except EngineLost as lost:
            return [lost] * len(work)
        return [_shown(stream, answer) for (stream, _), answer in zip(work, answers, strict=True)]


def _shown(stream: RemoteStream, answer: Placed | Same | Exception) -> RemotePicture | Exception:
    """What is the last picture again is the same array again."""
    if isinstance(answer, Exception):
        return answer
    if isinstance(answer, Placed):
        stream.shown = stream.worker.picture(answer)
    return RemotePicture(answer.frame, stream.shown)


def parts(work: Sequence[tuple[RemoteStream, Samples]]) -> Iterator[list[tuple[RemoteStream, Samples]]]:
    """In order: streams of one worker each, whose pictures fit into the memory together."""
    part: list[tuple[RemoteStream, Samples]] = []
    room = MEMORY
    for stream, chunks in work:
        size = exact_div(stream.size**2 * 3, 2)
        if part and (size > room or stream.worker is not part[0][0].worker):
            yield part
            part, room = [], MEMORY
        part.append((stream, chunks))
        room -= size
    if part:
        yield part


def _unnamed_file() -> int:
    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
