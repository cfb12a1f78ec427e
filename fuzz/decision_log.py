"""What the service writes to its log of one Check."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING
from unittest.mock import patch

import structlog

from authz_service.telemetry import logs

if TYPE_CHECKING:
    from authz_service.ext_authz.servicer import DecidedCheck


def check(decided: DecidedCheck, token: str) -> None:
    """Raise unless *decided* is logged in one plain line that holds nothing of *token*."""
    line = _written(decided)
    assert line.endswith("\n")
    assert line[:-1].isascii()
    assert line[:-1].isprintable(), "more than one line, or what a terminal obeys"
    json.loads(line)
    secrets = [part for part in token.split(".")[1:] if len(part) > 40]
    assert not any(part in line for part in secrets), "a token"


def _written(decided: DecidedCheck) -> str:
    output = io.StringIO()
    logger = structlog.wrap_logger(
        structlog.WriteLogger(output), processors=[structlog.processors.JSONRenderer()]
    )
    with patch.object(logs, "_log", logger):
        logs.log_check(decided.request, decided.decision, decided.seconds)
    return output.getvalue()
