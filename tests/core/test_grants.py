"""What lets a request pass without validated claims: preflights, no token, and audit mode."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import pytest

from authz_service.core.authorize import Trail, authorize
from authz_service.core.claims import ValidatedClaims
from authz_service.core.decision import (
    Allow,
    Audited,
    DenyReason,
    NoToken,
    Preflight,
    refusal,
)
from authz_service.core.policy import Policy, Public
from authz_service.core.summary import summarize
from tests.support.checks import Check, allowed, denied
from tests.support.policies import needs, policy_of, route
from tests.support.tokens import NOW

IDENTITY: Final = {"x-auth-subject", "x-auth-client-id", "x-auth-scope", "x-auth-issuer"}
NO_TOKEN: Final = None


def policy(*, optional: bool = False, audit: bool = False) -> Policy:
    requirement = replace(needs("read:products"), optional=optional, audit=audit)
    return policy_of(route("/products", {"GET": requirement}))


def assert_anonymous(allow: Allow) -> None:
    """Nothing that looks like an identity reaches the upstream, whoever wrote it."""
    assert allow.headers.overwrite == ()
    assert set(allow.headers.remove) >= {*IDENTITY, "x-auth-role"}


FORGED: Final = (("x-auth-subject", "root"), ("x-auth-role", "admin"))


# Preflights


def preflight_policy(*, allow: bool = True) -> Policy:
    each = route("/products", {"GET": needs()})
    return policy_of(replace(each, allow_preflight=allow))


ORIGIN: Final = ("origin", "https://shop.example")
ASKS_FOR: Final = ("access-control-request-method", "POST")


def test_a_preflight_passes_without_a_token_and_without_an_identity() -> None:
    allow = allowed(
        Check(
            method="OPTIONS",
            authorization=NO_TOKEN,
            headers=(ORIGIN, ASKS_FOR, *FORGED),
            policy=preflight_policy(),
        )
    )
    assert isinstance(allow.grant, Preflight)
    assert_anonymous(allow)


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("OPTIONS", ()),
        ("OPTIONS", (ORIGIN,)),
        ("OPTIONS", (ASKS_FOR,)),
        ("OPTIONS", (("origin", ""), ASKS_FOR)),
        ("OPTIONS", (ORIGIN, ("access-control-request-method", ""))),
        ("POST", (ORIGIN, ASKS_FOR)),
        ("options", (ORIGIN, ASKS_FOR)),
    ],
)
def test_what_is_no_preflight_is_judged_as_ever(
    method: str, headers: tuple[tuple[str, str], ...]
) -> None:
    check = Check(method=method, authorization=NO_TOKEN, headers=headers, policy=preflight_policy())
    assert denied(check).reason is DenyReason.METHOD_NOT_ALLOWED


def test_a_preflight_is_refused_unless_the_resource_lets_them_pass() -> None:
    check = Check(
        method="OPTIONS",
        authorization=NO_TOKEN,
        headers=(ORIGIN, ASKS_FOR),
        policy=preflight_policy(allow=False),
    )
    assert denied(check).reason is DenyReason.METHOD_NOT_ALLOWED


def test_a_preflight_for_a_path_that_no_route_names_is_refused() -> None:
    check = Check(
        method="OPTIONS",
        target="/nowhere",
        authorization=NO_TOKEN,
        headers=(ORIGIN, ASKS_FOR),
        policy=preflight_policy(),
    )
    assert denied(check).reason is DenyReason.NO_ROUTE


# An optional token


@pytest.mark.parametrize("authorization", [NO_TOKEN, "Basic dTpw", ""])
def test_no_token_is_fine_where_it_is_optional(authorization: str | None) -> None:
    allow = allowed(
        Check(authorization=authorization, headers=FORGED, policy=policy(optional=True))
    )
    assert isinstance(allow.grant, NoToken)
    assert_anonymous(allow)


def test_an_optional_token_that_is_valid_gives_an_identity() -> None:
    allow = allowed(Check(policy=policy(optional=True)))
    assert isinstance(allow.grant, ValidatedClaims)
    assert dict(allow.headers.overwrite)["x-auth-subject"] == "user-1"


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Check(claims={"exp": NOW - 60}), DenyReason.EXPIRED),
        (Check(claims={"scope": ""}), DenyReason.INSUFFICIENT_SCOPE),
        (Check(authorization="Bearer junk"), DenyReason.MALFORMED_TOKEN),
        (Check(authorization="Bearer "), DenyReason.MALFORMED_CREDENTIALS),
        (Check(authorization="Bearer a,Bearer b"), DenyReason.MALFORMED_CREDENTIALS),
    ],
)
def test_an_optional_token_that_is_sent_must_be_valid_and_meet_the_rest(
    check: Check, reason: DenyReason
) -> None:
    assert denied(replace(check, policy=policy(optional=True))).reason is reason


# Audit mode


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Check(authorization=NO_TOKEN), DenyReason.MISSING_TOKEN),
        (Check(claims={"exp": NOW - 60}), DenyReason.EXPIRED),
        (Check(claims={"scope": ""}), DenyReason.INSUFFICIENT_SCOPE),
        (Check(authorization="Bearer junk"), DenyReason.MALFORMED_TOKEN),
        (Check(keys=dict), DenyReason.KEYS_UNAVAILABLE),
        (Check(claims={"sub": "x" * 5000}), DenyReason.CLAIMS_TOO_LARGE),
    ],
)
def test_a_refusal_of_audit_mode_lets_the_request_pass_without_an_identity(
    check: Check, reason: DenyReason
) -> None:
    allow = allowed(replace(check, policy=policy(audit=True), headers=FORGED))
    assert isinstance(allow.grant, Audited)
    assert refusal(allow) is allow.grant.deny
    assert allow.grant.deny.reason is reason
    assert_anonymous(allow)
    enforced = denied(replace(check, policy=policy()))
    assert summarize(allow) == {**summarize(enforced), "mode": "audit"}


def test_audit_mode_changes_nothing_for_what_would_pass_anyway() -> None:
    allow = allowed(Check(policy=policy(audit=True)))
    assert allow == replace(allowed(Check(policy=policy())), match=allow.match)
    assert refusal(allow) is None
    assert "mode" not in summarize(allow)


def test_a_method_that_no_requirement_covers_follows_the_mode_of_its_route() -> None:
    audited = replace(route("/products", {"GET": needs()}), audit=True)
    check = Check(method="DELETE", policy=policy_of(audited))
    assert summarize(allowed(check))["reason"] == "method_not_allowed"
    enforced = route("/products", {"GET": replace(needs(), audit=True)})
    check = Check(method="DELETE", policy=policy_of(enforced))
    assert denied(check).reason is DenyReason.METHOD_NOT_ALLOWED


def test_a_requirement_that_is_enforced_on_a_route_that_is_audited_is_enforced() -> None:
    mixed = replace(route("/products", {"GET": needs("admin")}), audit=True)
    assert denied(Check(policy=policy_of(mixed))).reason is DenyReason.INSUFFICIENT_SCOPE


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Check(target="/nowhere"), DenyReason.NO_ROUTE),
        (Check(target="/products/../x"), DenyReason.AMBIGUOUS_PATH),
        (Check(target="/products%2Fx"), DenyReason.AMBIGUOUS_PATH),
        (Check(authority="a,b"), DenyReason.BAD_HOST),
    ],
)
def test_what_comes_before_a_route_is_let_through_only_where_the_whole_policy_is_audited(
    check: Check, reason: DenyReason
) -> None:
    some, whole = policy(audit=True), replace(policy(audit=True), audit=True)
    assert denied(replace(check, policy=some)).reason is reason
    allow = allowed(replace(check, policy=whole, headers=FORGED))
    assert allow.match is None
    assert_anonymous(allow)
    assert summarize(allow) == {"decision": "deny", "reason": reason.value, "mode": "audit"}


def test_the_refusal_of_a_route_is_enforced_though_what_no_route_names_is_let_through() -> None:
    whole = replace(policy(), audit=True)
    assert denied(Check(authorization=NO_TOKEN, policy=whole)).reason is DenyReason.MISSING_TOKEN


# The trail


def test_the_trail_holds_what_each_step_established() -> None:
    check, trail = Check(), Trail()
    decision = authorize(
        check.request(), policy=check.policy, keys=check.keys(), now=check.now, trail=trail
    )
    assert isinstance(decision, Allow)
    assert trail.match is decision.match
    assert isinstance(decision.grant, ValidatedClaims)
    assert trail.claims is decision.grant.claims
    assert None not in (trail.path, trail.host, trail.requirement, trail.token, trail.jws)
    assert None not in (trail.issuer, trail.key, trail.payload)


def test_the_trail_ends_where_a_step_refuses() -> None:
    check, trail = Check(authorization="Bearer junk"), Trail()
    authorize(check.request(), policy=check.policy, keys=check.keys(), now=check.now, trail=trail)
    assert trail.token is not None
    assert (trail.jws, trail.issuer, trail.key, trail.payload, trail.claims) == (None,) * 5


def test_the_trail_of_a_public_route_has_no_requirement_of_a_token() -> None:
    check, trail = Check(target="/healthz"), Trail()
    authorize(check.request(), policy=check.policy, keys=check.keys(), now=check.now, trail=trail)
    assert isinstance(trail.requirement, Public)
    assert trail.token_requirement is None
    assert trail.token is None
