"""The portraits that ship with the package: rendered people who do not exist."""

from pathlib import Path

_FOLDER = Path(__file__).parent / "defaults"


def default_names() -> list[str]:
    """Their names, the first one first."""
    return sorted(path.stem for path in _FOLDER.glob("*.jpg"))


def default_photo(name: str) -> bytes:
    """The photo of one of `default_names()`; KeyError for another name."""
    if name not in default_names():
        raise KeyError(name)
    return (_FOLDER / f"{name}.jpg").read_bytes()
