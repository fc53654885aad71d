"""Sound that comes faster than a conversation takes it: kept here, in order, so that whoever brings it never waits.

A socket whose reader waited for room could not hear that it should stop. The queue is bounded; what exceeds it, be it
sound, marks or cues, is refused, never dropped. An end always has room: there is one to an utterance.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from engine.les import Les
from server.conversation import Conversation, SpeechRefused

MAX_BYTES = 32 << 20  # 11 minutes at 24 kHz
PIECE = 9600  # bytes handed on at once: 0.2 s at 24 kHz
STEP_BYTES = 512  # that whatever waits takes besides its sound


@dataclass(frozen=True, eq=False)
class Step:
    """One call of the conversation that waits for its turn."""

    utterance: str
    do: Callable[[], None]
    bytes: int = STEP_BYTES


class Backlog:
    def __init__(self, conversation: Conversation, max_bytes: int = MAX_BYTES) -> None:
        self._conversation, self._max_bytes = conversation, max_bytes
        self._steps: deque[Step] = deque()
        self._bytes = 0
        self._some, self._none = asyncio.Event(), asyncio.Event()
        self._none.set()

    def append(self, utterance: str, pcm: bytes) -> None:
        """Raises SpeechRefused when too much waits."""
        pieces = [pcm[start : start + PIECE] for start in range(0, len(pcm), PIECE)]
        self._check_room(len(pcm) + len(pieces) * STEP_BYTES)
        for piece in pieces:
            do = partial(self._conversation.append, utterance, piece)
            self._add(Step(utterance, do, len(piece) + STEP_BYTES))

    def mark(self, utterance: str, name: str) -> None:
        """Raises SpeechRefused when too much waits."""
        self._check_room(STEP_BYTES)
        self._add(Step(utterance, partial(self._conversation.mark, utterance, name)))

    def cue(self, utterance: str, emotion: Les) -> None:
        """Raises SpeechRefused when too much waits."""
        self._check_room(STEP_BYTES)
        self._add(Step(utterance, partial(self._conversation.cue, utterance, emotion)))

    def end(self, utterance: str) -> None:
        self._add(Step(utterance, partial(self._conversation.end, utterance)))

    def drop(self, utterance: str) -> None:
        """Forgets what waits of an utterance."""
        dropped = sum(step.bytes for step in self._steps if step.utterance == utterance)
        self._steps = deque(step for step in self._steps if step.utterance != utterance)
        self._forgotten(dropped)

    async def run(self) -> None:
        """Hands on, as there is room, until cancelled."""
        while True:
            while not self._steps:
                await self._some.wait()
            step = self._steps[0]
            await self._conversation.room(step.utterance)
            if self._steps and self._steps[0] is step:  # else it was dropped meanwhile
                self._steps.popleft()
                self._do(step)
                self._forgotten(step.bytes)

    async def drained(self) -> None:
        """Waits until nothing waits."""
        await self._none.wait()

    def _check_room(self, bytes: int) -> None:
        if self._bytes + bytes > self._max_bytes:
            raise SpeechRefused("buffer_full", "too much waits to be spoken; send it about as fast as it is heard")

    def _do(self, step: Step) -> None:
        try:
            step.do()
        except SpeechRefused as refused:
            self.drop(step.utterance)
            self._conversation.report(refused.code, str(refused))

    def _add(self, step: Step) -> None:
        self._steps.append(step)
        self._bytes += step.bytes
        self._some.set()
        self._none.clear()

    def _forgotten(self, bytes: int) -> None:
        self._bytes -= bytes
        if not self._steps:
            self._some.clear()
            self._none.set()
