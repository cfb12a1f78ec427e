"""The access tokens of the tour: honest ones from the issuer's endpoint, and forged ones."""

from __future__ import annotations

import asyncio
import base64
import json
import time
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from jwcrypto.jwk import JWK

from authz_service.demo.world import API, SHOP

if TYPE_CHECKING:
    from authz_service.demo.issuer import DevelopmentIssuer


async def granted(
    issuer: DevelopmentIssuer,
    *,
    scope: str,
    resource: str | None = None,
    organization: str | None = None,
) -> str:
    """Ask the token endpoint for a token, as a client would."""
    form = {
        "grant_type": "client_credentials",
        "scope": scope,
        "resource": resource,
        "organization_id": organization,
    }
    sent = {name: value for name, value in form.items() if value is not None}
    return await asyncio.to_thread(_request_token, f"{issuer.issuer}/token", sent)


def _request_token(url: str, form: dict[str, str]) -> str:
    basic = base64.b64encode(f"{SHOP.client_id}:{SHOP.client_secret}".encode()).decode()
    request = urllib.request.Request(  # noqa: S310 - the development issuer, over loopback HTTP
        url,
        urllib.parse.urlencode(form).encode(),
        {"authorization": f"Basic {basic}"},
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(request, timeout=10) as response:
        return str(json.load(response)["access_token"])


def claims(issuer: DevelopmentIssuer, **changes: Any) -> dict[str, Any]:  # noqa: ANN401 - JSON
    """The claims of a token that would do, with *changes*."""
    now = int(time.time())
    return {
        "iss": issuer.issuer,
        "aud": API,
        "sub": SHOP.client_id,
        "client_id": SHOP.client_id,
        "scope": "read:products",
        "iat": now,
        "exp": now + 3600,
        "jti": "tour",
        **changes,
    }


def expired(issuer: DevelopmentIssuer) -> str:
    """A token whose time was over an hour ago."""
    now = int(time.time())
    return issuer.mint(claims(issuer, iat=now - 7200, exp=now - 3600))


def tampered(token: str) -> str:
    """*token* with one scope more in its payload, and its signature as it was."""
    header, payload, signature = token.split(".")
    members = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
    members["scope"] += " write:products"
    return f"{header}.{_base64url(members)}.{signature}"


def unsecured(issuer: DevelopmentIssuer) -> str:
    """A token that says of itself that it needs no signature."""
    header = {"alg": "none", "typ": "at+jwt"}
    return f"{_base64url(header)}.{_base64url(claims(issuer))}."


def foreign(issuer: DevelopmentIssuer) -> str:
    """A token that names the issuer's key and is signed with somebody else's."""
    key = JWK.generate(kty="EC", crv="P-384")
    return issuer.mint(claims(issuer), header={"kid": issuer.kid}, key=key)


def _base64url(members: dict[str, Any]) -> str:
    document = json.dumps(members, separators=(",", ":")).encode()
    return base64.urlsafe_b64encode(document).rstrip(b"=").decode()
