"""What the policy asks, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

from authz_service.core.conditions import ClaimCondition
from authz_service.core.decision import Preflight
from authz_service.core.policy import Public
from authz_service.core.templates import Template
from authz_service.policy.why.wording import cut, listed

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from authz_service.core.conditions import Condition
    from authz_service.core.policy import Requirement, TokenRequirement


@runtime_checkable
class _Written(Protocol):
    """A condition that is an expression, with what stands in the policy."""

    @property
    def text(self) -> str: ...


def requirement_in_words(requirement: Requirement | Preflight, variables: Mapping[str, str]) -> str:
    """*requirement*, for a path with *variables*."""
    match requirement:
        case Public():
            return "public: no token is looked at"
        case Preflight():
            return "a CORS preflight, which the resource lets pass: no token is looked at"
        case _:
            return ", ".join(_parts(requirement, variables))


def _parts(requirement: TokenRequirement, variables: Mapping[str, str]) -> Iterator[str]:
    issuers = dict.fromkeys(issuer.name for issuer in requirement.issuers.values())
    expected = (audience.expand(variables) for audience in requirement.audiences)
    yield f"a token of {listed(issuers, 'or')} for {listed(expected, 'or')}"
    if requirement.scopes:
        yield f"with the {_plural('scope', requirement.scopes)} {listed(requirement.scopes)}"
    if requirement.any_scope:
        yield f"with one of the scopes {listed(requirement.any_scope, 'or')}"
    for condition in requirement.conditions:
        yield f"where {condition_in_words(condition, variables)}"
    if requirement.optional:
        yield "unless none is sent (optional)"
    if requirement.audit:
        yield "in audit mode: a refusal is reported, and not enforced"


def _plural(word: str, values: tuple[str, ...]) -> str:
    return word if len(values) == 1 else f"{word}s"


def condition_in_words(condition: Condition, variables: Mapping[str, str]) -> str:
    """*condition*, with the values of the path variables in their places."""
    if isinstance(condition, _Written):
        return f"it is true that {cut(condition.text)}"
    if not isinstance(condition, ClaimCondition):
        return "a condition holds"
    if condition.any_of is None:
        return f"the claim {condition.claim.text} is there, and not null"
    values = [
        value.expand(variables) if isinstance(value, Template) else value
        for value in condition.any_of
    ]
    return f"the claim {condition.claim.text} is or contains {listed(values, 'or')}"
