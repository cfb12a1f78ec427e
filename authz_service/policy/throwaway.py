"""Keys that stand in for an issuer's own for as long as the process runs.

Tests and explanations of a policy take the path of every other request: a token is really signed,
and its signature is really verified. Only the key is one that nobody else has, or will ever trust.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from jwcrypto.jwa import JWA
from jwcrypto.jwk import JWK

from authz_service.core import base64url
from authz_service.core.algorithms import ALGORITHMS, KeyShape
from authz_service.core.jwks import KeySet, parse_jwk_set

if TYPE_CHECKING:
    from collections.abc import Collection

THROWAWAY_KID: Final = "throwaway"
"""The key id of a token whose author did not choose another."""

# By what a signature and its verification cost together; an RSA key also takes long to make.
_CHEAPEST_FIRST: Final = (
    "ES256", "Ed25519", "EdDSA", "ES384", "ES512",
    "RS256", "PS256", "RS384", "PS384", "RS512", "PS512",
)  # fmt: skip
_RSA_BITS: Final = 2048
_JUNK_SIGNATURE: Final = b"there is no key for this algorithm"


def cheapest_algorithm(allowed: Collection[str]) -> str:
    """The one of the *allowed* algorithms that costs least. At least one must be."""
    return next(name for name in _CHEAPEST_FIRST if name in allowed)


class ThrowawayIssuerKeys:
    """The keys of one issuer, each made in memory when it first signs, and never written down."""

    def __init__(self) -> None:
        """Start without any key."""
        self._private: dict[KeyShape, JWK] = {}
        self._published: dict[tuple[KeyShape, str | None], dict[str, object]] = {}
        self._key_set = KeySet(())

    def sign(self, header: bytes, payload: bytes, *, alg: object, kid: str | None) -> str:
        """Sign these octets, whatever they are, as a compact JWS (RFC 7515, section 7.1).

        *alg* chooses the key, which is then in the key set under *kid*; neither is put into the
        header. For an *alg* that is none of ours, the signature is junk, and for `none` it is empty
        (RFC 7515, appendix A.5).
        """
        signing_input = f"{base64url.encode(header)}.{base64url.encode(payload)}"
        signature = self._signature(signing_input.encode("ascii"), alg, kid)
        return f"{signing_input}.{base64url.encode(signature)}"

    def key_set(self) -> KeySet:
        """The public halves of the keys that have signed, as the issuer would publish them."""
        if len(self._key_set.keys) != len(self._published):
            document = json.dumps({"keys": list(self._published.values())})
            self._key_set = parse_jwk_set(document.encode("ascii"))
        return self._key_set

    def _signature(self, signing_input: bytes, alg: object, kid: str | None) -> bytes:
        if not isinstance(alg, str) or alg not in ALGORITHMS:
            return b"" if alg == "none" else _JUNK_SIGNATURE
        shape = ALGORITHMS[alg].key_shapes[0]
        key = self._private.get(shape) or self._private.setdefault(shape, _generate(shape))
        if (shape, kid) not in self._published:
            self._published[shape, kid] = _public(key, kid)
        signature: bytes = JWA.signing_alg(alg).sign(key, signing_input)
        return signature


def _generate(shape: KeyShape) -> JWK:
    if shape.curve is None:
        return JWK.generate(kty=shape.kty, size=_RSA_BITS)
    return JWK.generate(kty=shape.kty, crv=shape.curve)


def _public(key: JWK, kid: str | None) -> dict[str, object]:
    members: dict[str, object] = key.export_public(as_dict=True)
    named = {} if kid is None else {"kid": kid}
    return {**members, "use": "sig", **named}
