"""One line for each event, and in it nothing that a client or a token could forge or leak."""

from __future__ import annotations

import io
import json
import sys
from typing import TYPE_CHECKING, Final

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from authz_service.core.authorize import authorize
from authz_service.core.claims import AccessTokenClaims
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.request import HttpRequest
from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry import logs
from tests.edge.shop import (
    HOST,
    NOW,
    REFUSALS,
    SECRET,
    Refusal,
    check_request,
    mint,
    published,
    shop_policy,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.decision import Decision

HOSTILE: Final = (
    "a\r\nb", "\x1b[2J\x1b[31m", "\u202egnp.exe", '"}\n{"event": "check"', "\u2028", "\u2029",
    "\x85", "\x0b\x0c", "\x00", "\x7f", "\u0430dmin", "\u2066", "\ufeff", "'", "=", "%s {0}",
)  # fmt: skip
ANYTHING: Final = st.one_of(st.text(), st.sampled_from(HOSTILE))


@pytest.fixture(autouse=True)
def _logging_as_before(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Configure logging for one test: loggers that were used once keep what they had."""
    monkeypatch.setattr(logs, "_log", structlog.get_logger())
    yield
    structlog.reset_defaults()


def _logged(
    request: HttpRequest,
    decision: Decision,
    *,
    log_format: str = "json",
    level: str = "info",
    seconds: float = 0.0012345,
) -> str:
    """What one check writes to standard output."""
    with pytest.MonkeyPatch.context() as patch:
        output = io.StringIO()
        patch.setattr(sys, "stdout", output)
        patch.setattr(logs, "_log", structlog.get_logger())
        logs.configure(log_format=log_format, level=level)
        logs.log_check(request, decision, seconds)
        return output.getvalue()


def _event(request: HttpRequest, decision: Decision) -> dict[str, object]:
    event: dict[str, object] = json.loads(_logged(request, decision))
    return event


def _decide(request: HttpRequest) -> Decision:
    return authorize(request, policy=shop_policy(), keys=published(), now=NOW)


def _claims(text: str) -> AccessTokenClaims:
    return AccessTokenClaims(
        issuer=text,
        audiences=(text,),
        expires_at=NOW,
        not_before=None,
        issued_at=None,
        subject=text,
        client_id=text,
        scopes=(text,),
        members={"sub": text},
    )


def _refusal_of(text: str) -> Deny:
    return Deny(DenyReason.WRONG_AUDIENCE, claims=_claims(text))


def test_an_allowed_check_says_who_did_what_where() -> None:
    request = to_http_request(
        check_request("/products?page=2", token=mint(), headers=[("x-request-id", "4711-a.b:c_d")])
    )
    event = _event(request, _decide(request))
    assert event.pop("timestamp")
    assert event == {
        "event": "check",
        "level": "info",
        "decision": "allow",
        "resource": "shopping",
        "route": "/products",
        "issuer": "logto",
        "subject": "user-1",
        "client_id": "app-1",
        "scope": "read:products",
        "expires_at": NOW + 3600,
        "method": "GET",
        "host": HOST,
        "request_id": "4711-a.b:c_d",
        "duration_us": 1234,
    }


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.reason for refusal in REFUSALS])
def test_a_refused_check_says_why_and_leaks_nothing(refusal: Refusal) -> None:
    """The identity of a verified token is said, so its marks are looked for elsewhere only."""
    request = to_http_request(refusal.request())
    line = _logged(request, _decide(request))
    event = json.loads(line)
    assert event["reason"] == refusal.reason.value
    for name in ("subject", "scope", "request_id"):
        event.pop(name, None)
    assert SECRET not in json.dumps(event)
    (authorization,) = request.header_values("authorization") or [""]
    parts = authorization.removeprefix("Bearer ").replace(",", ".").split(".")
    assert not any(part in line for part in parts if part and part != SECRET)


@pytest.mark.parametrize("name", ["authorization", "cookie", "user-agent", "x-api-key", "referer"])
def test_no_other_header_is_logged(name: str) -> None:
    request = HttpRequest("GET", HOST, f"/products?q={SECRET}#{SECRET}", ((name, SECRET),))
    for decision in (_decide(request), Deny()):
        assert SECRET not in _logged(request, decision)


@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_the_path_is_not_logged_but_the_route_is(log_format: str) -> None:
    request = HttpRequest("GET", HOST, f"/organizations/{SECRET}")
    line = _logged(request, _decide(request), log_format=log_format)
    assert SECRET not in line
    assert "/organizations/{org_id}" in line


@pytest.mark.parametrize("value", [*HOSTILE, "", "x" * 129, "a b", SECRET + "\n"])
def test_a_request_id_of_another_shape_is_left_out(value: str) -> None:
    request = HttpRequest("GET", HOST, "/", (("x-request-id", value),))
    assert "request_id" not in _event(request, Deny())


def test_several_request_ids_are_left_out() -> None:
    request = HttpRequest("GET", HOST, "/", (("x-request-id", "a"), ("x-request-id", "b")))
    assert "request_id" not in _event(request, Deny())


@pytest.mark.parametrize("value", [*HOSTILE, "", "G ET", "GET\n", "A" * 33])
def test_a_method_of_another_shape_is_left_out(value: str) -> None:
    assert "method" not in _event(HttpRequest(value, HOST, "/"), Deny())


@pytest.mark.parametrize("value", [*HOSTILE, "", "a b", "a,b", "user@host", "a..b", "x" * 300])
def test_a_host_that_is_none_is_left_out(value: str) -> None:
    assert "host" not in _event(HttpRequest("GET", value, "/"), Deny())


def test_the_host_is_logged_in_its_normal_form() -> None:
    assert _event(HttpRequest("GET", "SHOP.example.com.:8443", "/"), Deny())["host"] == HOST


@pytest.mark.parametrize("seconds", [0.0, 4e-7, 0.0000014, 2.0])
def test_the_duration_is_in_whole_microseconds(seconds: float) -> None:
    event = json.loads(_logged(HttpRequest("GET", HOST, "/"), Deny(), seconds=seconds))
    assert event["duration_us"] == round(seconds * 1_000_000)
    assert isinstance(event["duration_us"], int)


@given(method=ANYTHING, authority=ANYTHING, target=ANYTHING, name=ANYTHING, value=ANYTHING)
def test_whatever_the_request_is_it_makes_one_json_line_of_ascii(
    method: str, authority: str, target: str, name: str, value: str
) -> None:
    headers = ((name, value), ("x-request-id", value), ("authorization", value))
    request = HttpRequest(method, authority, target, headers)
    _assert_is_one_json_line(_logged(request, _decide(request)))


@given(text=ANYTHING)
def test_whatever_the_claims_are_they_make_one_json_line_of_ascii(text: str) -> None:
    line = _logged(HttpRequest("GET", HOST, "/"), _refusal_of(text))
    _assert_is_one_json_line(line)
    event = json.loads(line)
    assert (event["event"], event["reason"]) == ("check", "wrong_audience")
    assert (event["subject"], event["client_id"], event["scope"]) == (text, text, text)


def _assert_is_one_json_line(output: str) -> None:
    line = output.removesuffix("\n")
    assert line != output
    assert line.isascii()
    assert line.isprintable()
    assert isinstance(json.loads(line), dict)


@given(text=ANYTHING)
def test_whatever_the_claims_are_they_make_one_console_line(text: str) -> None:
    _assert_is_one_console_line(_logged_to_console(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_claim_reaches_the_terminal_as_a_command_or_a_line_of_its_own(text: str) -> None:
    """The subject of a valid token may be chosen by its user."""
    _assert_is_one_console_line(_logged_to_console(text))


def _logged_to_console(text: str) -> str:
    return _logged(HttpRequest("GET", HOST, "/"), _refusal_of(text), log_format="console")


def _assert_is_one_console_line(output: str) -> None:
    line = output.removesuffix("\n")
    assert line != output
    assert line.isprintable()


def test_the_console_shows_the_event_and_its_fields() -> None:
    request = to_http_request(check_request(token=mint({"scope": "read:orders"})))
    line = _logged(request, _decide(request), log_format="console")
    for part in ("check", "decision=deny", "reason=insufficient_scope", "subject=user-1"):
        assert part in line


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", True), ("info", True), ("warning", False), ("error", False)]
)
@pytest.mark.parametrize("log_format", logs.FORMATS)
def test_checks_are_logged_at_the_level_info(log_format: str, level: str, *, shown: bool) -> None:
    request = HttpRequest("GET", HOST, "/")
    assert bool(_logged(request, Deny(), log_format=log_format, level=level)) is shown
