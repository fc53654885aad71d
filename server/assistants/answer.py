"""One answer on its way to the portrait: text that still comes is spoken sentence by sentence, feelings at their words.

It is one utterance. What of it was heard is known at any time, and told as captions.
"""

from collections.abc import AsyncGenerator
from contextlib import aclosing

import numpy as np

from engine.les import Les
from server.assistants.emotion import TagReader
from server.assistants.sentences import Sentence, Sentences
from server.assistants.slots import Speak
from server.assistants.spoken import Spoken
from server.conversation import (
    Conversation,
    ConversationEvent,
    MarkHeard,
    SpeechEnded,
    SpeechInterrupted,
    SpeechStarted,
)

PIECE_S = 0.2  # of sound, between two looks at the room that is left
REST_S, RELAX_S = 0.2, 0.8  # silence after the last word, in which a feeling begins to fade; how long that takes
EASE_S = 0.3
QUIET = 200  # of 32768: softer sound at a sentence's ends is silence


class Answer:
    def __init__(self, conversation: Conversation, speak: Speak, mood: Les) -> None:
        """`mood`: what the last answer left on the face."""
        self.utterance: str | None = None
        self.spoken = Spoken()
        self.mood = mood
        """What is on the face; known once the utterance is over."""
        self.heard = ""
        """By the user so far."""
        self.sounding = False
        """Some of it was heard, and more will be."""
        self._cues: list[tuple[float, Les]] = []
        self._conversation, self._speak = conversation, speak

    async def say(self, parts: AsyncGenerator[str | Les, None]) -> None:
        """Until the last sound has been handed over; what came is heard even if this fails."""
        reader, sentences = TagReader(), Sentences()
        try:
            async with aclosing(parts):
                async for part in parts:
                    for piece in reader.feed(part) if isinstance(part, str) else [part]:
                        await self._say_all(sentences.feed(piece))
            await self._say_all(sentences.flush())
            await self._rest()
        finally:
            if self.utterance is not None:
                self._conversation.end(self.utterance)

    def follow(self, event: ConversationEvent) -> bool:
        """Whether the answer was about this event; captions tell how far it is heard."""
        if self.utterance is None or getattr(event, "utterance", None) != self.utterance:
            return False
        match event:
            case SpeechStarted():
                self.sounding = True
                self._tell(self.spoken.begun(1))
            case MarkHeard(name=name):
                self._tell(self.spoken.begun(int(name) + 1))
            case SpeechEnded(playback_ms=heard_ms) | SpeechInterrupted(playback_ms=heard_ms):
                self.sounding = False
                self._tell(self.spoken.heard(heard_ms), final=True)
                self.mood = next((mood for at, mood in reversed(self._cues) if at < heard_ms), self.mood)
        return True

    def _tell(self, heard: str, final: bool = False) -> None:
        assert self.utterance is not None
        before, self.heard = self.heard, heard
        if heard or before:
            self._conversation.caption("assistant", self.utterance, heard, final=final)

    async def _say_all(self, sentences: list[Sentence]) -> None:
        for sentence in sentences:
            await self._say(sentence)

    async def _say(self, sentence: Sentence) -> None:
        if not sentence.text:
            return  # a feeling after the last word
        utterance = self._begin()
        self.spoken.begin(sentence.text)
        for at, emotion in sentence.cues:
            if at == 0:
                self._cue(utterance, emotion)
        inner = [(at / len(sentence.text), emotion) for at, emotion in sentence.cues if at]
        async with aclosing(self._speak.speak(sentence.text)) as sound:
            if inner:
                await self._spread(utterance, b"".join([pcm async for pcm in sound]), inner)
            else:
                async for pcm in sound:
                    await self._append(utterance, pcm)
        self.spoken.finish()

    def _begin(self) -> str:
        """The utterance, with a mark where its next sentence begins."""
        if self.utterance is None:
            self.utterance = self._conversation.begin(rate=self._speak.rate)
            if self.mood != Les():
                self._cue(self.utterance, Les())
        else:
            self._conversation.mark(self.utterance, str(len(self.spoken.passages)))
        return self.utterance

    async def _spread(self, utterance: str, pcm: bytes, cues: list[tuple[float, Les]]) -> None:
        """A sentence's whole sound, with feelings at these shares of its text, as if it were spoken at an even pace."""
        begun, (first, last) = 0, voiced(pcm)
        for share, emotion in cues:
            at = 2 * round(first + share * (last - first))
            await self._append(utterance, pcm[begun:at])
            self._cue(utterance, emotion)
            begun = at
        await self._append(utterance, pcm[begun:])

    async def _append(self, utterance: str, pcm: bytes) -> None:
        size = 2 * round(PIECE_S * self._speak.rate)
        for at in range(0, len(pcm), size):
            await self._conversation.room(utterance)
            piece = pcm[at : at + size]
            self.spoken.extend(len(piece) // 2 * 1000 / self._speak.rate)
            self._conversation.append(utterance, piece)

    def _cue(self, utterance: str, emotion: Les, transition_s: float = EASE_S) -> None:
        self._cues.append((self.spoken.length_ms, emotion))
        self._conversation.cue(utterance, emotion, transition_s=transition_s)

    async def _rest(self) -> None:
        """Feelings fade when all is said."""
        if self.utterance is not None and self._cues and self._cues[-1][1] != Les():
            self._cue(self.utterance, Les(), RELAX_S)
            await self._append(self.utterance, bytes(2 * round(REST_S * self._speak.rate)))


def voiced(pcm: bytes) -> tuple[int, int]:
    """The first and the last sample that is no silence."""
    loud = np.flatnonzero(np.abs(np.frombuffer(pcm[: len(pcm) // 2 * 2], "<i2").astype(np.int32)) > QUIET)
    return (int(loud[0]), int(loud[-1]) + 1) if len(loud) else (0, len(pcm) // 2)
