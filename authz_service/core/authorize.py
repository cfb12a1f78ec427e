"""The decision: the numbered steps of docs/decision.md, one after the other."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from authz_service.core.bearer import credentials
from authz_service.core.claims import AccessTokenClaims, validate
from authz_service.core.conditions import RequestAttributes
from authz_service.core.decision import (
    Allow,
    Audited,
    Decision,
    Deny,
    DenyReason,
    NoToken,
    Preflight,
)
from authz_service.core.errors import AccessDenied
from authz_service.core.forward import upstream_headers, upstream_headers_of
from authz_service.core.jws import CompactJws, verify
from authz_service.core.limits import DEFAULT_LIMITS
from authz_service.core.policy import TokenRequirement
from authz_service.core.request import Host, RequestPath
from authz_service.core.verified import VerifiedToken

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.bearer import BearerToken
    from authz_service.core.jwks import KeySet, VerificationKey
    from authz_service.core.jws import ProtectedHeader, VerifiedPayload
    from authz_service.core.limits import RequestLimits
    from authz_service.core.policy import Issuer, Policy, Requirement, Route, RouteMatch
    from authz_service.core.request import HttpRequest
    from authz_service.core.verified import VerifiedTokens


@dataclass(slots=True)
class Trail:
    """What each step has established, in their order; the first that is None did not come about.

    A refusal reports it. Who wants to know how a decision was made hands an empty one in.
    """

    path: RequestPath | None = None
    host: Host | None = None
    match: RouteMatch | None = None
    requirement: Requirement | Preflight | None = None
    token: BearerToken | None = None
    jws: CompactJws | None = None
    issuer: Issuer | None = None
    key: VerificationKey | None = None
    payload: VerifiedPayload | None = None
    claims: AccessTokenClaims | None = None

    @property
    def token_requirement(self) -> TokenRequirement | None:
        """The requirement, where it is one of a token."""
        return self.requirement if isinstance(self.requirement, TokenRequirement) else None


class _Moment(NamedTuple):
    """What one decision is made by, read once. *verified* may spare work, and changes nothing.

    *is_told* says whether somebody wants to know how it was made.
    """

    policy: Policy
    keys: Mapping[str, KeySet]
    now: float
    limits: RequestLimits
    verified: VerifiedTokens | None
    is_told: bool


def authorize(  # noqa: PLR0913 - the moment, each part by its name
    request: HttpRequest,
    *,
    policy: Policy,
    keys: Mapping[str, KeySet],
    now: float,
    trail: Trail | None = None,
    limits: RequestLimits = DEFAULT_LIMITS,
    verified: VerifiedTokens | None = None,
) -> Decision:
    """Decide whether *request* may reach the upstream, at the time *now* (seconds since the epoch).

    The numbers are the steps of docs/decision.md; what they establish goes into *trail*. The tokens
    in *verified* are not verified again; the decision is the same without.
    Any exception but AccessDenied is a bug; the servicer turns it into a refusal.
    """
    moment = _Moment(policy, keys, now, limits, verified, trail is not None)
    trail = Trail() if trail is None else trail
    try:
        return _decide(request, moment, trail)
    except AccessDenied as denied:
        deny = Deny(
            reason=denied.reason,
            match=trail.match,
            requirement=trail.token_requirement,
            issuer=trail.issuer,
            claims=trail.claims,
            nudge=denied.nudge,
        )
    if not _is_audited(trail, policy):
        return deny
    return Allow(trail.match, Audited(deny), upstream_headers(policy.forward, None, request))


def _decide(request: HttpRequest, moment: _Moment, trail: Trail) -> Allow:
    policy, now = moment.policy, moment.now
    if len(request.headers) > moment.limits.headers:  # 1
        raise AccessDenied(DenyReason.TOO_MANY_HEADERS)
    path = trail.path = RequestPath.parse(request.target)  # 1
    host = trail.host = Host.parse(request.authority)  # 2
    match = trail.match = policy.match(host, path)  # 3
    requirement = trail.requirement = _requirement(match.route, request)  # 4
    if not isinstance(requirement, TokenRequirement):  # 5
        return Allow(match, requirement, upstream_headers(policy.forward, None, request))
    token = trail.token = _token(request, requirement)  # 6
    if token is None:
        return Allow(match, NoToken(), upstream_headers(policy.forward, None, request))
    verified = _verified(token, requirement, moment, trail)  # 7 to 12
    attributes = RequestAttributes(request, host, match.variables)
    grant = validate(verified, requirement, attributes=attributes, now=now)  # 13
    return Allow(match, grant, upstream_headers_of(policy.forward, verified, request))  # 14


def _verified(
    token: BearerToken, requirement: TokenRequirement, moment: _Moment, trail: Trail
) -> VerifiedToken:
    """Take the steps 7 to 12, or spare them where they would give what is known already.

    They depend on the token, on which issuers there are to choose from, and on the issuer's keys.
    """
    cache = moment.verified
    known = cache.find(token, keys=moment.keys, now=moment.now) if cache is not None else None
    if known is None or not _would_be_taken(known, requirement):
        return _verify(token, requirement, moment, trail)
    if moment.is_told:
        trail.jws = known.jws_of(token)
    trail.issuer, trail.key = known.issuer, known.key
    trail.payload, trail.claims = known.payload, known.claims
    return known


def _would_be_taken(known: VerifiedToken, requirement: TokenRequirement) -> bool:
    """Whether it is the very issuer and key of *known* that the token would lead to now."""
    if requirement.issuers.get(known.claims.issuer) is not known.issuer:
        return False
    header = known.header
    return known.key_set.select(alg=header.alg, kid=header.kid) is known.key


def _verify(
    token: BearerToken, requirement: TokenRequirement, moment: _Moment, trail: Trail
) -> VerifiedToken:
    jws = trail.jws = CompactJws.parse(token, moment.limits.token_bytes)  # 7
    issuer = trail.issuer = _issuer_of(jws, requirement)  # 8
    _check_header(jws.header, issuer)  # 9
    key_set = _key_set(issuer, moment.keys)
    key = trail.key = key_set.select(alg=jws.header.alg, kid=jws.header.kid)  # 10
    payload = trail.payload = verify(jws, key)  # 11
    claims = trail.claims = AccessTokenClaims.parse(payload, issuer)  # 12
    verified = VerifiedToken(issuer, key_set, key, jws.header, payload, claims)
    if moment.verified is not None:
        moment.verified.keep(token, verified, now=moment.now)
    return verified


def _is_audited(trail: Trail, policy: Policy) -> bool:
    """Whether what was found last says that its refusals are only reported."""
    if (requirement := trail.token_requirement) is not None:
        return requirement.audit
    return trail.match.route.audit if trail.match is not None else policy.audit


def _requirement(route: Route, request: HttpRequest) -> Requirement | Preflight:
    return Preflight() if route.admits_preflight(request) else route.requirement_for(request.method)


def _token(request: HttpRequest, requirement: TokenRequirement) -> BearerToken | None:
    """The one token, or None where it is optional and none was sent."""
    try:
        return credentials(request)
    except AccessDenied as denied:
        if requirement.optional and denied.reason is DenyReason.MISSING_TOKEN:
            return None
        raise


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
