"""Turns between a user and an assistant of three scripted slots: who speaks when, and what is remembered of it."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import numpy as np
import pytest

from engine.les import Les, parse
from server.assistants.answer import voiced
from server.assistants.slots import Message, Offline, SlotFailure, Slots
from server.assistants.turns import TurnTaker
from server.conversation import Captioned, SpeechEnded, SpeechInterrupted
from tests.conversation_fakes import FakeConversation

RATE = 8_000
LETTER_MS = 20
LETTER = bytes(2 * RATE * LETTER_MS // 1000)
SAD, HAPPY = parse("sadness=1"), parse("happiness=1")


class ScriptedTurn:
    def __init__(self, ear: "ScriptedEar") -> None:
        self._ear, self.pcm = ear, bytearray()

    def feed(self, pcm: bytes) -> None:
        self.pcm += pcm

    async def text(self) -> str:
        if isinstance(self._ear.says, Exception):
            raise self._ear.says
        return self._ear.says or self.pcm.decode().strip("\0. ")

    def drop(self) -> None:
        self._ear.dropped += 1


@dataclass
class ScriptedEar(Offline):
    """Hears the letters that the sound is made of, unless it is told what to say."""

    says: str | Exception = ""
    dropped: int = 0

    def listen(self) -> ScriptedTurn:
        return ScriptedTurn(self)


@dataclass
class ScriptedMind(Offline):
    """Answers each turn with the next of its answers; an exception among the parts is raised there."""

    answers: list[Sequence[str | Les | Exception]] = field(default_factory=list)
    asked: list[list[Message]] = field(default_factory=list)
    waits: asyncio.Event | None = None
    """Before each part but the first."""

    async def reply(self, history: Sequence[Message]) -> AsyncGenerator[str | Les, None]:
        self.asked.append(list(history))
        for i, part in enumerate(self.answers.pop(0) if self.answers else ()):
            if i and self.waits:
                await self.waits.wait()
            if isinstance(part, Exception):
                raise part
            yield part


@dataclass
class ScriptedVoice(Offline):
    """20 ms of sound for each letter."""

    rate: int = RATE
    said: list[str] = field(default_factory=list)
    fails_at: str = "\0"

    async def speak(self, text: str) -> AsyncGenerator[bytes, None]:
        self.said.append(text)
        yield len(text) // 2 * LETTER
        if text == self.fails_at:
            raise SlotFailure("speech_lost", "the voice is gone")
        yield (len(text) - len(text) // 2) * LETTER


@dataclass
class Scene:
    """A conversation that goes on; its time passes when told."""

    fake: FakeConversation
    ear: ScriptedEar
    mind: ScriptedMind
    voice: ScriptedVoice
    converses: asyncio.Task[None]

    async def user(self, words: str) -> None:
        """Says this, and stops."""
        await self.user_begins(words)
        await self.user_stops()

    async def user_begins(self, words: str, barges_in: bool = True) -> None:
        """A session interrupts what sounds before it tells that the user speaks."""
        for utterance in [u for u in self.fake.utterances.values() if u.heard_ms and not u.over]:
            if barges_in:
                self.fake.interrupt(utterance.id)
        self.fake.user_speaks()
        self.fake.user(words.encode())
        await self.settle()

    async def user_stops(self) -> None:
        self.fake.user_speaks(False)
        await self.settle()

    async def settle(self) -> None:
        """Until nothing moves any more."""
        for _ in range(200):
            await asyncio.sleep(0)

    async def play(self, ms: int) -> None:
        for _ in range(ms // 10):
            self.fake.play(10)
            await self.settle()

    def captions(self, final: bool = True) -> list[tuple[str, str]]:
        return [(e.speaker, e.text) for e in self.fake.events if isinstance(e, Captioned) and e.final is final]


@asynccontextmanager
async def scene(
    *answers: Sequence[str | Les | Exception], greeting: Sequence[str] = (), fails_at: str = "\0"
) -> AsyncIterator[Scene]:
    fake, ear, mind = FakeConversation(), ScriptedEar(), ScriptedMind([greeting, *answers])
    speak = ScriptedVoice(fails_at=fails_at)
    converses = asyncio.create_task(TurnTaker(Slots(ear, mind, speak)).converse(fake))
    played = Scene(fake, ear, mind, speak, converses)
    await played.settle()
    yield played
    fake.close()
    await asyncio.wait_for(converses, 5)
    assert fake.watched == 0


class TestTurn:
    async def test_is_answered(self) -> None:
        async with scene(["Fine, thanks. ", "And you?"]) as played:
            await played.user("how are you")
            assert played.fake.activity == "thinking"
            await played.play(1000)
            assert played.voice.said == ["Fine, thanks.", "And you?"]
            assert played.captions() == [("user", "how are you"), ("assistant", "Fine, thanks. And you?")]
            assert played.mind.asked == [[], [Message("user", "how are you")]]

    async def test_what_was_said_shortly_before_it_was_sure_belongs_to_it(self) -> None:
        async with scene(["Yes."]) as played:
            played.fake.user(b"are you ")
            await played.settle()
            await played.user("there")
            assert played.mind.asked[-1] == [Message("user", "are you there")]

    async def test_what_was_said_in_the_last_turn_does_not(self) -> None:
        async with scene(["Yes."], ["No."]) as played:
            await played.user("one")
            await played.play(500)
            await played.user("two")
            assert played.mind.asked[-1][-1] == Message("user", "two")

    async def test_the_assistant_may_greet(self) -> None:
        async with scene(greeting=["Hello!"]) as played:
            await played.play(300)
            assert played.captions() == [("assistant", "Hello!")]

    async def test_the_next_one_knows_what_was_said(self) -> None:
        async with scene(["One."], ["Two."]) as played:
            await played.user("first")
            await played.play(300)
            await played.user("second")
            assert played.mind.asked[-1] == [
                Message("user", "first"),
                Message("assistant", "One."),
                Message("user", "second"),
            ]

    async def test_of_noise_is_let_go(self) -> None:
        async with scene(["Never."]) as played:
            await played.user(".")
            assert played.mind.asked == [[]]
            assert played.fake.activity is None

    async def test_that_wants_no_answer_is_remembered(self) -> None:
        async with scene([], ["Yes."]) as played:
            await played.user("stop")
            assert played.fake.activity is None
            await played.user("there")
            assert played.mind.asked[-1] == [Message("user", "stop"), Message("user", "there")]


class TestSpeaking:
    async def test_begins_before_the_answer_is_whole(self) -> None:
        async with scene(["One. Tw", "o."]) as played:
            played.mind.waits = asyncio.Event()
            await played.user("count")
            await played.play(40)
            assert played.voice.said == ["One."]
            assert played.captions(final=False) == [("assistant", "One.")]
            played.mind.waits.set()
            await played.play(400)
            assert played.captions()[-1] == ("assistant", "One. Two.")

    async def test_captions_grow_with_what_is_heard(self) -> None:
        async with scene(["First one. ", "Second."]) as played:
            await played.user("count")
            await played.play(100)
            assert played.captions(final=False) == [("assistant", "First one.")]
            await played.play(150)
            assert played.captions(final=False)[-1] == ("assistant", "First one. Second.")

    async def test_waits_for_room(self) -> None:
        async with scene(["word " * 1000]) as played:
            await played.user("talk")
            buffered = sum(len(u.pcm) for u in played.fake.utterances.values())
            assert buffered < 12 * 2 * RATE  # of 100 s

    async def test_feelings_come_with_their_words(self) -> None:
        async with scene(["[happy]Ten letter. ", "A[s", "ad]nd so."]) as played:
            await played.user("feel")
            await played.play(1000)
            at = [(emotion, ms) for _, emotion, ms in played.fake.shown]
            assert at == [
                (HAPPY, 0),
                (SAD, pytest.approx(LETTER_MS * 12, abs=10)),
                (Les(), pytest.approx(LETTER_MS * 18, abs=2)),
            ]

    async def test_silence_around_the_words_does_not_shift_them(self) -> None:
        loud = np.full(8000, 9000, "<i2")
        assert voiced(np.pad(loud, (1000, 3000)).astype("<i2").tobytes()) == (1000, 9000)
        assert voiced(bytes(200)) == (0, 100)

    async def test_a_feeling_that_was_cut_off_is_gone_with_the_next_answer(self) -> None:
        async with scene(["[sad]Very long lament."], ["Well."]) as played:
            await played.user("what")
            await played.play(100)
            await played.user("enough")
            await played.play(100)
            assert [emotion for _, emotion, _ in played.fake.shown] == [SAD, Les()]


class TestInterruption:
    async def test_cancels_what_is_still_generated(self) -> None:
        async with scene(["One. ", "Two."]) as played:
            played.mind.waits = asyncio.Event()
            await played.user("count")
            await played.play(40)
            await played.user_begins("stop")
            played.mind.waits.set()
            await played.play(200)
            assert played.voice.said == ["One."]
            assert any(isinstance(event, SpeechInterrupted) for event in played.fake.events)

    async def test_only_what_was_heard_is_remembered(self) -> None:
        async with scene(["Four words stand here. And more."], ["Yes."]) as played:
            await played.user("talk")
            await played.play(230)
            await played.user("and now")
            assert played.captions()[1] == ("assistant", "Four words")
            assert played.mind.asked[-1] == [
                Message("user", "talk"),
                Message("assistant", "Four words"),
                Message("user", "and now"),
            ]

    async def test_before_the_first_sound_the_turn_goes_on(self) -> None:
        async with scene(["Never heard."], ["Yes."]) as played:
            await played.user("one ")
            await played.user("two")
            assert played.mind.asked[-1] == [Message("user", "one two")]
            await played.play(300)
            assert played.captions()[-1] == ("assistant", "Yes.")
            ids = {e.id for e in played.fake.events if isinstance(e, Captioned) and e.speaker == "user"}
            assert len(ids) == 1

    async def test_that_the_session_does_not_allow(self) -> None:
        async with scene(["Four words stand here."], ["Yes."]) as played:
            await played.user("talk")
            await played.play(230)
            await played.user_begins("and now", barges_in=False)
            await played.user_stops()
            await played.play(400)
            assert played.captions()[-1] == ("assistant", "Four words stand here.")
            assert played.mind.asked[-1] == [Message("user", "talk")]
            await played.user("again")
            assert played.mind.asked[-1][-1] == Message("user", "again")

    async def test_from_elsewhere_is_remembered_too(self) -> None:
        async with scene(["Four words stand here."], ["Yes."]) as played:
            await played.user("talk")
            await played.play(230)
            played.fake.interrupt()
            await played.settle()
            await played.user("go on")
            assert played.mind.asked[-1][1] == Message("assistant", "Four words")


FAILURE = SlotFailure("chat_lost", "the chat service broke off")


class TestFailures:
    async def test_of_the_mind_is_told_and_the_talk_goes_on(self) -> None:
        async with scene([FAILURE], ["Yes."]) as played:
            await played.user("one")
            assert played.fake.reports == [("chat_lost", "the chat service broke off")]
            assert played.fake.activity is None
            await played.user("two")
            await played.play(200)
            assert played.mind.asked[-1] == [Message("user", "two")]
            assert played.captions()[-1] == ("assistant", "Yes.")

    async def test_in_mid_sentence_keeps_what_came(self) -> None:
        async with scene(["One. Tw", FAILURE], ["Yes."]) as played:
            await played.user("count")
            await played.play(300)
            assert played.captions()[-1] == ("assistant", "One.")
            assert isinstance(played.fake.events[-2], SpeechEnded)
            assert [code for code, _ in played.fake.reports] == ["chat_lost"]

    async def test_of_the_voice(self) -> None:
        async with scene(["One. ", "Two."], fails_at="One.") as played:
            await played.user("count")
            await played.play(300)
            assert [code for code, _ in played.fake.reports] == ["speech_lost"]
            assert all(u.over for u in played.fake.utterances.values())

    async def test_of_the_ear(self) -> None:
        async with scene(["Never."]) as played:
            played.ear.says = SlotFailure("transcription_silent", "says nothing")
            await played.user("what")
            assert [code for code, _ in played.fake.reports] == ["transcription_silent"]

    async def test_a_fault_of_ours_ends_no_call(self, caplog: pytest.LogCaptureFixture) -> None:
        async with scene([ZeroDivisionError()], ["Yes."]) as played:
            await played.user("one")
            assert [code for code, _ in played.fake.reports] == ["assistant_failed"]
            assert "ZeroDivisionError" in caplog.text
            await played.user("two")
            await played.play(200)
            assert played.captions()[-1] == ("assistant", "Yes.")


class TestEnd:
    async def test_leaves_nothing(self) -> None:
        tasks = asyncio.all_tasks()
        async with scene(["One. ", "Two."]) as played:
            played.mind.waits = asyncio.Event()
            await played.user("count")
            await played.play(40)
            await played.user_begins("and")
        assert asyncio.all_tasks() == tasks
        assert played.ear.dropped == 1
