"""Where a user's files lie, by the XDG base directory specification: what can be made again apart from what can't."""

import os
from pathlib import Path

NAME = "les-avatar"


def cache_home() -> Path:
    """Compiled loops and what the machine was measured to carry. RuntimeError if the user has no home."""
    return _base("XDG_CACHE_HOME", ".cache") / NAME


def data_home() -> Path:
    """Portraits. RuntimeError if the user has no home."""
    return _base("XDG_DATA_HOME", ".local/share") / NAME


def _base(variable: str, below_home: str) -> Path:
    """A relative path in the environment does not count."""
    given = Path(os.environ.get(variable, ""))
    return given if given.is_absolute() else Path.home() / below_home
