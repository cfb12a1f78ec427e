"""Tokens of the shape that each vendor documents, judged by a policy with the vendor's preset."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, DenyReason
from authz_service.core.request import HttpRequest
from authz_service.policy.presets import PRESETS
from tests.support.keys import key_set, signing_key
from tests.support.tokens import MISSING, NOW, json_object, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.decision import Decision
    from tests.policy.folder import Folder

Members = dict[str, object]

KID: Final = "key-1"
TIMES: Final[Members] = {"iat": NOW - 60, "exp": NOW + 3600}


@dataclass(frozen=True)
class Vendor:
    """An issuer with a preset, and an API whose `/orders` needs the scope *scope*.

    `/me` needs any valid token, `/admin` what *admin* says. *more* is added to the issuer.
    """

    preset: str
    issuer: str
    audience: str
    header: Members
    scope: str
    admin: str = "[admin]"
    more: str = ""

    def policy(self) -> str:
        """Write the policy of the API."""
        return (
            "version: 1\n"
            "issuers:\n"
            f"  - {{name: vendor, issuer: {self.issuer}, preset: {self.preset}{self.more}}}\n"
            "resources:\n"
            f"  - audience: {self.audience}\n"
            "    routes:\n"
            f"      - {{path: /orders, methods: {{GET: ['{self.scope}']}}}}\n"
            "      - {path: /me, methods: {GET: []}}\n"
            f"      - {{path: /admin, methods: {{GET: {self.admin}}}}}\n"
        )

    def decide(self, folder: Folder, token: Token, path: str) -> Decision:
        """Have the real thing judge a request with *token*."""
        key = signing_key(str(token.header.get("alg", self.header["alg"])), owner=token.owner)
        header = {**self.header, **token.header}
        encoded = sign(json_object(header), json_object(token.claims), key=key)
        request = HttpRequest("GET", "api.example", path, (("authorization", f"Bearer {encoded}"),))
        policy = folder.load(self.policy())
        published = key_set(signing_key(key.alg, owner="vendor"))
        return authorize(request, policy=policy, keys={"vendor": published}, now=NOW)


@dataclass(frozen=True)
class Token:
    """A token as *owner* signs it; *header* replaces members of the vendor's."""

    claims: Members
    header: Members = field(default_factory=dict)
    owner: str = "vendor"

    def but(self, **claims: object) -> Token:
        """Change claims."""
        return Token({**self.claims, **claims}, self.header, self.owner)

    def typed(self, typ: object) -> Token:
        """Change the header's `typ`."""
        return Token(self.claims, {**self.header, "typ": typ}, self.owner)

    def signed(self, alg: str) -> Token:
        """Change the algorithm."""
        return Token(self.claims, {**self.header, "alg": alg}, self.owner)


def rs256(typ: object) -> Members:
    return {"alg": "RS256", "kid": KID, "typ": typ}


# RFC 9068 and Logto

RFC9068: Final = Vendor(
    "rfc9068", "https://as.example", "https://api.example", rs256("at+jwt"), "read:orders"
)
RFC9068_USER: Final = Token({
    "iss": "https://as.example", "aud": "https://api.example", "sub": "user-1",
    "client_id": "app-1", "jti": "token-1", "scope": "openid read:orders", **TIMES,
})  # fmt: skip
RFC9068_ID: Final = Token({
    "iss": "https://as.example", "aud": "https://api.example", "sub": "user-1",
    "azp": "app-1", "nonce": "n", **TIMES,
}, header={"typ": "JWT"})  # fmt: skip

LOGTO: Final = Vendor(
    "logto", "https://t.logto.app/oidc", "https://api.example",
    {"alg": "ES384", "kid": KID, "typ": "at+jwt"}, "read:orders",
)  # fmt: skip
LOGTO_USER: Final = Token({
    "iss": "https://t.logto.app/oidc", "aud": "https://api.example", "sub": "user-1",
    "client_id": "app-1", "jti": "token-1", "scope": "read:orders", **TIMES,
})  # fmt: skip
LOGTO_MACHINE: Final = LOGTO_USER.but(sub="app-1")

# Auth0

