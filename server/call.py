"""One media connection of a session: microphone in, engine, sound and pictures out, on one timeline.

The media begins when the first of the two senders asks for something, so both tracks share their anchor. A slot that
the engine could not take (it is behind by `MAX_BEHIND` steps) has sound but no picture: under overload the picture's
rate falls, the sound never stutters and the delay does not grow.
"""

import asyncio
import logging
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from aiortc.clock import current_ntp_time

from server.engine_thread import EngineThread, Picture, Step, Stream
from server.media import Clock, PictureTrack, Shot, SoundTrack
from server.microphone import Decimator, Microphone, Samples
from server.speech import SpeechGate
from server.stats import Meter
from server.timeline import SLOT, Timeline, media_ms

log = logging.getLogger(__name__)

MAX_BEHIND = 2


@dataclass(frozen=True)
class CallEvents:
    """Whom a call tells what; all in the event loop."""

    picture_left: Callable[[int, int], None]
    """(the engine stream's frame, out slot)"""
    speech: Callable[[bool, int], None]
    """(active, media milliseconds)"""
    failed: Callable[[BaseException], None]


class Call:
    def __init__(
        self, stream: Stream, engine: EngineThread, clock: Clock, start: Callable[[float], float], events: CallEvents
    ) -> None:
        """`start(now)` chooses the anchor, at or after `now`, that leaves the engine the most room between sessions."""
        self._stream, self._engine, self._clock, self._start, self._events = stream, engine, clock, start, events
        self.microphone = Microphone()
        self.meter = Meter(clock())
        self.sound = SoundTrack(self.timeline, clock, self._packet_left)
        self.pictures = PictureTrack(self.timeline, clock, self._picture_left, self._picture_missed)
        self.slot = 0
        self.anchor: Timeline | None = None
        self._began_ntp = 0
        self._decimate, self._gate = Decimator(), SpeechGate()
        self._delayed: deque[Samples] = deque(np.zeros(SLOT, np.float32) for _ in range(engine.look_ahead))
        self._arrivals: deque[list[float]] = deque([] for _ in range(engine.look_ahead))
        self._behind = 0
        self._sound_left: deque[tuple[int, float]] = deque(maxlen=16)
        self._ticking: asyncio.Task[None] | None = None

    def timeline(self) -> Timeline:
        """Begins the media at the first call."""
        if self.anchor is None:
            self.meter.began = self._clock()
            self._began_ntp = current_ntp_time()
            self.anchor = Timeline(self._start(self._clock()), self._engine.look_ahead)
            self._ticking = asyncio.create_task(self._tick_forever(self.anchor))
        return self.anchor

    def began_ntp(self) -> int:
        """When media time 0 left, on the wall clock, for the reports to the receiver."""
        return self._began_ntp

    def push(self, position: int, samples: Samples, arrival: float) -> None:
        """Sound from the microphone: see `Microphone.push`."""
        next_take = self.anchor.tick(self.slot) if self.anchor else self._clock()
        self.microphone.push(position, samples, arrival, next_take)

    async def close(self) -> None:
        self.sound.stop()
        self.pictures.stop()
        if self._ticking:
            self._ticking.cancel()
            await asyncio.wait([self._ticking])

    async def _tick_forever(self, timeline: Timeline) -> None:
        try:
            while True:
                timeline.catch_up(self.slot, self._clock())
                await asyncio.sleep(timeline.tick(self.slot) - self._clock())
                self._tick(timeline)
                self.slot += 1
        except Exception as error:  # the root of the call: it ends this session, no other
            log.exception("a call failed")
            self._events.failed(error)

    def _tick(self, timeline: Timeline) -> None:
        heard, arrivals = self.microphone.take(self._clock())
        timeline.start += self.microphone.slew()
        self._delayed.append(heard)
        self._arrivals.append(arrivals)
        self.sound.put(self._delayed.popleft())
        if self._gate.hear(heard):
            self._events.speech(self._gate.active, media_ms(self.slot + self._engine.look_ahead))
        self._ask_for_picture(self.slot, self._decimate(heard), tuple(self._arrivals.popleft()))

    def _ask_for_picture(self, slot: int, chunk: Samples, arrivals: tuple[float, ...]) -> None:
        self.meter.expected()
        if self._behind >= MAX_BEHIND:
            self.meter.missed()
            return

        def done(picture: Picture, seconds: float) -> None:
            self._behind -= 1
            self.meter.rendered(seconds)
            timeline = self.timeline()
            timeline.hold.observe(self._clock() - timeline.tick(slot))
            self.pictures.put(Shot(slot, picture, arrivals))

        self._behind += 1
        self._engine.submit(Step(self._stream, chunk, done, self._events.failed))

    def _packet_left(self, number: int, now: float) -> None:
        if number % 2 == 0:
            self._sound_left.append((number // 2, now))

    def _picture_left(self, shot: Shot, now: float) -> None:
        sound = dict(self._sound_left).get(shot.slot, now)
        latencies = [now - arrival for arrival in shot.latencies_from]
        self.meter.left(now - self.timeline().due(shot.slot), now - sound, latencies)
        self._events.picture_left(shot.picture.frame, shot.slot)

    def _picture_missed(self) -> None:
        self.meter.missed()
