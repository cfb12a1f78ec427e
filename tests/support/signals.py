"""Signal handlers, which `serve` takes over as soon as it is asked for."""

from __future__ import annotations

import contextlib
import signal
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

_TAKEN: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)


@contextlib.contextmanager
def signals_as_before() -> Iterator[None]:
    """Put back what was there: after `serve`, not even who stops a run of tests is heard."""
    before = {number: signal.getsignal(number) for number in _TAKEN}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
