"""Throwaway keys sign as an issuer's own would, and verify through the same strict steps."""

from __future__ import annotations

import json

import pytest

from authz_service.core.algorithms import ALGORITHMS
from authz_service.core.bearer import BearerToken
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.jws import CompactJws, verify
from authz_service.policy.throwaway import ThrowawayIssuerKeys, cheapest_algorithm


def header(**members: object) -> bytes:
    return json.dumps(members).encode()


def verified(keys: ThrowawayIssuerKeys, token: str) -> object:
    jws = CompactJws.parse(BearerToken(token))
    key = keys.key_set().select(alg=jws.header.alg, kid=jws.header.kid)
    return verify(jws, key).members


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_each_algorithm_makes_tokens_that_verify(alg: str) -> None:
    keys = ThrowawayIssuerKeys()
    token = keys.sign(header(alg=alg, kid="a"), b'{"sub":"x"}', alg=alg, kid="a")
    assert verified(keys, token) == {"sub": "x"}


def test_header_and_payload_stay_as_they_are_to_the_byte() -> None:
    keys = ThrowawayIssuerKeys()
    octets = (b'{ "alg" :\t"ES256" }', b'{"a": 1, "a": 2}')
    jws = CompactJws.parse(BearerToken(keys.sign(octets[0], b"{}", alg="ES256", kid=None)))
    assert jws.header.alg == "ES256"
    token = keys.sign(*octets, alg="ES256", kid=None)
    assert token.split(".")[1] == "eyJhIjogMSwgImEiOiAyfQ"


def test_one_key_serves_every_key_id_that_it_signs_under() -> None:
    keys = ThrowawayIssuerKeys()
    for kid in ("a", "b", "a"):
        token = keys.sign(header(alg="ES256", kid=kid), b"{}", alg="ES256", kid=kid)
        assert verified(keys, token) == {}
    assert [key.kid for key in keys.key_set().keys] == ["a", "b"]
    assert len({key.thumbprint for key in keys.key_set().keys}) == 1


def test_a_token_without_a_key_id_finds_its_key_by_its_algorithm() -> None:
    keys = ThrowawayIssuerKeys()
    for alg in ("ES256", "ES384", "EdDSA"):
        assert verified(keys, keys.sign(header(alg=alg), b"{}", alg=alg, kid=None)) == {}
    assert {key.kid for key in keys.key_set().keys} == {None}


def test_a_key_id_that_is_not_the_published_one_is_unknown() -> None:
    keys = ThrowawayIssuerKeys()
    token = keys.sign(header(alg="ES256", kid="other"), b"{}", alg="ES256", kid="mine")
    with pytest.raises(AccessDenied) as denied:
        verified(keys, token)
    assert denied.value.reason is DenyReason.UNKNOWN_KEY


def test_the_keys_of_two_issuers_are_not_the_same() -> None:
    one, other = ThrowawayIssuerKeys(), ThrowawayIssuerKeys()
    other.sign(b"{}", b"{}", alg="ES256", kid="a")
    token = one.sign(header(alg="ES256", kid="a"), b"{}", alg="ES256", kid="a")
    with pytest.raises(AccessDenied) as denied:
        verified(other, token)
    assert denied.value.reason is DenyReason.BAD_SIGNATURE


@pytest.mark.parametrize("alg", ["HS256", "RS1", 7, None, ["ES256"]])
def test_an_algorithm_that_there_is_not_gets_a_signature_of_junk(alg: object) -> None:
    keys = ThrowawayIssuerKeys()
    assert keys.sign(b"{}", b"{}", alg=alg, kid="a").split(".")[2]
    assert keys.key_set().keys == ()


def test_an_unsecured_token_has_no_signature() -> None:
    assert ThrowawayIssuerKeys().sign(b"{}", b"{}", alg="none", kid="a") == "e30.e30."


def test_without_a_signature_there_is_no_key() -> None:
    assert ThrowawayIssuerKeys().key_set().keys == ()


@pytest.mark.parametrize(
    ("allowed", "chosen"),
    [
        (list(ALGORITHMS), "ES256"),
        (["ES384", "RS256"], "ES384"),
        (["RS256", "EdDSA"], "EdDSA"),
        (["PS512", "RS512"], "RS512"),
    ],
)
def test_the_cheapest_algorithm_that_is_allowed_is_chosen(allowed: list[str], chosen: str) -> None:
    assert cheapest_algorithm(allowed) == chosen


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_every_algorithm_can_be_the_cheapest(alg: str) -> None:
    assert cheapest_algorithm([alg]) == alg
