"""What is said of each kind of decision, in metadata, logs and metrics alike."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, Deny, DenyReason
from authz_service.core.summary import summarize
from authz_service.ext_authz.convert import to_http_request
from tests.edge.shop import (
    NOW,
    REFUSALS,
    SILENT_ISSUER,
    Refusal,
    check_request,
    mint,
    published,
    shop_policy,
)

if TYPE_CHECKING:
    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from authz_service.core.decision import Decision

FIELDS = {
    "decision", "reason", "resource", "route", "issuer", "subject", "client_id", "scope",
    "expires_at",
}  # fmt: skip


def decide(request: CheckRequest) -> Decision:
    return authorize(to_http_request(request), policy=shop_policy(), keys=published(), now=NOW)


def test_our_own_fault_says_no_more_than_that() -> None:
    assert summarize(Deny()) == {"decision": "deny", "reason": "internal_error"}


def test_a_refusal_before_a_route_has_a_reason_only() -> None:
    refusal = decide(check_request("/nowhere"))
    assert summarize(refusal) == {"decision": "deny", "reason": "no_route"}


def test_a_refusal_at_a_route_names_it() -> None:
    assert summarize(decide(check_request("/organizations/org-1"))) == {
        "decision": "deny",
        "reason": "missing_token",
        "resource": "shopping",
        "route": "/organizations/{org_id}",
    }


def test_a_refusal_for_missing_keys_names_the_issuer_by_its_name_in_the_policy() -> None:
    token = mint({"iss": SILENT_ISSUER, "sub": "not verified"})
    assert summarize(decide(check_request(token=token))) == {
        "decision": "deny",
        "reason": "keys_unavailable",
        "resource": "shopping",
        "route": "/products",
        "issuer": "silent",
    }


def test_a_refusal_of_a_verified_token_says_whose_it_is() -> None:
    token = mint({"aud": "https://other.api", "scope": None, "client_id": "app-2"})
    assert summarize(decide(check_request(token=token))) == {
        "decision": "deny",
        "reason": "wrong_audience",
        "resource": "shopping",
        "route": "/products",
        "issuer": "logto",
        "subject": "user-1",
        "client_id": "app-2",
        "scope": "",
        "expires_at": NOW + 3600,
    }


def test_a_public_route_names_nobody_though_a_token_was_sent() -> None:
    allowed = decide(check_request("/healthz", token=mint()))
    assert isinstance(allowed, Allow)
    assert summarize(allowed) == {
        "decision": "allow",
        "resource": "shopping",
        "route": "/healthz",
    }


def test_an_allow_for_a_token_says_whose_it_is_and_has_no_reason() -> None:
    assert summarize(decide(check_request(token=mint()))) == {
        "decision": "allow",
        "resource": "shopping",
        "route": "/products",
        "issuer": "logto",
        "subject": "user-1",
        "client_id": "app-1",
        "scope": "read:products",
        "expires_at": NOW + 3600,
    }


@pytest.mark.parametrize("refusal", REFUSALS, ids=[refusal.reason for refusal in REFUSALS])
def test_every_refusal_says_its_reason_and_nothing_beyond_the_fields(refusal: Refusal) -> None:
    summary = summarize(decide(refusal.request()))
    assert summary["decision"] == "deny"
    assert summary["reason"] == refusal.reason.value
    assert summary.keys() <= FIELDS


@pytest.mark.parametrize(
    "reason",
    [
        DenyReason.UNKNOWN_KEY,
        DenyReason.BAD_SIGNATURE,
        DenyReason.KEYS_UNAVAILABLE,
        DenyReason.UNKNOWN_ISSUER,
        DenyReason.MALFORMED_CLAIM,
    ],
)
def test_nothing_of_an_unverified_token_is_said(reason: DenyReason) -> None:
    """Anybody could have written it, in somebody's name."""
    (refusal,) = (refusal for refusal in REFUSALS if refusal.reason is reason)
    summary = summarize(decide(refusal.request()))
    assert summary.keys() <= {"decision", "reason", "resource", "route", "issuer"}
