"""Who is told of each Check that was answered: metrics, logs and traces."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.core.decision import DenyReason, refusal
from authz_service.ext_authz.servicer import log_bug
from authz_service.server.background import in_background
from authz_service.server.overload import OverloadLog
from authz_service.telemetry.logs.checks import CheckLog

if TYPE_CHECKING:
    from authz_service.core.decision import Decision
    from authz_service.core.request import HttpRequest
    from authz_service.ext_authz.servicer import DecidedCheck
    from authz_service.telemetry.logs.settings import LogSettings
    from authz_service.telemetry.metrics import Metrics
    from authz_service.telemetry.traces import Traces

GATHER: Final = 0.1
"""Seconds from a Check to its line in the log, where no other waits."""

AT_ONCE: Final = 32
"""Lines that are made in one go, which takes about as long as two Checks do."""

GATHERED: Final = 4 * AT_ONCE
"""Checks that wait for their lines at the most before these are begun with.

Each holds 2 KB with its headers, and a busy process would keep the room for the most there were.
"""

TRACES_WITHIN: Final = 2.0
"""Seconds that the stop waits at the most for a collector to take the last spans."""

_Told = tuple["HttpRequest", "Decision", float, "dict[str, str] | None"]

_log = structlog.get_logger(__name__)


class CheckObserver:
    """Counts and logs each Check, and makes its span if there are traces."""

    def __init__(self, metrics: Metrics, log: LogSettings, traces: Traces | None) -> None:
        """Nothing is told yet."""
        self._metrics = metrics
        self._log_check = CheckLog(log)
        self._overload_log = OverloadLog()
        self._traces = traces
        self._unlogged: deque[tuple[int, _Told]] = deque()
        self._next: asyncio.Handle | None = None
        self._is_gathering = False

    def announce(self) -> None:
        """Log what the readers of the log have to know about it."""
        self._log_check.announce()

    def __call__(self, check: DecidedCheck) -> None:
        """Tell of *check*. Those that an overload has cost are one event for many.

        It is counted at once, and logged a moment later with those that come meanwhile: the
        processor does a thing many times in a row much faster than now and then.
        """
        self._metrics.count(check.decision, check.seconds)
        deny = refusal(check.decision)
        if deny is not None and deny.reason is DenyReason.OVERLOADED:
            self._overload_log.note()
            return
        if self._traces is not None:
            metadata = check.metadata() or ()
            self._traces.record(check.request, check.decision, check.seconds, metadata)
        if not self._log_check.is_on:
            return
        # Nothing of gRPC's is kept: it is to be done with its call.
        extensions = dict(check.context_extensions) if check.context_extensions else None
        told = (check.request, check.decision, check.seconds, extensions)
        self._schedule()  # first: what could not be scheduled must not wait for ever
        self._unlogged.append((time.time_ns(), told))

    def _schedule(self) -> None:
        """See to it that the lines are begun with: in a while, or at once where many wait."""
        if self._next is None:
            self._next = asyncio.get_running_loop().call_later(GATHER, self._log_in_parts)
            self._is_gathering = True
        elif self._is_gathering and len(self._unlogged) + 1 >= GATHERED:
            soon = asyncio.get_running_loop().call_soon(self._log_in_parts)
            self._unschedule()
            self._next = soon

    def _unschedule(self) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next, self._is_gathering = None, False

    def _log_in_parts(self) -> None:
        """Log some, and the rest when those Checks have been answered that came meanwhile."""
        self._unschedule()
        for _ in range(min(len(self._unlogged), AT_ONCE)):
            self._log_next()
        if self._unlogged:
            self._next = asyncio.get_running_loop().call_soon(self._log_in_parts)

    def _log_next(self) -> None:
        at, told = self._unlogged.popleft()
        try:
            self._log_check(*told, at=at)
        except Exception as error:  # noqa: BLE001 - the others are to be told all the same
            log_bug("observer_failed", error)

    def flush(self) -> None:
        """Log what has not been logged yet."""
        self._unschedule()
        while self._unlogged:
            self._log_next()

    async def stop(self, *, within: float) -> None:
        """Log what is left, and let the collector have the last spans: *within* seconds."""
        self.flush()
        if self._traces is None:
            return
        try:
            async with asyncio.timeout(min(within, TRACES_WITHIN)):
                await in_background(self._traces.stop)
        except TimeoutError:
            _log.warning("traces_lost", why="they could not be exported in time")
