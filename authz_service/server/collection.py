"""Python's cyclic garbage collector, kept away from what is large and stays."""

from __future__ import annotations

import contextlib
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextlib.contextmanager
def building_what_stays() -> Iterator[None]:
    """Collect nothing meanwhile, and never look at what is there in the end.

    A collection looks at every object there is, and no Check is answered until it has: for ten
    thousand routes that is longer than Envoy waits. It would find nothing, as neither a policy nor
    what it is made from holds cycles; they go when nothing refers to them any more.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
