"""When traces are made, and what they say; the exporter is one that keeps them in memory."""

from __future__ import annotations

import asyncio
import logging
import sys
import time
from typing import TYPE_CHECKING, Any, Final

import pytest
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import SpanKind, StatusCode

from authz_service.core.authorize import authorize
from authz_service.core.decision import Deny
from authz_service.core.request import HttpRequest
from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry import spans, traces
from authz_service.telemetry.spans import Spans, _SdkLog
from tests.edge.shop import NOW, SECRET, check_request, mint, published, shop_policy
from tests.support.log_events import captured

if TYPE_CHECKING:
    from collections.abc import MutableMapping

    from opentelemetry.sdk.trace import ReadableSpan

TRACE: Final = "0af7651916cd43dd8448eb211c80319c"
PARENT: Final = "b7ad6b7169203331"
SAMPLED: Final = f"00-{TRACE}-{PARENT}-01"
NOT_SAMPLED: Final = f"00-{TRACE}-{PARENT}-00"
OTHER: Final = "00-11111111111111111111111111111111-2222222222222222-01"
FAILURE: Final = (ValueError, ValueError(SECRET), None)
ENDPOINT: Final = "http://127.0.0.1:4317"

Lines = tuple[tuple[str, str], ...]


def _spans_of(
    headers: Lines = (),
    metadata: Lines = (),
    *,
    request: HttpRequest | None = None,
    decision: Deny | None = None,
) -> tuple[ReadableSpan, ...]:
    """Give what is exported of one Check; of one for `/nowhere`, unless something else is given."""
    made = request or to_http_request(check_request("/nowhere", headers=list(headers)))

    async def trace() -> tuple[ReadableSpan, ...]:
        memory = InMemorySpanExporter()
        traced = Spans(lambda: SimpleSpanProcessor(memory))
        decided = decision or authorize(made, policy=shop_policy(), keys=published(), now=NOW)
        traced.record(made, decided, 0.25, metadata)
        traced.stop()
        return memory.get_finished_spans()

    return asyncio.run(trace())


def _span_of(headers: Lines = (), metadata: Lines = (), **given: Any) -> ReadableSpan:  # noqa: ANN401
    (span,) = _spans_of(headers, metadata, **given)
    return span


def _parent_of(span: ReadableSpan) -> tuple[str, str] | None:
    if span.parent is None:
        return None
    return f"{span.parent.trace_id:032x}", f"{span.parent.span_id:016x}"


def test_a_span_says_what_was_decided_and_how_long_it_took() -> None:
    before = time.time_ns()
    span = _span_of(request=to_http_request(check_request(token=mint({"scope": "x"}))))
    assert (span.name, span.kind) == ("authz.check", SpanKind.SERVER)
    assert dict(span.attributes or {}) == {
        "authz.decision": "deny",
        "authz.reason": "insufficient_scope",
        "authz.resource": "shopping",
        "authz.route": "/products",
        "authz.issuer": "logto",
        "http.request.method": "GET",
    }
    assert span.status.status_code is StatusCode.UNSET
    assert span.start_time is not None
    assert span.end_time is not None
    assert span.end_time - span.start_time == 250_000_000
    assert before <= span.end_time <= time.time_ns()


def test_only_a_fault_of_ours_is_an_error() -> None:
    span = _span_of(decision=Deny())
    assert span.status.status_code is StatusCode.ERROR
    assert dict(span.attributes or {})["authz.reason"] == "internal_error"


def test_no_span_says_who_it_was_or_what_was_sent() -> None:
    token = mint({"sub": SECRET, "client_id": SECRET, "jti": SECRET})
    headers = [("cookie", SECRET), ("x-request-id", SECRET)]
    request = to_http_request(check_request(f"/products?{SECRET}", token=token, headers=headers))
    text = _span_of(request=request).to_json()
    assert '"authz.decision": "allow"' in text
    assert SECRET not in text
    assert "eyJ" not in text


def test_a_method_that_nobody_knows_is_not_repeated() -> None:
    for method in (SECRET, "get", ""):
        span = _span_of(request=HttpRequest(method, "shop.example.com", "/products"))
        assert dict(span.attributes or {})["http.request.method"] == "_OTHER"


