"""Text that comes in pieces, cut into sentences as soon as each is whole: the voice begins with the first of them."""

import re
from dataclasses import dataclass

from engine.les import Les

_END = re.compile(r"[.!?…]+[\"'”’)\]]*\s|\n")
_CLAUSE = re.compile(r".*[,;:–—]\s|.*\s", re.DOTALL)
_MARKUP = re.compile(r"[*`#]+|^\s*[-•]\s", re.MULTILINE)  # what language models write and nobody says
_ABBREVIATIONS = frozenset("mr mrs ms dr prof st vs etc e.g i.e a.m p.m no approx inc ltd jr sr".split())
MAX_SENTENCE = 240  # characters; a longer one is cut at a comma, or at a space


@dataclass(frozen=True)
class Sentence:
    text: str
    cues: tuple[tuple[int, Les], ...] = ()
    """(characters before it, emotion from there on), in order"""


class Sentences:
    def __init__(self) -> None:
        self._text = ""
        self._cues: list[tuple[int, Les]] = []

    def feed(self, part: str | Les) -> list[Sentence]:
        """The sentences that are whole with it."""
        if isinstance(part, Les):
            self._cues.append((len(self._text), part))
            return []
        self._text += part
        found = []
        while end := self._end():
            found += self._cut(end)
        return found

    def flush(self) -> list[Sentence]:
        """What is left at the end of the text: perhaps a sentence, perhaps an emotion without words."""
        last = self._cut(len(self._text))
        if self._cues:
            last.append(Sentence("", ((0, self._cues[-1][1]),)))
            self._cues.clear()
        return last

    def _end(self) -> int:
        """Where the first sentence ends; 0 if it is not whole yet."""
        for found in _END.finditer(self._text):
            if found[0] == "\n" or not _abbreviated(self._text[: found.start()], found[0]):
                return found.end()
        if len(self._text) < MAX_SENTENCE:
            return 0
        clause = _CLAUSE.match(self._text[:MAX_SENTENCE])
        return clause.end() if clause else MAX_SENTENCE

    def _cut(self, end: int) -> list[Sentence]:
        """The sentence before `end`; one without words leaves its emotions to the next."""
        raw, self._text = self._text[:end], self._text[end:]
        words = len(raw.rstrip())
        before = [(at, emotion) for at, emotion in self._cues if at < words]
        after = [(max(0, at - end), emotion) for at, emotion in self._cues if at >= words]
        if not any(sign.isalnum() for sign in raw):
            self._cues = [(0, emotion) for _, emotion in before] + after
            return []
        self._cues = after
        cues = ((len(_spoken(raw[:at])), emotion) for at, emotion in before)
        return [Sentence(_spoken(raw), tuple(cues))]


def _abbreviated(before: str, end: str) -> bool:
    word = before.rpartition(" ")[2].lstrip("(\"'").lower()
    return end[0] == "." and (word in _ABBREVIATIONS or (len(word) == 1 and word.isalpha() and word != "i"))


def _spoken(raw: str) -> str:
    return " ".join(_MARKUP.sub("", raw).split())
