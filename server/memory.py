"""What this process holds: freed memory goes back to the system, and what stays for good is not searched for garbage.

A call's end frees some ten megabytes (encoders, decoders, encryption) in small pieces. glibc keeps them, each thread's
apart, so that a server would grow with the calls that come and go though it holds nothing of them. And a search for
garbage among all that was there before the first call would stop everything for the length of two pictures.
"""

import ctypes
import gc
import sys

ARENA_MAX = -8  # see mallopt(3)
ARENAS = 1

_LIBRARY = ctypes.CDLL(None) if sys.platform == "linux" else None
_GLIBC = _LIBRARY if hasattr(_LIBRARY, "malloc_trim") else None  # other systems' allocators look after themselves


def share_arenas() -> None:
    """All threads that begin from now on allocate from the same memory: what one has freed, another takes."""
    if _GLIBC:
        _GLIBC.mallopt(ARENA_MAX, ARENAS)


def settle() -> None:
    """What is there now stays: only what comes later is searched for garbage."""
    gc.collect()
    gc.freeze()


def give_back() -> None:
    """After something large has ended. It takes milliseconds, in which other threads that allocate wait."""
    gc.collect()
    if _GLIBC:
        _GLIBC.malloc_trim(0)