def test_the_trace_of_the_request_goes_on() -> None:
    span = _span_of((("traceparent", SAMPLED), ("tracestate", "a=1,b=2")))
    assert _parent_of(span) == (TRACE, PARENT)
    assert span.context is not None
    assert f"{span.context.trace_id:032x}" == TRACE


@pytest.mark.parametrize("source", ["headers", "metadata"])
def test_a_tracestate_is_not_exported(source: str) -> None:
    """It may hold whatever a client likes."""
    lines = (("traceparent", SAMPLED), ("tracestate", f"a={SECRET},b=2"))
    span = _span_of(**{source: lines})
    assert _parent_of(span) == (TRACE, PARENT)
    assert span.context is not None
    assert span.parent is not None
    assert (dict(span.context.trace_state), dict(span.parent.trace_state)) == ({}, {})
    assert SECRET not in span.to_json()


def test_the_span_of_envoy_comes_before_that_of_the_client() -> None:
    """Where Envoy traces, its span for the Check has the request's as an ancestor."""
    span = _span_of((("traceparent", OTHER),), (("traceparent", SAMPLED), ("tracestate", "")))
    assert _parent_of(span) == (TRACE, PARENT)


@pytest.mark.parametrize("source", ["headers", "metadata"])
def test_what_is_not_to_be_sampled_is_not(source: str) -> None:
    assert _spans_of(**{source: (("traceparent", NOT_SAMPLED),)}) == ()  # type: ignore[arg-type] # named by the table


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("traceparent", ""),),
        (("traceparent", SECRET),),
        (("traceparent", SAMPLED.upper()),),
        (("traceparent", f"00-{'0' * 32}-{PARENT}-01"),),
        (("traceparent", f"ff-{TRACE}-{PARENT}-01"),),
        (("traceparent", f"{SAMPLED}-{'x' * 10_000}"),),
        (("traceparent", SAMPLED), ("traceparent", OTHER)),
        (("tracestate", "a=1"),),
    ],
)
def test_a_malformed_trace_context_is_none(headers: Lines) -> None:
    span = _span_of(headers)
    assert _parent_of(span) is None
    assert span.context is not None
    assert not dict(span.context.trace_state)


@pytest.mark.parametrize("state", [SECRET, f"{SECRET}=1", "a=1,a=2", "a=1," * 200, "\x1b[31m=1"])
def test_a_malformed_tracestate_is_left_out_and_not_logged(
    state: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    events = captured(monkeypatch, spans)
    span = _span_of((("traceparent", SAMPLED), ("tracestate", state)))
    assert _parent_of(span) == (TRACE, PARENT)
    assert events == []
    assert capfd.readouterr() == ("", "")


def test_the_service_names_itself_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert _span_of().resource.attributes["service.name"] == "authz-service"
    assert _span_of().resource.attributes["service.version"]
    monkeypatch.setenv("OTEL_RESOURCE_ATTRIBUTES", "service.name=by-attribute,zone=a")
    assert _span_of().resource.attributes["service.name"] == "by-attribute"
    assert _span_of().resource.attributes["zone"] == "a"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "by-name")
    assert _span_of().resource.attributes["service.name"] == "by-name"


def test_the_sampler_of_the_variables_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "always_off")
    assert _spans_of((("traceparent", SAMPLED),)) == ()


def test_what_still_waits_to_be_sent_is_sent_at_the_stop() -> None:
    async def trace() -> int:
        memory = InMemorySpanExporter()
        an_hour = 3_600_000
        traced = Spans(lambda: BatchSpanProcessor(memory, schedule_delay_millis=an_hour))
        for _ in range(3):
            traced.record(HttpRequest("GET", "", ""), Deny(), 0.001, ())
        assert memory.get_finished_spans() == ()
        traced.stop()
        return len(memory.get_finished_spans())

    assert asyncio.run(trace()) == 3


