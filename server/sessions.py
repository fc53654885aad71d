"""All sessions: who may come in, who is there, and how they share the engine."""

import asyncio
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np

from engine.les import Les
from engine.portrait import Portrait
from engine.units import FPS, MAX_LOOK_AHEAD
from server import memory
from server import session_events as events
from server.capacity import cores
from server.conversation import Assistant
from server.engine_thread import EngineThread
from server.engines import Engines
from server.ice import IceServer, ice_servers
from server.live import LiveSession, Means
from server.load import Governor, Quality
from server.media import Clock
from server.protocol import CreateSession
from server.session import Session
from server.settings import Settings
from server.timeline import FRAME_S, widest_gap

log = logging.getLogger(__name__)

RETRY_AFTER_S = 10
GOVERNED_S = 1.0
# While portraits open and the hold finds what it takes, a call's pictures are late whatever the machine carries.
SETTLED_FRAMES = 4 * FPS


class Full(Exception):
    """No further session can be carried. The message says why."""


class Sessions:
    def __init__(self, settings: Settings, engines: Engines, clock: Clock = time.monotonic) -> None:
        self._settings, self._engines, self._clock = settings, engines, clock
        self._live: dict[str, LiveSession] = {}
        self._opening: list[EngineThread] = []
        """Where sessions are about to be."""
        self._leaving: list[asyncio.Event] = []
        """Of those that nobody reaches any more: set once they have freed what they held."""
        self.limit = 1 if settings.max_sessions is None else settings.max_sessions
        """How many there may be."""
        self.governor = Governor()

    def __len__(self) -> int:
        return len(self._live) + len(self._opening)

    async def create(
        self,
        request: CreateSession,
        portrait: Portrait,
        target: Les,
        assistant: Callable[[], Assistant] | None = None,
    ) -> tuple[LiveSession, tuple[IceServer, ...]]:
        """`target` is the emotion at the start, `assistant` makes one if the source is that. Raises `Full`."""
        if len(self) >= self.limit:
            raise Full(f"all {self.limit} places are taken; try again later")
        if self._live and self.governor.exhausted:
            raise Full("this machine is overloaded at present; try again later")
        engine = self._engines.least([*(live.engine for live in self._live.values()), *self._opening])
        self._opening.append(engine)
        try:
            return await self._open(engine, request, portrait, target, assistant)
        finally:
            self._opening.remove(engine)

    async def _open(
        self,
        engine: EngineThread,
        request: CreateSession,
        portrait: Portrait,
        target: Les,
        assistant: Callable[[], Assistant] | None = None,
    ) -> tuple[LiveSession, tuple[IceServer, ...]]:
        # What is pushed is known ahead of time; a live voice has to wait for its look-ahead.
        look_ahead = self._engines.look_ahead if request.source == "microphone" else MAX_LOOK_AHEAD
        stream = await engine.run(
            lambda engine: engine.open(portrait, seed=request.seed, size=request.size, look_ahead=look_ahead)
        )
        await engine.run(lambda _: stream.set_emotion(target, transition_s=0.0), stream)
        id, now = secrets.token_hex(16), self._clock()
        ice = ice_servers(self._settings.ice, id[:8], time.time())
        means = Means(
            engine,
            [server.for_server() for server in ice],
            self._clock,
            partial(self._start, engine),
            assistant,
            self._forget,
        )
        session = Session(request.portrait, request.size, now, target, request.source, request.barge_in)
        live = LiveSession(id, secrets.token_urlsafe(32), session, stream, means)
        self._live[id] = live
        if self.governor.step:
            live.feed(events.Strained(self.quality))
        return live, ice

    @property
    def quality(self) -> Quality:
        """What each session gets."""
        return self.governor.quality

    async def govern(self) -> None:
        """Once a second: whether the machine keeps up, and what it draws if not."""
        seen: dict[str, tuple[int, int]] = {}
        before, busy_before = self._clock(), self._busy_s()
        while True:
            await asyncio.sleep(GOVERNED_S)
            if not self._live:
                self.governor = Governor()
            owed = {id: live.owed for id, live in self._live.items()}
            now, busy = self._clock(), self._busy_s()
            late = late_share(owed, seen)
            # what took an engine longer than a second counts in the one in which it ended
            most = min(max(b - a for a, b in zip(busy_before, busy, strict=True)) / max(now - before, 1e-3), 1.0)
            if self.governor.observe(now, late, most):
                log.warning("%.0f %% of the pictures are late, the busiest %.0f %% at work", 100 * late, 100 * most)
                self.adapt(self.governor.quality)
            seen, before, busy_before = owed, now, busy
            await self._clear_up()

    def _busy_s(self) -> list[float]:
        """Time at work: each engine's by the clock, for what keeps it waiting is lack too, the event loop's, and this
        process's share of all cores.
        """
        return [*self._engines.busy_s, time.thread_time(), time.process_time() / cores()]

    def adapt(self, quality: Quality) -> None:
        """Every session gets this from now on."""
        log.warning("%d frames a second, %.0f %% of the size asked for", quality.fps, 100 * quality.share)
        for live in list(self._live.values()):
            live.feed(events.Strained(quality))

    def get(self, id: str) -> LiveSession | None:
        """For those who have another proof that it is theirs."""
        return self._live.get(id)

    def find(self, id: str, token: str) -> LiveSession | None:
        """None for an unknown session; PermissionError for a wrong token."""
        live = self._live.get(id)
        if live and not hmac.compare_digest(live.token.encode(), token.encode()):
            raise PermissionError
        return live

    async def end_all(self, reason: events.Reason) -> None:
        for live in list(self._live.values()):
            await live.end(reason)

    def _forget(self, live: LiveSession) -> None:
        self._live.pop(live.id, None)
        self._leaving.append(live.ended)

    async def _clear_up(self) -> None:
        """Gives back what those held who have left."""
        leaving = [ended for ended in self._leaving if not ended.is_set()]
        if len(leaving) < len(self._leaving):
            self._leaving = leaving
            await asyncio.to_thread(memory.give_back)

    def _start(self, engine: EngineThread, now: float) -> float:
        """An anchor at or after `now`: in step with the engine's other sessions, or as far from them as possible."""
        others = [live for live in self._live.values() if live.engine is engine]
        phases = [phase for live in others if (phase := live.phase) is not None]
        if not phases:
            return now
        phase = phases[0] if engine.aligned else widest_gap(phases)
        return now + (phase - now) % FRAME_S


def late_share(owed: Mapping[str, tuple[int, int]], before: Mapping[str, tuple[int, int]]) -> float:
    """Of settled calls' pictures due between two countings of (due, late), the share that was late or never came."""
    settled = {id: had for id, had in before.items() if had[0] >= SETTLED_FRAMES and id in owed}
    gained = [np.subtract(owed[id], had) for id, had in settled.items()]
    due, late = np.sum([gain for gain in gained if gain[0] > 0] or [[0, 0]], axis=0)
    return min(float(late / due), 1.0) if due else 0.0  # some of the late were due before
