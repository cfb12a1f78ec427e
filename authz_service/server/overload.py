"""The log of Checks that were refused unread: one event for many, or the log would be the load."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import structlog

if TYPE_CHECKING:
    from collections.abc import Callable

EVERY: Final = 1.0
"""Seconds between two events."""

_log = structlog.get_logger(__name__)


class OverloadLog:
    """Tells that there is an overload, and how many Checks it has cost."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Nothing was refused yet. *clock* gives seconds."""
        self._clock = clock
        self._refused = 0
        self._next = float("-inf")

    def note(self) -> None:
        """Note one refusal; the first, and then one in each second, is told with those before."""
        self._refused += 1
        if (now := self._clock()) >= self._next:
            _log.warning("overloaded", refused=self._refused)
            self._refused, self._next = 0, now + EVERY