def _started(environment: dict[str, str]) -> bool:
    async def start() -> bool:
        traced = traces.start(environment)
        if traced is not None:
            traced.stop()
        return traced is not None

    return asyncio.run(start())


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "authz"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": " "},
        {"OTEL_EXPORTER_OTLP_METRICS_ENDPOINT": ENDPOINT},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_TRACES_EXPORTER": "none"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT, "OTEL_SDK_DISABLED": "True"},
    ],
)
def test_who_asks_for_no_traces_gets_none_and_hears_nothing(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = captured(monkeypatch, traces)
    assert not _started(environment)
    assert events == []


@pytest.mark.parametrize(
    "environment",
    [
        {"OTEL_TRACES_EXPORTER": "otlp"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT},
        {"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": ENDPOINT, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"},
        {
            "OTEL_EXPORTER_OTLP_ENDPOINT": ENDPOINT,
            "OTEL_SDK_DISABLED": "false",
            "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf",
            "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "grpc",
        },
    ],
)
def test_who_names_an_exporter_or_an_endpoint_gets_traces(
    environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    events = captured(monkeypatch, traces)
    assert _started(environment)
    assert [event["event"] for event in events] == ["traces_on"]


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER is otlp or none here"),
        (
            {"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"},
            "OTEL_EXPORTER_OTLP_PROTOCOL is grpc here, on port 4317 of most collectors",
        ),
    ],
)
def test_what_cannot_be_had_is_told_in_one_event(
    environment: dict[str, str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    events = captured(monkeypatch, traces)
    assert not _started(environment)
    assert events == [{"event": "traces_off", "why": why, "log_level": "warning"}]


def test_a_variable_that_the_sdk_does_not_understand_is_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "soon")
    events = captured(monkeypatch, traces)
    assert not _started({"OTEL_TRACES_EXPORTER": "otlp"})
    (event,) = events
    assert event["event"] == "traces_off"
    assert event["why"] == "ValueError: could not convert string to float: 'soon'"


def test_without_the_extra_the_service_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "authz_service.telemetry.spans")
    monkeypatch.setitem(sys.modules, "opentelemetry.context", None)
    events = captured(monkeypatch, traces)
    assert not _started({"OTEL_TRACES_EXPORTER": "otlp"})
    why = "OpenTelemetry is not installed: authz-service[otel] has it"
    assert events == [{"event": "traces_off", "why": why, "log_level": "warning"}]


def _told(
    monkeypatch: pytest.MonkeyPatch, *records: tuple[float, str, str, tuple[object, ...]]
) -> list[MutableMapping[str, Any]]:
    """Give the events that come of what the SDK logs: when, logger, message, arguments."""
    events = captured(monkeypatch, spans)
    now = [0.0]
    handler = _SdkLog(lambda call, *arguments: call(*arguments), lambda: now[0])
    for when, name, message, arguments in records:
        now[0] = when
        handler.handle(
            logging.LogRecord(name, logging.ERROR, "file", 1, message, arguments, FAILURE)
        )
    return events


def test_what_the_sdk_says_is_one_event_without_a_traceback(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments = ("UNAVAILABLE",)
    (event,) = _told(monkeypatch, (100, "opentelemetry.exporter", "Failed: %s\nmore", arguments))
    assert event == {
        "event": "traces_trouble",
        "why": "Failed: UNAVAILABLE",
        "untold": 0,
        "log_level": "warning",
    }
    assert capfd.readouterr() == ("", "")


def test_it_is_told_once_a_minute_with_how_much_was_not_told(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    times = (100, 101, 159, 161, 162, 300)
    records = [(when, "opentelemetry.sdk.trace.export", "Queue full", ()) for when in times]
    assert [event["untold"] for event in _told(monkeypatch, *records)] == [0, 2, 1]


def test_a_variable_with_a_secret_in_it_is_not_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    record = (100, "opentelemetry.util.re", "Header format invalid: %s", (SECRET,))
    (event,) = _told(monkeypatch, record)
    assert event["why"] == "Header format invalid: %s"


def test_what_the_sdk_logs_comes_from_its_loggers_and_from_whatever_thread(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    async def log() -> list[MutableMapping[str, Any]]:
        events = captured(monkeypatch, spans)
        traced = Spans(lambda: SimpleSpanProcessor(InMemorySpanExporter()))
        logger = logging.getLogger("opentelemetry.sdk.trace.export")
        await asyncio.to_thread(logger.error, "Queue full, dropping %s.", "Span")
        await asyncio.sleep(0)
        traced.stop()
        return events

    (event,) = asyncio.run(log())
    assert event["why"] == "Queue full, dropping Span."
    assert capfd.readouterr() == ("", "")
