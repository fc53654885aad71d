"""A session with its sockets, tasks and timers: carries events into the pure core and its actions out to the world.

Its call lives as long as any connection does. A caller has one for both ways; beside it, or in its stead, players may
watch and an encoder may bring the voice.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from aiortc import RTCDataChannel, RTCIceServer

from engine.background import Background
from engine.motion import MotionAmounts
from engine.units import FPS
from server import session_actions as actions
from server import session_events as events
from server.assistance import assist
from server.bargein import BargeIn
from server.call import Call, CallEvents
from server.conversation import Assistant, SpeechRefused
from server.dialogue import Dialogue
from server.engine_thread import Engine, EngineThread, Run, Stream
from server.media import Clock, Frames, Shown
from server.microphone import Samples
from server.pace import Pace
from server.peer import BadOffer, Peer
from server.protocol import Candidate, Message, Stats, message_of, to_json
from server.session import Session
from server.speech import SpeechGate
from server.timeline import media_ms

log = logging.getLogger(__name__)

CONNECT_S = 30.0  # for a connection beside others; the first one is the core's to wait for
SILENT_CLIENT_S = 8.0  # without a single byte from a connected client, who is then gone
STATS_S = 1.0
MAX_OUTBOX = 1000  # control messages not yet sent; a client that reads no more is disconnected
SLOW, REPLACED, ENDED = 4408, 4409, 1000  # WebSocket close codes


class Control:
    """The messages on their way to one control socket, then its close code."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[str | int] = asyncio.Queue()
        self._closing = False

    def put(self, message: Message) -> None:
        self.put_text(to_json(message))

    def put_text(self, message: str) -> None:
        if self._queue.qsize() >= MAX_OUTBOX:
            self.close(SLOW)
        elif not self._closing:
            self._queue.put_nowait(message)

    def close(self, code: int) -> None:
        if not self._closing:
            self._closing = True
            self._queue.put_nowait(code)

    async def next(self) -> str | int:
        """A message, or at last the close code."""
        return await self._queue.get()


@dataclass(frozen=True)
class Means:
    """What a session works with."""

    engine: EngineThread
    ice: Sequence[RTCIceServer]
    clock: Clock
    start: Callable[[float], float]
    """Chooses the anchor of a call that begins now: see `Call`."""
    assistant: Callable[[], Assistant] | None
    """Makes the assistant of a session that has one."""
    forget: Callable[["LiveSession"], None]
    """Called once, when the session ends."""


