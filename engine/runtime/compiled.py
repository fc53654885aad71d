"""Functions compiled for the machine they run on; the result is kept in the user's cache for the next start."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

from engine.places import cache_home

F = TypeVar("F", bound=Callable[..., Any])
_HOW = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def compiled(function: F) -> F:
    """`function` as machine code that leaves the interpreter free; it neither checks bounds nor divides with care."""
    before = numba.config.CACHE_DIR
    try:
        # On its own numba writes beside the source, where an uninstallation leaves it and other users may not.
        numba.config.CACHE_DIR = before or str(cache_home() / "compiled")
        return cast(F, numba.njit(cache=True, **_HOW)(function))
    except RuntimeError:  # no home, and nothing else can be written: every start compiles anew
        return cast(F, numba.njit(**_HOW)(function))
    finally:
        numba.config.CACHE_DIR = before
