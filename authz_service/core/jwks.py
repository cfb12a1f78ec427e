"""JWK Sets (RFC 7517): from a document to the keys that may verify a token.

A set is taken in key by key. A key that cannot be used is dropped and counted, and costs the
others nothing. Only the public members that the key type defines are handed to the library, so
neither a private member nor an argument in disguise ever gets there.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from jwcrypto.jwk import JWK

from authz_service.core import strict_json
from authz_service.core.algorithms import ALGORITHMS, KeyShape
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied, IssuerError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

    from authz_service.core.strict_json import JsonObject, JsonValue

MAX_KEYS: Final = 100
MIN_RSA_BITS: Final = 2048
MAX_RSA_BITS: Final = 8192
MIN_RSA_EXPONENT: Final = 3
MAX_RSA_EXPONENT: Final = 2**32 - 1
_MAX_MEMBER_CHARS: Final = 2048  # base64url of an 8192-bit modulus has 1366

# The library would pass over what is no base64url, and with it make another key of this one. The
# padding that RFC 7515, section 2, leaves out does no harm.
_OCTETS: Final = re.compile(r"[A-Za-z0-9_-]+={0,2}", re.ASCII)

_PUBLIC_MEMBERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType({
    "RSA": ("n", "e"),
    "EC": ("crv", "x", "y"),
    "OKP": ("crv", "x"),
})  # fmt: skip
_SIGNATURE_BYTES: Final[Mapping[str, int]] = MappingProxyType({
    "P-256": 64,
    "P-384": 96,
    "P-521": 132,
    "Ed25519": 64,
    "Ed448": 114,
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class VerificationKey:
    """A public key, with the algorithms that it may be used with and its exact signature length."""

    kid: str | None
    algorithms: frozenset[str]
    signature_bytes: int
    thumbprint: str
    jwk: JWK = field(repr=False, compare=False)

    def verify(self, alg: str, signing_input: bytes, signature: bytes) -> None:
        """Raise an exception unless *signature* is this key's over *signing_input*."""
        ALGORITHMS[alg].verify(self.jwk, signing_input, signature)

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the members of the JWK: the key that the library made of them is not picklable."""
        made_of = (self.kid, self.algorithms, self.signature_bytes, self.thumbprint)
        return _unpickle_key, (*made_of, self.jwk.export_public(as_dict=True))


def _unpickle_key(
    kid: str | None,
    algorithms: frozenset[str],
    signature_bytes: int,
    thumbprint: str,
    members: Mapping[str, str],
) -> VerificationKey:
    return VerificationKey(kid, algorithms, signature_bytes, thumbprint, JWK(**members))


@dataclass(frozen=True, slots=True)
class KeySet:
    """The usable keys of one issuer at one moment, and how many keys were dropped for what."""

    keys: tuple[VerificationKey, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Keep a copy of *dropped* that nobody changes."""
        object.__setattr__(self, "dropped", MappingProxyType(dict(self.dropped)))

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle *dropped* as a dict: a read-only view of one is not picklable."""
        return KeySet, (self.keys, dict(self.dropped))

    def select(self, *, alg: str, kid: str | None) -> VerificationKey:
        """Find the one key for a token that names *alg* and perhaps *kid*.

        Raises AccessDenied (unknown_key) where none or several fit: trying one key after the other
        would let a token choose. Asks for a nudge only where the key id itself is unknown.
        """
        named = [key for key in self.keys if kid is None or key.kid == kid]
        fitting = [key for key in named if alg in key.algorithms]
        if len({key.thumbprint for key in fitting}) != 1:  # one key, however often it is listed
            raise AccessDenied(DenyReason.UNKNOWN_KEY, nudge=kid is not None and not named)
        return fitting[0]


def parse_jwk_set(document: bytes) -> KeySet:
    """Read a JWK Set (RFC 7517, section 5), dropping each key that cannot verify access tokens.

    Raises IssuerError where the document is no JWK Set, holds more than `MAX_KEYS` or no usable
    key.
    """
    try:
        members = strict_json.parse_object(document)
    except strict_json.NotStrictJson:
        raise IssuerError("the key set is not a JSON object") from None
    entries = members.get("keys")
    if not isinstance(entries, list):
        raise IssuerError("the key set has no array of keys")
    if len(entries) > MAX_KEYS:
        raise IssuerError("the key set has too many keys", keys=len(entries), at_most=MAX_KEYS)
    keys: list[VerificationKey] = []
    dropped: Counter[str] = Counter()
    for entry in entries:
        try:
            key = _parse_key(entry)
        except _UnusableKeyError as unusable:
            dropped[unusable.why] += 1
        else:
            if key not in keys:  # the same key twice is still exactly one
                keys.append(key)
    if not keys:
        raise IssuerError("the key set has no usable key", keys=len(entries))
    return KeySet(tuple(keys), dropped)


class _UnusableKeyError(Exception):
    """This entry of a JWK Set is not a key that we verify with."""

    def __init__(self, why: str) -> None:
        super().__init__(why)
        self.why = why


def _parse_key(entry: JsonValue) -> VerificationKey:
    if not isinstance(entry, dict):
        raise _UnusableKeyError("not_an_object")
    shape = _shape(entry)
    _check_purpose(entry)
    algorithms = _algorithms(entry, shape)
    kid = entry.get("kid")
    if not isinstance(kid, str | None):
        raise _UnusableKeyError("malformed")
    jwk = _import(entry, shape)
    return VerificationKey(kid, algorithms, _signature_bytes(jwk, shape), _thumbprint(jwk), jwk)


def _shape(entry: JsonObject) -> KeyShape:
    kty, curve = entry.get("kty"), entry.get("crv")
    if not isinstance(kty, str) or kty not in _PUBLIC_MEMBERS:
        raise _UnusableKeyError("key_type")
    if kty == "RSA":
        return KeyShape(kty)
    if not isinstance(curve, str):
        raise _UnusableKeyError("malformed")
    return KeyShape(kty, curve)


def _check_purpose(entry: JsonObject) -> None:
    """Respect `use` and `key_ops` (RFC 7517, sections 4.2 and 4.3), each where it is given."""
    if entry.get("use", "sig") != "sig":
        raise _UnusableKeyError("not_for_signatures")
    operations = entry.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise _UnusableKeyError("not_for_signatures")


def _algorithms(entry: JsonObject, shape: KeyShape) -> frozenset[str]:
    fitting = frozenset(
        name for name, algorithm in ALGORITHMS.items() if shape in algorithm.key_shapes
    )
    if not fitting:
        raise _UnusableKeyError("curve")
    if "alg" not in entry:
        return fitting
    alg = entry["alg"]
    if not isinstance(alg, str) or alg not in fitting:
        raise _UnusableKeyError("algorithm")
    return frozenset({alg})


def _import(entry: JsonObject, shape: KeyShape) -> JWK:
    members = {name: entry.get(name) for name in _PUBLIC_MEMBERS[shape.kty]}
    if not all(
        isinstance(value, str) and len(value) <= _MAX_MEMBER_CHARS and _OCTETS.fullmatch(value)
        for value in members.values()
    ):
        raise _UnusableKeyError("malformed")
    try:
        jwk = JWK(kty=shape.kty, **members)
        jwk.get_op_key("verify")  # makes the key now, so that a broken one is found now
    except Exception:  # noqa: BLE001 - the library raises many kinds for a broken key
        raise _UnusableKeyError("malformed") from None
    return jwk


def _signature_bytes(jwk: JWK, shape: KeyShape) -> int:
    if shape.curve is not None:
        return _SIGNATURE_BYTES[shape.curve]
    public_key: RSAPublicKey = jwk.get_op_key("verify")
    if not MIN_RSA_BITS <= public_key.key_size <= MAX_RSA_BITS:
        raise _UnusableKeyError("rsa_size")
    exponent = public_key.public_numbers().e
    if exponent % 2 == 0 or not MIN_RSA_EXPONENT <= exponent <= MAX_RSA_EXPONENT:
        raise _UnusableKeyError("rsa_exponent")
    return (public_key.key_size + 7) // 8


def _thumbprint(jwk: JWK) -> str:
    """The thumbprint (RFC 7638) of the key itself, however the issuer spells its numbers."""
    thumbprint: str = JWK.from_pyca(jwk.get_op_key("verify")).thumbprint()
    return thumbprint
