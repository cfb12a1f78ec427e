"""A JWK Set is taken in key by key: what cannot verify is dropped and costs the others nothing."""

from __future__ import annotations

import json
import pickle
from typing import TYPE_CHECKING, Final

import pytest
from cryptography.exceptions import InvalidSignature

from authz_service.core import base64url
from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied, IssuerError
from authz_service.core.jwks import MAX_KEYS, KeySet, VerificationKey, parse_jwk_set
from tests.support.keys import KID, jwk_set, key_set, rsa_jwk, signing_key
from tests.support.tokens import RawJson, json_object

if TYPE_CHECKING:
    from collections.abc import Mapping

PRIVATE_MEMBERS: Final = {"d", "p", "q", "dp", "dq", "qi", "oth", "k"}
RSA_ALGORITHMS: Final = {"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}


def without(entry: Mapping[str, object], *names: str) -> dict[str, object]:
    return {name: value for name, value in entry.items() if name not in names}


def p256(**changes: object) -> dict[str, object]:
    return {**signing_key("ES256", kid="other").public, **changes}


def parse(*entries: object) -> KeySet:
    return parse_jwk_set(jwk_set(*entries))


def only_key(*entries: object) -> VerificationKey:
    (key,) = parse(*entries).keys
    return key


def dropped(entry: object) -> str:
    """Give the reason for which *entry* is dropped from a set in which another key is good."""
    good = signing_key("EdDSA")
    keys = parse(entry, good.public)
    assert [key.kid for key in keys.keys] == [good.kid]
    ((reason, count),) = keys.dropped.items()
    assert count == 1
    return reason


# What is taken.


@pytest.mark.parametrize(
    ("alg", "algorithms", "signature_bytes"),
    [
        ("RS256", RSA_ALGORITHMS, 256),
        ("ES256", {"ES256"}, 64),
        ("ES384", {"ES384"}, 96),
        ("ES512", {"ES512"}, 132),
        ("Ed25519", {"EdDSA", "Ed25519"}, 64),
        ("EdDSA/Ed448", {"EdDSA"}, 114),
    ],
)
def test_a_key_of_each_shape_is_taken_for_what_it_can_verify(
    alg: str, algorithms: set[str], signature_bytes: int
) -> None:
    signing = signing_key(alg)
    key = only_key(signing.public)
    assert key.algorithms == algorithms
    assert key.signature_bytes == signature_bytes == len(signing.sign(b"x"))
    assert key.kid == signing.kid
    assert key.thumbprint == signing.jwk.thumbprint()


def test_every_algorithm_has_a_key_shape() -> None:
    for name, algorithm in ALGORITHMS.items():
        assert algorithm.name == name
        assert algorithm.key_shapes
        key = key_set(signing_key(name)).select(alg=name, kid=None)
        signature = signing_key(name).sign(b"signed")
        key.verify(name, b"signed", signature)
        with pytest.raises(InvalidSignature):
            key.verify(name, b"changed", signature)


def test_only_public_members_of_a_private_key_are_kept() -> None:
    for alg in ("RS256", "ES256", "Ed25519"):
        private = signing_key(alg).private
        assert private.keys() & PRIVATE_MEMBERS
        kept = only_key(private).jwk
        assert not kept.has_private
        assert not PRIVATE_MEMBERS & json.loads(kept.export()).keys()


@pytest.mark.parametrize("generate", ["RSA", "EC", "oct", "OKP"])
def test_a_key_that_asks_to_be_generated_is_not(generate: str) -> None:
    assert dropped({"kty": generate, "generate": generate, "size": 4096, "crv": "P-256"})
    public = signing_key("ES256").public
    key = only_key({**public, "generate": generate})
    assert key.thumbprint == signing_key("ES256").jwk.thumbprint()


def test_a_key_is_one_key_however_its_numbers_are_spelled() -> None:
    public = signing_key("RS256").public
    octets = base64url.decode(str(public["n"]))
    spellings = [public["n"], base64url.encode(b"\0" + octets), f"{public['n']}=="]
    found = parse(*({**public, "n": n} for n in spellings))
    assert found.select(alg="RS256", kid=KID).thumbprint == signing_key("RS256").jwk.thumbprint()


def test_members_that_we_do_not_know_are_ignored() -> None:
    public = signing_key("RS256").public
    more = {
        "x5c": ["junk"],
        "x5u": 1,
        "crv": "P-256",
        "y": [],
        "k": "AAAA",
        "oth": {},
        "issuer": "",
    }
    assert only_key({**public, **more}) == only_key(public)


@pytest.mark.parametrize("bits", [2048, 2049, 3072, 4096, 8192])
def test_an_rsa_key_of_a_fair_size_is_taken(bits: int) -> None:
    assert only_key(rsa_jwk(bits=bits)).signature_bytes == (bits + 7) // 8


@pytest.mark.parametrize("exponent", [3, 17, 65537, 2**32 - 1])
def test_an_rsa_key_of_a_fair_exponent_is_taken(exponent: int) -> None:
    assert only_key(rsa_jwk(exponent=exponent)).algorithms == RSA_ALGORITHMS


@pytest.mark.parametrize("operations", [["verify"], ["sign", "verify"], ["verify", 1, None, {}]])
def test_key_ops_with_verify_are_fine(operations: list[object]) -> None:
    assert only_key(p256(key_ops=operations)).kid == "other"


def test_a_key_with_an_algorithm_verifies_that_one_only() -> None:
    assert only_key({**signing_key("RS256").public, "alg": "PS384"}).algorithms == {"PS384"}
    assert only_key({**signing_key("Ed25519").public, "alg": "Ed25519"}).algorithms == {"Ed25519"}


@pytest.mark.parametrize("kid", [{}, {"kid": None}])
def test_a_key_needs_no_kid(kid: dict[str, object]) -> None:
    assert only_key({**without(p256(), "kid"), **kid}).kid is None


# What is dropped.


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (None, "not_an_object"),
        ("key", "not_an_object"),
        (1, "not_an_object"),
        ([], "not_an_object"),
        ({}, "key_type"),
        ({"kty": "oct", "k": "c2VjcmV0"}, "key_type"),
        ({"kty": "oct", "k": "c2VjcmV0", "alg": "RS256", "use": "sig"}, "key_type"),
        ({"kty": "rsa"}, "key_type"),
        ({"kty": None}, "key_type"),
        ({"kty": ["EC"]}, "key_type"),
        ({"kty": {"EC": 1}}, "key_type"),
        ({"kty": "AKP", "alg": "ML-DSA-44", "pub": "AAAA"}, "key_type"),
        ({"kty": "EC"}, "malformed"),
        ({"kty": "EC", "crv": None}, "malformed"),
        ({"kty": "EC", "crv": ["P-256"]}, "malformed"),
        ({"kty": "EC", "crv": "P-256"}, "malformed"),
        ({"kty": "EC", "crv": "secp256k1", "x": "AA", "y": "AA"}, "curve"),
        ({"kty": "EC", "crv": "p-256"}, "curve"),
        ({"kty": "EC", "crv": "P-192"}, "curve"),
        ({"kty": "EC", "crv": "BP-256"}, "curve"),
        ({"kty": "EC", "crv": "Ed25519"}, "curve"),
        ({"kty": "OKP", "crv": "X25519", "x": "AA"}, "curve"),
        ({"kty": "OKP", "crv": "X448", "x": "AA"}, "curve"),
        ({"kty": "OKP", "crv": "P-256"}, "curve"),
        ({"kty": "OKP", "crv": "Ed25519"}, "malformed"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "AAAA"}, "malformed"),
        ({"kty": "OKP", "crv": "Ed25519", "x": "A" * 44}, "malformed"),
        ({"kty": "OKP", "crv": "Ed448", "x": "A" * 43}, "malformed"),
        ({"kty": "RSA"}, "malformed"),
        ({"kty": "RSA", "n": "AQAB"}, "malformed"),
        ({"kty": "RSA", "n": "", "e": "AQAB"}, "malformed"),
        ({"kty": "RSA", "n": 5, "e": 3}, "malformed"),
        ({"kty": "RSA", "n": ["AQAB"], "e": "AQAB"}, "malformed"),
        ({"kty": "RSA", "n": None, "e": None}, "malformed"),
        ({"kty": "RSA", "n": "!", "e": "!"}, "malformed"),
        ({"kty": "RSA", "n": "é", "e": "AQAB"}, "malformed"),
        (rsa_jwk(bits=512), "rsa_size"),
        (rsa_jwk(bits=1024), "rsa_size"),
        (rsa_jwk(bits=1536), "rsa_size"),
        (rsa_jwk(bits=2047), "rsa_size"),
        (rsa_jwk(bits=8193), "rsa_size"),
        (rsa_jwk(bits=12288), "rsa_size"),
        (rsa_jwk(bits=16384), "malformed"),
        (rsa_jwk(bits=1_000_000), "malformed"),
        (rsa_jwk(exponent=2**32 + 1), "rsa_exponent"),
        (rsa_jwk(exponent=2**2000 + 1), "rsa_exponent"),
        (rsa_jwk(exponent=1), "malformed"),
        (rsa_jwk(exponent=0), "malformed"),
        (rsa_jwk(exponent=2), "malformed"),
        (rsa_jwk(exponent=65536), "malformed"),
        (rsa_jwk(exponent=2**32), "malformed"),
        (rsa_jwk(exponent=2**5000 + 1), "malformed"),
        (p256(x="AA"), "malformed"),
        (p256(x=signing_key("ES256", owner="another").public["x"]), "malformed"),
        (p256(x="A" * 43, y="A" * 43), "malformed"),
        (p256(x="_" * 42 + "8", y="_" * 42 + "8"), "malformed"),
        (p256(crv="P-384"), "malformed"),
        (p256(x=None), "malformed"),
        (p256(y=[]), "malformed"),
        (p256(x=f"{signing_key('ES256').public['x']}!"), "malformed"),
        (p256(x=f"\n{signing_key('ES256').public['x']}"), "malformed"),
        (p256(x=f"{signing_key('ES256').public['x']}==="), "malformed"),
        (without(p256(), "y"), "malformed"),
        (p256(kid=1), "malformed"),
        (p256(kid=["other"]), "malformed"),
        (p256(kid={}), "malformed"),
        (p256(use="enc"), "not_for_signatures"),
        (p256(use="SIG"), "not_for_signatures"),
        (p256(use=""), "not_for_signatures"),
        (p256(use=None), "not_for_signatures"),
        (p256(use=["sig"]), "not_for_signatures"),
        (p256(key_ops=[]), "not_for_signatures"),
        (p256(key_ops=["sign"]), "not_for_signatures"),
        (p256(key_ops=["encrypt", "wrapKey"]), "not_for_signatures"),
        (p256(key_ops="verify"), "not_for_signatures"),
        (p256(key_ops=None), "not_for_signatures"),
        (p256(key_ops={"verify": True}), "not_for_signatures"),
        (p256(alg="ES384"), "algorithm"),
        (p256(alg="RS256"), "algorithm"),
        (p256(alg="none"), "algorithm"),
        (p256(alg="HS256"), "algorithm"),
        (p256(alg="es256"), "algorithm"),
        (p256(alg="ECDH-ES"), "algorithm"),
        (p256(alg=""), "algorithm"),
        (p256(alg=None), "algorithm"),
        (p256(alg=True), "algorithm"),
        (p256(alg=256), "algorithm"),
        ({**signing_key("RS256").public, "alg": "RSA-OAEP"}, "algorithm"),
        ({**signing_key("RS256").public, "alg": "ES256"}, "algorithm"),
    ],
)
def test_a_key_that_cannot_verify_is_dropped_and_counted(entry: object, reason: str) -> None:
    assert dropped(entry) == reason


