"""Functions compiled for the machine they run on; the result is kept in the user's cache for the next start."""

import hashlib
from collections.abc import Callable
from pathlib import Path
from types import CodeType
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.core.dispatcher import Dispatcher

from engine.places import cache_home

F = TypeVar("F", bound=Callable[..., Any])
_HOW = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}


def compiled(function: F) -> F:
    """`function` as machine code that leaves the interpreter free; it neither checks bounds nor divides with care."""
    before = numba.config.CACHE_DIR
    try:
        # On its own numba writes beside the source, where an uninstallation leaves it and other users may not.
        numba.config.CACHE_DIR = str((Path(before) if before else cache_home() / "compiled") / _frozen(function))
        return cast(F, numba.njit(cache=True, **_HOW)(function))
    except RuntimeError:  # no home, and nothing else can be written: every start compiles anew
        return cast(F, numba.njit(**_HOW)(function))
    finally:
        numba.config.CACHE_DIR = before


def _frozen(function: Callable[..., Any]) -> str:
    """A name for what the machine code holds of other modules: constants, and functions that it calls.

    numba looks at the date of the function's own file only, and would go on with what it compiled before they changed.
    """
    code = function.__code__
    literals = [value for value in code.co_consts if not isinstance(value, CodeType)]
    digest = hashlib.sha256(code.co_code + repr(literals).encode())
    for name in code.co_names:
        match function.__globals__.get(name):
            case Dispatcher() as called:
                digest.update(_frozen(called.py_func).encode())
            case np.ndarray() as values:
                digest.update(values.tobytes())
            case int() | float() | str() | tuple() | np.generic() as value:
                digest.update(repr(value).encode())
    return digest.hexdigest()[:16]
