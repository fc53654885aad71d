"""What a portrait is to say: utterances of sound go in as they come, 40 ms slots come out when they are due.

Every utterance keeps its sound until it has left the server, so that what was taken but not yet sent can be taken
back: by a pause, to be spoken later, or by an interruption, for good. Positions are samples at 48 kHz from an
utterance's beginning. Sound that comes late is bridged by silence between soft edges, and every time that happens in
an utterance, a little more of it is gathered before it goes on. Pure: reads no clock.
"""

import secrets
from collections import deque
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import av
import numpy as np
import numpy.typing as npt

from engine.les import Les
from engine.units import exact_div
from server.conversation import (
    ConversationEvent,
    MarkHeard,
    SpeechEnded,
    SpeechInterrupted,
    SpeechRefused,
    SpeechStarted,
)
from server.line import Packet, Span
from server.microphone import FADE, Samples
from server.timeline import AUDIO_RATE, SLOT

LEAST_RATE, MOST_RATE = 8_000, AUDIO_RATE
FULL = 60 * AUDIO_RATE  # samples waiting, from which on `Playout.full` asks the sender to wait
OVERFULL = 4 * FULL  # a sender that does not is refused
MOST_UTTERANCES, MOST_NOTES = 256, 4096  # waiting at once; marks and cues of one utterance
MOST_GATHERED = 5 * SLOT  # before an utterance goes on that has come late again and again
REMEMBERED = 256  # utterances that are over, of which late sound is no error
HELD_BACK = 16  # samples of its input that FFmpeg's resampler needs beyond the present one
PER_MS = exact_div(AUDIO_RATE, 1000)

Pcm = npt.NDArray[np.int16]


class Cue(NamedTuple):
    """The face eases to `emotion` when the sound at `position` is heard."""

    position: int
    emotion: Les
    transition_s: float


@dataclass(frozen=True)
class Slot:
    """40 ms of what is said."""

    sound: Samples
    """float32[1920] at 48 kHz"""
    said: tuple[Span, ...] = ()
    cues: tuple[Cue, ...] = ()
    ahead: tuple[Samples, ...] = ()
    """The slots that follow, as far as is known; silence from there on."""


class Upsampler:
    """Mono PCM16 of one rate to 48 kHz, piece by piece; what comes in comes out at once, up to 2 ms late."""

    def __init__(self, rate: int) -> None:
        self._rate = rate
        self._resampler = None
        if rate != AUDIO_RATE:
            self._resampler = av.AudioResampler(format="s16", layout="mono", rate=AUDIO_RATE)
            self(np.zeros(HELD_BACK, np.int16))

    def __call__(self, pcm: Pcm) -> Pcm:
        if self._resampler is None:
            return pcm
        frame = av.AudioFrame.from_ndarray(pcm[None], format="s16", layout="mono")
        frame.sample_rate = self._rate
        return self._joined(self._resampler.resample(frame))

    def rest(self) -> Pcm:
        """What the filter still holds; nothing can follow."""
        return np.zeros(0, np.int16) if self._resampler is None else self._joined(self._resampler.resample(None))

    @staticmethod
    def _joined(frames: list[av.AudioFrame]) -> Pcm:
        return np.concatenate([np.zeros(0, np.int16), *(frame.to_ndarray()[0] for frame in frames)])


@dataclass
class Utterance:
    id: str
    rate: int
    total: int = 0
    """Samples that have come."""
    taken: int = 0
    """Samples given out in slots."""
    left: int = 0
    """Samples that have left the server: the playback position."""
    begun: bool = False
    ended: bool = False
    flowing: bool = False
    """Whether its sound is being given out, without waiting for more to come."""
    gather: int = SLOT
    """Samples to be there before it flows, or to be waited for in vain."""
    waited: int = 0
    marks: deque[tuple[int, str]] = field(default_factory=deque)
    cues: list[Cue] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._upsample = Upsampler(self.rate)
        self._blocks: deque[Pcm] = deque()  # the sound from `_kept_from` on
        self._kept_from = 0
        self._odd = b""

    @property
    def waiting(self) -> int:
        return self.total - self.taken

    @property
    def over(self) -> bool:
        return self.ended and self.left == self.total

    def append(self, pcm: bytes) -> None:
        pcm = self._odd + pcm
        whole = len(pcm) // 2 * 2
        self._odd = pcm[whole:]
        if whole:
            self._keep(self._upsample(np.frombuffer(pcm[:whole], "<i2")))

    def end(self) -> bool:
        """Whether the sound ended with a whole sample."""
        self.ended = True
        if self.total:
            self._keep(self._upsample.rest())
        return not self._odd

    def take(self, count: int) -> Samples:
        """The next samples, in [-1, 1]."""
        samples = self.read(count)
        self.taken += len(samples)
        return samples

    def read(self, count: int) -> Samples:
        """What `take` will give."""
        start, parts = self.taken - self._kept_from, list[Pcm]()
        for block in self._blocks:
            if count <= 0:
                break
            part = block[start : start + count]
            start, count = max(0, start - len(block)), count - len(part)
            parts.append(part)
        return np.concatenate([np.zeros(0, np.int16), *parts]).astype(np.float32) / np.float32(32768)

    def leave(self, position: int) -> None:
        """All up to here has left and is not needed any more."""
        self.left = max(self.left, position)
        while self._blocks and self._kept_from + len(self._blocks[0]) <= self.left:
            self._kept_from += len(self._blocks.popleft())

    def marks_heard(self) -> Iterator[str]:
        while self.marks and (self.marks[0][0] <= self.left or self.over):
            yield self.marks.popleft()[1]

    def _keep(self, pcm: Pcm) -> None:
        if len(pcm):
            self._blocks.append(pcm)
            self.total += len(pcm)


