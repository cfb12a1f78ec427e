"""Structured logs: one JSON object, or for people one coloured line, for each event."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import re
import sys
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.core.errors import AccessDenied
from authz_service.core.request import Host
from authz_service.core.summary import summarize

if TYPE_CHECKING:
    from structlog.typing import EventDict, Processor

    from authz_service.core.decision import Decision
    from authz_service.core.request import HttpRequest

LEVELS: Final = ("debug", "info", "warning", "error")
FORMATS: Final = ("json", "console")

# What a client may choose is logged where it has the shape of what it should be.
_METHOD: Final = re.compile(r"[A-Za-z-]{1,32}", re.ASCII)
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._:-]{1,128}", re.ASCII)

_log = structlog.get_logger(__name__)


def configure(*, log_format: str, level: str) -> None:
    """Send all events of *level* and above to standard output, in *log_format*."""
    renderer: list[Processor] = [structlog.processors.JSONRenderer()]
    if log_format == "console":
        renderer = [_escape, structlog.dev.ConsoleRenderer(colors=_takes_colours())]
    # aiohttp logs what clients of the admin port send amiss, with tracebacks and their bytes.
    logging.getLogger("aiohttp").setLevel(logging.CRITICAL)
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(_Output()),
        cache_logger_on_first_use=True,
    )


def _takes_colours() -> bool:
    """Whether standard output is a terminal of somebody who wants colours (no-color.org)."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


class _Output(io.StringIO):
    """Standard output, for lines that may get lost but must not get in the way.

    A reader that has gone, or a disk that is full, is no reason to refuse or to stop.
    """

    def write(self, text: str) -> int:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.write(text)
        return len(text)

    def flush(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()


def finish() -> None:
    """Write what is left. What cannot be written is dropped, or Python would make it its status."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _escape(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Leave nothing in a value that a terminal would obey; in JSON nothing is left anyway."""
    return {
        key: value.encode("unicode_escape").decode("ascii") if isinstance(value, str) else value
        for key, value in event.items()
    }


def log_check(request: HttpRequest, decision: Decision, seconds: float) -> None:
    """Log one decision: never a token, a query or a header's value but the host and request id."""
    _log.info(
        "check",
        **summarize(decision),
        **_request_fields(request),
        duration_us=round(seconds * 1e6),
    )


def _request_fields(request: HttpRequest) -> dict[str, str]:
    fields = {}
    if _METHOD.fullmatch(request.method):
        fields["method"] = request.method
    with contextlib.suppress(AccessDenied):
        fields["host"] = Host.parse(request.authority).name
    request_ids = request.header_values("x-request-id")
    if len(request_ids) == 1 and _REQUEST_ID.fullmatch(request_ids[0]):
        fields["request_id"] = request_ids[0]
    return fields
