"""Who is told of each Check that was answered: metrics, logs and traces."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.core.decision import DenyReason, refusal
from authz_service.server.background import in_background
from authz_service.server.overload import OverloadLog
from authz_service.telemetry.logs.checks import CheckLog

if TYPE_CHECKING:
    from authz_service.ext_authz.servicer import DecidedCheck
    from authz_service.telemetry.logs.settings import LogSettings
    from authz_service.telemetry.metrics import Metrics
    from authz_service.telemetry.traces import Traces

TRACES_WITHIN: Final = 2.0
"""Seconds that the stop waits at the most for a collector to take the last spans."""

_log = structlog.get_logger(__name__)


class CheckObserver:
    """Counts and logs each Check, and makes its span if there are traces."""

    def __init__(self, metrics: Metrics, log: LogSettings, traces: Traces | None) -> None:
        """Nothing is told yet."""
        self._metrics = metrics
        self._log_check = CheckLog(log)
        self._overload_log = OverloadLog()
        self._traces = traces

    def announce(self) -> None:
        """Log what the readers of the log have to know about it."""
        self._log_check.announce()

    def __call__(self, check: DecidedCheck) -> None:
        """Tell of *check*. Those that an overload has cost are one event for many."""
        self._metrics.count(check.decision, check.seconds)
        deny = refusal(check.decision)
        if deny is not None and deny.reason is DenyReason.OVERLOADED:
            self._overload_log.note()
            return
        self._log_check(check.request, check.decision, check.seconds, check.context_extensions)
        if self._traces is not None:
            metadata = check.metadata() or ()
            self._traces.record(check.request, check.decision, check.seconds, metadata)

    async def stop(self, *, within: float) -> None:
        """Let the collector have the last spans, if it takes them in time: *within* seconds."""
        if self._traces is None:
            return
        try:
            async with asyncio.timeout(min(within, TRACES_WITHIN)):
                await in_background(self._traces.stop)
        except TimeoutError:
            _log.warning("traces_lost", why="they could not be exported in time")
