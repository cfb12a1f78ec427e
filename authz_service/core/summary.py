"""What can be said of a decision without telling a secret: for metadata, logs and metrics."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_service.core.claims import ValidatedClaims
from authz_service.core.decision import Allow, Decision, refusal

if TYPE_CHECKING:
    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.policy import Issuer

SummaryValue = str | float
"""Times are NumericDates, in seconds."""


def summarize(decision: Decision) -> dict[str, SummaryValue]:
    """`decision`, and of the other fields what exists: reason, resource, route and so on.

    A refusal that is not enforced is a refusal here, with `mode` `audit`. The identity is that of
    a verified payload, also in a refusal.
    """
    deny = refusal(decision)
    fields: dict[str, SummaryValue | None] = {
        "decision": "allow" if deny is None else "deny",
        "reason": None if deny is None else deny.reason.value,
        "mode": "audit" if deny is not decision and deny is not None else None,
    }
    if decision.match is not None:
        fields["resource"] = decision.match.route.resource
        fields["route"] = decision.match.route.pattern.text
    if deny is not None:
        fields |= _identity(deny.issuer, deny.claims)
    elif isinstance(decision, Allow) and isinstance(decision.grant, ValidatedClaims):
        fields |= _identity(decision.grant.issuer, decision.grant.claims)
    return {name: value for name, value in fields.items() if value is not None}


def _identity(
    issuer: Issuer | None, claims: AccessTokenClaims | None
) -> dict[str, SummaryValue | None]:
    """The issuer by its name in the policy, the rest as the token has it."""
    fields: dict[str, SummaryValue | None] = {"issuer": issuer.name if issuer else None}
    if claims is None:
        return fields
    return fields | {
        "subject": claims.subject,
        "client_id": claims.client_id,
        "scope": " ".join(claims.scopes),
        "expires_at": claims.expires_at,
    }
