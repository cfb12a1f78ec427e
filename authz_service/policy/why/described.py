"""A requirement and a token, each in one line: what was to be had, and what there was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_service.core.bearer import credentials
from authz_service.core.claims import ABSENT, ClaimReference
from authz_service.core.conditions import ClaimCondition
from authz_service.core.errors import AccessDenied
from authz_service.core.jws import CompactJws
from authz_service.core.policy import Public
from authz_service.policy.when import WhenExpression
from authz_service.policy.why.wording import cut, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.policy import Issuer, Requirement, Route, TokenRequirement
    from authz_service.core.request import HttpRequest
    from authz_service.core.strict_json import JsonObject


def describe_requirement(route: Route, method: str) -> str:
    """`POST /products of shopping: audience https://shopping.api, scope write:products`."""
    try:
        needs = _needs(route.requirement_for(method))
    except AccessDenied:
        needs = "not a method of this route"
    return f"{cut(method)} {route.pattern.text} of {route.resource}: {needs}"


def _needs(requirement: Requirement) -> str:
    if isinstance(requirement, Public):
        return "public"
    needs = ", ".join(_parts(requirement))
    optional = f"no token, or one with {needs}" if requirement.optional else needs
    return f"{optional} (audit)" if requirement.audit else optional


def _parts(requirement: TokenRequirement) -> Iterator[str]:
    yield f"audience {listed((audience.text for audience in requirement.audiences), 'or')}"
    if requirement.scopes:
        yield f"scope {listed(requirement.scopes)}"
    if requirement.any_scope:
        yield f"one of the scopes {listed(requirement.any_scope, 'or')}"
    claims = [
        condition.claim.text
        for condition in requirement.conditions
        if isinstance(condition, ClaimCondition)
    ]
    if claims:
        yield f"the right {listed(claims)}"
    for condition in requirement.conditions:
        if isinstance(condition, WhenExpression):
            yield f"when {cut(condition.text)}"


def describe_token(request: HttpRequest, issuer: Issuer | None) -> str:
    """`aud https://shopping.api, scope read:products`: what the token says, not verified here.

    Of the claims for scopes that tokens of *issuer* may have, those that it has, or else the first.
    """
    try:
        payload = CompactJws.parse(credentials(request)).unverified_payload
    except AccessDenied as denied:
        return f"none that can be read ({denied.reason.value})"
    names = ("iss", "aud", *_scope_names(payload, issuer))
    values = ((name, ClaimReference.parse(name).find(payload)) for name in names)
    return ", ".join(
        f"no {name}" if value is ABSENT else f"{name} {shown(value)}" for name, value in values
    )


def _scope_names(payload: JsonObject, issuer: Issuer | None) -> list[str]:
    if issuer is None:
        return ["scope"]
    claims = (*issuer.scope_claims, *issuer.fallback_scope_claims)
    there = [claim.text for claim in claims if claim.find(payload) is not ABSENT]
    return there or [claim.text for claim in claims[:1]]
