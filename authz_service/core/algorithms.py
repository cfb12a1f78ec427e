"""The signature algorithms that we accept, and which key each one takes.

RFC 7518, section 3; RFC 8037; RFC 9864. `none` and the HMAC family are not here, and so cannot be
switched on: with a key set that everybody can read, a symmetric algorithm proves nothing.
"""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from jwcrypto.jwa import JWA

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from jwcrypto.jwk import JWK


@dataclass(frozen=True, slots=True)
class KeyShape:
    """A key type and, unless it is RSA, its curve."""

    kty: str
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class SignatureAlgorithm:
    """One value of `alg`, with the shapes of key that it can verify with."""

    name: str
    key_shapes: tuple[KeyShape, ...]


_RSA: Final = (KeyShape("RSA"),)
_ED25519: Final = KeyShape("OKP", "Ed25519")
_ED448: Final = KeyShape("OKP", "Ed448")

ALGORITHMS: Final[Mapping[str, SignatureAlgorithm]] = MappingProxyType({
    name: SignatureAlgorithm(name, shapes)
    for name, shapes in {
        "RS256": _RSA,
        "RS384": _RSA,
        "RS512": _RSA,
        "PS256": _RSA,
        "PS384": _RSA,
        "PS512": _RSA,
        "ES256": (KeyShape("EC", "P-256"),),
        "ES384": (KeyShape("EC", "P-384"),),
        "ES512": (KeyShape("EC", "P-521"),),
        "EdDSA": (_ED25519, _ED448),
        "Ed25519": (_ED25519,),
    }.items()
})  # fmt: skip

VERIFY: Final[Mapping[str, Callable[[JWK, bytes, bytes], None]]] = MappingProxyType({
    name: JWA.signing_alg(name).verify for name in ALGORITHMS
})  # fmt: skip
"""By algorithm: raise an exception unless the signature, the last, is the key's over the input."""
