"""Step 13, check by check: also those that come after the one that decided."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from authz_service.core.claims import (
    ABSENT,
    validate_audience,
    validate_condition,
    validate_scopes,
    validate_times,
)
from authz_service.core.conditions import ClaimCondition
from authz_service.explain.step import Step
from authz_service.explain.times import expiry, relative
from authz_service.explain.words import condition_in_words
from authz_service.policy.when import WhenExpression
from authz_service.policy.why.wording import listed, moment, shown, span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.conditions import Condition, RequestAttributes
    from authz_service.core.policy import Issuer, TokenRequirement

NUMBER: Final = 13


def claim_checks(
    claims: AccessTokenClaims,
    requirement: TokenRequirement,
    *,
    issuer: Issuer,
    attributes: RequestAttributes,
    now: float,
) -> Iterator[Step]:
    """Every check of `core.claims.validate`, in its order; the first that fails decided."""
    decided = False
    for name, check, detail in _checks(claims, requirement, issuer, attributes, now):
        passed = _holds(check)
        yield Step(NUMBER, name, passed, detail, decided=not passed and not decided)
        decided = decided or not passed


def _checks(
    claims: AccessTokenClaims,
    requirement: TokenRequirement,
    issuer: Issuer,
    attributes: RequestAttributes,
    now: float,
) -> Iterator[tuple[str, Callable[[], None], str]]:
    yield "times", partial(validate_times, claims, issuer, now), times(claims, issuer, now)
    yield (
        "audience",
        partial(validate_audience, claims, requirement, attributes),
        _audience(claims, requirement, attributes),
    )
    yield "scopes", partial(validate_scopes, claims, requirement), _scopes(claims, requirement)
    for condition in requirement.conditions:
        yield (
            "condition",
            partial(validate_condition, claims, condition, attributes),
            _condition(claims, condition, attributes),
        )


def _holds(check: Callable[[], None]) -> bool:
    try:
        check()
    except Exception:  # noqa: BLE001 - besides AccessDenied a fault of ours, which refuses as well
        return False
    return True


def times(claims: AccessTokenClaims, issuer: Issuer, now: float) -> str:
    """Each time of the token, beside *now*, and what bounds them."""
    parts = [expiry(claims.expires_at, now)]
    for name, starts_at in (("nbf", claims.not_before), ("iat", claims.issued_at)):
        if starts_at is not None:
            parts.append(f"{name} is {relative(starts_at, now)} ({moment(starts_at)})")
    if issuer.leeway:
        parts.append(f"leeway {span(issuer.leeway)}")
    if issuer.max_token_lifetime is not None:
        parts.append(f"may expire up to {span(issuer.max_token_lifetime)} ahead")
    return "; ".join(parts)


def _audience(
    claims: AccessTokenClaims, requirement: TokenRequirement, attributes: RequestAttributes
) -> str:
    expected = [audience.expand(attributes.variables) for audience in requirement.audiences]
    return f"needed: {listed(expected, 'or')}; the token is for {listed(claims.audiences)}"


def _scopes(claims: AccessTokenClaims, requirement: TokenRequirement) -> str:
    granted = f"granted: {listed(claims.scopes)}"
    needed = [listed(requirement.scopes)] if requirement.scopes else []
    if requirement.any_scope:
        needed.append(f"one of {listed(requirement.any_scope, 'or')}")
    if not needed:
        return f"none needed; {granted}"
    missing = [scope for scope in requirement.scopes if scope not in claims.scopes]
    lacks = f"; missing: {listed(missing)}" if missing else ""
    return f"needed: {', and '.join(needed)}; {granted}{lacks}"


def _condition(
    claims: AccessTokenClaims, condition: Condition, attributes: RequestAttributes
) -> str:
    wanted = condition_in_words(condition, attributes.variables)
    if not isinstance(condition, ClaimCondition):
        return f"needed: {wanted}{_failure(claims, condition, attributes)}"
    actual = condition.claim.find(claims.members)
    found = "the token does not have it" if actual is ABSENT else f"it is {shown(actual)}"
    return f"needed: {wanted}; {found}"


def _failure(claims: AccessTokenClaims, condition: Condition, attributes: RequestAttributes) -> str:
    """Why an expression does not hold; nothing if it does, or is none."""
    if not isinstance(condition, WhenExpression):
        return ""
    if condition.holds(claims.members, attributes):
        return ""
    return f"; {condition.failure(claims.members, attributes)}"
