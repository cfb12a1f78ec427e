"""A decision in plain words: what was found, and what would have been needed.

For the operator's own terminal alone. A client is told constants (`core.answers`), since these
sentences hold the policy and the token's claims. No sentence holds a token or a signature.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from authz_service.core.claims import ValidatedClaims
from authz_service.core.decision import Allow, Deny, DenyReason, NoToken, Preflight, refusal
from authz_service.core.errors import AccessDenied
from authz_service.policy.why import of_claims, of_request, of_token
from authz_service.policy.why.facts import Facts, UnknownError
from authz_service.policy.why.wording import listed, shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.decision import Decision
    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy
    from authz_service.core.request import HttpRequest

__all__ = ["why"]


def _internal_error(_facts: Facts) -> str:
    return "the service itself failed to decide: a fault of ours, and refused all the same"


def _untrusted_caller(_facts: Facts) -> str:
    return (
        "who asked has a certificate that expired, or has no name on the list of --tls-client-san"
    )


def _overloaded(_facts: Facts) -> str:
    return "the service had more Checks than it takes at a time, and refused this one unread"


_SENTENCES: Final[Mapping[DenyReason, Callable[[Facts], str]]] = MappingProxyType(
    {
        **of_request.REASONS,
        **of_token.REASONS,
        **of_claims.REASONS,
        DenyReason.UNTRUSTED_CALLER: _untrusted_caller,
        DenyReason.OVERLOADED: _overloaded,
        DenyReason.INTERNAL_ERROR: _internal_error,
    }
)


def why(
    decision: Decision,
    *,
    request: HttpRequest,
    policy: Policy,
    keys: Mapping[str, KeySet],
    now: float,
) -> str:
    """Say in one sentence why `authorize` made *decision* of these arguments.

    The sentence is one printable line. What it quotes of the request and the token is cut at 200
    characters.
    """
    deny = refusal(decision)
    if deny is None and isinstance(decision, Allow):
        return _allowed(decision, request)
    deny = deny or Deny()
    try:
        return _SENTENCES[deny.reason](Facts(deny, request, policy, keys, now))
    except (UnknownError, AccessDenied):
        return f"refused as {deny.reason.value}, and no more is known"


def _allowed(allow: Allow, request: HttpRequest) -> str:
    route = "" if allow.match is None else allow.match.route.pattern.text
    match allow.grant:
        case ValidatedClaims(claims, issuer):
            return (
                f"the token of {issuer.name} has what the route {route} needs for"
                f" {shown(request.method)}: the audience {listed(claims.audiences)} and"
                f" {listed(claims.scopes, nothing='no scope')}"
            )
        case NoToken():
            return f"no token was sent, and for {shown(request.method)} {route} it is optional"
        case Preflight():
            return f"a CORS preflight, which the resource of the route {route} lets pass"
        case _:
            return f"the route {route} is public for {shown(request.method)}: no token is looked at"
