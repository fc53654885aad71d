"""English sentences to speak: Debian's fortunes and shuffled dictionary words."""

import random
import re
from collections.abc import Iterator
from pathlib import Path

FORTUNES = Path("/usr/share/games/fortunes")
WORDS = Path("/usr/share/dict/american-english")
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


def _fortunes() -> list[str]:
    files = [f for f in FORTUNES.iterdir() if f.is_file() and not f.suffix and f.name not in SKIPPED]
    if not files:
        raise FileNotFoundError(f"no texts in {FORTUNES}: install Debian's package fortunes")
    text = "\n%\n".join(f.read_text("utf-8", "replace") for f in sorted(files))
    flat = (re.sub(r"\s+", " ", piece).strip() for piece in re.split(r"\n%\n|(?<=[.!?])\s", text))
    return [s for s in flat if SHORTEST <= len(s) <= LONGEST and re.fullmatch(r"[A-Za-z ,.;:'?!-]+", s)]


def _words() -> list[str]:
    return [w for w in WORDS.read_text().split() if w.isalpha() and w.isascii() and 2 < len(w) < 12]
