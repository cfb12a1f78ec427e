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
    return {**outcome(decision), **identity(*identified(decision))}


def outcome(decision: Decision) -> dict[str, SummaryValue]:
    """What was decided, why, and where: all that has nothing to do with a token's claims."""
    deny = refusal(decision)
    fields: dict[str, SummaryValue] = {"decision": "allow" if deny is None else "deny"}
    if deny is not None:
        fields["reason"] = deny.reason.value
        if deny is not decision:
            fields["mode"] = "audit"
    if decision.match is not None:
        fields["resource"] = decision.match.route.resource
        fields["route"] = decision.match.route.pattern.text
    return fields


def identity(issuer: Issuer | None, claims: AccessTokenClaims | None) -> dict[str, SummaryValue]:
    """Who asked: the issuer by its name in the policy, the rest as the token has it."""
    fields: dict[str, SummaryValue | None] = {"issuer": issuer.name if issuer else None}
    if claims is not None:
        fields |= {
            "subject": claims.subject,
            "client_id": claims.client_id,
            "scope": " ".join(claims.scopes),
            "expires_at": claims.expires_at,
        }
    return {name: value for name, value in fields.items() if value is not None}


def identified(decision: Decision) -> tuple[Issuer | None, AccessTokenClaims | None]:
    """Whose token *decision* is about, as far as that was established."""
    deny = refusal(decision)
    if deny is not None:
        return deny.issuer, deny.claims
    if isinstance(decision, Allow) and isinstance(decision.grant, ValidatedClaims):
        return decision.grant.issuer, decision.grant.claims
    return None, None
