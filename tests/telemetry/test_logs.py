"""One line for each event, and in it nothing that a client or a token could forge or leak."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.core.authorize import authorize
from authz_service.core.claims import AccessTokenClaims
from authz_service.core.decision import Allow, Audited, Deny, DenyReason
from authz_service.core.request import HttpRequest
from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry.logs.lines import render, renderers
from authz_service.telemetry.logs.settings import FORMATS, LogSettings
from tests.edge.shop import (
    HOST,
    NOW,
    REFUSALS,
    SECRET,
    Refusal,
    check_request,
    mint,
    policy_from,
    published,
)
from tests.telemetry.logged import decide, event_of, logged

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.decision import Decision

HOSTILE: Final = (
    "a\r\nb", "\x1b[2J\x1b[31m", "\u202egnp.exe", '"}\n{"event": "check"', "\u2028", "\u2029",
    "\x85", "\x0b\x0c", "\x00", "\x7f", "\u0430dmin", "\u2066", "\ufeff", "'", "=", "%s {0}",
    "\ud800", "\udc00\ud800", "a\udfffb", "\U0001f600", "x" * 20_000, "\u202e" * 20_000,
)  # fmt: skip
# Lone surrogates too: a token cannot bring them, and neither reader nor terminal should see one.
ANYTHING: Final = st.one_of(
    st.text(), st.text(st.characters(categories=["Cs", "Cc", "Cf"])), st.sampled_from(HOSTILE)
)
CONSOLE: Final = LogSettings(log_format="console")
RAW_PATH: Final = LogSettings(raw_path=True)
LONGEST_LINE: Final = 4096


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
    denied = decide(to_http_request(check_request(token=mint({"aud": "https://other.api"}))))
    assert isinstance(denied, Deny)
    return Deny(denied.reason, denied.match, denied.requirement, denied.issuer, _claims(text))


def test_an_allowed_check_says_who_did_what_where() -> None:
    request = to_http_request(
        check_request("/products?page=2", token=mint(), headers=[("x-request-id", "4711-a.b:c_d")])
    )
    event = event_of(request, decide(request))
    assert event.pop("timestamp").endswith("Z")
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


def test_a_line_begins_with_when_how_grave_and_what() -> None:
    event = event_of(HttpRequest("GET", HOST, "/"), Deny())
    assert list(event)[:4] == ["timestamp", "level", "event", "decision"]


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.reason for refusal in REFUSALS])
@pytest.mark.parametrize("settings", [LogSettings(), RAW_PATH], ids=["template", "raw"])
def test_a_refused_check_says_why_and_leaks_nothing(
    refusal: Refusal, settings: LogSettings
) -> None:
    """The identity of a verified token is said, so its marks are looked for elsewhere only."""
    request = to_http_request(refusal.request())
    line = logged(request, decide(request), settings)
    event = json.loads(line)
    assert event["reason"] == refusal.reason.value
    for name in ("subject", "scope", "request_id", "audience", "path"):
        event.pop(name, None)
    assert SECRET not in json.dumps(event)
    (authorization,) = request.header_values("authorization") or [""]
    parts = authorization.removeprefix("Bearer ").replace(",", ".").split(".")
    assert not any(part in line for part in parts if part and part != SECRET)


@pytest.mark.parametrize("name", ["authorization", "cookie", "user-agent", "x-api-key", "referer"])
@pytest.mark.parametrize("settings", [LogSettings(), RAW_PATH, CONSOLE])
def test_no_other_header_is_logged(name: str, settings: LogSettings) -> None:
    request = HttpRequest("GET", HOST, f"/products?q={SECRET}#{SECRET}", ((name, SECRET),))
    for decision in (decide(request), Deny()):
        assert SECRET not in logged(request, decision, settings)


@pytest.mark.parametrize("log_format", FORMATS)
def test_the_path_is_not_logged_but_the_route_is(log_format: str) -> None:
    request = HttpRequest("GET", HOST, f"/organizations/{SECRET}")
    line = logged(request, decide(request), LogSettings(log_format=log_format))
    assert SECRET not in line
    assert "/organizations/{org_id}" in line


def test_the_path_is_logged_where_that_is_asked_for() -> None:
    request = HttpRequest("GET", HOST, "/organizations/org-1?token=secret")
    event = event_of(request, decide(request), RAW_PATH)
    assert (event["path"], event["route"]) == ("/organizations/org-1", "/organizations/{org_id}")


@pytest.mark.parametrize("value", [*HOSTILE, "", "x" * 129, "a b", SECRET + "\n", "eyJhbGciOiJ9"])
def test_a_request_id_of_another_shape_is_left_out(value: str) -> None:
    request = HttpRequest("GET", HOST, "/", (("x-request-id", value),))
    assert "request_id" not in event_of(request, Deny())


def test_several_request_ids_are_left_out() -> None:
    request = HttpRequest("GET", HOST, "/", (("x-request-id", "a"), ("x-request-id", "b")))
    assert "request_id" not in event_of(request, Deny())


@pytest.mark.parametrize("value", [*HOSTILE, "", "G ET", "GET\n", "A" * 33])
def test_a_method_of_another_shape_is_left_out(value: str) -> None:
    assert "method" not in event_of(HttpRequest(value, HOST, "/"), Deny())


@pytest.mark.parametrize("value", [*HOSTILE, "", "a b", "a,b", "user@host", "a..b", "x" * 300])
def test_a_host_that_is_none_is_left_out(value: str) -> None:
    assert "host" not in event_of(HttpRequest("GET", value, "/"), Deny())


def test_the_host_is_logged_in_its_normal_form() -> None:
    assert event_of(HttpRequest("GET", "SHOP.example.com.:8443", "/"), Deny())["host"] == HOST


@pytest.mark.parametrize("seconds", [0.0, 4e-7, 0.0000014, 2.0])
def test_the_duration_is_in_whole_microseconds(seconds: float) -> None:
    event = json.loads(logged(HttpRequest("GET", HOST, "/"), Deny(), seconds=seconds))
    assert event["duration_us"] == round(seconds * 1_000_000)
    assert isinstance(event["duration_us"], int)


# What would have been needed


def _needed(request: HttpRequest, decision: Decision | None = None) -> dict[str, object]:
    event = event_of(request, decision or decide(request))
    return {name: value for name, value in event.items() if name.startswith("needed_")}


def test_a_missing_token_says_which_one_was_needed() -> None:
    request = to_http_request(check_request("/products", method="POST"))
    assert _needed(request) == {
        "needed_audience": ["https://shopping.api"],
        "needed_scopes": ["write:products", "admin"],
    }


def test_a_missing_scope_says_which_were_needed() -> None:
    request = to_http_request(check_request(token=mint({"scope": "read:orders"})))
    assert _needed(request) == {"needed_scopes": ["read:products"]}


def test_a_wrong_audience_says_which_was_needed_and_which_the_token_is_for() -> None:
    token = mint({"aud": ["https://other.api", "https://third.api"]})
    event = event_of(request := to_http_request(check_request(token=token)), decide(request))
    assert event["needed_audience"] == ["https://shopping.api"]
    assert event["audience"] == "https://other.api https://third.api"


def test_an_unknown_issuer_says_which_are_known_by_their_names_in_the_policy() -> None:
    request = to_http_request(check_request(token=mint({"iss": "https://evil.example.com"})))
    assert _needed(request) == {"needed_issuers": ["logto", "silent"]}


def test_a_claim_that_does_not_fit_says_which_one_but_not_what_the_path_asks_of_it() -> None:
    request = to_http_request(check_request(f"/organizations/{SECRET}", token=mint()))
    assert _needed(request) == {"needed_claims": ["organization_id"]}
    assert SECRET not in logged(request, decide(request))


def test_an_audience_with_a_variable_is_told_as_the_policy_has_it() -> None:
    policy = policy_from(
        "version: 1\n"
        "issuers: [{name: logto, issuer: https://auth.example.com/oidc, preset: logto}]\n"
        "resources:\n"
        "  - {name: o, audience: https://shopping.api, routes: [{path: '/o/{id}',"
        " audience: 'urn:o:{id}', methods: {GET: {any_scope: [a, b]}}}]}\n"
    )
    request = HttpRequest("GET", HOST, f"/o/{SECRET}")
    denied = authorize(request, policy=policy, keys=published(), now=NOW)
    assert _needed(request, denied) == {
        "needed_audience": ["urn:o:{id}"],
        "needed_any_scope": ["a", "b"],
    }


@pytest.mark.parametrize("reason", [DenyReason.EXPIRED, DenyReason.BAD_SIGNATURE])
def test_a_token_that_is_no_good_anywhere_says_nothing_of_this_route(reason: DenyReason) -> None:
    (refusal,) = (refusal for refusal in REFUSALS if refusal.reason is reason)
    assert _needed(to_http_request(refusal.request())) == {}


# Which Checks are logged


def _audited(deny: Deny) -> Allow:
    allowed = decide(to_http_request(check_request("/healthz")))
    assert isinstance(allowed, Allow)
    return Allow(allowed.match, Audited(deny), allowed.headers)


@pytest.mark.parametrize(
    ("allows", "chance", "is_logged"),
    [
        (1.0, 0.999_999, True),
        (0.01, 0.009_999, True),
        (0.01, 0.01, False),
        (0.01, 0.999_999, False),
        (0.0, 0.0, False),
    ],
)
def test_of_the_allows_a_share_is_logged(allows: float, chance: float, *, is_logged: bool) -> None:
    request = to_http_request(check_request("/healthz"))
    line = logged(request, decide(request), LogSettings(allows=allows), chance=lambda: chance)
    assert bool(line) is is_logged


@pytest.mark.parametrize("allows", [1.0, 0.25])
def test_a_sampled_allow_says_how_many_it_stands_for(allows: float) -> None:
    request = to_http_request(check_request("/healthz"))
    event = event_of(request, decide(request), LogSettings(allows=allows))
    assert event.get("sampled") == (allows if allows < 1 else None)


@pytest.mark.parametrize("decision", [Deny(), _audited(Deny(DenyReason.EXPIRED))])
def test_every_refusal_is_logged_enforced_or_not(decision: Decision) -> None:
    event = event_of(HttpRequest("GET", HOST, "/"), decision, LogSettings(allows=0))
    assert event["decision"] == "deny"
    assert event.get("mode") == (None if isinstance(decision, Deny) else "audit")
    assert "sampled" not in event


class _Untouchable(HttpRequest):
    """A request that nobody may look at."""

    def __getattribute__(self, name: str) -> object:
        raise AssertionError(name)


def test_nothing_is_worked_out_for_what_is_not_logged() -> None:
    request = to_http_request(check_request("/healthz"))
    untouchable = object.__new__(_Untouchable)
    assert logged(untouchable, decide(request), LogSettings(allows=0)) == ""
    assert logged(untouchable, decide(request), LogSettings(level="warning")) == ""


@pytest.mark.parametrize(
    ("level", "shown"), [("debug", True), ("info", True), ("warning", False), ("error", False)]
)
@pytest.mark.parametrize("log_format", FORMATS)
def test_checks_are_logged_at_the_level_info(log_format: str, level: str, *, shown: bool) -> None:
    settings = LogSettings(log_format=log_format, level=level)
    assert bool(logged(HttpRequest("GET", HOST, "/"), Deny(), settings)) is shown


# Whatever anybody sends


@given(method=ANYTHING, authority=ANYTHING, target=ANYTHING, name=ANYTHING, value=ANYTHING)
def test_whatever_the_request_is_it_makes_one_json_line_of_ascii(
    method: str, authority: str, target: str, name: str, value: str
) -> None:
    headers = ((name, value), ("x-request-id", value), ("authorization", value))
    request = HttpRequest(method, authority, target, headers)
    _assert_is_one_json_line(logged(request, decide(request), RAW_PATH))


@given(method=ANYTHING, authority=ANYTHING, target=ANYTHING, value=ANYTHING)
def test_whatever_the_request_is_it_makes_one_console_line(
    method: str, authority: str, target: str, value: str
) -> None:
    request = HttpRequest(method, authority, target, (("x-request-id", value),))
    settings = LogSettings(log_format="console", raw_path=True)
    _assert_is_one_console_line(logged(request, decide(request), settings))


@given(text=ANYTHING)
def test_whatever_the_claims_are_they_make_one_json_line_of_ascii(text: str) -> None:
    line = logged(HttpRequest("GET", HOST, "/"), _refusal_of(text))
    _assert_is_one_json_line(line)
    event = json.loads(line)
    assert (event["event"], event["reason"]) == ("check", "wrong_audience")
    whole = re.sub("[\ud800-\udfff]", "\ufffd", text)
    for name in ("subject", "client_id", "scope", "audience"):
        assert event[name] == whole or name in event["truncated"]
        assert whole.startswith(event[name])


def _assert_is_one_json_line(line: str) -> None:
    assert line.isascii()
    assert line.isprintable()
    assert len(line) < LONGEST_LINE
    assert isinstance(json.loads(line), dict)
    json.dumps(json.loads(line), ensure_ascii=False).encode()  # no surrogate is alone


@given(text=ANYTHING)
def test_whatever_the_claims_are_they_make_one_console_line(text: str) -> None:
    _assert_is_one_console_line(_logged_to_console(text))


@pytest.mark.parametrize("text", HOSTILE)
def test_no_claim_reaches_the_terminal_as_a_command_or_a_line_of_its_own(text: str) -> None:
    """The subject of a valid token may be chosen by its user."""
    _assert_is_one_console_line(_logged_to_console(text))


def _logged_to_console(text: str) -> str:
    return logged(HttpRequest("GET", HOST, "/"), _refusal_of(text), CONSOLE)


def _assert_is_one_console_line(line: str) -> None:
    assert line
    assert line.isprintable()
    assert len(line) < LONGEST_LINE


@pytest.mark.parametrize("log_format", FORMATS)
def test_what_is_in_a_list_is_ascii_as_well(log_format: str) -> None:
    """A name in a certificate, or a scope of the policy."""
    names = ["a\r\nb", "\x1b[31m", "\u202e", "é", "\ud800"]
    line = render(renderers(log_format), "info", "some", names=names, by={"name": names})
    assert line.isascii()
    assert line.isprintable()


def test_the_console_shows_the_event_and_its_fields() -> None:
    request = to_http_request(check_request(token=mint({"scope": "read:orders"})))
    line = logged(request, decide(request), CONSOLE)
    for part in ("check", "decision=deny", "reason=insufficient_scope", "subject=user-1"):
        assert part in line


@pytest.mark.parametrize("text", ["x" * 16_384, '"' * 16_384, "\u00e9" * 16_384, "\x00" * 300])
def test_a_long_claim_is_cut_and_the_line_says_so(text: str) -> None:
    event = event_of(HttpRequest("GET", HOST, "/"), _refusal_of(text))
    for name, most in (("subject", 256), ("client_id", 256), ("scope", 1024), ("audience", 512)):
        assert text.startswith(event[name])
        assert len(json.dumps(event[name])) - 2 <= most
        assert (name in event["truncated"]) is (event[name] != text)
    assert {"subject", "client_id"} <= set(event["truncated"])


@pytest.mark.parametrize(("length", "cut"), [(256, False), (257, True)])
def test_a_claim_is_cut_where_it_is_longer_than_its_bound(length: int, *, cut: bool) -> None:
    event = event_of(HttpRequest("GET", HOST, "/"), _refusal_of("x" * length))
    assert event["subject"] == "x" * 256
    assert ("subject" in event.get("truncated", [])) is cut


# What Envoy's configuration adds


EDGE: Final = {"gateway": "edge", "route": "checkout"}


def _extensions_of(extensions: Mapping[str, str]) -> dict[str, Any]:
    return event_of(HttpRequest("GET", HOST, "/"), Deny(), None, extensions)


def test_a_check_says_which_gateway_or_route_asked() -> None:
    event = _extensions_of(EDGE)
    assert event["context_extensions"] == EDGE
    assert "truncated" not in event


@pytest.mark.parametrize("log_format", FORMATS)
def test_a_check_without_context_extensions_has_no_field_of_them(log_format: str) -> None:
    settings = LogSettings(log_format=log_format)
    line = logged(HttpRequest("GET", HOST, "/"), Deny(), settings, {})
    assert "context_extensions" not in line


@pytest.mark.parametrize(("count", "cut"), [(8, False), (9, True)])
def test_of_many_context_extensions_the_first_by_name_are_logged(count: int, *, cut: bool) -> None:
    given = {f"key-{number}": "v" for number in reversed(range(count))}
    event = _extensions_of(given)
    assert list(event["context_extensions"]) == [f"key-{number}" for number in range(8)]
    assert ("context_extensions" in event.get("truncated", [])) is cut


@pytest.mark.parametrize("filler", ["x", '"', "\u00e9", "\x00"])
def test_long_context_extensions_are_cut_and_the_line_says_so(filler: str) -> None:
    event = _extensions_of({"a": filler * 100, "b": filler * 16_384, "c": "never"})
    shown = event["context_extensions"]
    assert shown["a"] == filler * 100
    assert set(shown["b"]) == {filler}
    assert sum(len(json.dumps(text)) - 2 for entry in shown.items() for text in entry) <= 1024
    assert event["truncated"] == ["context_extensions"]


def test_a_name_that_is_too_long_is_left_out() -> None:
    event = _extensions_of({"a": "kept", "n" * 1025: "never"})
    assert event["context_extensions"] == {"a": "kept"}
    assert event["truncated"] == ["context_extensions"]


@given(name=ANYTHING, value=ANYTHING)
def test_whatever_the_context_extensions_are_they_make_one_line(name: str, value: str) -> None:
    request = HttpRequest("GET", HOST, "/")
    _assert_is_one_json_line(logged(request, Deny(), None, {name: value}))
    _assert_is_one_console_line(logged(request, Deny(), CONSOLE, {name: value}))
