"""What is spoken: Debian's fortunes and shuffled words of its English dictionary; rows of foreign words.

Voices that know only their own language read names of places, languages, scripts and currencies in it (CLDR), or what
was read when they were recorded.
"""

import random
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import numpy as np
from babel import Locale

FORTUNES = Path("/usr/share/games/fortunes")
WORDS = Path("/usr/share/dict/american-english")
FOREIGN = tuple(Path("/usr/share/dict") / name for name in ("dutch", "polish", "spanish"))
"""Lists under a permissive licence; any voice reads any of them: what counts are its own sounds."""
PROMPTS = Path("/usr/share/festival/voices/russian/msu_ru_nsh_clunits/etc/txt.done.data")
"""What the Russian voice read when its units were recorded."""
PACKAGES = "fortunes wamerican wdutch wpolish wspanish"
SHORTEST, LONGEST = 12, 160  # characters
SKIPPED = {"ascii-art", "debian"}  # pictures and changelogs are no sentences


def sentences(seed: int) -> Iterator[str]:
    """Endless; two fortunes, then a row of random words, in an order fixed by `seed`."""
    rng = random.Random(seed)
    fortunes, words = _fortunes(), _words()
    while True:
        yield rng.choice(fortunes)
        yield rng.choice(fortunes)
        yield " ".join(rng.sample(words, rng.randint(3, 9))).capitalize() + "."


@cache
def _fortunes() -> list[str]:
    files = [f for f in FORTUNES.glob("*") if f.is_file() and not f.suffix and f.name not in SKIPPED]
    text = "\n%\n".join(f.read_text("utf-8", "replace") for f in sorted(files)) or _read(FORTUNES / "fortunes")
    flat = (re.sub(r"\s+", " ", piece).strip() for piece in re.split(r"\n%\n|(?<=[.!?])\s", text))
    return [s for s in flat if SHORTEST <= len(s) <= LONGEST and re.fullmatch(r"[A-Za-z ,.;:'?!-]+", s)]


@cache
def _words() -> list[str]:
    return [w for w in _read(WORDS).split() if w.isalpha() and w.isascii() and 2 < len(w) < 12]


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8", "replace")
    except FileNotFoundError as error:
        raise FileNotFoundError(f"no texts in {path}: install Debian's packages {PACKAGES}") from error


def foreign(rng: np.random.Generator) -> str:
    """Three to nine words of one list, some of them parted by commas."""
    words = _foreign_words(FOREIGN[rng.integers(len(FOREIGN))])
    chosen = [words[i] for i in rng.integers(len(words), size=rng.integers(3, 10))]
    return " ".join(word + ("," if rng.random() < 0.15 else "") for word in chosen) + "."


@cache
def _foreign_words(path: Path) -> list[str]:
    """Every fifth word: Polish counts four millions."""
    return [w for w in _read(path).split()[::5] if w.isalpha() and 2 < len(w) < 12]


def names(language: str, rng: np.random.Generator) -> list[str]:
    """Three to seven words that somebody who speaks `language` ("de") reads by its rules."""
    words = _names(language)
    return [words[i] for i in rng.integers(len(words), size=rng.integers(3, 8))]


@cache
def _names(language: str) -> list[str]:
    locale = Locale(language)
    told = (locale.languages, locale.territories, locale.scripts, locale.currencies)
    words = {word for table in told for name in table.values() for word in re.split(r"[\s()’'-]+", name)}
    return sorted(w for w in words if w.isalpha() and not w[1:].isupper() and 2 < len(w) < 14)


def russian(rng: np.random.Generator) -> str:
    prompts = _prompts()
    return prompts[rng.integers(len(prompts))]


@cache
def _prompts() -> list[str]:
    lines = re.findall(r'^\( \S+ "(.*)" \)$', _read(PROMPTS), re.MULTILINE)
    return [line for line in lines if SHORTEST <= len(line) <= LONGEST]


def load() -> None:
    """Read all lists now, for every process that is forked later."""
    _fortunes()
    _words()
    for path in FOREIGN:
        _foreign_words(path)