AUTH0: Final = Vendor(
    "auth0", "https://t.eu.auth0.com/", "https://api.example", rs256("JWT"), "read:orders",
)  # fmt: skip
AUTH0_PERMISSIONS: Final = Vendor(
    "auth0", "https://t.eu.auth0.com/", "https://api.example", rs256("JWT"), "read:orders",
    more=", scope_claim: [scope, permissions]",
)  # fmt: skip
AUTH0_USER: Final = Token({
    "iss": "https://t.eu.auth0.com/", "sub": "auth0|1",
    "aud": ["https://api.example", "https://t.eu.auth0.com/userinfo"], "azp": "app-1",
    "scope": "openid profile read:orders", "permissions": ["read:orders", "admin"], **TIMES,
})  # fmt: skip
AUTH0_RFC9068: Final = AUTH0_USER.but(azp=MISSING, client_id="app-1", jti="t").typed("at+jwt")
AUTH0_MACHINE: Final = Token({
    "iss": "https://t.eu.auth0.com/", "sub": "app-2@clients", "aud": "https://api.example",
    "azp": "app-2", "gty": "client-credentials", "scope": "read:orders", **TIMES,
})  # fmt: skip
AUTH0_ID: Final = Token({
    "iss": "https://t.eu.auth0.com/", "sub": "auth0|1", "aud": "app-1", "sid": "s",
    "nonce": "n", "name": "Jane", **TIMES,
})  # fmt: skip

# Keycloak

KEYCLOAK: Final = Vendor(
    "keycloak", "https://kc.example/realms/shop", "orders-api", rs256("JWT"), "orders:read",
    admin="{claims: {/realm_access/roles: admin}}",
)  # fmt: skip
KEYCLOAK_ROLES: Final = Vendor(
    "keycloak", "https://kc.example/realms/shop", "orders-api", rs256("JWT"), "clerk",
    more=", scope_claim: [scope, /realm_access/roles, /resource_access/orders-api/roles]",
)  # fmt: skip
KEYCLOAK_USER: Final = Token({
    "iss": "https://kc.example/realms/shop", "aud": ["orders-api", "account"], "sub": "f-1",
    "typ": "Bearer", "azp": "web", "jti": "onrtac:1", "sid": "s", "acr": "1",
    "realm_access": {"roles": ["offline_access", "admin"]},
    "resource_access": {
        "account": {"roles": ["manage-account"]}, "orders-api": {"roles": ["clerk", "admin"]},
    },
    "scope": "openid email orders:read", "preferred_username": "jane", **TIMES,
})  # fmt: skip
KEYCLOAK_MACHINE: Final = KEYCLOAK_USER.but(
    aud="orders-api", azp="batch", client_id="batch", sid=MISSING, scope="orders:read"
)
KEYCLOAK_ID: Final = Token({
    "iss": "https://kc.example/realms/shop", "aud": "orders-api", "sub": "f-1", "typ": "ID",
    "azp": "orders-api", "jti": "2", "at_hash": "h", "sid": "s", **TIMES,
})  # fmt: skip

# Microsoft Entra ID

TENANT: Final = "0f1e2d3c-0000-4000-8000-000000000001"
API: Final = "a0a0a0a0-0000-4000-8000-000000000002"
V1: Final = f"https://sts.windows.net/{TENANT}/"
V2: Final = f"https://login.microsoftonline.com/{TENANT}/v2.0"
ENTRA: Final = Vendor(
    "entra", f"[{V2!r}, {V1!r}]", f"[{API}, 'api://{API}']", rs256("JWT"), "Orders.Read",
    admin="{claims: {roles: Orders.Admin}}",
)  # fmt: skip
ENTRA_BOTH: Final = Vendor(
    "entra", f"[{V2!r}, {V1!r}]", API, rs256("JWT"), "Orders.Admin",
    more=", scope_claim: [scp, roles]",
)  # fmt: skip
ENTRA_V2_USER: Final = Token({
    "iss": V2, "aud": API, "tid": TENANT, "sub": "pairwise", "oid": "o-1", "azp": "spa-1",
    "azpacr": "0", "scp": "Orders.Read Orders.Write", "roles": ["Orders.Admin"], "uti": "u",
    "rh": "r", "aio": "a", "ver": "2.0", "nbf": NOW - 60, **TIMES,
})  # fmt: skip
ENTRA_V1_USER: Final = ENTRA_V2_USER.but(
    iss=V1, aud=f"api://{API}", azp=MISSING, azpacr=MISSING, appid="spa-1", appidacr="0",
    ver="1.0",
)  # fmt: skip
ENTRA_V2_APP: Final = ENTRA_V2_USER.but(
    scp=MISSING, azp="daemon-1", azpacr="1", roles=["Orders.Read"], idtyp="app"
)
ENTRA_V1_APP: Final = ENTRA_V1_USER.but(scp=MISSING, appid="daemon-1", roles=["Orders.Read"])
ENTRA_ID: Final = Token({
    "iss": V2, "aud": API, "tid": TENANT, "sub": "pairwise", "oid": "o-1", "nonce": "n",
    "roles": ["Orders.Read"], "preferred_username": "jane@example.com", "ver": "2.0",
    "nbf": NOW - 60, **TIMES,
})  # fmt: skip

