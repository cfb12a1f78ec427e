"""Structured logs: one line for each event, on standard output. docs/logs.md lists the events."""

from __future__ import annotations

import atexit
import contextlib
import os
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.telemetry.logs.bursts import Bursts
from authz_service.telemetry.logs.lines import LineLogger, render, renderers
from authz_service.telemetry.logs.output import Output
from authz_service.telemetry.logs.sink import Sink

if TYPE_CHECKING:
    from collections.abc import Sequence

    from structlog.typing import Processor

FINISH_WITHIN: Final = 2.0
"""Seconds that queued lines are given at the end, where nobody reads them."""


class _Current:
    """Where this process logs to: nowhere before `configure`."""

    output: Output | None = None
    is_json: bool = False
    patience: float = FINISH_WITHIN


def configure(*, log_format: str, level: str) -> None:
    """Send all events of *level* and above to standard output, in *log_format*."""
    processors = renderers(log_format)
    tell_of_loss = partial(_tell_of_loss, processors)
    _Current.patience = FINISH_WITHIN
    output = _Current.output = Output(Sink(_standard_output()), tell_of_loss)
    _Current.is_json = log_format == "json"
    structlog.configure(
        processors=[Bursts(), *processors],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_names: LineLogger(output),
        cache_logger_on_first_use=True,
    )


def _standard_output() -> int | None:
    """The descriptor of standard output, None where it is closed or is no file.

    Closed, its number may be another file's by now.
    """
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return sys.stdout.fileno()
    return None


def json_output() -> Output | None:
    """What takes lines of JSON, None where events are not written as such."""
    return _Current.output if _Current.is_json else None


def lost() -> int:
    """Lines that could not be written since the start, and are gone."""
    return _Current.output.lost if _Current.output else 0


def finish() -> bool:
    """Write what is queued. False if that took longer than `FINISH_WITHIN` seconds.

    Then a thread still waits for the reader, and what is queued is lost.
    """
    finished = _Current.output is None or _Current.output.flush(_Current.patience)
    if not finished:
        _Current.patience = 0
    return finished


def _tell_of_loss(processors: Sequence[Processor], lines: int) -> str:
    return render(processors, "warning", "log_lost", lines=lines)


def _after_fork() -> None:
    if _Current.output is not None:
        _Current.output.start_anew()


atexit.register(finish)
os.register_at_fork(after_in_child=_after_fork)
