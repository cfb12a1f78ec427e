"""Faults that somebody could bring about again and again, told a bounded number of times."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

    from structlog.typing import EventDict

BURST: Final = 10
"""Times that an event is told at once."""
EVERY: Final = 10.0
"""Seconds after which it may be told once more."""
BOUNDED: Final = frozenset({
    "check_failed", "check_unreadable", "library_logged", "observer_failed", "python_warning",
    "unhandled_error",
})  # fmt: skip
"""The events that this holds for. A Check has its `check` all the same, with its reason."""


@dataclass(slots=True)
class _Burst:
    allowance: float
    seen_at: float
    suppressed: int = 0


class Bursts:
    """Drops the events of `BOUNDED` that come too often, and tells in the next how many."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """*clock* gives seconds."""
        self._clock = clock
        self._bursts: dict[str, _Burst] = {}

    def __call__(self, _logger: object, _level: str, event: EventDict) -> EventDict:
        """Pass *event* on. Raises DropEvent."""
        if event["event"] not in BOUNDED:
            return event
        burst = self._burst(event["event"])
        if burst.allowance < 1:
            burst.suppressed += 1
            raise structlog.DropEvent
        burst.allowance -= 1
        if burst.suppressed:
            event["suppressed"], burst.suppressed = burst.suppressed, 0
        return event

    def _burst(self, name: str) -> _Burst:
        now = self._clock()
        burst = self._bursts.setdefault(name, _Burst(BURST, now))
        burst.allowance = min(BURST, burst.allowance + (now - burst.seen_at) / EVERY)
        burst.seen_at = now
        return burst