# Okta

OKTA: Final = Vendor(
    "okta", "https://dev-1.okta.com/oauth2/default", "api://orders", rs256(MISSING), "orders.read",
    admin="{claims: {groups: admins}}",
)  # fmt: skip
OKTA_USER: Final = Token({
    "ver": 1, "jti": "AT.1", "iss": "https://dev-1.okta.com/oauth2/default",
    "aud": "api://orders", "sub": "jane@example.com", "cid": "0oa1", "uid": "00u1",
    "scp": ["openid", "orders.read"], "auth_time": NOW - 90, **TIMES,
})  # fmt: skip
OKTA_MACHINE: Final = OKTA_USER.but(sub="0oa2", cid="0oa2", uid=MISSING, scp=["orders.read"])
OKTA_ID: Final = Token({
    "ver": 1, "jti": "ID.1", "iss": "https://dev-1.okta.com/oauth2/default", "aud": "api://orders",
    "sub": "00u1", "amr": ["pwd"], "idp": "00o1", "auth_time": NOW - 90, **TIMES,
})  # fmt: skip

# Amazon Cognito

POOL: Final = "https://cognito-idp.eu-west-1.amazonaws.com/eu-west-1_abc"
COGNITO: Final = Vendor(
    "cognito", POOL, "[client1, 'https://api.example']", rs256(MISSING),
    "https://api.example/read", admin="{claims: {'cognito:groups': admins}}",
)  # fmt: skip
COGNITO_USERNAME: Final = replace(COGNITO, more=", client_id_claim: username")
COGNITO_USER: Final = Token({
    "sub": "u-1", "cognito:groups": ["admins"], "iss": POOL, "version": 2, "client_id": "client1",
    "origin_jti": "o", "event_id": "e", "token_use": "access",
    "scope": "openid https://api.example/read", "auth_time": NOW - 60, "jti": "t",
    "username": "jane", **TIMES,
})  # fmt: skip
COGNITO_MACHINE: Final = Token({
    "sub": "client1", "iss": POOL, "version": 2, "client_id": "client1", "token_use": "access",
    "scope": "https://api.example/read", "auth_time": NOW - 60, "jti": "t", **TIMES,
})  # fmt: skip
COGNITO_BOUND: Final = COGNITO_USER.but(client_id="client2", aud="https://api.example")
COGNITO_ID: Final = Token({
    "sub": "u-1", "aud": "client1", "cognito:groups": ["admins"], "iss": POOL, "nonce": "n",
    "cognito:username": "jane", "origin_jti": "o", "event_id": "e", "token_use": "id",
    "auth_time": NOW - 60, "jti": "t", **TIMES,
})  # fmt: skip

# ZITADEL

ZITADEL: Final = Vendor(
    "zitadel", "https://acme.zitadel.cloud", "'282345678901234567'", rs256("JWT"), "orders.read",
    admin="{claims: {'/urn:zitadel:iam:org:project:roles/admin': {present: true}}}",
)  # fmt: skip
ZITADEL_USER: Final = Token({
    "iss": "https://acme.zitadel.cloud", "sub": "163840776835432705",
    "aud": ["182@shop", "282345678901234567"], "client_id": "182@shop", "jti": "V2_1-at_2",
    "nbf": NOW - 60, "urn:zitadel:iam:org:project:roles": {"admin": {"1": "acme.example"}},
    **TIMES,
})  # fmt: skip
ZITADEL_ID: Final = Token({
    "iss": "https://acme.zitadel.cloud", "sub": "163840776835432705",
    "aud": ["182@shop", "282345678901234567"], "azp": "182@shop", "client_id": "182@shop",
    "amr": ["pwd"], "auth_time": NOW - 90, "at_hash": "h",
    "urn:zitadel:iam:org:project:roles": {"admin": {"1": "acme.example"}}, **TIMES,
})  # fmt: skip

# Kubernetes

KUBERNETES: Final = Vendor(
    "kubernetes", "https://oidc.example/id/CLUSTER", "orders", rs256(MISSING), "unreachable",
    admin="{claims: {/kubernetes.io/namespace: shop, "
    "sub: {any_of: ['system:serviceaccount:shop:batch']}}}",
)  # fmt: skip
KUBERNETES_POD: Final = Token({
    "aud": ["orders"], "iss": "https://oidc.example/id/CLUSTER", "jti": "j", "nbf": NOW - 60,
    "kubernetes.io": {
        "namespace": "shop", "node": {"name": "n", "uid": "1"}, "pod": {"name": "p", "uid": "2"},
        "serviceaccount": {"name": "batch", "uid": "3"},
    },
    "sub": "system:serviceaccount:shop:batch", **TIMES,
})  # fmt: skip


