"""The same token, signed with a key of our own, so that all but its signature can be judged.

The core has no way around its checks, and needs none: header and payload go in as they are, and
the key that they were signed with here is handed in as the issuer's. That key is gone with the
process.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from authz_service.core import base64url
from authz_service.core.bearer import credentials
from authz_service.core.jws import CompactJws
from authz_service.explain.judged import KeyOrigin, KeysUsed
from authz_service.policy.throwaway import ThrowawayIssuerKeys

if TYPE_CHECKING:
    from authz_service.core.policy import Issuer
    from authz_service.core.request import HttpRequest


def sign_again(request: HttpRequest, issuer: Issuer) -> tuple[HttpRequest, KeysUsed]:
    """*request* with a signature of ours, and the key for it in the place of *issuer*'s.

    The request must be one for which keys are needed, so one with a well-formed token.
    """
    token = credentials(request)
    header = CompactJws.parse(token).header
    segments = token.value.split(".")
    throwaway = ThrowawayIssuerKeys()
    signed = throwaway.sign(
        base64url.decode(segments[0]), base64url.decode(segments[1]), alg=header.alg, kid=header.kid
    )
    keys = KeysUsed(issuer.name, KeyOrigin.THROWAWAY, "memory", throwaway.key_set())
    return _with_token(request, signed), keys


def _with_token(request: HttpRequest, token: str) -> HttpRequest:
    others = (line for line in request.headers if line[0] != "authorization")
    return replace(request, headers=(*others, ("authorization", f"Bearer {token}")))
