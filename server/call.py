"""The media of a session: the caller's microphone in, a voice and its pictures out to every receiver.

It begins when a receiver first asks for something, and lives as long as any connection does.
"""

from collections import deque
from collections.abc import Callable, Collection
from dataclasses import dataclass

from engine.units import FPS
from server.bargein import Verdict
from server.engine_thread import EngineThread, Stream
from server.line import Packet
from server.media import Clock, Frames, Measures, Outlet, Receiver, Shot
from server.microphone import Microphone, Samples
from server.performer import Performer
from server.playout import Slot
from server.timeline import Timeline, media_ms


@dataclass(frozen=True)
class CallEvents:
    """Whom a call tells what; all in the event loop."""

    say: Callable[[Samples], Slot]
    """What the portrait says in the slot in which this was heard."""
    sound_left: Callable[[Packet, int], None]
    """(packet, media milliseconds of its beginning)"""
    picture_left: Callable[[int, int], None]
    """(the engine stream's frame, out slot)"""
    user: Callable[[Verdict, int], None]
    """What became of the user's voice, at these media milliseconds."""
    failed: Callable[[BaseException], None]


Ear = Callable[[Samples, Samples], Verdict | None]
"""Tells from a slot heard and the slot said at the same time what became of the user's voice."""


class Call:
    def __init__(
        self,
        stream: Stream,
        engine: EngineThread,
        clock: Clock,
        start: Callable[[float], float],
        delay: int,
        ear: Ear,
        events: CallEvents,
    ) -> None:
        """`start` and `delay`: see `Performer`."""
        self._clock, self._ear, self._events, self._delay = clock, ear, events, delay
        self._performer = Performer(stream, engine, clock, start, delay, self)
        self.meter = self._performer.meter
        self._fixed = engine.aligned
        self.microphone = Microphone(fixed=self._fixed)
        self._watching: list[Receiver] = []  # those who have fetched a picture; one that never connects does not
        self._arrivals: deque[list[float]] = deque([] for _ in range(delay))

    @property
    def slot(self) -> int:
        return self._performer.slot

    @property
    def anchor(self) -> Timeline | None:
        """None before it begins."""
        return self._performer.anchor

    def draw(self, fps: int) -> None:
        """So many pictures a second from now on."""
        self._performer.fps = fps

    @property
    def owed(self) -> tuple[int, int]:
        """See `Meter.owed`."""
        return self.meter.owed

    def cut(self, utterances: Collection[str], sounding: bool) -> dict[str, int]:
        """See `Performer.cut`."""
        return self._performer.cut(utterances, sounding)

    def join(self) -> Outlet:
        """Tracks for one more connection."""
        outlet = Outlet(self._performer.begin, self._clock, self._measures())
        self._performer.receivers.append(outlet)
        return outlet

    def join_frames(self) -> Frames:
        """Frames for a receiver in this process."""
        frames = Frames(self._clock, self._measures())
        self._performer.receivers.append(frames)
        self._performer.begin()
        return frames

    def leave(self, receiver: Receiver) -> None:
        self._performer.receivers.remove(receiver)
        if receiver in self._watching:
            self._watching.remove(receiver)
        receiver.stop()

    def push(self, position: int, samples: Samples, arrival: float) -> None:
        """Sound from the microphone: see `Microphone.push`."""
        next_take = self.anchor.tick(self.slot) if self.anchor else self._clock()
        self.microphone.push(position, samples, arrival, next_take)

    def listen_anew(self) -> None:
        """Another microphone comes."""
        self.microphone = Microphone(fixed=self._fixed)

    async def close(self) -> None:
        await self._performer.close()

    def take(self, slot: int, timeline: Timeline) -> tuple[Slot, tuple[float, ...]]:
        heard, arrivals = self.microphone.take(self._clock())
        timeline.start += self.microphone.slew()
        said = self._events.say(heard)
        if verdict := self._ear(heard, said.sound):
            self._events.user(verdict, media_ms(slot + self._delay))
        self._arrivals.append(arrivals)
        shown = self._arrivals.popleft()
        return said, tuple(shown if said.sound is heard else ())

    def sound_left(self, packet: Packet, media_ms: int) -> None:
        self._events.sound_left(packet, media_ms)

    def failed(self, error: BaseException) -> None:
        self._events.failed(error)

    def _measures(self) -> Measures:
        return Measures(
            self._picture_left, self._picture_spared, self._picture_missed, self.meter.encoded, self._hurried
        )

    def _hurried(self) -> bool:
        """Whether the machine can't keep up: the first thing that goes is the encoder's care."""
        return self._performer.fps < FPS

    def _picture_left(self, receiver: Receiver, shot: Shot, now: float) -> None:
        """The pictures of the one who watches for longest count, those of others are the same again."""
        if receiver not in self._watching and receiver in self._performer.receivers:
            self._watching.append(receiver)
        if receiver in self._watching[:1]:
            self._performer.left(shot, now)
            self._events.picture_left(shot.picture.frame, shot.slot)

    def _picture_spared(self, receiver: Receiver) -> None:
        if receiver in self._watching[:1]:
            self.meter.spared()

    def _picture_missed(self, receiver: Receiver) -> None:
        if receiver in self._watching[:1]:
            self.meter.missed()
