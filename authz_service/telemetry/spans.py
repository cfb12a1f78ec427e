"""A span for each Check, made by the SDK of OpenTelemetry after the decision.

The SDK hands spans to a thread of its own, through a queue that drops what does not fit, so neither
a collector that is slow nor one that is down holds a Check up. What the SDK says of that goes to
the log, once a minute; what it says of a client's headers goes nowhere.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from importlib.metadata import version
from typing import TYPE_CHECKING, Final

import structlog
from opentelemetry.context import Context
from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import SpanKind, StatusCode, get_current_span
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from authz_service.core.decision import DenyReason
from authz_service.core.summary import summarize

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from opentelemetry.sdk.trace import SpanProcessor

    from authz_service.core.decision import Decision
    from authz_service.core.request import HttpRequest

    Lines = Iterable[tuple[str, str | bytes]]

NAME: Final = "authz.check"

_SERVICE: Final = "authz-service"
_TOLD: Final = ("decision", "reason", "mode", "resource", "route", "issuer")
# Of the semantic conventions for HTTP: a method that is none of these is written as `_OTHER`.
_METHODS: Final = frozenset(
    {"CONNECT", "DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT", "TRACE"}
)
_TRACE_CONTEXT: Final = TraceContextTextMapPropagator()
_PARENT: Final = "traceparent"
_TELL_EVERY: Final = 60.0  # seconds

_log = structlog.get_logger(__name__)


def batches_to(endpoint: str) -> SpanProcessor:
    """Send spans to *endpoint* in batches, as the `OTEL_BSP_*` and `OTEL_EXPORTER_OTLP_*` say.

    Raises an exception of the SDK's choice where it does not understand one of them.
    """
    return BatchSpanProcessor(OTLPSpanExporter(endpoint=endpoint))


class Spans:
    """Makes spans, and hands them to a processor."""

    def __init__(self, processor: Callable[[], SpanProcessor]) -> None:
        """What *processor* makes gets every span that is sampled, as `OTEL_TRACES_SAMPLER` says.

        Needs a running event loop. Raises what *processor* does.
        """
        logger = logging.getLogger("opentelemetry")
        logger.handlers[:] = [_SdkLog(asyncio.get_running_loop().call_soon_threadsafe)]
        logger.propagate = False
        self._provider = TracerProvider(resource=_resource(), shutdown_on_exit=False)
        self._provider.add_span_processor(processor())
        self._tracer = self._provider.get_tracer(_SERVICE, version(_SERVICE))

    def record(
        self, request: HttpRequest, decision: Decision, seconds: float, metadata: Lines
    ) -> None:
        """Make the span of a Check that ends now, after *seconds*, and came with *metadata*.

        It continues the trace of Envoy's own span for the Check, where Envoy traces, or else the
        one that the request belongs to.
        """
        end = time.time_ns()
        span = self._tracer.start_span(
            NAME,
            context=_parent(metadata, request.headers),
            kind=SpanKind.SERVER,
            start_time=end - round(seconds * 1e9),
        )
        if span.is_recording():
            summary = summarize(decision)
            span.set_attributes(
                {f"authz.{name}": summary[name] for name in _TOLD if name in summary}
            )
            method = request.method if request.method in _METHODS else "_OTHER"
            span.set_attribute("http.request.method", method)
            if summary.get("reason") == DenyReason.INTERNAL_ERROR:
                span.set_status(StatusCode.ERROR)
        span.end(end)

    def stop(self) -> None:
        """Export what is left. Blocks, for as long as that takes."""
        self._provider.shutdown()


def _resource() -> Resource:
    """What `OTEL_RESOURCE_ATTRIBUTES` and `OTEL_SERVICE_NAME` say; if they do not, who we are."""
    resource = Resource.create({"service.version": version(_SERVICE)})
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": _SERVICE}))
    return resource


def _parent(*sources: Lines) -> Context:
    """The first trace context (W3C) of *sources* that is one; a malformed one is none."""
    for lines in sources:
        context = _TRACE_CONTEXT.extract(_carrier(lines), Context())
        if get_current_span(context).get_span_context().is_valid:
            return context
    return Context()


def _carrier(lines: Lines) -> dict[str, str]:
    """The one `traceparent`. Several are none: who knows which is right.

    A `tracestate` is left alone: it is what a client likes, and would be exported word for word.
    """
    parents = [value for name, value in lines if name == _PARENT and isinstance(value, str)]
    return {_PARENT: parents[0]} if len(parents) == 1 else {}


class _SdkLog(logging.Handler):
    """What the SDK logs, from whatever thread, as events of ours: the first, then one a minute."""

    def __init__(
        self, call_soon: Callable[..., object], clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(logging.WARNING)
        self._call_soon = call_soon
        self._clock = clock
        self._tell_from = 0.0
        self._untold = 0

    def emit(self, record: logging.LogRecord) -> None:
        if record.name.startswith("opentelemetry.trace"):  # a client's `tracestate`, word for word
            return
        if (now := self._clock()) < self._tell_from:
            self._untold += 1
            return
        untold, self._untold, self._tell_from = self._untold, 0, now + _TELL_EVERY
        with contextlib.suppress(RuntimeError):  # the event loop has ended
            self._call_soon(_tell, _why(record), untold)


def _tell(why: str, untold: int) -> None:
    _log.warning("traces_trouble", why=why, untold=untold)


def _why(record: logging.LogRecord) -> str:
    """What *record* says, but for values that it may have from a variable with a secret in it."""
    ours = record.name.startswith(("opentelemetry.exporter", "opentelemetry.sdk"))
    message = record.getMessage() if ours else str(record.msg)
    return message.partition("\n")[0][:200]
