"""Answers by rules: a first conversation without any language model, honest about how little it understands.

A pure function of what was said and of the time. Feelings stand in the answers as tags, as a language model would write
them.
"""

import re
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime

from engine.les import Les
from server.assistants.phrases import pattern, words_of
from server.assistants.slots import Message, Offline

HELLO = (
    "[happy 0.7] Hello! [happy 0.3] I am a picture that has learnt to talk. Ask me who I am, what time it is, or for a"
    " joke. Or say: repeat after me."
)
ASK_TO_REPEAT = "[happy 0.3] I will. What shall I say?"
JOKES = (
    "[happy 0.4] Why did the portrait go to court? [laughing 0.7] Because it had been framed!",
    "[happy 0.4] What do you call a picture that never stops talking? [laughing 0.7] A speaking likeness!",
    "[happy 0.4] I used to be a photograph. [laughing 0.7] Then things got moving!",
    "[happy 0.4] How does a portrait answer the phone? [laughing 0.7] It picks up the frame!",
)
HELP = (
    "Ask me who I am, what time it is, what day it is, or for a joke. Tell me to look surprised, or to say something"
    " sadly. Say repeat after me, and I say what you say."
)
LOOKS = {
    "happy": "[happy]This is my happy face.",
    "sad": "[sad]This is how I look when I am sad.",
    "angry": "[angry]This is my angry face. I do not mean it!",
    "surprised": "[surprised]Oh! [surprised 0.8]Do I look surprised?",
    "afraid": "[fear]Oh no! [fear 0.8]Is this afraid enough?",
    "disgusted": "[disgust]Ugh! [disgust 0.8]That is disgust.",
    "neutral": "[neutral]This is my neutral face.",
}
MOODS = "(sadly | happily | angrily | cheerfully | nervously | calmly | with a smile)"
FACES = "(happy | sad | angry | surprised | afraid | scared | disgusted | neutral)"
_SAME = {"scared": "afraid", "smile": "happy"}


@dataclass(frozen=True)
class Asked:
    """What the rules know when they answer."""

    text: str
    """The user's words, as `words_of` writes them, with a space after each."""
    history: Sequence[Message]
    now: datetime

    def times(self, answers: Sequence[str]) -> int:
        """How many of these were given already."""
        plain = {untagged(answer) for answer in answers}
        return sum(message.role == "assistant" and message.text in plain for message in self.history)

    def next(self, answers: Sequence[str]) -> str:
        return answers[self.times(answers) % len(answers)]


@dataclass(frozen=True)
class Rule:
    phrase: str
    """In the notation of `server.assistants.phrases`."""
    answer: Callable[[Asked], str]


def _always(answer: str) -> Callable[[Asked], str]:
    return lambda asked: answer


def _time(asked: Asked) -> str:
    hour = asked.now.hour % 12 or 12
    part = "at night" if asked.now.hour < 5 else "in the morning" if asked.now.hour < 12 else "in the afternoon"
    part = "in the evening" if asked.now.hour >= 18 else part
    minutes = f"{asked.now.minute:02d}" if asked.now.minute else "o'clock"
    return f"It is {hour} {minutes} {part}." if minutes == "o'clock" else f"It is {hour}:{minutes} {part}."


def _date(asked: Asked) -> str:
    day = asked.now.day
    ending = "th" if 10 < day < 20 else {1: "st", 2: "nd", 3: "rd"}.get(day % 10, "th")
    return f"Today is {asked.now:%A}, {asked.now:%B} {day}{ending}, {asked.now.year}."


def _joke(asked: Asked) -> str:
    return asked.next(JOKES)


def _again(asked: Asked) -> str:
    said = next((message.text for message in reversed(asked.history) if message.role == "assistant"), "")
    found = re.search(MOODS.replace(" | ", "|"), asked.text)
    mood = {"with a smile": "happy"}.get(found[0], found[0]) if found else "neutral"
    return f"[{mood}]{said}" if said else "I have not said anything yet."


def _look(asked: Asked) -> str:
    found = re.search(FACES.replace(" | ", "|") + "|smile", asked.text)
    assert found, "the phrase asks for a face"
    return LOOKS[_SAME.get(found[0], found[0])]


