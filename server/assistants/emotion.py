"""What assistants call feelings, as points of the Linear Emotion Space; and the tags in their text that name them.

A tag stands in square brackets or in angle ones, before the words that it belongs to: `[happy 0.6]`, `[sad]`,
`[AU4=0.3]`, `[joy=0.5, AU1=0.2]`, `<emotion value="angry"/>`; `[neutral]` and any closing tag (`[/sad]`) end it. An
emoji is a tag, too. A tag that nobody knows is left out of the speech all the same.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType

from engine.les import AXES, EMOTIONS, Les, LesError, parse

# Expression at level 1, then the words for it: those of the protocols and of language models' habits. The words are of
# GoEmotions (Demszky et al. 2020), VRM's expression presets, Live2D chat front ends, Azure's speaking styles, and the
# emotion tags of Cartesia and ElevenLabs, which nobody can read aloud.
_TABLE: Mapping[str, str] = MappingProxyType(
    {
        "": "neutral normal none default serious",
        "happiness=1": "happiness happy happily joy joyful joyfully glad cheerful cheerfully smile smiling delighted",
        "happiness=1, AU26=0.6": "laughing laugh laughs laughter laughingly euphoric triumphant",
        "happiness=0.8, AU5=0.3, AU1=0.3, AU2=0.3": "excited excitement excitedly enthusiastic elated eager",
        "happiness=0.6": "friendly amusement amused optimism optimistic hopeful gratitude grateful proud playful",
        "happiness=0.5, AU1=0.2": "love loving caring affectionate affection admiration desire flirtatious tender",
        "happiness=0.25": "calm calmly content contented relaxed relief relieved peaceful serene gentle confident",
        "happiness=0.4, AUR12=0.4, AUR14=0.3": "smirk smirking smug mischievous mischievously teasing wink",
        "sadness=1": "sadness sad sadly grief sorrow sorrowful crying cry cries depressed heartbroken",
        "sadness=0.5": "disappointment disappointed remorse apologetic sorry melancholic nostalgic tired sigh lonely",
        "sadness=0.3, AU1=0.3": "empathetic empathy sympathetic sympathy compassion compassionate concerned",
        "anger=1": "anger angry angrily furious mad rage outraged shouting",
        "anger=0.5": "annoyance annoyed frustrated frustration disapproval unfriendly disgruntled irritated stern",
        "fear=1": "fear fearful fearfully afraid scared terrified panicked frightened horror",
        "fear=0.5": "nervousness nervous nervously anxious worried worry hesitant insecure",
        "disgust=1": "disgust disgusted disgustedly revolted",
        "contempt=1": "contempt contemptuous contemptuously scornful sarcastic sarcastically",
        "surprise=1": "surprise surprised amazed astonished shocked gasp gasps wow",
        "surprise=0.6": "realization impressed",
        "AU1=0.4, AU2=0.5, AU5=0.2": "curious curiosity curiously interested",
        "AU4=0.5, AU1=0.3": "confusion confused puzzled skeptical doubtful",
        "AU4=0.3, AU14=0.2": "thinking thoughtful pensive contemplative thoughtfully",
        "happiness=0.3, AU24=0.4, AU17=0.2": "embarrassment embarrassed shy ashamed",
        "AU4=0.2, AU7=0.2": "determined focused",
    }
)
_EMOJI: Mapping[str, str] = MappingProxyType(
    {
        "😀😃😄😊☺🙂😁🥳🎉👍": "happy", "😂🤣😆": "laughing", "🤩✨": "excited", "❤💕🥰😍😘🤗": "love",
        "😌😇": "calm", "😏😉😜": "smirk", "😢😭☹🙁💔": "sad", "😞😔😟": "disappointed", "😠😡🤬": "angry",
        "😤🙄": "annoyed", "😱😨": "fear", "😰😬😅": "nervous", "🤢🤮": "disgust", "😮😲😯🤯": "surprise",
        "🤔": "thinking", "😕🤨": "confused", "😳🫣": "embarrassed", "😐😶": "neutral",
    }
)  # fmt: skip


def _labels() -> Mapping[str, Les]:
    words = {word: parse(levels) for levels, words in _TABLE.items() for word in words.split()}
    axes = {axis.lower(): Les.of({axis: 1.0}) for axis in AXES}
    emoji = {sign: words[label] for signs, label in _EMOJI.items() for sign in signs}
    return MappingProxyType(words | axes | emoji)


LABELS: Mapping[str, Les] = _labels()
"""Lower-case label, axis or emoji -> expression at level 1."""

MAX_TAG = 80  # characters; what goes on for longer is no tag
_CLOSING = {"[": "]", "<": ">"}
_ITEM = re.compile(r"([a-z][\w-]*)(?:(?:\s*[=:]\s*|\s+)(\d*\.?\d+)\s*(%?))?")
_FRAME = re.compile(r"\b(?:emotion|mood|expression|feeling|value|name|level|intensity)\b\s*[=:]?|[\"',;]")
_JOINERS = "\ufe0f\u200d🏻🏼🏽🏾🏿"  # what follows an emoji to change its looks


def emotion_of(label: str, level: float = 1.0) -> Les:
    """The expression that any of the protocols means; LesError where none is, or the level is not 0 to 1."""
    found = LABELS.get(label.strip().lower())
    if found is None:
        raise LesError(f"nobody knows the emotion {label[:40]!r}; the main ones are {', '.join(EMOTIONS)}")
    if not 0 <= level <= 1:
        raise LesError(f"{label}={level}: the level must be a number from 0 to 1")
    return Les.clipped([level * value for value in found.values])


def read_tag(inside: str) -> Les | None:
    """What stands between the brackets of a tag; None if nobody knows it."""
    words = inside.strip().lower()
    if words.startswith("/"):
        return Les()
    words = _FRAME.sub(" ", words.removesuffix("/")).strip()
    if not words or _ITEM.sub("", words).strip():
        return None
    total = Les()
    try:
        for label, level, percent in _ITEM.findall(words):
            total += emotion_of(label, float(level or 1) / (100 if percent else 1))
    except LesError:
        return None
    return total


class TagReader:
    """Text in pieces cut anywhere; words and emotions out, in order."""

    def __init__(self) -> None:
        self._tag = ""
        """What has come of a tag that is not closed yet."""

    def feed(self, text: str) -> list[str | Les]:
        found: list[str | Les] = []
        for sign in text:
            self._read(sign, found)
        return found

    def flush(self) -> list[str | Les]:
        """At the end of the text: a tag that was cut off is left out."""
        self._tag = ""
        return []

    def _read(self, sign: str, found: list[str | Les]) -> None:
        if self._tag:
            self._continue(sign, found)
        elif sign in _CLOSING:
            self._tag = sign
        elif sign in LABELS and not sign.isascii():
            found.append(LABELS[sign])
        elif sign not in _JOINERS:
            _say(sign, found)

    def _continue(self, sign: str, found: list[str | Les]) -> None:
        opened = self._tag[0]
        if sign == _CLOSING[opened]:
            emotion, self._tag = read_tag(self._tag[1:]), ""
            if emotion is not None:
                found.append(emotion)
        elif sign in "[\n" or len(self._tag) >= MAX_TAG or (self._tag == "<" and not (sign.isalpha() or sign == "/")):
            _say(self._tag, found)
            self._tag = ""
            self._read(sign, found)
        else:
            self._tag += sign


def _say(text: str, found: list[str | Les]) -> None:
    """Adds words to the ones before."""
    if found and isinstance(found[-1], str):
        found[-1] += text
    else:
        found.append(text)
