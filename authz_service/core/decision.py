"""What the service decides: allow, or deny for one of a closed list of reasons."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from authz_service.core.claims import AccessTokenClaims, ValidatedClaims
    from authz_service.core.forward import UpstreamHeaders
    from authz_service.core.policy import Issuer, Public, RouteMatch, TokenRequirement


class DenyReason(StrEnum):
    """Why a request was refused: for logs, metrics and metadata, never for the client.

    docs/decision.md explains each; `authz_service.core.answers` says what the client gets.
    """

    NO_ROUTE = "no_route"
    METHOD_NOT_ALLOWED = "method_not_allowed"
    AMBIGUOUS_PATH = "ambiguous_path"
    BAD_HOST = "bad_host"
    TOO_MANY_HEADERS = "too_many_headers"
    MISSING_TOKEN = "missing_token"
    MALFORMED_CREDENTIALS = "malformed_credentials"
    MALFORMED_TOKEN = "malformed_token"
    TOKEN_TOO_LARGE = "token_too_large"
    ALGORITHM_NOT_ALLOWED = "algorithm_not_allowed"
    TOKEN_TYPE_NOT_ALLOWED = "token_type_not_allowed"
    UNKNOWN_ISSUER = "unknown_issuer"
    UNKNOWN_KEY = "unknown_key"
    BAD_SIGNATURE = "bad_signature"
    MALFORMED_CLAIM = "malformed_claim"
    MISSING_CLAIM = "missing_claim"
    EXPIRED = "expired"
    NOT_YET_VALID = "not_yet_valid"
    LIFETIME_TOO_LONG = "lifetime_too_long"
    WRONG_AUDIENCE = "wrong_audience"
    INSUFFICIENT_SCOPE = "insufficient_scope"
    CLAIM_MISMATCH = "claim_mismatch"
    CONDITION_FAILED = "condition_failed"
    CLAIMS_TOO_LARGE = "claims_too_large"
    KEYS_UNAVAILABLE = "keys_unavailable"
    UNTRUSTED_CALLER = "untrusted_caller"
    OVERLOADED = "overloaded"
    INTERNAL_ERROR = "internal_error"


NOT_OF_THE_REQUEST: Final = frozenset({
    DenyReason.UNTRUSTED_CALLER, DenyReason.OVERLOADED, DenyReason.INTERNAL_ERROR
})  # fmt: skip
"""Reasons that `authorize` never gives: they tell of the service, whatever the request."""


@dataclass(frozen=True, slots=True)
class Deny:
    """The request may not pass. Without further arguments: our own fault, refused all the same.

    *match*, *requirement*, *issuer* and *claims* are what was established before the refusal.
    *claims* come from a verified payload, but they have not passed all checks.
    """

    reason: DenyReason = DenyReason.INTERNAL_ERROR
    match: RouteMatch | None = None
    requirement: TokenRequirement | None = None
    issuer: Issuer | None = None
    claims: AccessTokenClaims | None = None
    nudge: bool = False
    """The token's key is not among what we have of the issuer; a fresher key set might have it."""


@dataclass(frozen=True, slots=True)
class Preflight:
    """A CORS preflight, on a resource that lets them pass: a browser sends no token with one."""


@dataclass(frozen=True, slots=True)
class NoToken:
    """No token was sent, where one is optional."""


@dataclass(frozen=True, slots=True)
class Audited:
    """*deny* is what was decided, and the policy's `mode: audit` keeps it from being enforced."""

    deny: Deny


@dataclass(frozen=True, slots=True)
class Allow:
    """The request may pass, with *headers* as the upstream is to see them.

    *grant* is what lets it; only validated claims give it an identity. *match* is None where an
    audited refusal came before there was a route.
    """

    match: RouteMatch | None
    grant: Public | Preflight | NoToken | Audited | ValidatedClaims
    headers: UpstreamHeaders


Decision = Allow | Deny


def refusal(decision: Decision) -> Deny | None:
    """The refusal that *decision* is, enforced or not; None where the request earned its pass."""
    if isinstance(decision, Deny):
        return decision
    return decision.grant.deny if isinstance(decision.grant, Audited) else None