RULES: tuple[Rule, ...] = (
    Rule("(stop | be quiet | shut up | that is enough)", _always("")),
    Rule("(repeat | say) after me", _always(ASK_TO_REPEAT)),
    Rule(f"say (it | that) [again] {MOODS}", _again),
    Rule("(say (it | that) again | repeat that | once more | pardon)", _again),
    Rule(f"(look | be | act) {FACES}", _look),
    Rule(f"(show me | make) (a | your) {FACES} face", _look),
    Rule("smile", _look),
    Rule("(who are you | what are you | what is your name | tell me about yourself)", lambda asked: asked.next((
        "I am a portrait, brought to life by les avatar. A voice moves my lips, and forty one facial units move the"
        " rest of my face. [happy 0.5] Nice to meet you!",
        "Still the same portrait. [happy 0.4] One photo, a voice, and forty one facial units.",
    ))),
    Rule("how are you [doing] [today]", _always("[happy 0.6] Very well, thank you! [happy 0.2] And how are you?")),
    Rule("(what can you do | what can i say | help [me] | what do you understand)", _always(HELP)),
    Rule("(what time is it | what is the time | tell me the time)", _time),
    Rule("(what day is it | what is the date | what is today | what is the date today | what is today's date)", _date),
    Rule("(tell me a joke | tell me another joke | another joke | a joke please | make me laugh)", _joke),
    Rule("(are you real | are you human | are you a robot | are you a person)", _always(
        "No. I am one photo and a good deal of arithmetic. [happy 0.4] But I try to look alive."
    )),
    Rule("how do you work", _always(
        "A small network listens to my voice and moves a face made of your photo, twenty five times a second."
    )),
    Rule("how old are you", _always("[thinking 0.6] My photo never ages. [happy 0.4] I call that an advantage.")),
    Rule("where are you", _always("Inside the computer that serves this page. [happy 0.3] It is quite cosy.")),
    Rule("(thank you | thanks)", _always("[happy 0.6] You are welcome!")),
    Rule("(goodbye | good bye | bye bye | see you later)", _always("[happy 0.5] Good bye! [sad 0.2] Come back soon.")),
    Rule("(i am (fine | well | good | great | happy))", _always("[happy 0.7] I am glad to hear that!")),
    Rule("(i am (sad | tired | unhappy | not well))", _always("[empathetic] I am sorry to hear that.")),
    Rule("(you are beautiful | you look good | i like you | i love you)", _always("[embarrassed] Oh, thank you!")),
    Rule("(hello | hi | hey | good morning | good afternoon | good evening)", lambda asked: asked.next((
        "[happy 0.6] Hello! What can I do for you?",
        "[happy 0.5] Hello again!",
    ))),
)  # fmt: skip

_COMPILED = tuple((pattern(rule.phrase), rule) for rule in RULES)
_REPEAT = re.compile(r"\b(?:repeat|say) after me\W+(.+)", re.IGNORECASE | re.DOTALL)
_SAY = re.compile(r"^\W*(?:please )?say\W+(.+?)(?:\W+(sadly|happily|angrily|cheerfully|nervously|calmly))?\W*$", re.I)
FALLBACKS = (
    "[confused 0.7] I heard: {}. I am only a handful of rules, and none of them knows that. Try: what can you do?",
    "[confused 0.6] I heard: {}. That is beyond me.",
)


def answer(history: Sequence[Message], now: datetime) -> str:
    """What is said to the last message, with tags; empty if nothing is."""
    if not history:
        return HELLO
    text, before = history[-1].text.strip(), history[:-1]
    if before and before[-1] == Message("assistant", untagged(ASK_TO_REPEAT)):
        return text
    if found := _REPEAT.search(text):
        return found[1]
    asked = Asked(words_of(text) + " ", before, now)
    for known, rule in _COMPILED:
        if known.search(asked.text):
            return rule.answer(asked)
    if found := _SAY.match(text):
        return f"[{found[2].lower()}]{found[1]}" if found[2] else found[1]
    return _fallback(asked, text)


def _fallback(asked: Asked, text: str) -> str:
    told = any(message.role == "assistant" and "handful of rules" in message.text for message in asked.history)
    return FALLBACKS[told].format(text.rstrip(".!?"))


def untagged(answer: str) -> str:
    """As it is heard and remembered."""
    return " ".join(re.sub(r"\[[^\]]*\]", " ", answer).split())


class RuleReplier(Offline):
    """`server.assistants.slots.Reply`."""

    def __init__(self, clock: Callable[[], datetime] = datetime.now) -> None:
        """`clock` tells the local time."""
        self._clock = clock

    async def reply(self, history: Sequence[Message]) -> AsyncGenerator[str | Les, None]:
        yield answer(history, self._clock())
