"""The sentence for what passes without having earned an identity."""

from __future__ import annotations

from dataclasses import replace

from authz_service.core.policy import Public
from authz_service.policy.why import why
from tests.support.checks import Check
from tests.support.policies import needs, policy_of, route


def sentence(check: Check) -> str:
    return why(
        check.decide(),
        request=check.request(),
        policy=check.policy,
        keys=check.keys(),
        now=check.now,
    )


def test_a_refusal_in_audit_mode_is_explained_as_the_refusal_that_it_is() -> None:
    enforced = needs("admin")
    checks = [
        Check(target="/c", policy=policy_of(route("/c", {"GET": requirement})))
        for requirement in (enforced, replace(enforced, audit=True))
    ]
    told = {sentence(check) for check in checks}
    assert told == {"the route /c needs the scope admin for GET; the token has read:products"}


def test_an_audited_refusal_without_a_route_is_explained_too() -> None:
    check = Check(target="//", policy=replace(policy_of(), audit=True))
    assert "could be read in two ways" in sentence(check)


def test_no_token_where_it_is_optional() -> None:
    policy = policy_of(route("/c", {"GET": replace(needs(), optional=True)}))
    check = Check(target="/c", policy=policy, authorization=None)
    assert sentence(check) == "no token was sent, and for GET /c it is optional"


def test_a_preflight_that_the_resource_lets_pass() -> None:
    policy = policy_of(replace(route("/c", {"GET": needs()}), allow_preflight=True))
    headers = (("origin", "https://a.example"), ("access-control-request-method", "GET"))
    check = Check(method="OPTIONS", target="/c", policy=policy, headers=headers, authorization=None)
    assert sentence(check) == "a CORS preflight, which the resource of the route /c lets pass"


def test_a_public_route_and_a_token_that_has_what_is_needed() -> None:
    public = Check(target="/c", policy=policy_of(route("/c", {"GET": Public()})))
    assert sentence(public) == "the route /c is public for GET: no token is looked at"
    assert sentence(Check()).startswith("the token of logto has what the route /products needs")
