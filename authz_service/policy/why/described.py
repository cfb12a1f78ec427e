"""A requirement and a token, each in one line: what was to be had, and what there was."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_service.core.bearer import credentials
from authz_service.core.conditions import ClaimCondition
from authz_service.core.errors import AccessDenied
from authz_service.core.jws import CompactJws
from authz_service.core.policy import Public
from authz_service.policy.why.wording import cut, listed, shown

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.policy import Requirement, Route, TokenRequirement
    from authz_service.core.request import HttpRequest


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
    return ", ".join(_parts(requirement))


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
    if len(claims) < len(requirement.conditions):
        yield "a condition"


def describe_token(request: HttpRequest, scope_claim: str = "scope") -> str:
    """`aud https://shopping.api, scope read:products`: what the token says, not verified here."""
    try:
        payload = CompactJws.parse(credentials(request)).unverified_payload
    except AccessDenied as denied:
        return f"none that can be read ({denied.reason.value})"
    said = (
        f"{name} {shown(payload[name])}" if name in payload else f"no {name}"
        for name in ("iss", "aud", scope_claim)
    )
    return ", ".join(said)
