"""What the commands' arguments name: a portrait, a background, a size."""

from pathlib import Path

from engine.background import Background
from engine.portrait import Portrait, PortraitError, default_names, default_photo, prepare
from engine.units import MAX_SIZE, MIN_SIZE, SIZE_STEP
from server.commands import Refusal


def read_file(path: Path) -> bytes:
    """A file's bytes, or a Refusal."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise Refusal(f"can't read {path}: {error.strerror}") from None


def open_portrait(name: str) -> Portrait:
    """A photo (prepared here and now), a prepared file, or a default portrait by its name."""
    if name not in default_names() and not Path(name).exists():
        raise Refusal(f"there is no file {name}, and the default portraits are {', '.join(default_names())}")
    data = default_photo(name) if name in default_names() else read_file(Path(name))
    try:
        return Portrait.from_bytes(data) if Portrait.is_prepared(data) else prepare(data)
    except PortraitError as error:
        raise Refusal(f"{name}: {error}") from None


def chosen_background(text: str) -> Background:
    """One by its name or colour, or a picture file."""
    try:
        return Background.of_picture(Path(text).read_bytes()) if Path(text).is_file() else Background.parse(text)
    except (OSError, ValueError) as error:
        raise Refusal(f"--background {text}: {error}") from None


def checked_size(size: int) -> int:
    """The picture's size if the renderer can draw it and a video codec can take it."""
    if not MIN_SIZE <= size <= MAX_SIZE or size % SIZE_STEP:
        raise Refusal(f"--size must be a multiple of {SIZE_STEP} from {MIN_SIZE} to {MAX_SIZE}, not {size}")
    return size
