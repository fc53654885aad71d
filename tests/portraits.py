"""The default portraits, prepared once for all tests."""

from functools import cache

from engine.portrait import Portrait, default_photo, prepare


@cache
def portrait(who: str = "anna") -> Portrait:
    """As a server holds it: nobody can write into its arrays, so that tests can share it."""
    return Portrait.from_bytes(prepare(default_photo(who)).to_bytes())
