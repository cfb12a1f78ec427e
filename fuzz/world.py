"""The policy, the keys and the time that requests and tokens are judged by.

Nothing here is made by chance, so that an input that was saved fails again in another process.
"""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from jwcrypto.jwk import JWK

from authz_service.policy.loader import load
from fuzz.memory_files import MemoryFiles
from tests.support.keys import SigningKey, key_set
from tests.support.tokens import NOW, json_object, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy

HOST: Final = "shop.example.com"
AUDIENCE: Final = "https://shopping.api"

# Every issuer is allowed the fastest algorithm, and some another of each kind.
POLICY: Final = """
version: 1
issuers:
  - {name: logto, issuer: "https://auth.example.com/oidc", preset: logto, max_token_lifetime: 24h,
     algorithms: [Ed25519, EdDSA, ES256, ES384, RS256, PS256]}
  - {name: rfc9068, issuer: "https://plain.example", leeway: 0s, algorithms: [Ed25519]}
  - {name: keycloak, issuer: "https://keycloak.example", preset: keycloak, algorithms: [Ed25519]}
  - {name: entra, issuer: "https://entra.example", preset: entra, algorithms: [Ed25519]}
  - {name: okta, issuer: "https://okta.example", preset: okta, algorithms: [Ed25519]}
  - {name: cognito, issuer: "https://cognito.example", preset: cognito, algorithms: [Ed25519]}
  - {name: kubernetes, issuer: "https://kubernetes.example", preset: kubernetes,
     algorithms: [Ed25519]}
  - {name: keyless, issuer: "https://keyless.example", algorithms: [Ed25519]}
resources:
  - name: shop
    audience: https://shopping.api
    hosts: [shop.example.com, "*.shop.example.com"]
    cors_preflight: allow
    routes:
      - {path: /healthz, methods: {GET: public}}
      - {path: /products, methods: {GET: [read:products], POST: [write:products]}}
      - path: /products/{id}
        methods: {GET: [read:products], DELETE: {any_scope: [delete:products, admin]}}
      - {path: /products/archive, methods: {GET: [admin]}}
      - {path: /me/**, methods: {"*": []}}
      - path: /organizations/{org_id}/members
        audience: "urn:logto:organization:{org_id}"
        methods: {GET: [read:members]}
      - path: /organizations/{org_id}/orders
        methods: {GET: {claims: {organization_id: "{org_id}"}}}
      - path: /team
        methods: {GET: {claims: {/team/roles: {any_of: [lead, 7, true]}, email: {present: true}}}}
      - path: /adults/{name}
        methods: {GET: {when: "claims.age >= 18 && path.name == claims.sub"}}
      - {path: /maybe, methods: {GET: {optional: true, scopes: [read:products]}}}
      - {path: /watched, methods: {GET: {scopes: [admin], mode: audit}}}
  - name: files
    audience: [https://files.api, client-1]
    hosts: ["[::1]", files.example.com]
    encoded_slash: keep
    path_parameters: keep
    routes:
      - {path: "/open/{name}", methods: {GET: public}}
      - {path: "/files/{rest=**}", methods: {GET: [read:files], "*": [write:files]}}
forward:
  headers: {x-auth-subject: sub, x-auth-client-id: client_id, x-auth-scope: scope,
            x-auth-issuer: iss, x-team: /team, x-auth-email: email}
  strip: ["x-auth-*", x-internal]
  authorization: remove
  claims_header: x-claims
"""


@functools.cache
def policy() -> Policy:
    """Load `POLICY`."""
    file = Path("policy.yaml")
    return load([file], environment={}, files=MemoryFiles({file: POLICY.encode()})).policy


# The two greatest primes below 2**1024: a key that everybody can compute must never be used.
_P: Final = 2**1024 - 105
_Q: Final = 2**1024 - 179
_E: Final = 65537


