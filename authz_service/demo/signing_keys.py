"""The development issuer's signing keys and the JWK Set that shows their public half.

Knows how keys are made, rotated and used to sign; knows nothing of tokens, clients or HTTP.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from jwcrypto import jwk, jws

if TYPE_CHECKING:
    from collections.abc import Mapping

KEY_PARAMETERS: Final[Mapping[str, Mapping[str, object]]] = MappingProxyType(
    {
        "ES384": {"kty": "EC", "crv": "P-384"},
        "ES256": {"kty": "EC", "crv": "P-256"},
        "RS256": {"kty": "RSA", "size": 2048},
        "PS256": {"kty": "RSA", "size": 2048},
        "EdDSA": {"kty": "OKP", "crv": "Ed25519"},
    }
)
"""What a key for each supported signature algorithm is made of."""

# Logto, Management API, "Rotate OIDC keys": "Only two recent keys will be kept."
_KEYS_KEPT: Final = 2


class SigningKeys:
    """The key that signs and, after it, the one that it replaced."""

    def __init__(self, algorithm: str) -> None:
        """Make the first key.

        Raises:
            ValueError: *algorithm* is not one of ``KEY_PARAMETERS``.

        """
        if algorithm not in KEY_PARAMETERS:
            message = f"unsupported algorithm, choose one of {', '.join(KEY_PARAMETERS)}"
            raise ValueError(message)
        self.algorithm: Final = algorithm
        self._keys = [self._generate()]

    @property
    def kid(self) -> str:
        """The key id of the key that signs now: its SHA-256 thumbprint (RFC 7638)."""
        return _thumbprint(self._keys[0])

    def rotate(self, *, drop_previous: bool = False) -> str:
        """Sign with a new key from now on and return its key id.

        The replaced key stays in the JWK Set, as at Logto, unless *drop_previous*; then every
        token that it signed has become worthless.
        """
        kept = [] if drop_previous else self._keys[: _KEYS_KEPT - 1]
        self._keys = [self._generate(), *kept]
        return self.kid

    def jwk_set(self) -> dict[str, list[dict[str, str]]]:
        """Return the JWK Set document (RFC 7517, section 5): public members only."""
        return {"keys": [key.export_public(as_dict=True) for key in self._keys]}

    def sign(
        self,
        payload: Mapping[str, object],
        *,
        header: Mapping[str, object] | None = None,
        key: jwk.JWK | None = None,
    ) -> str:
        """Sign *payload* as it stands and return a compact JWS (RFC 7515, section 7.1).

        The members of *header* go over ``alg``, ``typ`` and the key's own ``kid``; one that is
        None takes that member out. *key* defaults to the key that signs now.
        """
        signing_key = self._keys[0] if key is None else key
        protected = {"alg": self.algorithm, "typ": "at+jwt", "kid": _thumbprint(signing_key)}
        merged = {**protected, **(header or {})}
        token = jws.JWS(_compact_json(dict(payload)))
        token.add_signature(
            signing_key,
            protected=_compact_json({name: v for name, v in merged.items() if v is not None}),
        )
        return str(token.serialize(compact=True))

    def _generate(self) -> jwk.JWK:
        key = jwk.JWK.generate(use="sig", alg=self.algorithm, **KEY_PARAMETERS[self.algorithm])
        key["kid"] = _thumbprint(key)
        return key


def _thumbprint(key: jwk.JWK) -> str:
    return str(key.thumbprint())


def _compact_json(value: Mapping[str, object]) -> str:
    return json.dumps(value, separators=(",", ":"))
