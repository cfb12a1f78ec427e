"""The short way to a line of the decision log leads to the same line."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.core.authorize import authorize
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.request import HttpRequest
from authz_service.core.verified import TokenCacheLimits, VerifiedTokens
from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry.logs import check_lines, checks
from authz_service.telemetry.logs.identity import IdentityHash
from authz_service.telemetry.logs.settings import LogSettings
from tests.edge.shop import (
    NOW,
    POLICY,
    REFUSALS,
    check_request,
    mint,
    policy_from,
    published,
)
from tests.telemetry.logged import lines_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest

POLICIES: Final = (policy_from(POLICY), policy_from(f"mode: audit\n{POLICY}"))
HASHED: Final = LogSettings(identity_hash=IdentityHash(b"k" * 32))
ID: Final = [("x-request-id", "8f7b2c1e-5d0a")]
REQUESTS: Final[dict[str, Callable[[], CheckRequest]]] = {
    "public": lambda: check_request("/healthz", headers=ID),
    "token": lambda: check_request(token=mint(), headers=ID),
    "long": lambda: check_request(token=mint({"sub": "x" * 300})),
    "astral": lambda: check_request(token=mint({"sub": "\U0001f600"})),
    "quoted": lambda: check_request(token=mint({"sub": 'a"\\é'})),
    "strange": lambda: check_request("/me", token=mint(), headers=[("x-request-id", "a b")]),
    "preflight": lambda: check_request("/products", method="OPTIONS"),
} | {str(refusal.reason): refusal.request for refusal in REFUSALS}


def _lines(settings: LogSettings, *, short: bool) -> list[dict[str, Any]]:
    """The events of every request, each with a token that is known by then."""
    cache = VerifiedTokens(TokenCacheLimits())
    log = checks.CheckLog(settings, chance=lambda: 0.0)

    def act() -> None:
        for policy in POLICIES:
            for request in map(to_http_request, (make() for make in REQUESTS.values())):
                for _ in range(3):
                    decision = authorize(
                        request, policy=policy, keys=published(), now=NOW, verified=cache
                    )
                    log(request, decision, 0.0012345)
        for reason in DenyReason:
            log(HttpRequest("G T", "no host", "/"), Deny(reason), 0.5)

    with pytest.MonkeyPatch.context() as patch:
        if not short:
            patch.setattr(checks, "json_output", lambda: None)
        lines = lines_of(act, checks, settings)
    return [_without_time(line) for line in lines]


def _without_time(line: str) -> dict[str, Any]:
    """The event, with what is as large as JSON's own spelling of it."""
    event: dict[str, Any] = json.loads(line)
    stamp = event.pop("timestamp")
    rest = line.replace(stamp, "")
    event["spelled"] = rest
    return event


@pytest.mark.parametrize(
    "settings", [LogSettings(), LogSettings(allows=0.25), HASHED], ids=["all", "some", "hashed"]
)
def test_both_ways_write_the_same(settings: LogSettings) -> None:
    short, long = _lines(settings, short=True), _lines(settings, short=False)
    assert len(short) == 3 * 2 * len(REQUESTS) + len(DenyReason)
    assert short == long


def test_the_usual_goes_the_short_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks, "_log", None)
    log = checks.CheckLog(LogSettings())
    for name in ("public", "token", "quoted", "missing_token", "insufficient_scope"):
        request = to_http_request(REQUESTS[name]())
        decision = authorize(request, policy=POLICIES[0], keys=published(), now=NOW)
        asked = checks._request_fields(request)
        assert log._lines.line("now", decision, asked, 1) is not None


def test_what_is_said_of_a_known_token_is_written_once(monkeypatch: pytest.MonkeyPatch) -> None:
    cache = VerifiedTokens(TokenCacheLimits())
    request = to_http_request(check_request(token=mint()))
    lines = checks.CheckLog(LogSettings())._lines

    def write() -> str | None:
        decision = authorize(request, policy=POLICIES[0], keys=published(), now=NOW, verified=cache)
        return lines.line("now", decision, {}, 1)

    before = [write() for _ in range(3)]
    monkeypatch.setattr(check_lines, "identity", None)
    assert write() is not None
    assert None not in before