@pytest.mark.parametrize("alg", [[], ["ES256"], {}, {"ES256": 1}])
def test_a_key_with_an_algorithm_that_is_no_text_is_dropped_like_any_other(alg: object) -> None:
    assert dropped(p256(alg=alg)) == "algorithm"


def test_what_is_dropped_is_counted_by_reason() -> None:
    keys = parse({"kty": "oct"}, {}, p256(use="enc"), signing_key().public)
    assert keys.dropped == {"key_type": 2, "not_for_signatures": 1}


def test_nothing_is_dropped_from_a_good_set() -> None:
    assert parse(signing_key().public, p256()).dropped == {}


# Sets.


@pytest.mark.parametrize(
    ("document", "message"),
    [
        (b"", "not a JSON object"),
        (b"<html>", "not a JSON object"),
        (b"null", "not a JSON object"),
        (b"[]", "not a JSON object"),
        (b"\xff", "not a JSON object"),
        (b'{"keys":[],"keys":[]}', "not a JSON object"),
        (b'{"keys":' + b"[" * 10_000, "not a JSON object"),
        (b'{"keys":[{"kty":"EC","kty":"RSA"}]}', "not a JSON object"),
        (b"{}", "no array of keys"),
        (b'{"keys":null}', "no array of keys"),
        (b'{"keys":{}}', "no array of keys"),
        (b'{"keys":"x"}', "no array of keys"),
        (b'{"Keys":[]}', "no array of keys"),
        (b'{"error":"server_error"}', "no array of keys"),
        (b'{"keys":[]}', "no usable key"),
        (b'{"keys":[null,1,{}]}', "no usable key"),
        (b'{"keys":[{"kty":"oct","k":"AAAA"}]}', "no usable key"),
    ],
)
def test_what_is_no_key_set_is_the_issuers_fault(document: bytes, message: str) -> None:
    with pytest.raises(IssuerError, match=message):
        parse_jwk_set(document)


