"""The decision: the numbered steps of docs/decision.md, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_service.core.bearer import credentials
from authz_service.core.claims import AccessTokenClaims, validate
from authz_service.core.decision import Allow, Decision, Deny, DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.forward import upstream_headers
from authz_service.core.jws import CompactJws, verify
from authz_service.core.policy import Public
from authz_service.core.request import Host, RequestPath

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.jwks import KeySet
    from authz_service.core.jws import ProtectedHeader
    from authz_service.core.policy import Issuer, Policy, RouteMatch, TokenRequirement
    from authz_service.core.request import HttpRequest


@dataclass(slots=True)
class _Trail:
    """What the steps have established so far; a refusal reports it."""

    match: RouteMatch | None = None
    requirement: TokenRequirement | None = None
    issuer: Issuer | None = None
    claims: AccessTokenClaims | None = None


def authorize(
    request: HttpRequest, *, policy: Policy, keys: Mapping[str, KeySet], now: float
) -> Decision:
    """Decide whether *request* may reach the upstream, at the time *now* (seconds since the epoch).

    The numbers are the steps of docs/decision.md.
    Any exception but AccessDenied is a bug; the servicer turns it into a refusal.
    """
    trail = _Trail()
    try:
        return _decide(request, policy, keys, now, trail)
    except AccessDenied as denied:
        return Deny(
            reason=denied.reason,
            match=trail.match,
            requirement=trail.requirement,
            issuer=trail.issuer,
            claims=trail.claims,
            nudge=denied.nudge,
        )


def _decide(
    request: HttpRequest, policy: Policy, keys: Mapping[str, KeySet], now: float, trail: _Trail
) -> Allow:
    path = RequestPath.parse(request.target)  # 1
    host = Host.parse(request.authority)  # 2
    match = trail.match = policy.match(host, path)  # 3
    requirement = match.route.requirement_for(request.method)  # 4
    if isinstance(requirement, Public):  # 5
        return Allow(match, requirement, upstream_headers(policy.forward, None, request))
    trail.requirement = requirement
    jws = CompactJws.parse(credentials(request))  # 6, 7
    issuer = trail.issuer = _issuer_of(jws, requirement)  # 8
    _check_header(jws.header, issuer)  # 9
    key = _key_set(issuer, keys).select(alg=jws.header.alg, kid=jws.header.kid)  # 10
    payload = verify(jws, key)  # 11
    claims = trail.claims = AccessTokenClaims.parse(payload, issuer)  # 12
    grant = validate(claims, requirement, issuer=issuer, variables=match.variables, now=now)  # 13
    return Allow(match, grant, upstream_headers(policy.forward, claims, request))  # 14


def _issuer_of(jws: CompactJws, requirement: TokenRequirement) -> Issuer:
    """Let the unverified `iss` pick the issuer, and with it the keys that must then fit.

    A lie leads to keys that did not make the signature, so it gains nothing.
    """
    if "iss" not in jws.unverified_payload:
        raise AccessDenied(DenyReason.MISSING_CLAIM)
    unverified_iss = jws.unverified_payload["iss"]
    if not isinstance(unverified_iss, str):
        raise AccessDenied(DenyReason.MALFORMED_CLAIM)
    issuer = requirement.issuers.get(unverified_iss)
    if issuer is None:
        raise AccessDenied(DenyReason.UNKNOWN_ISSUER)
    return issuer


def _check_header(header: ProtectedHeader, issuer: Issuer) -> None:
    """Hold `alg` and `typ` against the issuer's lists (RFC 8725, sections 3.1 and 3.11)."""
    if header.alg not in issuer.algorithms:
        raise AccessDenied(DenyReason.ALGORITHM_NOT_ALLOWED)
    if not issuer.token_types.accept(header.typ):
        raise AccessDenied(DenyReason.TOKEN_TYPE_NOT_ALLOWED)


def _key_set(issuer: Issuer, keys: Mapping[str, KeySet]) -> KeySet:
    key_set = keys.get(issuer.name)
    if key_set is None:
        raise AccessDenied(DenyReason.KEYS_UNAVAILABLE, nudge=True)
    return key_set
