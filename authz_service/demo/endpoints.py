"""The development issuer's HTTP endpoints.

Turns requests into calls and results into answers; what a request earns is decided in ``grant``,
and when the endpoints are up in ``issuer``.
"""

from __future__ import annotations

import hashlib
import json
import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from aiohttp import web

from authz_service.demo.grant import decide
from authz_service.demo.token_request import MAX_BODY_BYTES, ErrorCode, TokenError, TokenRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.demo.grant import Client, Grant
    from authz_service.demo.signing_keys import SigningKeys

_SERVER: Final = "authz-service-development-issuer"


@dataclass(frozen=True, kw_only=True)
class Endpoints:
    """The endpoints of one running issuer."""

    origin: str
    """Scheme, host and port."""
    clients: Mapping[str, Client]
    keys: SigningKeys
    token_lifetime: int
    """Seconds."""
    opaque_tokens: bool
    clock: Callable[[], float]

    @property
    def issuer(self) -> str:
        """The issuer identifier."""
        return f"{self.origin}/oidc"

    def application(self) -> web.Application:
        """Return the routes as an application that has not started."""
        application = web.Application(client_max_size=MAX_BODY_BYTES)
        application.add_routes(
            [
                web.get("/oidc/.well-known/openid-configuration", self._metadata),
                # RFC 8414, 3.1: the well-known part goes between host and path.
                web.get("/.well-known/oauth-authorization-server/oidc", self._metadata),
                web.get("/oidc/jwks", self._jwks),
                web.post("/oidc/token", self._token),
                web.post("/development/rotate", self._rotate),
            ]
        )
        application.on_response_prepare.append(_name_server)
        return application

    async def _metadata(self, request: web.Request) -> web.Response:
        """Answer with what exists here of Logto's metadata (RFC 8414, 2)."""
        document = {
            "issuer": self.issuer,
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/jwks",
            "grant_types_supported": ["client_credentials"],
            "response_types_supported": [],
            "subject_types_supported": ["public"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic", "client_secret_post"],
            "id_token_signing_alg_values_supported": [self.keys.algorithm],
            "development_only": True,
        }
        return _revalidated(request, document, "application/json")

    async def _jwks(self, request: web.Request) -> web.Response:
        return _revalidated(request, self.keys.jwk_set(), "application/jwk-set+json")

    async def _token(self, request: web.Request) -> web.Response:
        try:
            token_request = TokenRequest.parse(
                await request.read(),
                media_type=request.content_type,
                authorization=request.headers.getall("Authorization", ()),
            )
            grant = decide(token_request, clients=self.clients, opaque_tokens=self.opaque_tokens)
        except web.HTTPRequestEntityTooLarge:
            too_large = TokenError(ErrorCode.INVALID_REQUEST, "the body is too large", status=413)
            return self._refusal(too_large)
        except TokenError as error:
            return self._refusal(error)
        return _not_stored(self._successful_response(grant))

    def _successful_response(self, grant: Grant) -> dict[str, object]:
        """Return the members of RFC 6749, section 5.1."""
        response: dict[str, object] = {
            "access_token": self._access_token(grant),
            "expires_in": self.token_lifetime,
            "token_type": "Bearer",
        }
        return response if grant.scope is None else {**response, "scope": grant.scope}

    def _access_token(self, grant: Grant) -> str:
        if grant.audience is None:
            return secrets.token_urlsafe(32)
        claims = grant.claims(
            issuer=self.issuer,
            jti=secrets.token_urlsafe(16),
            now=int(self.clock()),
            lifetime=self.token_lifetime,
        )
        return self.keys.sign(claims)

    def _refusal(self, error: TokenError) -> web.Response:
        body = {"error": error.code, "error_description": error.description}
        response = _not_stored(body, status=error.status)
        if error.status == web.HTTPUnauthorized.status_code:
            response.headers["WWW-Authenticate"] = f'Basic realm="{self.issuer}"'
        return response

    async def _rotate(self, request: web.Request) -> web.Response:
        # A browser sends Origin with every POST: no page that is open on this machine may do this.
        if "Origin" in request.headers:
            raise web.HTTPForbidden(text="not from a browser\n")
        drop_previous = request.query.get("drop_previous") == "true"
        return _not_stored({"kid": self.keys.rotate(drop_previous=drop_previous)})


async def _name_server(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["Server"] = _SERVER


def _not_stored(document: Mapping[str, object], *, status: int = 200) -> web.Response:
    headers = {"Cache-Control": "no-store", "Pragma": "no-cache"}
    return web.json_response(document, status=status, headers=headers)


def _revalidated(
    request: web.Request, document: Mapping[str, object], content_type: str
) -> web.Response:
    """Answer with a document that a cache must ask for each time, or with 304 (RFC 9110, 13.1.2).

    Logto's key set is as short-lived.
    """
    body = json.dumps(document).encode()
    etag = hashlib.sha256(body).hexdigest()
    headers = {"Cache-Control": "max-age=0", "ETag": f'"{etag}"'}
    if any(known.value in {etag, "*"} for known in request.if_none_match or ()):
        return web.Response(status=304, headers=headers)
    return web.Response(body=body, content_type=content_type, headers=headers)
