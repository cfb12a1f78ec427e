"""Refusals by the claims of a token: their types, its times, what the route asks of it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

from authz_service.core.claims import ABSENT, ClaimReference
from authz_service.core.conditions import ClaimCondition, RequestAttributes
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.forward import (
    MAX_HEADER_BYTES,
    MAX_HEADERS_BYTES,
    ForwardRules,
    upstream_headers,
)
from authz_service.core.request import Host
from authz_service.core.templates import Template
from authz_service.policy.when import WhenExpression
from authz_service.policy.why.wording import cut, listed, literal, moment, shown, span

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.conditions import Condition
    from authz_service.core.policy import Issuer
    from authz_service.policy.why.facts import Facts


def malformed_claim(facts: Facts) -> str:
    """Name the claim, and what it must be."""
    if facts.deny.claims is not None:
        names = _refused_headers(facts, DenyReason.MALFORMED_CLAIM)
        forwarded = ", ".join(f"{claim} (as {header})" for header, claim in names)
        return f"a claim that is forwarded holds a control character: {forwarded}"
    payload = facts.jws.unverified_payload
    for name, must_be, holds in _types(facts.deny.issuer):
        value = ClaimReference.parse(name).find(payload)
        if value is not ABSENT and not holds(value):
            return f"the claim {name} is {literal(value)}, and must be {must_be}"
    return "a claim is not of its type"


def _types(issuer: Issuer | None) -> Iterator[tuple[str, str, Any]]:
    """Each claim that has one type, with that, in the order of `AccessTokenClaims.parse`."""
    a_string = "a string that is not empty"
    yield "iss", a_string, _is_text
    yield "jti", a_string, _is_text
    yield "aud", "a string or a list of strings, none empty", _is_text_or_list
    for name in ("exp", "nbf", "iat"):
        yield name, "a number, in seconds since 1970", _is_number
    yield "sub", a_string, _is_text
    if issuer is not None:
        for claim in issuer.client_id_claims:
            yield claim.text, a_string, _is_text
        for claim in (*issuer.scope_claims, *issuer.fallback_scope_claims):
            yield claim.text, "a string of scopes, or a list of single ones", _is_scopes


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""


def _is_text_or_list(value: object) -> bool:
    return all(_is_text(item) for item in (value if isinstance(value, list) else [value]))


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:
        return False


def _is_scopes(value: object) -> bool:
    if isinstance(value, list):
        return all(isinstance(item, str) and item and " " not in item for item in value)
    return isinstance(value, str)


def expired(facts: Facts) -> str:
    """Say how long ago."""
    exp, leeway = facts.claims.expires_at, facts.issuer.leeway
    beyond = f", and the leeway is {span(leeway)}" if leeway else ""
    return f"the token expired {span(facts.now - exp)} ago, at {moment(exp)}{beyond}"


def not_yet_valid(facts: Facts) -> str:
    """Say which time lies ahead, and how far."""
    claims, leeway = facts.claims, facts.issuer.leeway
    times = {"nbf": claims.not_before, "iat": claims.issued_at}
    name, time = next(
        (name, time)
        for name, time in times.items()
        if time is not None and time > facts.now + leeway
    )
    beyond = f", and the leeway is {span(leeway)}" if leeway else ""
    return f"the token's {name}, {moment(time)}, is {span(time - facts.now)} ahead{beyond}"


def lifetime_too_long(facts: Facts) -> str:
    """Name both lengths."""
    left, most = facts.claims.expires_at - facts.now, facts.issuer.max_token_lifetime or 0.0
    return (
        f"the token expires in {span(left)}, at {moment(facts.claims.expires_at)}, and the"
        f" max_token_lifetime of {facts.issuer.name} is {span(most)}"
    )


def wrong_audience(facts: Facts) -> str:
    """Name the expected audiences and those that there are."""
    expected = [audience.expand(facts.match.variables) for audience in facts.requirement.audiences]
    return (
        f"the route {facts.route} needs the audience {listed(expected, 'or')};"
        f" the token has {listed(facts.claims.audiences, nothing='no audience')}"
    )


def insufficient_scope(facts: Facts) -> str:
    """Name the scopes that are missing and those that there are."""
    requirement, granted = facts.requirement, facts.claims.scopes
    missing = [scope for scope in requirement.scopes if scope not in granted]
    needs = f"the scope{'s' if len(missing) > 1 else ''} {listed(missing)}"
    if not missing:
        needs = f"one of the scopes {listed(requirement.any_scope, 'or')}"
    return (
        f"the route {facts.route} needs {needs} for {shown(facts.request.method)};"
        f" the token has {listed(granted, nothing='no scope')}"
    )


def claim_mismatch(facts: Facts) -> str:
    """Name the first claim that is not as it must be, what it must be, and what it is."""
    for condition in facts.requirement.conditions:
        if isinstance(condition, ClaimCondition) and not _holds(condition, facts):
            actual = condition.claim.find(facts.claims.members)
            has = "does not have it" if actual is ABSENT else f"has {literal(actual)}"
            needs = f"the route {facts.route} needs the claim {condition.claim.text}"
            return f"{needs} {_wanted(condition, facts)}; the token {has}"
    return f"a claim is not what the route {facts.route} needs"


def _holds(condition: Condition, facts: Facts) -> bool:
    return condition.holds(facts.claims.members, _attributes(facts))


def _attributes(facts: Facts) -> RequestAttributes:
    host = Host.parse(facts.request.authority)
    return RequestAttributes(facts.request, host, facts.match.variables)


def _wanted(condition: ClaimCondition, facts: Facts) -> str:
    if condition.any_of is None:
        return "to be there, and not null"
    values = [
        value.expand(facts.match.variables) if isinstance(value, Template) else value
        for value in condition.any_of
    ]
    return f"to be or to contain {listed(values, 'or', form=literal)}"


def condition_failed(facts: Facts) -> str:
    """Give the expression, what it is about, and what becomes of it."""
    about = f"{shown(facts.request.method)} on the route {facts.route}"
    for condition in facts.requirement.conditions:
        if isinstance(condition, WhenExpression) and not _holds(condition, facts):
            why = condition.failure(facts.claims.members, _attributes(facts))
            return f"the condition of {about} is not true: {cut(condition.text)}; {why}"
    return f"the condition of {about} is not true"


def claims_too_large(facts: Facts) -> str:
    """Name the headers that are too large, or say that all are together."""
    large = [header for header, _ in _refused_headers(facts, DenyReason.CLAIMS_TOO_LARGE)]
    if large:
        return f"more than {MAX_HEADER_BYTES} bytes would be forwarded as {listed(large)}"
    return f"more than {MAX_HEADERS_BYTES} bytes would be forwarded in all"


def _refused_headers(facts: Facts, reason: DenyReason) -> Iterator[tuple[str, str]]:
    """Each header that is refused for *reason* by itself, with its claim."""
    for header, claim, rules in _one_by_one(facts.policy.forward):
        try:
            upstream_headers(rules, facts.claims, facts.request)
        except AccessDenied as denied:
            if denied.reason is reason:
                yield header, claim


def _one_by_one(rules: ForwardRules) -> Iterator[tuple[str, str, ForwardRules]]:
    """Each header with its claim, and the rules of a policy that forwards nothing else."""
    for header, claim in rules.headers:
        yield header, claim.text, ForwardRules(headers=((header, claim),))
    if (name := rules.claims_header) is not None:
        yield name, "all claims", ForwardRules(headers=(), claims_header=name)


REASONS: Final = {
    DenyReason.MALFORMED_CLAIM: malformed_claim,
    DenyReason.EXPIRED: expired,
    DenyReason.NOT_YET_VALID: not_yet_valid,
    DenyReason.LIFETIME_TOO_LONG: lifetime_too_long,
    DenyReason.WRONG_AUDIENCE: wrong_audience,
    DenyReason.INSUFFICIENT_SCOPE: insufficient_scope,
    DenyReason.CLAIM_MISMATCH: claim_mismatch,
    DenyReason.CONDITION_FAILED: condition_failed,
    DenyReason.CLAIMS_TOO_LARGE: claims_too_large,
}