class Playout:
    """Utterances in the order of their beginning. What they do is told by `events()`."""

    def __init__(self) -> None:
        self.paused = False
        self.media_ms = 0
        """Where the sound that has left ends."""
        self._queue: deque[Utterance] = deque()
        self._gone: deque[str] = deque(maxlen=REMEMBERED)
        self._events: list[ConversationEvent] = []

    def events(self) -> list[ConversationEvent]:
        """What happened since the last call."""
        happened, self._events = self._events, []
        return happened

    @property
    def waiting(self) -> int:
        """Samples not yet taken."""
        return sum(u.waiting for u in self._queue)

    @property
    def full(self) -> bool:
        return self.waiting >= FULL

    @property
    def starving(self) -> str | None:
        """The utterance that everything waits for: it is open and has nothing to say now."""
        head = next((u for u in self._queue if not (u.ended and not u.waiting)), None)
        return head.id if head and not head.ended and head.waiting < SLOT else None

    def sounding(self, ids: Collection[str]) -> bool:
        """Whether one of these has begun to sound."""
        return any(u.begun for u in self._queue if u.id in ids)

    def ids(self) -> list[str]:
        """Of all utterances that are not over."""
        return [u.id for u in self._queue]

    def open_ids(self) -> list[str]:
        """Of all utterances that may still grow."""
        return [u.id for u in self._queue if not u.ended]

    # ---- from the assistant

    def begin(self, id: str | None, rate: int) -> str:
        if not LEAST_RATE <= rate <= MOST_RATE:
            raise SpeechRefused("unsupported_rate", f"the rate must be {LEAST_RATE} to {MOST_RATE} Hz, not {rate}")
        if len(self._queue) >= MOST_UTTERANCES:
            raise SpeechRefused("buffer_full", f"{MOST_UTTERANCES} utterances wait already; wait until some are over")
        id = id or secrets.token_hex(6)
        if any(u.id == id for u in self._queue):
            raise SpeechRefused("utterance_in_use", f"utterance {id[:64]!r} has not ended yet; choose another id")
        self._queue.append(Utterance(id, rate))
        return id

    def append(self, id: str, pcm: bytes) -> None:
        if not (utterance := self._open(id)):
            return
        if self.waiting >= OVERFULL:
            raise SpeechRefused("buffer_full", f"{OVERFULL // AUDIO_RATE} s of sound wait already; wait for room")
        utterance.append(pcm)

    def mark(self, id: str, name: str) -> None:
        if utterance := self._find(id):
            self._check_notes(utterance)
            utterance.marks.append((utterance.total, name))
            self._settle()

    def cue(self, id: str, emotion: Les, transition_s: float) -> None:
        if utterance := self._open(id):
            self._check_notes(utterance)
            utterance.cues.append(Cue(utterance.total, emotion, transition_s))

    def end(self, id: str) -> bool:
        """Whether its sound ended with a whole sample."""
        whole = (utterance := self._open(id)) is None or utterance.end()
        self._settle()
        return whole

    @staticmethod
    def _check_notes(utterance: Utterance) -> None:
        if len(utterance.marks) + len(utterance.cues) >= MOST_NOTES:
            raise SpeechRefused("too_many", f"an utterance has at most {MOST_NOTES} marks and cues at a time")

    def _open(self, id: str) -> Utterance | None:
        utterance = self._find(id)
        if utterance and utterance.ended:
            raise SpeechRefused("utterance_ended", f"utterance {id[:64]!r} was ended; begin another one")
        return utterance

    def _find(self, id: str) -> Utterance | None:
        """None for one that is over or was interrupted."""
        utterance = next((u for u in self._queue if u.id == id), None)
        if utterance is None and id not in self._gone:
            raise SpeechRefused("unknown_utterance", f"there is no utterance {id[:64]!r}; begin it first")
        return utterance

    def chosen(self, id: str | None) -> set[str]:
        """The utterances that an interruption means: this one, or all."""
        if id is None:
            return set(self.ids())
        return {id} if self._find(id) else set()

    # ---- to the listener

    def take(self, ahead: int = 0) -> Slot:
        """The next slot, and `ahead` more as they will probably be."""
        slot = self._take()
        return replace(slot, ahead=self._foreseen(ahead)) if ahead else slot

    def _foreseen(self, slots: int) -> tuple[Samples, ...]:
        sound, at = np.zeros(slots * SLOT, np.float32), 0
        for utterance in self._queue:
            if self.paused or utterance.waiting and not self._ready(utterance):
                break
            if utterance.waiting:
                part = utterance.read(len(sound) - at)
                sound[at : at + len(part)] = part
                at += len(part)
            if not utterance.ended:
                break
        return tuple(sound.reshape(slots, SLOT))

    def _take(self) -> Slot:
        sound, said, cues, at = np.zeros(SLOT, np.float32), list[Span](), list[Cue](), 0
        while at < SLOT and (utterance := self._speaking()):
            begin, again = utterance.taken, utterance.taken > 0 and not utterance.flowing
            part = utterance.take(SLOT - at)
            utterance.flowing, utterance.waited = True, 0
            if again:
                _fade(part[:FADE], 0, 1)
            if not utterance.ended and len(part) < SLOT - at:
                self._late(utterance, part)
            cues += [cue for cue in utterance.cues if begin <= cue.position < utterance.taken]
            sound[at : at + len(part)] = part
            said.append(Span(utterance.id, begin, utterance.taken, at))
            at += len(part)
        return Slot(sound, tuple(said), tuple(cues))

    def _speaking(self) -> Utterance | None:
        """Whose sound comes next: the first that is not given out; none while that one waits for sound to come."""
        if self.paused:
            return None
        utterance = next((u for u in self._queue if not u.ended or u.waiting), None)
        if utterance is None or not utterance.waiting:
            return None
        if self._ready(utterance):
            return utterance
        utterance.waited += SLOT
        return None

    @staticmethod
    def _ready(utterance: Utterance) -> bool:
        enough = max(utterance.waiting, utterance.waited) >= utterance.gather
        return utterance.ended or utterance.flowing or enough

    @staticmethod
    def _late(utterance: Utterance, part: Samples) -> None:
        _fade(part[-FADE:], 1, 0)
        utterance.flowing = False
        utterance.gather = min(2 * utterance.gather, MOST_GATHERED)

    def left(self, packet: Packet, media_ms: int) -> None:
        """A packet left that begins at `media_ms`."""
        for span in packet.said:
            self.media_ms = media_ms + span.offset // PER_MS
            if utterance := next((u for u in self._queue if u.id == span.utterance), None):
                self._heard(utterance, span)
        self.media_ms = media_ms + len(packet.sound) // PER_MS

    def _heard(self, utterance: Utterance, span: Span) -> None:
        if not utterance.begun:
            utterance.begun = True
            self._events.append(SpeechStarted(utterance.id, self.media_ms))
        self.media_ms += (span.end - span.begin) // PER_MS
        utterance.leave(span.end)
        self._settle()

    def _settle(self) -> None:
        """Tells of marks that were reached and of utterances that are over."""
        while self._queue:
            head = self._queue[0]
            at = head.left // PER_MS
            self._events += [MarkHeard(head.id, name, at, self.media_ms) for name in head.marks_heard()]
            if not head.over:
                return
            self._gone.append(self._queue.popleft().id)
            self._events.append(SpeechEnded(head.id, at, self.media_ms))

    # ---- taking back

    def drop(self, ids: Collection[str], pending: Mapping[str, int]) -> None:
        """Interrupts utterances. `pending` are samples of each utterance that are taken and will still leave."""
        for utterance in [u for u in self._queue if u.id in ids]:
            self._queue.remove(utterance)
            self._gone.append(utterance.id)
            heard = (utterance.left + pending.get(utterance.id, 0)) // PER_MS
            self._events.append(SpeechInterrupted(utterance.id, heard, self.media_ms))
        self.rewind(pending)

    def rewind(self, pending: Mapping[str, int]) -> None:
        """All that was taken and won't leave, for it is not `pending`, is to be taken again."""
        for utterance in self._queue:
            taken = utterance.left + pending.get(utterance.id, 0)
            utterance.flowing = utterance.flowing and taken == utterance.taken
            utterance.taken = taken
        self._settle()


def _fade(samples: Samples, start: float, stop: float) -> None:
    """In place."""
    samples *= np.linspace(start, stop, len(samples), dtype=np.float32)
