"""Answers as bytes, put together from parts of which nearly all have been made before.

Encoded messages that follow each other are one encoded message, in which they are merged (Protocol
Buffers, "Encoding", "Last One Wins"). So what depends on the route, and what depends on the token,
is each encoded once, and an answer is one after the other.
"""

from __future__ import annotations

from sys import getsizeof
from typing import TYPE_CHECKING, Final

from authz_service.core.claims import ValidatedClaims
from authz_service.core.decision import Allow, Audited, Decision, Deny
from authz_service.core.verified import Prepared
from authz_service.ext_authz.convert import (
    changes,
    identification,
    to_check_response,
    verdict,
)

if TYPE_CHECKING:
    from authz_service.core.forward import UpstreamHeaders
    from authz_service.core.verified import VerifiedToken

_MOST_REFUSALS: Final = 4096
"""Refusals that are remembered: they differ by reason, route, method and issuer."""


def encode(decision: Decision) -> bytes:
    """Encode the answer to *decision* anew."""
    return to_check_response(decision).SerializeToString()


class Responses:
    """Encodes answers, and remembers the parts that belong to the policy: one for each policy."""

    def __init__(self) -> None:
        """Remember nothing yet."""
        # By the identity of what they depend on, which is kept with them so that it stays theirs.
        self._allows: dict[int, tuple[object, bytes]] = {}
        self._anonymous: dict[int, tuple[object, bytes]] = {}
        self._refusals: dict[tuple[object, ...], tuple[object, bytes]] = {}

    def of(self, decision: Decision) -> bytes:
        """Encode the answer to *decision*."""
        if isinstance(decision, Deny):
            return self._refusal(decision)
        if not decision.headers.usual or isinstance(decision.grant, Audited):
            return encode(decision)
        if isinstance(decision.grant, ValidatedClaims):
            return self._allow(decision) + _OF_TOKEN.of(decision.grant.token, decision.headers)
        return self._allow(decision) + self._of_nobody(decision.headers)

    def _allow(self, allow: Allow) -> bytes:
        route = None if allow.match is None else allow.match.route
        if (known := self._allows.get(id(route))) is not None:
            return known[1]
        part = verdict(allow).SerializeToString()
        self._allows[id(route)] = (route, part)
        return part

    def _of_nobody(self, headers: UpstreamHeaders) -> bytes:
        if (known := self._anonymous.get(id(headers))) is not None:
            return known[1]
        part = changes(headers).SerializeToString()
        self._anonymous[id(headers)] = (headers, part)
        return part

    def _refusal(self, deny: Deny) -> bytes:
        part = self._why(deny)
        if deny.claims is None:
            return part
        return part + identification(None, deny.claims).SerializeToString()

    def _why(self, deny: Deny) -> bytes:
        """The answer but for the claims."""
        route = None if deny.match is None else deny.match.route
        basis = (route, deny.requirement, deny.issuer)
        key = (deny.reason, *map(id, basis))
        if (known := self._refusals.get(key)) is not None:
            return known[1]
        part = verdict(deny).SerializeToString()
        part += identification(deny.issuer, None).SerializeToString()
        if len(self._refusals) >= _MOST_REFUSALS:
            self._refusals.clear()
        self._refusals[key] = (basis, part)
        return part


def _of_token(token: VerifiedToken, headers: UpstreamHeaders) -> bytes:
    told = identification(token.issuer, token.claims)
    return changes(headers).SerializeToString() + told.SerializeToString()


_OF_TOKEN: Final[Prepared[UpstreamHeaders, bytes]] = Prepared(_of_token, getsizeof)
