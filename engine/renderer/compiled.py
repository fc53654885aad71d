"""Functions compiled for the machine they run on; the result is kept on disk for the next start."""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
_HOW = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def compiled(function: F) -> F:
    """`function` as machine code that leaves the interpreter free; it neither checks bounds nor divides with care."""
    try:
        return cast(F, numba.njit(cache=True, **_HOW)(function))
    except RuntimeError:  # neither the package's folder nor the user's can be written: every start compiles anew
        return cast(F, numba.njit(**_HOW)(function))