def _rsa_key() -> rsa.RSAPrivateKey:
    d = pow(_E, -1, (_P - 1) * (_Q - 1))
    return rsa.RSAPrivateNumbers(
        p=_P,
        q=_Q,
        d=d,
        dmp1=d % (_P - 1),
        dmq1=d % (_Q - 1),
        iqmp=pow(_Q, -1, _P),
        public_numbers=rsa.RSAPublicNumbers(_E, _P * _Q),
    ).private_key()


@functools.cache
def signing_keys() -> Mapping[str, SigningKey]:
    """A private key for each algorithm that an issuer of `POLICY` may use."""
    ed25519 = JWK.from_pyca(Ed25519PrivateKey.from_private_bytes(bytes(range(32))))
    rsa_key = JWK.from_pyca(_rsa_key())
    keys = {
        "Ed25519": ("ed", ed25519),
        "EdDSA": ("ed", ed25519),
        "ES256": ("p256", JWK.from_pyca(ec.derive_private_key(2**200 + 1, ec.SECP256R1()))),
        "ES384": ("p384", JWK.from_pyca(ec.derive_private_key(2**300 + 1, ec.SECP384R1()))),
        "RS256": ("rsa", rsa_key),
        "PS256": ("rsa", rsa_key),
    }
    return {alg: SigningKey(alg, kid, jwk) for alg, (kid, jwk) in keys.items()}


@functools.cache
def keys() -> Mapping[str, KeySet]:
    """The keys that each issuer publishes; `keyless` has none at the moment."""
    published = signing_keys()
    return {
        issuer.name: key_set(*published.values())
        if issuer.name == "logto"
        else key_set(published["Ed25519"])
        for issuer in policy().issuers
        if issuer.name != "keyless"
    }


_CLAIMS: Final[Mapping[str, object]] = {
    "iss": "https://auth.example.com/oidc",
    "aud": [AUDIENCE, "https://files.api", "urn:logto:organization:acme"],
    "sub": "alice",
    "client_id": "client-1",
    "jti": "token-1",
    "iat": NOW - 60,
    "nbf": NOW - 60,
    "exp": NOW + 3600,
    "scope": "read:products write:products delete:products read:members read:files",
    "organization_id": "acme",
    "team": {"roles": ["lead", "cook"]},
    "email": "alice@example.com",
    "age": 44,
}


def claims(**changed: object) -> dict[str, object]:
    """The claims of a valid token, some of them *changed*; None leaves one out."""
    members = {**_CLAIMS, **changed}
    return {name: value for name, value in members.items() if value is not None}


_OTHERS: Final[tuple[tuple[str, str | None, Mapping[str, object]], ...]] = (
    ("https://plain.example", "at+jwt", {}),
    ("https://keycloak.example", "JWT", {"typ": "Bearer", "azp": "client-1"}),
    ("https://entra.example", "JWT", {"azp": "client-1", "scp": "read:products", "scope": None}),
    ("https://entra.example", "JWT", {"appid": "app", "roles": ["read:products"], "scope": None}),
    ("https://okta.example", None, {"cid": "client-1", "scp": ["read:products"], "scope": None}),
    ("https://cognito.example", None, {"token_use": "access", "aud": None}),
    ("https://kubernetes.example", None, {"kubernetes.io": {"namespace": "shop"}}),
    ("https://keyless.example", "at+jwt", {}),
)


@functools.cache
def tokens() -> tuple[str, ...]:
    """Valid tokens: of each issuer one, of Logto's one for each algorithm."""
    own = (_token(alg, "at+jwt", claims()) for alg in signing_keys())
    others = (_token("Ed25519", typ, claims(iss=iss, **more)) for iss, typ, more in _OTHERS)
    return (*own, *others)


def _token(alg: str, typ: str | None, members: Mapping[str, object]) -> str:
    key = signing_keys()[alg]
    header = {"alg": alg, "kid": key.kid} | ({"typ": typ} if typ else {})
    return sign(json_object(header), json_object(members), key=key)