class LiveSession:
    def __init__(self, id: str, token: str, session: Session, stream: Stream, means: Means) -> None:
        self.id, self.token = id, token
        self._session, self._stream, self._means = session, stream, means
        self._engine, self._clock = means.engine, means.clock
        self.pace = Pace()
        """Of all messages that come to it."""
        self._call: Call | None = None
        self._fps = FPS
        self._peers: dict[Peer, asyncio.Task[None]] = {}
        """Every connection, the oldest first, with the task that watches over it."""
        self._caller: Peer | None = None
        self._voice: Peer | None = None
        self._control: Control | None = None
        self._frames: list[Frames] = []
        """Receivers in this process."""
        self.conversation = Dialogue(self, speaks=session.source != "microphone")
        self._offering = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()
        self._assisting: asyncio.Task[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self.ended = asyncio.Event()
        self._rearm()

    @property
    def engine(self) -> EngineThread:
        """Which steps it."""
        return self._engine

    @property
    def owed(self) -> tuple[int, int]:
        """Of the present call, see `Meter.owed`."""
        return self._call.owed if self._call else (0, 0)

    @property
    def phase(self) -> float | None:
        """Where in a slot this session asks for its pictures."""
        anchor = self._call.anchor if self._call else None
        return anchor.start if anchor else None

    def feed(self, event: events.Event) -> None:
        for action in self._session.handle(event, self._clock()):
            self._act(action)
        self._rearm()

    async def offer(self, sdp: str, on_channel: Callable[[RTCDataChannel], None] | None = None) -> str:
        """The answer. A usable offer takes the place of the caller's connection before. Raises `BadOffer`."""
        async with self._offering:
            peer, answer = await self._connect(sdp, voice=True, picture=True, on_channel=on_channel)
            before, self._caller = self._caller, peer
            if before:
                await self._part(before)
            return answer

    async def renew(self, sdp: str) -> str:
        """The answer to a further offer on the caller's present connection. Raises `BadOffer`, LookupError."""
        async with self._offering:
            if self._caller is None:
                raise LookupError
            return await self._caller.answer(sdp)

    async def watch(self, sdp: str) -> tuple[Peer, str]:
        """One more receiver of sound and pictures, and the answer to its offer. Raises `BadOffer`."""
        return await self._connect(sdp, voice=False, picture=True)

    async def voice(self, sdp: str) -> tuple[Peer, str]:
        """A microphone without a receiver. Raises `BadOffer`."""
        return await self._connect(sdp, voice=True, picture=False)

    async def show_before(self, background: Background) -> None:
        """What the person stands before from the next frame on. PortraitError where that can't be changed."""
        await self._engine.run(lambda _: self._stream.stand_before(background), self._stream)

    def peer(self, id: str) -> Peer | None:
        return next((peer for peer in self._peers if peer.id == id), None)

    @property
    def closed(self) -> bool:
        return self._session.closed

    @property
    def connections(self) -> int:
        """Those over the network."""
        return len(self._peers)

    @property
    def deserted(self) -> bool:
        """Whether nobody is connected or about to be."""
        return not self._peers and not self._frames

    @asynccontextmanager
    async def performance(self) -> AsyncIterator[AsyncIterator[Shown]]:
        """Picture and sound of every slot, for a receiver in this process; counts as a connection."""
        self._call = call = self._call or self._new_call()
        frames = call.join_frames()
        self._frames.append(frames)
        self._connected()
        try:
            yield aiter(frames)
        finally:
            self._frames.remove(frames)
            call.leave(frames)
            if not self._anyone():
                self.feed(events.Lost())
            await self._end_deserted_call()

    async def part(self, peer: Peer) -> None:
        """Ends one connection."""
        connected = peer.connected
        await self._part(peer)
        if connected and not self._anyone():
            self.feed(events.Lost())

    async def add_candidates(self, candidates: Sequence[Candidate]) -> None:
        """Waits for an offer that is being answered. ValueError for a malformed one; LookupError before any offer."""
        async with self._offering:
            if self._caller is None:
                raise LookupError
            for candidate in candidates:
                await self._caller.add_candidate(candidate.candidate, candidate.sdpMid, candidate.sdpMLineIndex)

    def open_control(self) -> Control:
        """Takes the place of the control connection before."""
        if self._control:
            self._control.close(REPLACED)
        self._control = Control()
        self.feed(events.ControlOpened())
        return self._control

    def control_closed(self, control: Control) -> None:
        if control is self._control:
            self._control = None
            self.feed(events.ControlClosed())

    async def end(self, reason: events.Reason) -> None:
        self.feed(events.Ended(reason))
        await self.ended.wait()

    def _act(self, action: actions.Action) -> None:
        match action:
            case actions.Send(message):
                if self._control:
                    self._control.put(message)
            case actions.Ease(key, target, transition_s):
                ease = partial(self._stream.set_emotion, target, transition_s=transition_s)
                self._tell_engine(lambda _: ease(), partial(self._scheduled, key))
            case actions.Move(amounts):
                move = partial(self._stream.set_motion, MotionAmounts(**amounts))
                self._tell_engine(lambda _: move())
            case actions.Draw(fps, size):
                self._draw(fps, size)
            case actions.Behave(activity, addressed):
                self._tell_engine(lambda _: self._stream.set_activity(activity, addressed=addressed))
            case actions.Announce(event):
                self.conversation.announce(event)
                if self._control:
                    self._control.put(message_of(event))
            case actions.Pause():
                self.conversation.pause()
            case actions.Resume():
                self.conversation.resume()
            case actions.Interrupt(utterance):
                self._interrupt(utterance)
            case actions.Assist():
                assert self._means.assistant
                self._assisting = self._spawn(assist(self.conversation, self._means.assistant))
            case actions.Close(reason):
                self._spawn(self._free(reason))

    def _draw(self, fps: int, size: int) -> None:
        self._fps = fps
        if self._call:
            self._call.draw(fps)
        self._tell_engine(lambda engine: engine.resize(self._stream, size))

    def _interrupt(self, utterance: str | None) -> None:
        try:
            self.conversation.interrupt(utterance)
        except SpeechRefused as refused:
            self.conversation.report(refused.code, str(refused))

    def cut(self, utterances: Collection[str], sounding: bool) -> dict[str, int]:
        """See `dialogue.Stage.cut`."""
        return self._call.cut(utterances, sounding) if self._call else {}

    def _tell_engine(self, work: Callable[[Engine], Any], done: Callable[[Any], None] = lambda _: None) -> None:
        self._engine.submit(Run(work, done, self._failed, self._stream))

    def _scheduled(self, key: int | None, frame: int) -> None:
        if key is not None:
            self.feed(events.Scheduled(key, frame))

    def _failed(self, error: BaseException) -> None:
        log.error("session %s fails: %s", self.id, error)
        self.feed(events.Ended("failed"))

    async def _connect(
        self, sdp: str, *, voice: bool, picture: bool, on_channel: Callable[[RTCDataChannel], None] | None = None
    ) -> tuple[Peer, str]:
        self._call = call = self._call or self._new_call()
        outlet = call.join() if picture else None
        hear = self._hear if voice else None
        peer = Peer(outlet, hear, self._means.ice, self._clock, self._media_changed, on_channel)
        self._peers[peer] = self._spawn(self._watch_over(peer))
        try:
            answer = await peer.answer(sdp)
            if self._session.closed:
                raise BadOffer("the session has ended meanwhile")
        except BadOffer:
            await self._part(peer)
            raise
        if not self._anyone():
            self.feed(events.Offered())
        return peer, answer

    def _new_call(self) -> Call:
        told = CallEvents(
            say=self.conversation.say,
            sound_left=self.conversation.sound_left,
            picture_left=lambda frame, slot: self.feed(events.PictureLeft(frame, slot)),
            user=lambda verdict, at: self.feed(events.UserHeard(verdict, at)),
            failed=self._failed,
        )
        own_voice = self._session.source == "microphone"
        ear = SpeechGate().verdict if own_voice else BargeIn().hear
        delay = self._engine.look_ahead if own_voice else 0
        call = Call(self._stream, self._engine, self._clock, self._means.start, delay, ear, told)
        call.draw(self._fps)
        return call

    def _hear(self, peer: Peer, position: int, samples: Samples, arrival: float) -> None:
        """Of several microphones the newest connection's counts."""
        if self._call is None or peer not in self._peers:
            return
        if peer is not self._voice:
            ages = list(self._peers)
            if self._voice in self._peers and ages.index(peer) < ages.index(self._voice):
                return
            self._voice = peer
            self._call.listen_anew()
        self._call.push(position, samples, arrival)

    def _media_changed(self, peer: Peer, connected: bool) -> None:
        if peer not in self._peers:
            return
        if not connected:
            self._spawn(self._part(peer))
            if not self._anyone(besides=peer):
                self.feed(events.Lost())
        else:
            self._connected()

    def _connected(self) -> None:
        if self._session.status != "live":
            self.feed(events.Connected())

    def _anyone(self, besides: Peer | None = None) -> bool:
        """Whether somebody sees or hears the portrait, or speaks to it."""
        return bool(self._frames) or any(peer.connected for peer in self._peers if peer is not besides)

    async def _part(self, peer: Peer) -> None:
        """Frees a connection, and the call with the last one."""
        watching = self._peers.pop(peer, None)
        if watching is None:
            return
        watching.cancel()
        if peer is self._caller:
            self._caller = None
        call = self._call
        if call and peer.outlet:
            call.leave(peer.outlet)
        await peer.close()
        await self._end_deserted_call()

    async def _end_deserted_call(self) -> None:
        if self.deserted and self._call:
            call, self._call = self._call, None
            self.conversation.line_lost()
            await call.close()

    async def _watch_over(self, peer: Peer) -> None:
        """Once a second: whether the client is still there, and the measurements."""
        seen, heard_from = 0, self._clock()
        while True:
            await asyncio.sleep(STATS_S)
            now, bytes_ = self._clock(), await peer.received_bytes()
            if bytes_ != seen:
                seen, heard_from = bytes_, now
            if now - heard_from > (SILENT_CLIENT_S if peer.connected else CONNECT_S):
                self._media_changed(peer, connected=False)
                return
            if peer is next((other for other in self._peers if other.connected), None):
                self._report(peer, now)

    def _report(self, peer: Peer, now: float) -> None:
        call = self._call
        if call is None:
            return
        came = call.microphone.last_arrival is not None
        self.feed(events.Heard("stalled" if call.microphone.stalled(now) else "live" if came else "none"))
        if self._control:
            numbers = call.meter.summary(now)
            stats = {"queue": self._engine.waiting, "media_ms": media_ms(call.slot), "codec": peer.codec}
            self._control.put(Stats.model_validate(numbers | stats))

    def _rearm(self) -> None:
        if self._timer:
            self._timer.cancel()
            self._timer = None
        deadline = self._session.deadline
        if deadline is not None and not self._session.closed:
            delay = max(0.0, deadline - self._clock())
            self._timer = asyncio.get_running_loop().call_later(delay, self.feed, events.TimePassed())

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _free(self, reason: events.Reason) -> None:
        log.info("session %s ends: %s", self.id, reason)
        self._means.forget(self)
        if self._control:
            self._control.close(ENDED)
        if self._assisting:
            self._assisting.cancel()
        for frames in self._frames:
            frames.stop()
        for peer in list(self._peers):
            await self._part(peer)
        await asyncio.gather(*self._tasks - {asyncio.current_task()}, return_exceptions=True)
        self.ended.set()