@dataclass(frozen=True)
class Passes:
    """A token that a path lets through, and what the upstream then reads."""

    vendor: Vendor
    token: Token
    subject: str
    client_id: str | None
    scope: str
    path: str = "/orders"


ALLOWED: Final[Mapping[str, Passes]] = {
    "rfc9068 user": Passes(RFC9068, RFC9068_USER, "user-1", "app-1", "openid read:orders"),
    "logto user": Passes(LOGTO, LOGTO_USER, "user-1", "app-1", "read:orders"),
    "logto machine": Passes(LOGTO, LOGTO_MACHINE, "app-1", "app-1", "read:orders"),
    "logto, RSA": Passes(LOGTO, LOGTO_USER.signed("RS256"), "user-1", "app-1", "read:orders"),
    "auth0 user": Passes(AUTH0, AUTH0_USER, "auth0|1", "app-1", "openid profile read:orders"),
    "auth0 RFC 9068": Passes(
        AUTH0, AUTH0_RFC9068, "auth0|1", "app-1", "openid profile read:orders"
    ),
    "auth0 machine": Passes(AUTH0, AUTH0_MACHINE, "app-2@clients", "app-2", "read:orders"),
    "auth0 without a scope": Passes(
        AUTH0, AUTH0_USER.but(scope=MISSING), "auth0|1", "app-1", "", path="/me"
    ),
    "auth0, PS256": Passes(
        AUTH0, AUTH0_MACHINE.signed("PS256"), "app-2@clients", "app-2", "read:orders"
    ),
    "auth0 permissions, where asked for": Passes(
        AUTH0_PERMISSIONS, AUTH0_USER, "auth0|1", "app-1",
        "openid profile read:orders admin", path="/admin",
    ),
    "keycloak user": Passes(KEYCLOAK, KEYCLOAK_USER, "f-1", "web", "openid email orders:read"),
    "keycloak machine": Passes(KEYCLOAK, KEYCLOAK_MACHINE, "f-1", "batch", "orders:read"),
    "keycloak at+jwt": Passes(
        KEYCLOAK, KEYCLOAK_MACHINE.typed("at+jwt"), "f-1", "batch", "orders:read"
    ),
    "keycloak, Ed25519": Passes(
        KEYCLOAK, KEYCLOAK_MACHINE.signed("EdDSA"), "f-1", "batch", "orders:read"
    ),
    "keycloak role as a claim": Passes(
        KEYCLOAK, KEYCLOAK_USER, "f-1", "web", "openid email orders:read", path="/admin"
    ),
    "keycloak roles as scopes": Passes(
        KEYCLOAK_ROLES, KEYCLOAK_USER, "f-1", "web",
        "openid email orders:read offline_access admin clerk",
    ),
    "entra v2.0 user": Passes(
        ENTRA, ENTRA_V2_USER, "pairwise", "spa-1", "Orders.Read Orders.Write"
    ),
    "entra v1.0 user": Passes(
        ENTRA, ENTRA_V1_USER, "pairwise", "spa-1", "Orders.Read Orders.Write"
    ),
    "entra v2.0 application": Passes(ENTRA, ENTRA_V2_APP, "pairwise", "daemon-1", "Orders.Read"),
    "entra v1.0 application": Passes(ENTRA, ENTRA_V1_APP, "pairwise", "daemon-1", "Orders.Read"),
    "entra role of a user as a claim": Passes(
        ENTRA, ENTRA_V2_USER, "pairwise", "spa-1", "Orders.Read Orders.Write", path="/admin"
    ),
    "entra role of a user as a scope, where asked for": Passes(
        ENTRA_BOTH, ENTRA_V2_USER, "pairwise", "spa-1", "Orders.Read Orders.Write Orders.Admin"
    ),
    "okta user": Passes(OKTA, OKTA_USER, "jane@example.com", "0oa1", "openid orders.read"),
    "okta machine": Passes(OKTA, OKTA_MACHINE, "0oa2", "0oa2", "orders.read"),
    "okta at+jwt": Passes(OKTA, OKTA_MACHINE.typed("at+jwt"), "0oa2", "0oa2", "orders.read"),
    "okta group": Passes(
        OKTA, OKTA_USER.but(groups=["staff", "admins"]), "jane@example.com", "0oa1",
        "openid orders.read", path="/admin",
    ),
    "cognito user": Passes(
        COGNITO, COGNITO_USER, "u-1", "client1", "openid https://api.example/read"
    ),
    "cognito machine": Passes(
        COGNITO, COGNITO_MACHINE, "client1", "client1", "https://api.example/read"
    ),
    "cognito token bound to a resource": Passes(
        COGNITO, COGNITO_BOUND, "u-1", "client2", "openid https://api.example/read"
    ),
    "cognito group": Passes(
        COGNITO, COGNITO_USER, "u-1", "client1", "openid https://api.example/read", path="/admin"
    ),
    "zitadel user": Passes(ZITADEL, ZITADEL_USER, "163840776835432705", "182@shop", "", "/me"),
    "zitadel with azp": Passes(
        ZITADEL, ZITADEL_USER.but(client_id=MISSING, azp="182@shop"), "163840776835432705",
        "182@shop", "", path="/me",
    ),
    "zitadel without a client": Passes(
        ZITADEL, ZITADEL_USER.but(client_id=MISSING), "163840776835432705", None, "", path="/me"
    ),
    "zitadel with a scope": Passes(
        ZITADEL, ZITADEL_USER.but(scope="openid orders.read"), "163840776835432705", "182@shop",
        "openid orders.read",
    ),
    "zitadel, EC": Passes(
        ZITADEL, ZITADEL_USER.signed("ES256"), "163840776835432705", "182@shop", "", path="/me"
    ),
    "zitadel role": Passes(
        ZITADEL, ZITADEL_USER, "163840776835432705", "182@shop", "", path="/admin"
    ),
    "kubernetes pod": Passes(
        KUBERNETES, KUBERNETES_POD, "system:serviceaccount:shop:batch", None, "", path="/me"
    ),
    "kubernetes account and namespace": Passes(
        KUBERNETES, KUBERNETES_POD, "system:serviceaccount:shop:batch", None, "", path="/admin"
    ),
    "kubernetes before jti": Passes(
        KUBERNETES, KUBERNETES_POD.but(jti=MISSING), "system:serviceaccount:shop:batch", None, "",
        path="/me",
    ),
    "kubernetes, EC": Passes(
        KUBERNETES, KUBERNETES_POD.signed("ES256"), "system:serviceaccount:shop:batch", None, "",
        path="/me",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", ALLOWED)
def test_a_token_of_the_documented_shape_is_read_as_the_vendor_means_it(
    folder: Folder, name: str
) -> None:
    row = ALLOWED[name]
    decision = row.vendor.decide(folder, row.token, row.path)
    assert isinstance(decision, Allow), decision.reason
    expected = {
        "x-auth-subject": row.subject,
        "x-auth-client-id": row.client_id,
        "x-auth-scope": row.scope,
        "x-auth-issuer": row.token.claims["iss"],
    }
    assert dict(decision.headers.overwrite) == {
        name: text for name, text in expected.items() if text
    }
    absent = {name for name, text in expected.items() if not text}
    assert absent <= set(decision.headers.remove)


@dataclass(frozen=True)
class Fails:
    """A token that a path does not let through."""

    vendor: Vendor
    token: Token
    reason: DenyReason
    path: str = "/me"


TYPE: Final = DenyReason.TOKEN_TYPE_NOT_ALLOWED
ABSENT: Final = DenyReason.MISSING_CLAIM
MALFORMED: Final = DenyReason.MALFORMED_CLAIM
AUDIENCE: Final = DenyReason.WRONG_AUDIENCE
ISSUER: Final = DenyReason.UNKNOWN_ISSUER
SCOPE: Final = DenyReason.INSUFFICIENT_SCOPE
ALGORITHM: Final = DenyReason.ALGORITHM_NOT_ALLOWED

ROLES: Final = "urn:zitadel:iam:org:project:roles"

DENIED: Final[Mapping[str, Fails]] = {
    "rfc9068 ID token": Fails(RFC9068, RFC9068_ID, TYPE),
    "rfc9068 ID token that lies": Fails(RFC9068, RFC9068_ID.typed("at+jwt"), ABSENT),
    "logto ID token": Fails(LOGTO, RFC9068_ID.but(iss=LOGTO.issuer), TYPE),
    "logto, another algorithm": Fails(LOGTO, LOGTO_USER.signed("ES256"), ALGORITHM),
    # Auth0
    "auth0 ID token": Fails(AUTH0, AUTH0_ID, TYPE),
    "auth0 ID token without a nonce": Fails(AUTH0, AUTH0_ID.but(nonce=MISSING), ABSENT),
    "auth0 ID token for this audience": Fails(
        AUTH0, AUTH0_ID.but(nonce=MISSING, aud="https://api.example"), ABSENT
    ),
    "auth0 userinfo alone": Fails(
        AUTH0, AUTH0_USER.but(aud="https://t.eu.auth0.com/userinfo"), AUDIENCE
    ),
    "auth0, another tenant": Fails(AUTH0, AUTH0_USER.but(iss="https://u.eu.auth0.com/"), ISSUER),
    "auth0, no slash": Fails(AUTH0, AUTH0_USER.but(iss="https://t.eu.auth0.com"), ISSUER),
    "auth0 permissions are no scopes": Fails(AUTH0, AUTH0_USER, SCOPE, "/admin"),
    "auth0 permissions alone": Fails(AUTH0, AUTH0_USER.but(scope=MISSING), SCOPE, "/orders"),
    "auth0 empty azp": Fails(AUTH0, AUTH0_USER.but(azp="", client_id="app-1"), MALFORMED),
    "auth0 azp null": Fails(AUTH0, AUTH0_USER.but(azp=None, client_id="app-1"), MALFORMED),
    "auth0 no type": Fails(AUTH0, AUTH0_USER.typed(MISSING), TYPE),
    "auth0 logout token": Fails(AUTH0, AUTH0_ID.typed("logout+jwt"), TYPE),
    "auth0, EC": Fails(AUTH0, AUTH0_USER.signed("ES256"), ALGORITHM),
    "auth0 scope a number": Fails(AUTH0, AUTH0_USER.but(scope=1), MALFORMED),
    # Keycloak
    "keycloak ID token": Fails(KEYCLOAK, KEYCLOAK_ID, TYPE),
    "keycloak refresh token": Fails(KEYCLOAK, KEYCLOAK_USER.but(typ="Refresh"), TYPE),
    "keycloak logout token": Fails(KEYCLOAK, KEYCLOAK_USER.but(typ="Logout"), TYPE),
    "keycloak token that needs a proof": Fails(KEYCLOAK, KEYCLOAK_USER.but(typ="DPoP"), TYPE),
    "keycloak payload type in lower case": Fails(KEYCLOAK, KEYCLOAK_USER.but(typ="bearer"), TYPE),
    "keycloak payload type an array": Fails(KEYCLOAK, KEYCLOAK_USER.but(typ=["Bearer"]), TYPE),
    "keycloak without payload type": Fails(KEYCLOAK, KEYCLOAK_USER.but(typ=MISSING), ABSENT),
    "keycloak without an audience": Fails(KEYCLOAK, KEYCLOAK_USER.but(aud=MISSING), ABSENT),
    "keycloak for account alone": Fails(KEYCLOAK, KEYCLOAK_USER.but(aud="account"), AUDIENCE),
    "keycloak without a subject": Fails(KEYCLOAK, KEYCLOAK_USER.but(sub=MISSING), ABSENT),
    "keycloak, another realm": Fails(
        KEYCLOAK, KEYCLOAK_USER.but(iss="https://kc.example/realms/master"), ISSUER
    ),
    "keycloak roles are no scopes": Fails(
        KEYCLOAK, KEYCLOAK_USER.but(scope="", realm_access={"roles": ["orders:read"]}), SCOPE,
        "/orders",
    ),
    "keycloak role of another client": Fails(
        KEYCLOAK_ROLES,
        KEYCLOAK_USER.but(resource_access={"other": {"roles": ["clerk"]}}), SCOPE, "/orders",
    ),
    "keycloak role with a space": Fails(
        KEYCLOAK_ROLES, KEYCLOAK_USER.but(realm_access={"roles": ["not a clerk"]}), MALFORMED,
    ),
    "keycloak roles an object": Fails(
        KEYCLOAK_ROLES, KEYCLOAK_USER.but(realm_access={"roles": {"clerk": True}}), MALFORMED,
    ),
    "keycloak azp an array": Fails(KEYCLOAK, KEYCLOAK_USER.but(azp=["web"]), MALFORMED),
    # Entra
    "entra ID token with roles": Fails(ENTRA, ENTRA_ID, TYPE, "/orders"),
    "entra ID token without a nonce": Fails(ENTRA, ENTRA_ID.but(nonce=MISSING), ABSENT, "/orders"),
    "entra v1.0 ID token": Fails(
        ENTRA, ENTRA_ID.but(iss=V1, ver="1.0", nonce=MISSING), ABSENT, "/orders"
    ),
    "entra application without a role": Fails(ENTRA, ENTRA_V2_APP.but(roles=MISSING), ABSENT),
    "entra, another tenant": Fails(
        ENTRA, ENTRA_V2_USER.but(iss=V2.replace("0001", "0009")), ISSUER
    ),
    "entra for Graph": Fails(
        ENTRA, ENTRA_V1_USER.but(aud="00000003-0000-0000-c000-000000000000"), AUDIENCE
    ),
    "entra role of a user is no scope": Fails(
        ENTRA, ENTRA_V2_USER.but(scp="Orders.Write", roles=["Orders.Read"]), SCOPE, "/orders"
    ),
    "entra empty scp": Fails(
        ENTRA, ENTRA_V2_USER.but(scp="", roles=["Orders.Read"]), SCOPE, "/orders"
    ),
    "entra scp a number": Fails(ENTRA, ENTRA_V2_USER.but(scp=1), MALFORMED),
    "entra scp null": Fails(ENTRA, ENTRA_V2_APP.but(scp=None), MALFORMED),
    "entra role with a space": Fails(
        ENTRA, ENTRA_V2_APP.but(roles=["Orders.Read Orders.Write"]), MALFORMED
    ),
    "entra azp empty": Fails(ENTRA, ENTRA_V2_USER.but(azp="", appid="spa-1"), MALFORMED),
    "entra azp a number": Fails(ENTRA, ENTRA_V2_USER.but(azp=7, appid="spa-1"), MALFORMED),
    "entra, EC": Fails(ENTRA, ENTRA_V2_USER.signed("ES256"), ALGORITHM),
    # Okta
    "okta ID token": Fails(OKTA, OKTA_ID, ABSENT),
    "okta ID token with a nonce": Fails(OKTA, OKTA_ID.but(nonce="n"), TYPE),
    "okta ID token with scopes": Fails(OKTA, OKTA_ID.but(scp=["orders.read"]), ABSENT),
    "okta org token": Fails(OKTA, OKTA_USER.typed("application/okta-internal-at+jwt"), TYPE),
    "okta org issuer": Fails(OKTA, OKTA_USER.but(iss="https://dev-1.okta.com"), ISSUER),
    "okta, another server": Fails(
        OKTA, OKTA_USER.but(iss="https://dev-1.okta.com/oauth2/other"), ISSUER
    ),
    "okta scope with a space": Fails(OKTA, OKTA_USER.but(scp=["a b"]), MALFORMED),
    "okta scp an object": Fails(OKTA, OKTA_USER.but(scp={"orders.read": True}), MALFORMED),
    "okta cid a number": Fails(OKTA, OKTA_USER.but(cid=1), MALFORMED),
    # Cognito
    "cognito user by the name of a client": Fails(
        COGNITO_USERNAME, COGNITO_USER.but(client_id="client2", username="client1"), AUDIENCE
    ),
    "cognito ID token": Fails(COGNITO, COGNITO_ID, TYPE),
    "cognito ID token with a client": Fails(COGNITO, COGNITO_ID.but(client_id="client1"), TYPE),
    "cognito without token_use": Fails(COGNITO, COGNITO_USER.but(token_use=MISSING), ABSENT),
    "cognito token_use in capitals": Fails(COGNITO, COGNITO_USER.but(token_use="ACCESS"), TYPE),
    "cognito, another client": Fails(COGNITO, COGNITO_USER.but(client_id="client2"), AUDIENCE),
    "cognito, another audience and this client": Fails(
        COGNITO, COGNITO_USER.but(aud="https://other.example"), AUDIENCE
    ),
    "cognito, no audience in an array and this client": Fails(
        COGNITO, COGNITO_USER.but(aud=[]), AUDIENCE
    ),
    "cognito audience null and this client": Fails(COGNITO, COGNITO_USER.but(aud=None), MALFORMED),
    "cognito audience empty and this client": Fails(COGNITO, COGNITO_USER.but(aud=""), MALFORMED),
    "cognito without client and audience": Fails(
        COGNITO, COGNITO_USER.but(client_id=MISSING), ABSENT
    ),
    "cognito client an array": Fails(COGNITO, COGNITO_USER.but(client_id=["client1"]), MALFORMED),
    "cognito, another pool": Fails(COGNITO, COGNITO_USER.but(iss=POOL + "d"), ISSUER),
    "cognito type": Fails(COGNITO, COGNITO_USER.typed("JWT"), TYPE),
    # ZITADEL
    "zitadel ID token": Fails(ZITADEL, ZITADEL_ID, TYPE, "/admin"),
    "zitadel ID token without a hash": Fails(
        ZITADEL, ZITADEL_ID.but(at_hash=MISSING), ABSENT, "/admin"
    ),
    "zitadel, another instance": Fails(
        ZITADEL, ZITADEL_USER.but(iss="https://other.zitadel.cloud"), ISSUER
    ),
    "zitadel, another project": Fails(
        ZITADEL, ZITADEL_USER.but(aud=["182@shop"]), AUDIENCE
    ),
    "zitadel, another role": Fails(
        ZITADEL, ZITADEL_USER.but(**{ROLES: {"clerk": {"1": "acme.example"}}}),
        DenyReason.CLAIM_MISMATCH, "/admin",
    ),
    "zitadel client a number": Fails(ZITADEL, ZITADEL_USER.but(client_id=1), MALFORMED),
    # Kubernetes
    "kubernetes for its own API": Fails(
        KUBERNETES, KUBERNETES_POD.but(aud=["https://kubernetes.default.svc"]), AUDIENCE
    ),
    "kubernetes token of a Secret": Fails(
        KUBERNETES, KUBERNETES_POD.but(iss="kubernetes/serviceaccount"), ISSUER
    ),
    "kubernetes token that never expires": Fails(
        KUBERNETES, KUBERNETES_POD.but(exp=MISSING), ABSENT
    ),
    "kubernetes token without its claim": Fails(
        KUBERNETES, KUBERNETES_POD.but(**{"kubernetes.io": MISSING}), ABSENT
    ),
    "kubernetes, another cluster": Fails(
        KUBERNETES, KUBERNETES_POD.but(iss="https://oidc.example/id/OTHER"), ISSUER
    ),
    "kubernetes, another account": Fails(
        KUBERNETES, KUBERNETES_POD.but(sub="system:serviceaccount:shop:web"),
        DenyReason.CLAIM_MISMATCH, "/admin",
    ),
    "kubernetes scopes are not believed": Fails(
        KUBERNETES, KUBERNETES_POD.but(scope="unreachable", scp=["unreachable"]), SCOPE, "/orders"
    ),
    "kubernetes type": Fails(KUBERNETES, KUBERNETES_POD.typed("JWT"), TYPE),
}  # fmt: skip


@pytest.mark.parametrize("name", DENIED)
def test_what_is_no_access_token_for_this_api_is_refused(folder: Folder, name: str) -> None:
    row = DENIED[name]
    decision = row.vendor.decide(folder, row.token, row.path)
    assert not isinstance(decision, Allow)
    assert decision.reason is row.reason


@pytest.mark.parametrize("name", [name for name in DENIED if "ID token" in name])
@pytest.mark.parametrize("line", ["required_claims: []", "client_id_claim: sub", "scope_claim: x"])
def test_no_field_of_the_policy_lets_an_id_token_in(folder: Folder, name: str, line: str) -> None:
    row = DENIED[name]
    if row.vendor.preset in {"rfc9068", "logto"}:
        row = replace(row, token=row.token.typed("JWT"))
    decision = replace(row.vendor, more=f", {line}").decide(folder, row.token, row.path)
    assert not isinstance(decision, Allow)
    assert decision.reason in {TYPE, ABSENT, AUDIENCE}


@pytest.mark.parametrize("name", ALLOWED)
def test_what_somebody_else_signed_is_refused(folder: Folder, name: str) -> None:
    row = ALLOWED[name]
    forged = Token(row.token.claims, row.token.header, owner="somebody else")
    decision = row.vendor.decide(folder, forged, row.path)
    assert not isinstance(decision, Allow)
    assert decision.reason is DenyReason.BAD_SIGNATURE


@pytest.mark.parametrize("name", ALLOWED)
def test_a_claim_that_the_preset_requires_cannot_be_left_out(folder: Folder, name: str) -> None:
    row = ALLOWED[name]
    preset = PRESETS[row.vendor.preset]
    marks = [name for name, _value in preset.marks.values]
    marks += [group[0] for group in preset.marks.one_of if len(group) == 1]
    for claim in ("iss", "exp", *preset.required_claims, *marks):
        decision = row.vendor.decide(folder, row.token.but(**{claim: MISSING}), row.path)
        assert not isinstance(decision, Allow), claim
        assert decision.reason is DenyReason.MISSING_CLAIM, claim


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_has_tokens_that_pass_and_an_id_token_or_its_like_that_does_not(
    preset: str,
) -> None:
    assert any(row.vendor.preset == preset for row in ALLOWED.values())
    refused = {row.reason for row in DENIED.values() if row.vendor.preset == preset}
    assert TYPE in refused


@pytest.mark.parametrize("preset", PRESETS)
def test_no_preset_takes_an_algorithm_or_type_by_mistake(preset: str) -> None:
    chosen = PRESETS[preset]
    assert chosen.algorithms
    assert not any(name.startswith("HS") or name == "none" for name in chosen.algorithms)
    assert set(chosen.token_types) <= {"at+jwt", "JWT", "absent"}
