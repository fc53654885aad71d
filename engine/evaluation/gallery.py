"""Ten portraits that the avatar must hold on: the default ones, and photos and a painting from the films' package."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from engine.evaluation.clips import media
from engine.portrait import Portrait, PortraitError, default_names, default_photo, prepare

COUNT = 10
PHOTOS = ("audrey", "SeanConnery", "franck_02221", "franck_04000", "joconde", "cage", "bieber_small", "franck_03909")
"""In the order in which they fill the ten."""


@dataclass(frozen=True, eq=False)
class Shown:
    """A prepared portrait with its name."""

    name: str
    portrait: Portrait


def gallery(folder: Path, count: int = COUNT) -> Iterator[Shown]:
    """The first `count` that can be prepared; `folder` is where films are kept."""
    left = count
    for name, data in _photos(folder):
        try:
            portrait = prepare(data)
        except PortraitError:
            continue  # a photo that the product refuses is shown to nobody
        yield Shown(name, portrait)
        left -= 1
        if not left:
            return


def _photos(folder: Path) -> Iterator[tuple[str, bytes]]:
    for name in default_names():
        yield name, default_photo(name)
    for name in PHOTOS:
        yield name, (media(folder) / f"{name}.jpg").read_bytes()
