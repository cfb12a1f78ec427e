"""What the service logs, as the lines that it would write."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
import structlog

from authz_service.core.authorize import authorize
from authz_service.telemetry import logs
from authz_service.telemetry.logs import checks
from authz_service.telemetry.logs.checks import CheckLog
from authz_service.telemetry.logs.settings import LogSettings
from tests.edge.shop import NOW, published, shop_policy

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import ModuleType

    from authz_service.core.decision import Decision
    from authz_service.core.request import HttpRequest


class KeptLines:
    """Stands in for the output: keeps the lines."""

    lost = 0

    def __init__(self) -> None:
        self.lines: list[str] = []

    def put(self, line: str) -> None:
        self.lines.append(line)


def lines_of(
    act: Callable[[], object], module: ModuleType, settings: LogSettings | None = None
) -> list[str]:
    """Every line that *module* logs while *act* is done."""
    settings = settings or LogSettings()
    kept = KeptLines()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "Output", lambda *_arguments: kept)
        patch.setattr(logs._Current, "output", None)
        # Loggers that were used once keep the configuration that they had.
        patch.setattr(module, "_log", structlog.get_logger())
        logs.configure(log_format=settings.log_format, level=settings.level)
        try:
            act()
        finally:
            structlog.reset_defaults()
    return kept.lines


def logged(
    request: HttpRequest,
    decision: Decision,
    settings: LogSettings | None = None,
    context_extensions: Mapping[str, str] | None = None,
    *,
    seconds: float = 0.0012345,
    chance: Callable[[], float] = lambda: 0.0,
) -> str:
    """The line of one Check, or nothing."""
    log = CheckLog(settings or LogSettings(), chance=chance)
    lines = lines_of(lambda: log(request, decision, seconds, context_extensions), checks, settings)
    assert len(lines) <= 1
    return "".join(lines)


def event_of(
    request: HttpRequest,
    decision: Decision,
    settings: LogSettings | None = None,
    context_extensions: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """The event of one Check."""
    line = logged(request, decision, settings, context_extensions)
    event: dict[str, Any] = json.loads(line)
    return event


def decide(request: HttpRequest) -> Decision:
    """Judge *request* by the policy of the shop."""
    return authorize(request, policy=shop_policy(), keys=published(), now=NOW)
