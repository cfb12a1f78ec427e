"""The log of Checks that were refused unread: one event for many, or the log would be the load."""

from __future__ import annotations

import asyncio
from typing import Final

import structlog

EVERY: Final = 1.0
"""Seconds between two events."""

_log = structlog.get_logger(__name__)


class OverloadLog:
    """Tells that there is an overload, and how many Checks it has cost."""

    def __init__(self) -> None:
        """Nothing was refused yet. `note` needs a running event loop."""
        self._untold = 0
        self._timer: asyncio.TimerHandle | None = None

    def note(self) -> None:
        """Note one refusal. The first is told at once, those of the next second at its end."""
        self._untold += 1
        if self._timer is None:
            self._tell()

    def _tell(self) -> None:
        self._timer = None
        if self._untold:
            _log.warning("overloaded", refused=self._untold)
            self._untold = 0
            self._timer = asyncio.get_running_loop().call_later(EVERY, self._tell)
