"""What the service writes to its log of one Check."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final
from unittest.mock import patch

import structlog

from authz_service.telemetry.logs import checks
from authz_service.telemetry.logs.lines import LineLogger, renderers
from authz_service.telemetry.logs.settings import LogSettings

if TYPE_CHECKING:
    from authz_service.ext_authz.servicer import DecidedCheck

_LOG_CHECK: Final = checks.CheckLog(LogSettings(raw_path=True))


def check(decided: DecidedCheck, token: str) -> None:
    """Raise unless *decided* is logged in one plain line that holds nothing of *token*."""
    (line,) = _written(decided)
    assert line.isascii()
    assert line.isprintable(), "more than one line, or what a terminal obeys"
    json.loads(line)
    secrets = [part for part in token.split(".")[1:] if len(part) > 40]
    assert not any(part in line for part in secrets), "a token"


class _Lines(list[str]):
    put = list.append


def _written(decided: DecidedCheck) -> list[str]:
    lines = _Lines()
    logger = structlog.wrap_logger(LineLogger(lines), processors=renderers("json"))
    with patch.object(checks, "_log", logger):
        told = decided.context_extensions
        _LOG_CHECK(decided.request, decided.decision, decided.seconds, told)
    return lines
