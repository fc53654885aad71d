"""The sound between being taken and leaving, in packets of 20 ms that know whose words they carry. Pure."""

from collections import deque
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from server.microphone import Samples
from server.timeline import AUDIO_RATE, PACKET, PACKETS_PER_SLOT

FADE_OUT = AUDIO_RATE // 100  # 10 ms, in which a voice that is interrupted falls silent
MOST = 100  # packets, 2 s: more means that the client's connection is stuck


class Span(NamedTuple):
    """Samples `begin` to `end` of an utterance, from `offset` on in the slot or packet that carries them."""

    utterance: str
    begin: int
    end: int
    offset: int


@dataclass(frozen=True)
class Packet:
    sound: Samples
    """float32[960] at 48 kHz"""
    said: tuple[Span, ...] = ()


class SoundLine:
    """First in, first out."""

    def __init__(self) -> None:
        self._packets: deque[Packet] = deque()

    def __len__(self) -> int:
        return len(self._packets)

    def put(self, sound: Samples, said: Iterable[Span] = ()) -> list[Packet]:
        """A slot, float32[1920] in [-1, 1]. Returns the oldest packets, if the line was too long for them."""
        spans = tuple(said)
        for i, part in enumerate(sound.reshape(PACKETS_PER_SLOT, PACKET)):
            self._packets.append(Packet(part, tuple(_within(spans, i * PACKET))))
        return [self._packets.popleft() for _ in range(len(self._packets) - MOST)]

    def pop(self) -> Packet:
        return self._packets.popleft()

    def cut(self, utterances: Collection[str]) -> bool:
        """Silence from the first word of these utterances on; a voice that is sounding already fades out.

        Whether there was such a word.
        """
        first = next((i for i, packet in enumerate(self._packets) if _first_of(packet, utterances)), None)
        if first is None:
            return False
        self._packets[first] = _silenced(self._packets[first], utterances)
        for i in range(first + 1, len(self._packets)):
            self._packets[i] = Packet(np.zeros(PACKET, np.float32))
        return True

    def pending(self) -> dict[str, int]:
        """How many samples of each utterance are in line."""
        waiting: dict[str, int] = {}
        for packet in self._packets:
            for span in packet.said:
                waiting[span.utterance] = waiting.get(span.utterance, 0) + span.end - span.begin
        return waiting


def _within(spans: Iterable[Span], start: int) -> Iterator[Span]:
    """The parts of a slot's spans that its packet from sample `start` on carries."""
    for span in spans:
        begin = max(span.begin, span.begin + start - span.offset)
        end = min(span.end, span.begin + start + PACKET - span.offset)
        if begin < end:
            yield Span(span.utterance, begin, end, span.offset + begin - span.begin - start)


def _first_of(packet: Packet, utterances: Collection[str]) -> Span | None:
    return next((span for span in packet.said if span.utterance in utterances), None)


def _silenced(packet: Packet, utterances: Collection[str]) -> Packet:
    span = _first_of(packet, utterances)
    assert span
    count = min(FADE_OUT, span.end - span.begin) if span.begin else 0
    sound = np.zeros(PACKET, np.float32)
    sound[: span.offset] = packet.sound[: span.offset]
    faded = slice(span.offset, span.offset + count)
    sound[faded] = packet.sound[faded] * np.linspace(1, 0, count, dtype=np.float32)
    before = tuple(other for other in packet.said if other.offset < span.offset)
    return Packet(sound, (*before, span._replace(end=span.begin + count)) if count else before)
