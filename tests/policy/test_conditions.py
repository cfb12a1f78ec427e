"""`when` in a policy file: compiled when it is loaded, and decided by `authorize` like the rest."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.core.authorize import authorize
from authz_service.core.decision import Deny, DenyReason
from authz_service.core.request import HttpRequest
from tests.policy.folder import Folder, policy_text, token_requirement
from tests.support.keys import key_set, signing_key
from tests.support.tokens import NOW, mint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.policy import Policy


def reason(
    policy: Policy, claims: Mapping[str, object], *headers: tuple[str, str]
) -> DenyReason | None:
    token = mint({"aud": "https://shop.example", "scope": "read:orders", **claims})
    request = HttpRequest(
        "GET", "any.example", "/orders/7?x=1", (("authorization", f"Bearer {token}"), *headers)
    )
    keys = {issuer.name: key_set(signing_key()) for issuer in policy.issuers}
    decision = authorize(request, policy=policy, keys=keys, now=NOW)
    return decision.reason if isinstance(decision, Deny) else None


@pytest.mark.parametrize(
    ("expression", "claims", "holds"),
    [
        ("claims.sub == path.id", {"sub": "7"}, True),
        ("claims.sub == path.id", {"sub": "8"}, False),
        ("claims.level >= 3", {"level": 3}, True),
        ("claims.level >= 3", {"level": "3"}, False),
        ("claims.level >= 3", {}, False),
        ("claims.verified", {"verified": True}, True),
        ("claims.verified", {"verified": "true"}, False),
        ("claims.verified", {"verified": 1}, False),
        ("!has(claims.organization_id)", {}, True),
        ("!has(claims.organization_id)", {"organization_id": "acme"}, False),
        ("claims.address.country in ['DE', 'FR']", {"address": {"country": "DE"}}, True),
        ("request.method == 'GET' && request.host == 'any.example'", {}, True),
        ("request.path == '/orders/7'", {}, True),
        ("request.headers['x-tier'] == 'gold'", {}, True),
        ("request.headers['x-none'] == 'gold'", {}, False),
    ],
)
def test_an_expression_decides(
    folder: Folder, expression: str, claims: Mapping[str, object], *, holds: bool
) -> None:
    quoted = expression.replace("'", "''")
    policy = folder.load(policy_text(methods=f"{{GET: {{when: '{quoted}'}}}}"))
    expected = None if holds else DenyReason.CONDITION_FAILED
    assert reason(policy, claims, ("x-tier", "gold")) is expected


def test_all_of_a_requirement_must_hold(folder: Folder) -> None:
    methods = "{GET: {scopes: [read:orders], claims: {sub: '{id}'}, when: claims.level == 3}}"
    policy = folder.load(policy_text(methods=methods))
    assert reason(policy, {"sub": "7", "level": 3}) is None
    assert reason(policy, {"sub": "7", "level": 2}) is DenyReason.CONDITION_FAILED
    assert reason(policy, {"sub": "8", "level": 3}) is DenyReason.CLAIM_MISMATCH
    scopeless = {"sub": "7", "level": 3, "scope": ""}
    assert reason(policy, scopeless) is DenyReason.INSUFFICIENT_SCOPE


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("»claims.sub ==", "when: column"),
        ("»claim.sub == path.id", "when: column 6: undeclared reference to 'claim.sub'"),
        ("»'1 + 1'", "when: an expression must be true or false"),
        ("»claims.sub == path.user", 'the path /orders/{id} has no {user}: "claims.sub == path.u'),
        ("»7", "when: write a string"),
        ("»''", "when: write a string that is not empty"),
        ("»[claims.a]", "when: write a string"),
        ("»true", "when: write a string"),
        ("»null", "when: left empty"),
    ],
)
def test_what_is_no_condition_is_refused_where_it_stands(
    folder: Folder, value: str, message: str
) -> None:
    route = policy_text(methods="").replace("methods: \n", "methods: {}\n")
    marked = route.replace("methods: {}", f"methods:\n          GET:\n            when: {value}")
    folder.refuses(marked, message)


def test_two_policies_with_the_same_expression_are_the_same(folder: Folder) -> None:
    text = policy_text(methods="{GET: {when: claims.level == 3}}")
    first, second = (token_requirement(folder.load(text)) for _ in range(2))
    assert first.conditions == second.conditions
