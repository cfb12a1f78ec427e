"""What a refused request would have needed, in the words of the policy."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core.conditions import ClaimCondition
from authz_service.core.decision import DenyReason

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.decision import Deny
    from authz_service.core.policy import TokenRequirement


def needs(deny: Deny) -> dict[str, object]:
    """The fields that explain *deny*, where the requirement of its route is the reason.

    Templates stand as they are in the policy: what the request puts into them is not told.
    """
    fields: dict[str, object] = {}
    requirement = deny.requirement
    if requirement is None:
        return fields
    for name in _NEEDED.get(deny.reason, ()):
        if value := list(dict.fromkeys(_FIELDS[name](requirement))):
            fields[name] = value
    if deny.reason is DenyReason.WRONG_AUDIENCE and deny.claims is not None:
        fields["audience"] = " ".join(deny.claims.audiences)
    return fields


def _claims(requirement: TokenRequirement) -> Iterable[str]:
    return (
        condition.claim.text
        for condition in requirement.conditions
        if isinstance(condition, ClaimCondition)
    )


_FIELDS: Final[Mapping[str, Callable[[TokenRequirement], Iterable[str]]]] = {
    "needed_audience": lambda requirement: (each.text for each in requirement.audiences),
    "needed_scopes": lambda requirement: requirement.scopes,
    "needed_any_scope": lambda requirement: requirement.any_scope,
    "needed_claims": _claims,
    "needed_issuers": lambda requirement: (each.name for each in requirement.issuers.values()),
}

_NEEDED: Final[Mapping[DenyReason, tuple[str, ...]]] = {
    DenyReason.MISSING_TOKEN: ("needed_audience", "needed_scopes", "needed_any_scope"),
    DenyReason.UNKNOWN_ISSUER: ("needed_issuers",),
    DenyReason.WRONG_AUDIENCE: ("needed_audience",),
    DenyReason.INSUFFICIENT_SCOPE: ("needed_scopes", "needed_any_scope"),
    DenyReason.CLAIM_MISMATCH: ("needed_claims",),
}
