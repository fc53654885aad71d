"""`python -m server.worker CONNECTION PICTURES`: an engine in a process of its own, at the service of `server.remote`.

Both arguments are inherited file descriptors: of a connection, over which come an engine's factory, then requests that
are answered in order, and of memory that both processes map, where pictures go as I420. It ends with the connection.
"""

import mmap
import os
import pickle
import signal
import sys
import traceback
import weakref
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
import numpy.typing as npt

from engine.portrait import Portrait
from server.engine_thread import Engine, Stream
from server.memory import settle, share_arenas

LAST = 4  # portraits that the next call may show, 6 MB each; another takes as long to open as some pictures to draw
NICE = 1  # the event loop and the encoders, which finish what is here begun, come first

Samples = npt.NDArray[np.float32]


class Request(NamedTuple):
    """Do `name(*arguments)` of Host, after streams that nobody has any more are forgotten."""

    gone: tuple[int, ...]
    name: str
    arguments: tuple[Any, ...]


class Turn(NamedTuple):
    """One stream's part of a step."""

    number: int
    before: tuple[tuple[str, int], ...]
    """`skip` and `unhear`, which cost no request of their own: an answer may wait for the asker's interpreter lock."""
    chunks: Samples


class Placed(NamedTuple):
    """A picture in the common memory."""

    frame: int
    offset: int
    shape: tuple[int, ...]


class Same(NamedTuple):
    """The stream's last picture again."""

    frame: int


class Host:
    """What can be asked of the engine; streams go by number here."""

    def __init__(self, engine: Engine, memory: memoryview | mmap.mmap) -> None:
        self._engine = engine
        self._memory = np.frombuffer(memory, np.uint8)
        self._streams: dict[int, Stream] = {}
        self._shown: dict[int, npt.NDArray[np.uint8]] = {}
        """The last picture of each."""
        self._portraits: weakref.WeakValueDictionary[Path, Portrait] = weakref.WeakValueDictionary()
        self._last: list[Portrait] = []
        """Those that were opened last, and stay as the renderer wants them."""

    def answer(self, request: Request) -> Any:
        for number in request.gone:
            self._streams.pop(number, None)  # one that could not be opened never was here
            self._shown.pop(number, None)
        return getattr(self, request.name)(*request.arguments)

    def look_ahead(self) -> int:
        return self._engine.look_ahead

    def open(self, number: int, portrait: Portrait | Path, options: dict[str, Any]) -> None:
        """A portrait that is a file is held once, however many streams show it."""
        if not self._streams:  # nobody waits for pictures
            settle()
        person = self._loaded(portrait) if isinstance(portrait, Path) else portrait
        self._streams[number] = self._engine.open(person, **options)

    def _loaded(self, file: Path) -> Portrait:
        if (portrait := self._portraits.get(file)) is None:
            portrait = self._portraits[file] = Portrait.load(file)
        others = [other for other in self._last if other is not portrait and other.file and other.file.exists()]
        self._last = [portrait, *others][:LAST]
        return portrait

    def resize(self, number: int, size: int) -> None:
        self._engine.resize(self._streams[number], size)

    def tell(self, number: int, method: str, arguments: tuple[Any, ...], options: dict[str, Any]) -> Any:
        return getattr(self._streams[number], method)(*arguments, **options)

    def step(self, work: Sequence[Turn]) -> list[Placed | Same | Exception]:
        """The pictures must fit into the memory together; they are overwritten by the next step."""
        errors = {turn.number: error for turn in work if (error := self._bring_up(turn))}
        steps = [(self._streams[turn.number], turn.chunks) for turn in work if turn.number not in errors]
        pictures = iter(self._engine.step(steps) if steps else ())
        answers: list[Placed | Same | Exception] = []
        offset = 0
        for number, *_ in work:
            picture = errors.get(number) or next(pictures)
            if isinstance(picture, Exception):
                answers.append(portable(picture))
                continue
            planes = picture.i420
            if planes is self._shown.get(number):
                answers.append(Same(picture.frame))
                continue
            self._shown[number] = planes
            self._memory[offset : offset + planes.size] = planes.ravel()
            answers.append(Placed(picture.frame, offset, planes.shape))
            offset += planes.size
        return answers

    def _bring_up(self, turn: Turn) -> Exception | None:
        """Takes the stream to where the step begins, or says why it can't be."""
        try:
            for method, count in turn.before:
                getattr(self._streams[turn.number], method)(count)
        except Exception as error:  # the root of this stream's session, and of no other
            return error
        return None


def serve(connection: Connection, memory: mmap.mmap) -> None:
    try:
        factory: Callable[[], Engine] = connection.recv()
        host = Host(factory(), memory)
    except Exception as error:  # the answer to whatever is asked first
        connection.send(portable(error))
        return
    while True:
        try:
            request = connection.recv_bytes()
        except EOFError:
            return
        try:
            answer = host.answer(pickle.loads(request))
        except Exception as error:  # the process's root: whoever asked gets to know
            answer = portable(error)
        connection.send(answer)


def portable(error: Exception) -> Exception:
    """One that says where it came from, in the process that asked too."""
    try:
        error.add_note("".join(traceback.format_exception(error)))
        pickle.loads(pickle.dumps(error))
    except (AttributeError, TypeError, pickle.PicklingError):
        return RuntimeError("".join(traceback.format_exception(error)))
    return error


def main(connection: int, pictures: int) -> None:
    for asked in (signal.SIGINT, signal.SIGTERM):  # for the process that started this one, which has calls to end first
        signal.signal(asked, signal.SIG_IGN)
    os.nice(NICE)
    cv2.setNumThreads(1)
    share_arenas()
    serve(Connection(connection), mmap.mmap(pictures, 0))


if __name__ == "__main__":
    from server.worker import main  # what is pickled here has to have the name that the other process knows

    main(*map(int, sys.argv[1:]))
