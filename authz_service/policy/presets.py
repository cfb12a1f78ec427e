"""What the access tokens of well-known authorization servers look like.

docs/presets.md says of each why it is so, and where the vendors' own pages disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.policy import AccessTokenMarks

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class Preset:
    """What a preset gives an issuer. `absent` in *token_types* stands for no `typ`.

    The first five are the defaults of an issuer's fields; a `scope_claim` of the operator's leaves
    no fallback either. The last two stay, whatever else is written.
    """

    algorithms: tuple[str, ...] = tuple(ALGORITHMS)
    token_types: tuple[str, ...] = ("at+jwt",)
    required_claims: tuple[str, ...] = ("sub", "client_id", "iat", "jti")
    scope_claims: tuple[str, ...] = ("scope",)
    client_id_claims: tuple[str, ...] = ("client_id",)
    fallback_scope_claims: tuple[str, ...] = ()
    audience_stand_in: str | None = None
    marks: AccessTokenMarks = field(default_factory=AccessTokenMarks)


_ONLY_IN_ID_TOKENS: Final = ("nonce", "at_hash", "c_hash")  # OpenID Connect Core, sections 2, 3.3

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType({
    # RFC 9068: sections 2.1 (the header) and 2.2 (the claims).
    "rfc9068": Preset(),
    # Logto issues what RFC 9068 describes, and signs with the two kinds of key that its console
    # offers: EC on P-384, the default, and RSA.
    "logto": Preset(algorithms=("ES384", "RS256")),
    # Both token profiles of Auth0. `permissions` is what the user may do, not what the client was
    # granted, so it is no scope unless the operator says so.
    "auth0": Preset(
        algorithms=("RS256", "PS256"),
        token_types=("JWT", "at+jwt"),
        required_claims=("sub", "iat"),
        client_id_claims=("azp", "client_id"),
        marks=AccessTokenMarks(one_of=(("azp", "client_id"),), never=_ONLY_IN_ID_TOKENS),
    ),
    # Keycloak tells its tokens apart by a claim `typ`: ID, Refresh, Logout, and DPoP for a token
    # that must not pass as a bearer token.
    "keycloak": Preset(
        algorithms=tuple(name for name in ALGORITHMS if name != "Ed25519"),
        token_types=("JWT", "at+jwt"),
        required_claims=("sub", "azp", "iat", "jti"),
        client_id_claims=("azp", "client_id"),
        marks=AccessTokenMarks(values=(("typ", "Bearer"),)),
    ),
    # v1.0 tokens have appid, v2.0 tokens azp. An application's own token has roles in the place of
    # scp; one with neither is issued to any application of the tenant that asks. An ID token may
    # have roles too, and the same audience where a website and its API are one registration.
    "entra": Preset(
        algorithms=("RS256",),
        token_types=("JWT",),
        required_claims=("sub", "iat"),
        scope_claims=("scp",),
        client_id_claims=("azp", "appid"),
        fallback_scope_claims=("roles",),
        marks=AccessTokenMarks(
            one_of=(("azp", "appid"), ("scp", "roles")), never=_ONLY_IN_ID_TOKENS
        ),
    ),
    # Custom authorization servers; the tokens of the org's own are for Okta alone, and have the
    # type okta-internal-at+jwt. ID tokens have neither cid nor scp.
    "okta": Preset(
        algorithms=("RS256",),
        token_types=("absent", "at+jwt"),
        required_claims=("sub", "iat", "jti"),
        scope_claims=("scp",),
        client_id_claims=("cid",),
        marks=AccessTokenMarks(one_of=(("cid",), ("scp",)), never=_ONLY_IN_ID_TOKENS),
    ),
    # A user pool puts the client into an access token, and an audience only where the client asked
    # for one with a resource parameter.
    "cognito": Preset(
        algorithms=("RS256",),
        token_types=("absent",),
        required_claims=("sub", "client_id", "iat", "jti"),
        audience_stand_in="client_id",
        marks=AccessTokenMarks(values=(("token_use", "access"),)),
    ),
    # ID tokens have the same type, project audience, client and roles; what they have not is jti.
    # Roles are an object, for conditions: /urn:zitadel:iam:org:project:roles/NAME.
    "zitadel": Preset(
        algorithms=("RS256", "RS384", "RS512", "ES256", "ES384", "ES512", "EdDSA"),
        token_types=("JWT", "at+jwt"),
        required_claims=("sub", "iat"),
        client_id_claims=("client_id", "azp"),
        marks=AccessTokenMarks(one_of=(("jti",),), never=_ONLY_IN_ID_TOKENS),
    ),
    # Tokens of service accounts: an identity for an audience, without client and scopes. The first
    # three claims are those of every bound token; the old kind, from a Secret, has no exp and aud.
    "kubernetes": Preset(
        algorithms=("RS256", "ES256", "ES384", "ES512"),
        token_types=("absent",),
        required_claims=("sub", "iat", "kubernetes.io"),
        scope_claims=(),
        client_id_claims=(),
    ),
})  # fmt: skip
