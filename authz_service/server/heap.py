"""The C library's heap, held together, where that is glibc; elsewhere nothing is done.

What Python makes of small objects is not in it, but nearly all else, and all that is gRPC's. glibc
gives each thread that allocates an arena of its own, whose free memory no other thread gets: about
half a megabyte for each of gRPC's four that take turns. In one arena they share it. They seldom
wait for each other, as each has a cache of small pieces.
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import ctypes

_M_ARENA_MAX: Final = -8  # malloc.h


def share_one() -> None:
    """Have all threads that are still to come allocate from one arena.

    Whoever has told glibc otherwise, in the environment, has chosen.
    """
    tunables = os.environ.get("GLIBC_TUNABLES", "")
    if "MALLOC_ARENA_MAX" in os.environ or "glibc.malloc.arena_max" in tunables:
        return
    with contextlib.suppress(Exception):  # another C library, or a Python that cannot call one
        _c_library().mallopt(_M_ARENA_MAX, 1)


def give_back() -> None:
    """Let the system have what is free. A start frees much that is not needed again.

    Takes a fifth of a millisecond after a start with few routes; everybody waits meanwhile.
    """
    with contextlib.suppress(Exception):  # as above: nothing depends on it
        _c_library().malloc_trim(0)


def _c_library() -> ctypes.CDLL:
    import ctypes  # noqa: PLC0415 - not every Python has it

    return ctypes.CDLL(None)
