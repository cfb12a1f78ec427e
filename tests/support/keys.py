"""Key pairs of made-up issuers. Each is made once, when it is first asked for."""

from __future__ import annotations

import functools
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from jwcrypto.jwa import JWA
from jwcrypto.jwk import JWK

from authz_service.core import base64url
from authz_service.core.jwks import parse_jwk_set

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.jwks import KeySet

KID: Final = "key-1"

_GENERATED_WITH: Final[Mapping[str, tuple[str, Mapping[str, object]]]] = {
    "RS": ("rsa", {"kty": "RSA", "size": 2048}),
    "PS": ("rsa", {"kty": "RSA", "size": 2048}),
    "ES256": ("p-256", {"kty": "EC", "crv": "P-256"}),
    "ES384": ("p-384", {"kty": "EC", "crv": "P-384"}),
    "ES512": ("p-521", {"kty": "EC", "crv": "P-521"}),
    "EdDSA": ("ed25519", {"kty": "OKP", "crv": "Ed25519"}),
    "Ed25519": ("ed25519", {"kty": "OKP", "crv": "Ed25519"}),
    "EdDSA/Ed448": ("ed448", {"kty": "OKP", "crv": "Ed448"}),
}


@dataclass(frozen=True)
class SigningKey:
    """A private key, and the header parameters of what it signs."""

    alg: str
    kid: str
    jwk: JWK = field(repr=False)

    @property
    def public(self) -> dict[str, object]:
        """The JWK that the issuer publishes."""
        members: dict[str, object] = self.jwk.export_public(as_dict=True)
        return {**members, "kid": self.kid, "use": "sig"}

    @property
    def private(self) -> dict[str, object]:
        """The JWK that the issuer should never publish."""
        members: dict[str, object] = self.jwk.export_private(as_dict=True)
        return {**members, "kid": self.kid}

    def sign(self, signing_input: bytes) -> bytes:
        """Make the signature, in the form that JWS has it."""
        signature: bytes = JWA.signing_alg(self.alg).sign(self.jwk, signing_input)
        return signature


@functools.cache
def _generate(_owner: str, kind: str) -> JWK:
    parameters = dict(_GENERATED_WITH.values())[kind]
    return JWK.generate(**parameters)


def signing_key(alg: str = "ES384", *, owner: str = "logto", kid: str = KID) -> SigningKey:
    """*owner*'s key for *alg*; `EdDSA/Ed448` is EdDSA with the other curve."""
    kind, _parameters = _GENERATED_WITH.get(alg) or _GENERATED_WITH[alg[:2]]
    return SigningKey(alg.partition("/")[0], kid, _generate(owner, kind))


def jwk_set(*entries: object) -> bytes:
    """Write a JWK Set document with *entries*."""
    return json.dumps({"keys": entries}).encode()


def key_set(*keys: SigningKey) -> KeySet:
    """Take the set that publishes *keys* in, the same way as one that was fetched."""
    return parse_jwk_set(jwk_set(*(key.public for key in keys)))


def rsa_jwk(*, bits: int = 2048, exponent: int = 65537) -> dict[str, object]:
    """Write an RSA JWK of a given size that nobody has the private key of."""
    return {"kty": "RSA", "n": _integer(2 ** (bits - 1) + 1), "e": _integer(exponent)}


def _integer(value: int) -> str:
    return base64url.encode(value.to_bytes(max(1, (value.bit_length() + 7) // 8), "big"))
