"""One stream of the engine at work: every 40 ms it asks what to say, and hands sound and pictures out when due.

One timeline paces both for all receivers. A slot whose picture an engine had not begun when the next was asked for has
sound but no picture: under overload the picture's rate falls, the sound never stutters and the delay does not grow.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Collection, Coroutine
from typing import Any, Protocol

import numpy as np

from engine.units import FPS
from server.engine_thread import EngineThread, Picture, Run, Step, Stream
from server.foresight import Foresight
from server.line import Packet, SoundLine
from server.media import Clock, Receiver, Shot
from server.playout import Slot
from server.stats import LATE_S, Meter
from server.timeline import PACKETS_PER_SLOT, SLOT, Timeline, packet_ms

log = logging.getLogger(__name__)

MAX_BEHIND = 3  # steps not done: one at work, one that waits, and one that had to wait before some other job


class Script(Protocol):
    """What is said, and who wants to know how it goes; all in the event loop."""

    def take(self, slot: int, timeline: Timeline) -> tuple[Slot, tuple[float, ...]]:
        """What is said in this slot, and when the packets arrived whose sound its picture shows."""

    def sound_left(self, packet: Packet, media_ms: int) -> None: ...

    def failed(self, error: BaseException) -> None: ...


class Performer:
    def __init__(
        self,
        stream: Stream,
        engine: EngineThread,
        clock: Clock,
        start: Callable[[float], float],
        delay: int,
        script: Script,
    ) -> None:
        """`start(now)` chooses the anchor, at or after `now`, that leaves the engine the most room between sessions.

        Sound leaves `delay` slots after it was taken: the stream's look-ahead, where a script does not look ahead.
        """
        self._stream, self._engine, self._clock, self._start, self._script = stream, engine, clock, start, script
        self.meter = Meter(clock())
        self.line = SoundLine()
        self.receivers: list[Receiver] = []
        self.slot = 0
        """The next to be taken."""
        self.anchor: Timeline | None = None
        self.sound_left: deque[tuple[int, float]] = deque(maxlen=16)
        """When the sound of the last slots began to leave."""
        self._packet = 0  # the next to leave
        self._foresight = Foresight()
        self._behind = 0
        self._skipped = 0  # slots since the last that a picture was asked for
        self.fps = FPS
        """Pictures a second that are asked for."""
        self._shots: deque[Shot] = deque()
        self._line_longer, self._shots_more = asyncio.Event(), asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        for _ in range(delay):
            self.line.put(np.zeros(SLOT, np.float32))

    def begin(self) -> int:
        """Begins the performance at the first call. Returns the first slot that leaves from now on."""
        if self.anchor is None:
            self.meter.began = self._clock()
            self.anchor = Timeline(self._start(self._clock()))
            for work in (self._take(self.anchor), self._send_sound(self.anchor), self._send_pictures(self.anchor)):
                self._tasks.append(asyncio.create_task(self._guarded(work)))
        return -(-self._packet // PACKETS_PER_SLOT)

    async def close(self) -> None:
        for receiver in self.receivers:
            receiver.stop()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)

    async def _guarded(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:  # the root of the performance: it ends this session, no other
            log.exception("a performance failed")
            self._script.failed(error)

    async def _take(self, timeline: Timeline) -> None:
        while True:
            timeline.catch_up(self.slot, self._clock())
            await self._engine.beat(timeline.tick(self.slot), self._clock())
            said, arrivals = self._script.take(self.slot, timeline)
            for packet in self.line.put(said.sound, said.said):
                self._leave(packet)
            self._line_longer.set()
            self._ask_for_picture(self.slot, said, arrivals, timeline)
            self.slot += 1

    def cut(self, utterances: Collection[str], sounding: bool) -> dict[str, int]:
        """See `dialogue.Stage.cut`."""
        if self.line.cut(utterances) or sounding:
            self._foresight.start_over()
            self._engine.submit(Run(lambda _: self._stream.hush(), lambda _: None, self._script.failed, self._stream))
        return self.line.pending()

    def _ask_for_picture(self, slot: int, said: Slot, arrivals: tuple[float, ...], timeline: Timeline) -> None:
        wanted = (slot + 1) * self.fps // FPS > slot * self.fps // FPS  # as even as slots allow
        if wanted:
            self.meter.expected()
        if not wanted or self._behind >= MAX_BEHIND:
            self._skipped += 1
            self._foresight.skip(said.sound)
            if wanted:
                self.meter.missed()
            return

        def done(picture: Picture, seconds: float) -> None:
            self._behind -= 1
            self.meter.rendered(seconds)
            timeline.hold.observe(self._clock() - timeline.tick(slot))
            self._shots.append(Shot(slot, picture, arrivals))
            self._shots_more.set()

        def dropped() -> None:
            self._behind -= 1
            self.meter.missed()

        self._behind += 1
        forget, chunks = self._foresight.feed([said.sound, *said.ahead])
        skipped, self._skipped = self._skipped, 0
        due = timeline.due(slot) + LATE_S
        self._engine.submit(Step(self._stream, chunks, done, self._script.failed, due, forget, skipped, dropped))

    async def _send_sound(self, timeline: Timeline) -> None:
        while True:
            while not self.line:
                self._line_longer.clear()
                await self._line_longer.wait()
            await asyncio.sleep(timeline.packet_due(self._packet) - self._clock())
            self._leave(self.line.pop())

    def _leave(self, packet: Packet) -> None:
        number, self._packet = self._packet, self._packet + 1
        if number % PACKETS_PER_SLOT == 0:
            self.sound_left.append((number // PACKETS_PER_SLOT, self._clock()))
        for receiver in self.receivers:
            receiver.hear(number, packet)
        self._script.sound_left(packet, packet_ms(number))

    async def _send_pictures(self, timeline: Timeline) -> None:
        """Each when it is due, or as soon as it is there; of two that are due the older is dropped."""
        while True:
            while not self._shots:
                self._shots_more.clear()
                await self._shots_more.wait()
            await asyncio.sleep(timeline.due(self._shots[0].slot) - self._clock())
            while len(self._shots) > 1 and timeline.due(self._shots[1].slot) <= self._clock():
                self._shots.popleft()
                self.meter.missed()
            shot = self._shots.popleft()
            for receiver in self.receivers:
                receiver.see(shot)

    def left(self, shot: Shot, now: float) -> None:
        """Measures a picture that leaves."""
        assert self.anchor
        sound = dict(self.sound_left).get(shot.slot, now)
        latencies = [now - arrival for arrival in shot.latencies_from]
        self.meter.left(now - self.anchor.due(shot.slot), now - sound, latencies)