def test_a_set_has_at_most_so_many_keys() -> None:
    junk = [{"kty": "oct"}] * (MAX_KEYS - 1)
    assert len(parse(*junk, p256()).keys) == 1
    with pytest.raises(IssuerError, match="too many keys") as refused:
        parse(*junk, p256(), p256())
    assert refused.value.fields == {"keys": MAX_KEYS + 1, "at_most": MAX_KEYS}
    assert refused.value.message == "the key set has too many keys"


def test_a_set_may_say_more_than_its_keys() -> None:
    document = json_object({"keys": [p256()], "issuer": "x", "n": RawJson("1e3")})
    assert len(parse_jwk_set(document).keys) == 1


def test_the_same_key_twice_is_still_one() -> None:
    public = signing_key().public
    keys = parse(public, public, {**public, "x5t": "other"})
    assert len(keys.keys) == 1
    assert keys.select(alg="ES384", kid="key-1").kid == "key-1"


@pytest.mark.parametrize("alg", [*ALGORITHMS, "EdDSA/Ed448"])
def test_a_set_that_went_to_another_process_is_the_same_and_verifies_the_same(alg: str) -> None:
    signing = signing_key(alg)
    sent = parse(signing.private, {"kty": "oct"})
    came = pickle.loads(pickle.dumps(sent))  # noqa: S301 - pickled one line up
    assert came == sent
    assert came.dropped == {"key_type": 1}
    key = came.select(alg=signing.alg, kid=KID)
    assert repr(key) == repr(sent.keys[0])
    assert key.jwk == sent.keys[0].jwk
    signature = signing.sign(b"signed")
    key.verify(signing.alg, b"signed", signature)
    with pytest.raises(InvalidSignature):
        key.verify(signing.alg, b"changed", signature)


