"""A small notation for what people may say: words, `(this | that)` and `[perhaps]`, as in the JSpeech Grammar Format.

One phrase serves twice: as a grammar for a speech recogniser, and as a pattern that finds it in recognised text.
"""

import re
from collections.abc import Iterable

_SIGNS = {"(": "(?:", "|": "|", ")": ")", "[": "(?:", "]": ")?"}
_TOKEN = re.compile(r"[()|\[\]]|[a-z']+")
_SPELLINGS = {
    "what's": "what is", "who's": "who is", "where's": "where is", "how's": "how is", "i'm": "i am",
    "you're": "you are", "that's": "that is", "it's": "it is", "cannot": "can not", "good-bye": "goodbye",
}  # fmt: skip


def words_of(text: str) -> str:
    """Lower case, no signs, contractions in full: how phrases are written."""
    words = re.findall(r"[a-z0-9][a-z0-9'-]*", text.lower().replace("’", "'"))
    return " ".join(_SPELLINGS.get(word, word) for word in words)


def pattern(phrase: str) -> re.Pattern[str]:
    """Matches the phrase in text that went through `words_of`, with a space after each word."""
    tokens = _TOKEN.findall(phrase)
    if len("".join(tokens)) != len("".join(phrase.split())):
        raise ValueError(f"{phrase!r}: words of small letters, ( | ) and [ ] are known")
    return re.compile(r"\b" + "".join(_SIGNS.get(token, f"{token} ") for token in tokens))


def words_in(phrase: str) -> set[str]:
    return {token for token in _TOKEN.findall(phrase) if token not in _SIGNS}


def grammar(phrases: Iterable[str]) -> str:
    """JSGF of any one of these."""
    choices = " | ".join(f"( {phrase} )" for phrase in phrases)
    return f"#JSGF V1.0;\ngrammar phrases;\npublic <said> = {choices};\n"
