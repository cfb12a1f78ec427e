"""A summary says what exists of a decision, and nothing secret."""

from __future__ import annotations

import pytest

from authz_service.core.decision import Deny, DenyReason
from authz_service.core.summary import summarize
from tests.support.checks import Check
from tests.support.tokens import NOW


@pytest.mark.parametrize(
    ("check", "summary"),
    [
        (
            Check(),
            {
                "decision": "allow",
                "resource": "shopping",
                "route": "/products",
                "issuer": "logto",
                "subject": "user-1",
                "client_id": "app-1",
                "scope": "read:products",
                "expires_at": NOW + 3600,
            },
        ),
        (
            Check(target="/healthz"),
            {"decision": "allow", "resource": "shopping", "route": "/healthz"},
        ),
        (Check(target="/nothing"), {"decision": "deny", "reason": "no_route"}),
        (
            Check(target="/products/1", authorization=None),
            {
                "decision": "deny",
                "reason": "missing_token",
                "resource": "shopping",
                "route": "/products/{product_id}",
            },
        ),
        (
            Check(header={"kid": "key-2"}, claims={"sub": "not verified"}),
            {
                "decision": "deny",
                "reason": "unknown_key",
                "resource": "shopping",
                "route": "/products",
                "issuer": "logto",
            },
        ),
        (
            Check(claims={"aud": "other", "scope": ["a", "b"]}),
            {
                "decision": "deny",
                "reason": "wrong_audience",
                "resource": "shopping",
                "route": "/products",
                "issuer": "logto",
                "subject": "user-1",
                "client_id": "app-1",
                "scope": "a b",
                "expires_at": NOW + 3600,
            },
        ),
    ],
)
def test_a_summary_says_what_exists(check: Check, summary: dict[str, object]) -> None:
    assert summarize(check.decide()) == summary


@pytest.mark.parametrize("reason", DenyReason)
def test_a_refusal_of_which_nothing_is_known_says_its_reason(reason: DenyReason) -> None:
    assert summarize(Deny(reason)) == {"decision": "deny", "reason": reason.value}