def test_what_was_dropped_is_counted_once_and_for_all() -> None:
    counted = {"key_type": 1}
    keys = KeySet((), counted)
    counted["key_type"] = 2
    assert keys.dropped == {"key_type": 1}


# Selection: exactly one key, or none.


def refusal(keys: KeySet, *, alg: str, kid: str | None) -> AccessDenied:
    with pytest.raises(AccessDenied) as refused:
        keys.select(alg=alg, kid=kid)
    assert refused.value.reason is DenyReason.UNKNOWN_KEY
    return refused.value


def test_a_key_is_selected_by_kid_and_algorithm() -> None:
    keys = key_set(
        signing_key("ES256", kid="a"),
        signing_key("ES256", owner="b", kid="b"),
        signing_key("RS256"),
    )
    for alg, kid in [("ES256", "a"), ("ES256", "b"), ("PS512", "key-1")]:
        assert keys.select(alg=alg, kid=kid).kid == kid
    assert keys.select(alg="RS256", kid=None).kid == "key-1"


def test_one_kid_may_name_keys_for_different_algorithms() -> None:
    keys = key_set(signing_key("ES256"), signing_key("RS256"))
    assert keys.select(alg="ES256", kid="key-1").signature_bytes == 64
    assert keys.select(alg="RS256", kid="key-1").signature_bytes == 256


def test_one_kid_for_two_keys_that_fit_selects_neither() -> None:
    keys = key_set(signing_key(), signing_key(owner="another"))
    assert len(keys.keys) == 2
    assert not refusal(keys, alg="ES384", kid="key-1").nudge


def test_no_kid_and_two_keys_that_fit_selects_neither() -> None:
    keys = key_set(signing_key(), signing_key(owner="another", kid="key-2"))
    assert not refusal(keys, alg="ES384", kid=None).nudge


def test_only_an_unknown_kid_asks_for_a_fresher_set() -> None:
    keys = key_set(signing_key(), signing_key("ES256", kid="key-2"))
    assert refusal(keys, alg="ES384", kid="key-3").nudge
    assert refusal(keys, alg="RS256", kid="key-3").nudge
    assert refusal(keys, alg="ES384", kid="").nudge
    assert not refusal(keys, alg="ES384", kid="key-2").nudge
    assert not refusal(keys, alg="RS256", kid=None).nudge
    assert not refusal(keys, alg="none", kid=None).nudge


def test_a_key_without_kid_answers_to_no_kid() -> None:
    keys = parse(without(signing_key().public, "kid"))
    assert keys.select(alg="ES384", kid=None).kid is None
    assert refusal(keys, alg="ES384", kid="key-1").nudge


def test_an_empty_set_selects_nothing() -> None:
    assert not refusal(KeySet(()), alg="ES384", kid=None).nudge
    assert KeySet(()).dropped == {}


def test_a_modulus_that_is_no_product_of_primes_verifies_nothing() -> None:
    key = only_key(rsa_jwk())
    for signature in (bytes(256), b"\1" * 256, b"\xff" * 256):
        with pytest.raises(InvalidSignature):
            key.verify("RS256", b"signed", signature)
