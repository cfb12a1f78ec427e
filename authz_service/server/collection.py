"""Python's cyclic garbage collector, kept away from what is large and stays."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_YOUNGEST: Final = 0
_NEVER: Final = 2**31 - 1


@contextlib.contextmanager
def building_what_stays() -> Iterator[None]:
    """Look only at what is young meanwhile, and never again at what is there in the end.

    A full collection looks at every object there is, and no Check is answered until it has: for ten
    thousand routes that is longer than Envoy waits. It would find nothing in a policy, which holds
    no cycles and goes when nothing refers to it any more. But what Checks leave behind while a
    policy is built may be cycles, which would stay for ever if they were set aside with it; they
    are found where they arise, among the few objects that are new.
    """
    usual = gc.get_threshold()
    gc.set_threshold(usual[0], _NEVER, _NEVER)
    try:
        yield
    finally:
        gc.collect(_YOUNGEST)
        gc.freeze()
        gc.set_threshold(*usual)
