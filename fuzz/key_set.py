"""`keys`: JWK Sets, as an issuer's server sends them."""

from __future__ import annotations

import functools
import json
from typing import TYPE_CHECKING, Final

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.errors import AccessDenied, IssuerError
from authz_service.core.jwks import MAX_KEYS, parse_jwk_set
from fuzz.json_mutation import JsonMutator
from fuzz.target import Target
from fuzz.world import signing_keys
from tests.support.keys import jwk_set, rsa_jwk
from tests.support.tokens import sign

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.jwks import KeySet, VerificationKey

_MUTATOR: Final = JsonMutator(
    ("keys", "kty", "crv", "x", "y", "n", "e", "d", "p", "k", "kid", "use", "alg", "key_ops",
     "generate", "size", "x5c", "x5t", "pem", "password"),
    ("RSA", "EC", "OKP", "oct", "P-256", "P-384", "P-521", "secp256k1", "Ed25519", "Ed448",
     "X25519", "sig", "enc", "verify", "sign", "AQAB", "AA", "AQ", "Aw", "", *ALGORITHMS, "HS256"),
)  # fmt: skip
_PRIVATE: Final = ("d", "p", "q", "dp", "dq", "qi", "k", "oth")
_HEADER: Final = b"{}"


@functools.cache
def _signed() -> dict[str, tuple[bytes, bytes]]:
    """What the holder of each private key has signed, and the signature, by algorithm."""
    signed = {}
    for alg, key in signing_keys().items():
        signing_input, _, _ = sign(_HEADER, _HEADER, key=key).rpartition(".")
        signed[alg] = signing_input.encode(), key.sign(signing_input.encode())
    return signed


def _seeds() -> Iterator[bytes]:
    keys = list(signing_keys().values())
    yield jwk_set(*(key.public for key in keys))
    yield jwk_set(*(key.private for key in keys))
    for key in keys:
        yield jwk_set({**key.public, "alg": key.alg, "key_ops": ["verify"]})
    yield jwk_set({"kty": "oct", "k": "c2VjcmV0"}, {"kty": "EC", "generate": "EC"}, keys[0].public)
    yield jwk_set(rsa_jwk(bits=1024), rsa_jwk(exponent=2), rsa_jwk(bits=8193), rsa_jwk())
    public = signing_keys()["ES256"].public
    for x in (f"{public['x']}!", f"\n{public['x']}", f"{public['x']}==", f"AA{public['x']}"):
        yield jwk_set({**public, "x": x}, public)
    yield b'{"keys": []}'


def _judge(octets: bytes) -> None:
    try:
        found = parse_jwk_set(octets)
    except IssuerError as fault:
        assert fault.message.isascii()
        json.dumps(fault.fields)
        return
    entries = json.loads(octets)["keys"]
    assert 0 < len(found.keys) + sum(found.dropped.values()) <= len(entries) <= MAX_KEYS
    assert found == parse_jwk_set(octets)
    for key in found.keys:
        _check_key(key)
    _check_selection(found)


def _check_key(key: VerificationKey) -> None:
    assert key.algorithms
    assert key.algorithms <= ALGORITHMS.keys()
    assert not key.jwk.has_private
    assert not any(name in key.jwk.export(as_dict=True) for name in _PRIVATE)
    if key.jwk["kty"] == "RSA":
        assert 256 <= key.signature_bytes <= 1024
    for alg, (signing_input, signature) in _signed().items():
        if alg in key.algorithms and _verifies(key, alg, signing_input, signature):
            assert len(signature) == key.signature_bytes
            assert key.thumbprint == signing_keys()[alg].jwk.thumbprint(), "another's signature"


def _verifies(key: VerificationKey, alg: str, signing_input: bytes, signature: bytes) -> bool:
    try:
        key.verify(alg, signing_input, signature)
    except Exception:  # noqa: BLE001 - `verify` documents no type
        return False
    return True


def _check_selection(found: KeySet) -> None:
    for kid in {None, "ed", *(key.kid for key in found.keys)}:
        for alg in (*ALGORITHMS, "none", "HS256", ""):
            try:
                selected = found.select(alg=alg, kid=kid)
            except AccessDenied:
                continue
            assert alg in selected.algorithms
            assert kid in {None, selected.kid}
            fitting = [
                key for key in found.keys if alg in key.algorithms and kid in {None, key.kid}
            ]
            assert len({key.thumbprint for key in fitting}) == 1


TARGET: Final = Target(_seeds, _judge, _MUTATOR.mutate, max_bytes=16 * 1024)
