"""Traces: whether the standard variables ask for them, and nothing that costs where they do not.

OpenTelemetry is an optional extra, and is imported where it is used alone: docs/traces.md. What is
asked for and cannot be had is told in one line of the log, and the service starts all the same: the
variables are often set for a whole platform, and a trace is nothing to refuse requests for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import structlog

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from authz_service.core.decision import Decision
    from authz_service.core.request import HttpRequest

_ENDPOINTS: Final = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS: Final = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_EXPORTER: Final = "OTEL_TRACES_EXPORTER"
_DEFAULT_ENDPOINT: Final = "http://localhost:4317"
_MOST_OF_A_MESSAGE: Final = 200

_log = structlog.get_logger(__name__)


class Traces(Protocol):
    """Where spans go."""

    def record(
        self,
        request: HttpRequest,
        decision: Decision,
        seconds: float,
        metadata: Iterable[tuple[str, str | bytes]],
    ) -> None:
        """Make the span of a Check that ends now, after *seconds*, and came with *metadata*."""

    def stop(self) -> None:
        """Export what is left. Blocks, for as long as that takes."""


def start(environment: Mapping[str, str]) -> Traces | None:
    """Begin to trace if *environment* asks for it. Needs a running event loop."""
    if not _are_wanted(environment):
        return None
    why_not = _unsupported(environment)
    if why_not is None:
        try:
            return _start(_first_of(environment, _ENDPOINTS) or _DEFAULT_ENDPOINT)
        except ModuleNotFoundError:
            why_not = "OpenTelemetry is not installed: authz-service[otel] has it"
        except Exception as error:  # noqa: BLE001 - the SDK raises many kinds for a bad variable
            why_not = f"{type(error).__name__}: {error}"[:_MOST_OF_A_MESSAGE]
    _log.warning("traces_off", why=why_not)
    return None


def _start(endpoint: str) -> Traces:
    from authz_service.telemetry.spans import Spans, batches_to  # noqa: PLC0415 - takes a second

    traces = Spans(lambda: batches_to(endpoint))
    _log.info("traces_on")
    return traces


def _are_wanted(environment: Mapping[str, str]) -> bool:
    """Whether an exporter or its endpoint is named. A variable that is empty is not set."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    exporter = environment.get(_EXPORTER, "").strip()
    return exporter != "none" if exporter else bool(_first_of(environment, _ENDPOINTS))


def _unsupported(environment: Mapping[str, str]) -> str | None:
    if environment.get(_EXPORTER, "").strip() not in {"", "otlp"}:
        return f"{_EXPORTER} is otlp or none here"
    if _first_of(environment, _PROTOCOLS) not in {"", "grpc"}:
        return f"{_PROTOCOLS[1]} is grpc here, on port 4317 of most collectors"
    return None


def _first_of(environment: Mapping[str, str], names: Iterable[str]) -> str:
    """The first of the variables that is set; of two, the one for traces comes first."""
    return next(filter(None, (environment.get(name, "").strip() for name in names)), "")
