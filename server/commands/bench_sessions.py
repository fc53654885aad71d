"""`les-avatar bench --sessions N`: so many talking sessions on one engine, as a GPU serves them, 25 times a second.

All are due in the same tick. First the engine is alone; then every picture is encoded too, on as many threads as there
are cores. No server, no network: what is measured is what they would share.
"""

import argparse
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import numpy as np
import numpy.typing as npt
from av.video.codeccontext import VideoCodecContext

from engine.avatar import Avatar, Picture, Stream
from engine.backend import choose
from engine.portrait import default_names
from engine.units import FPS
from server.capacity import cores
from server.commands.rows import Row
from server.commands.serve import SLACK
from server.commands.sources import checked_size, open_portrait
from server.encoder import START_BITRATE, open_x264
from server.media import video_frame
from server.talk import talk

WARM_TICKS = 25
TICK_S = 1 / FPS
BUDGET_MS = 20.0  # the 95th percentile of a tick that leaves the rest of a slot to encoders and the network

Floats = npt.NDArray[np.float32]
Shown = Callable[[Sequence[Picture]], None]


def of_sessions(options: argparse.Namespace) -> tuple[list[Row], dict[str, Any]]:
    size, count = checked_size(options.size), options.sessions
    backend = choose(options.runtime, plans=options.plans)
    avatar = Avatar(look_ahead=options.look_ahead, slack=SLACK, backend=backend)
    portraits = [open_portrait(name) for name in default_names()]
    streams = [
        avatar.open(portrait, seed=seed, size=size) for seed, portrait in enumerate(islice(cycle(portraits), count))
    ]
    ticks = round(max(options.seconds, 1) * FPS)
    alone = tick_times(avatar, streams, ticks, lambda pictures: None)
    with ThreadPoolExecutor(cores()) as threads:
        encoders = Encoders(threads, count, size)
        beside = tick_times(avatar, streams, ticks, encoders.encode)
    rows = [Row.of("tick, engine alone, ms", alone), Row.of(f"tick, beside encoders on {cores()} threads, ms", beside)]
    if encoders.taken:
        rows.append(Row.of("encoder a frame, ms", 1000 * np.array(encoders.taken)))
    facts = {
        "sessions": f"{count}, {size} x {size}, talking, one engine thread, {backend.name}",
        f"held (p95 of the tick at most {BUDGET_MS:g} ms)": "yes" if rows[0].p95 <= BUDGET_MS else "no",
        "frames a second, engine alone, at most": round(1000 * count / rows[0].p50),
        "pictures encoded": f"{len(encoders.taken)} of {count * (ticks + WARM_TICKS)}",
    }
    return rows, facts


def tick_times(avatar: Avatar, streams: Sequence[Stream], ticks: int, shown: Shown) -> Floats:
    """[ticks] milliseconds that a step of all streams took; each begins when it is due, or late."""
    voice, taken = talk(4.0), []
    due = time.perf_counter()
    for tick in range(WARM_TICKS + ticks):
        time.sleep(max(0.0, due - time.perf_counter()))
        work = [(stream, voice[(tick + 7 * i) % len(voice)]) for i, stream in enumerate(streams)]
        begun = time.perf_counter()
        pictures = avatar.step(work)
        taken.append(time.perf_counter() - begun)
        shown([_whole(picture) for picture in pictures])
        due = max(due + TICK_S, begun)
    return 1000 * np.array(taken[WARM_TICKS:], np.float32)


def _whole(picture: Picture | Exception) -> Picture:
    if isinstance(picture, Exception):
        raise picture
    return picture


class Encoders:
    """One for each session. A picture that comes while the one before is at work is left out, as the server does."""

    def __init__(self, threads: ThreadPoolExecutor, count: int, size: int) -> None:
        self._threads = threads
        self._encoders = [open_x264(size, size, START_BITRATE) for _ in range(count)]
        self._at_work: list[Future[None] | None] = [None] * count
        self.taken: list[float] = []
        """Seconds a picture."""

    def encode(self, pictures: Sequence[Picture]) -> None:
        for i, picture in enumerate(pictures):
            before = self._at_work[i]
            if before is None or before.done():
                self._at_work[i] = self._threads.submit(self._one, self._encoders[i], picture)

    def _one(self, encoder: VideoCodecContext, picture: Picture) -> None:
        begun = time.perf_counter()
        encoder.encode(video_frame(picture.i420, picture.frame))
        self.taken.append(time.perf_counter() - begun)
