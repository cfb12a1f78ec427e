"""What Envoy gets where no token was needed, or where a refusal is not enforced."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Final

import pytest

from tests.edge.rig import FakeKeys, answer, overwritten, reason, removed, servicer
from tests.edge.shop import POLICY, check_request, mint, policy_from

if TYPE_CHECKING:
    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
        CheckRequest,
        CheckResponse,
    )
    from authz_service.core.policy import Policy

SPOOFED: Final = [("x-auth-subject", "root"), ("X_Auth_Scope", "admin"), ("x-auth.role", "admin")]
ROUTES: Final = """\
      - path: /reviews
        methods: {GET: {optional: true, scopes: [read:products]}}
      - path: /stock
        mode: audit
        methods: {GET: [read:stock]}
"""


@functools.cache
def shop() -> Policy:
    text = POLICY.replace("    routes:\n", f"    cors_preflight: allow\n    routes:\n{ROUTES}")
    return policy_from(text)


def ask_shop(request: CheckRequest) -> CheckResponse:
    return answer(request, served=lambda: servicer(policy=shop()))


def assert_passes_as_nobody(response: CheckResponse) -> None:
    assert response.status.code == 0
    assert not overwritten(response)
    assert {"x-auth-subject", "x_auth_scope", "x-auth.role"} <= removed(response)


def test_a_preflight_passes_as_nobody() -> None:
    asks = [("Origin", "https://shop.example"), ("Access-Control-Request-Method", "POST")]
    request = check_request("/products", method="OPTIONS", headers=[*asks, *SPOOFED])
    assert_passes_as_nobody(ask_shop(request))


def test_who_comes_without_a_token_where_it_is_optional_passes_as_nobody() -> None:
    assert_passes_as_nobody(ask_shop(check_request("/reviews", headers=SPOOFED)))


def test_who_comes_with_a_token_where_it_is_optional_passes_as_somebody() -> None:
    response = ask_shop(check_request("/reviews", token=mint(), headers=SPOOFED))
    assert overwritten(response)["x-auth-subject"] == "user-1"


def test_a_token_that_is_optional_and_bad_is_refused() -> None:
    response = ask_shop(check_request("/reviews", token="junk"))
    assert reason(response) == "malformed_token"
    assert response.denied_response.status.code == 401


@pytest.mark.parametrize(
    ("token", "expected"),
    [(None, "missing_token"), ("junk", "malformed_token"), ("", "malformed_credentials")],
)
def test_a_refusal_that_is_audited_passes_as_nobody_and_is_told(
    token: str | None, expected: str
) -> None:
    response = ask_shop(check_request("/stock", token=token, headers=SPOOFED))
    assert_passes_as_nobody(response)
    metadata = response.dynamic_metadata.fields
    assert metadata["decision"].string_value == "deny"
    assert metadata["mode"].string_value == "audit"
    assert reason(response) == expected


def test_a_token_that_was_verified_gives_no_identity_where_it_was_refused() -> None:
    response = ask_shop(check_request("/stock", token=mint(), headers=SPOOFED))
    assert_passes_as_nobody(response)
    assert reason(response) == "insufficient_scope"
    assert response.dynamic_metadata.fields["subject"].string_value == "user-1"


def test_an_unknown_key_asks_for_fresher_ones_in_audit_mode_too() -> None:
    keys = FakeKeys()
    response = answer(
        check_request("/stock", token=mint(header={"kid": "unknown"})),
        served=lambda: servicer(policy=shop(), keys=keys),
    )
    assert response.status.code == 0
    assert reason(response) == "unknown_key"
    assert not overwritten(response)
    assert keys.nudges == ["logto"]
