"""What a token request earns: the client credentials grant as Logto decides it.

The rules are those of Logto's guides "Machine-to-machine", "Protect organization (non-API)
permissions" and "Protect organization-level API resources".
Knows neither keys nor HTTP nor the clock.
"""

from __future__ import annotations

import hmac
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.demo.token_request import ErrorCode, TokenError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from authz_service.demo.token_request import TokenRequest


@dataclass(frozen=True)
class Client:
    """A machine-to-machine application and what its roles give it.

    *grants* maps the identifier of an API resource to the scopes that the client may have there.
    *organizations* maps the id of an organization that the client belongs to, to its organization
    permissions. Simpler than Logto: there, the scopes of an API resource in the context of an
    organization come from the client's roles in that organization; here, they are those of
    *grants* too.
    """

    client_id: str
    client_secret: str = field(repr=False)
    grants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    organizations: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Grant:
    """What an access token will say; without an audience it will be opaque."""

    client_id: str
    audience: str | None = None
    scope: str | None = None
    organization_id: str | None = None

    def claims(self, *, issuer: str, jti: str, now: int, lifetime: int) -> dict[str, object]:
        """Return the claims set of a JWT access token (RFC 9068, 2.2), times in seconds.

        A machine-to-machine client is its own subject. ``organization_id`` is there only beside
        a resource; the audience of an organization token names the organization already.
        """
        claims = {
            "organization_id": self.organization_id,
            "jti": jti,
            "sub": self.client_id,
            "iat": now,
            "exp": now + lifetime,
            "scope": self.scope,
            "client_id": self.client_id,
            "iss": issuer,
            "aud": self.audience,
        }
        return {name: value for name, value in claims.items() if value is not None}


def decide(request: TokenRequest, *, clients: Mapping[str, Client], opaque_tokens: bool) -> Grant:
    """Decide what *request* earns.

    Scopes that were asked for and are not granted are left out in silence, as at Logto: there is
    no ``invalid_scope``. Scopes that were not asked for are never given.

    Raises:
        TokenError: nothing is granted.

    """
    # 1. Authenticate the client (RFC 6749, 2.3.1).
    client = _authenticate(request, clients)
    # 2. One grant type is spoken here (RFC 6749, 4.4).
    if request.grant_type != "client_credentials":
        raise TokenError(ErrorCode.UNSUPPORTED_GRANT_TYPE, "only client_credentials is supported")
    # 3. The client must belong to the organization that it names.
    if request.organization_id is not None and request.organization_id not in client.organizations:
        raise TokenError(ErrorCode.ACCESS_DENIED, "not a member of the organization", status=403)
    # 4. A resource: the token is for that API, in the context of the organization if there is one.
    if request.resource is not None:
        return _for_resource(request.resource, request, client, clients)
    # 5. An organization alone: an organization token.
    if request.organization_id is not None:
        return _for_organization(request.organization_id, request, client)
    # 6. Neither.
    if opaque_tokens:
        return Grant(client_id=client.client_id)
    raise TokenError(ErrorCode.INVALID_TARGET, "neither resource nor organization_id is given")


def _authenticate(request: TokenRequest, clients: Mapping[str, Client]) -> Client:
    client = clients.get(request.client_id)
    # An unknown client takes the time and gets the answer of a wrong secret.
    expected = "" if client is None else client.client_secret
    matches = hmac.compare_digest(request.client_secret.encode(), expected.encode())
    if client is None or not matches:
        raise TokenError(ErrorCode.INVALID_CLIENT, "client authentication failed", status=401)
    return client


def _for_resource(
    resource: str, request: TokenRequest, client: Client, clients: Mapping[str, Client]
) -> Grant:
    # Resources belong to the tenant, not to a client: a client without any role for a resource
    # still gets a token for it, one without scopes.
    if not any(resource in other.grants for other in clients.values()):
        raise TokenError(ErrorCode.INVALID_TARGET, "the resource is unknown")
    return Grant(
        client_id=client.client_id,
        audience=resource,
        scope=_common(request.scopes, client.grants.get(resource, ())) or None,
        organization_id=request.organization_id,
    )


def _for_organization(organization_id: str, request: TokenRequest, client: Client) -> Grant:
    return Grant(
        client_id=client.client_id,
        audience=f"urn:logto:organization:{organization_id}",
        # Unlike a resource's, an empty scope is spelled out in an organization token.
        scope=_common(client.organizations[organization_id], request.scopes),
    )


def _common(scopes: Iterable[str], others: Iterable[str]) -> str:
    among = frozenset(others)
    return " ".join(scope for scope in scopes if scope in among)
