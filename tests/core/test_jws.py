"""The compact form is taken apart strictly, and only `verify` makes a payload to believe."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Final

import pytest

from authz_service.core import base64url
from authz_service.core.bearer import BearerToken
from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.jws import CompactJws, ProtectedHeader, _remembered_header, verify
from authz_service.core.limits import MAX_TOKEN_BYTES
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.tokens import VALID_CLAIMS, mint


def parse(token: str) -> CompactJws:
    return CompactJws.parse(BearerToken(token))


def refusal(token: str) -> DenyReason:
    with pytest.raises(AccessDenied) as refused:
        parse(token)
    return refused.value.reason


# RFC 7515, appendix A.3.
ES256_TOKEN: Final = (
    "eyJhbGciOiJFUzI1NiJ9"
    ".eyJpc3MiOiJqb2UiLA0KICJleHAiOjEzMDA4MTkzODAsDQogImh0dHA6Ly9leGFt"
    "cGxlLmNvbS9pc19yb290Ijp0cnVlfQ"
    ".DtEhU3ljbEg8L38VWAfUAqOyKAM6-Xx-F4GawxaepmXFCgfTjDxw5djxLa8ISlSA"
    "pmWQxfKTUJqPP3-Kg6NU1Q"
)
ES256_KEY: Final = {
    "kty": "EC",
    "crv": "P-256",
    "x": "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU",
    "y": "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0",
    "d": "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI",
}


def test_the_example_of_the_standard_verifies() -> None:
    jws = parse(ES256_TOKEN)
    assert jws.header == ProtectedHeader("ES256", None, None)
    key = parse_jwk_set(jwk_set(ES256_KEY)).select(alg="ES256", kid=None)
    assert verify(jws, key).members == {
        "iss": "joe",
        "exp": 1300819380,
        "http://example.com/is_root": True,
    }


def test_what_was_signed_is_what_was_sent() -> None:
    token = mint()
    jws = parse(token)
    assert jws.header == ProtectedHeader("ES384", "key-1", "at+jwt")
    assert jws.unverified_payload == VALID_CLAIMS
    assert jws.signing_input.decode() == token.rpartition(".")[0]
    assert base64url.encode(jws.signature) == token.rpartition(".")[2]


def test_the_payload_is_the_one_that_the_signature_covers() -> None:
    payload = verify(parse(mint()), key_set(signing_key()).keys[0])
    assert payload.members == VALID_CLAIMS


def test_an_empty_signature_is_well_formed_and_does_not_verify() -> None:
    jws = parse(mint().rpartition(".")[0] + ".")
    assert jws.signature == b""
    with pytest.raises(AccessDenied) as refused:
        verify(jws, key_set(signing_key()).keys[0])
    assert refused.value.reason is DenyReason.BAD_SIGNATURE


def test_a_key_of_another_kind_verifies_nothing() -> None:
    # Selection never hands out such a key; if it did, the library's complaint is a refusal too.
    rsa = key_set(signing_key("RS256")).keys[0]
    jws = parse(mint())
    padded = CompactJws(
        jws.header, jws.unverified_payload, jws.signing_input, bytes(rsa.signature_bytes)
    )
    with pytest.raises(AccessDenied) as refused:
        verify(padded, rsa)
    assert refused.value.reason is DenyReason.BAD_SIGNATURE


@pytest.mark.parametrize(
    "token",
    [
        "",
        ".",
        "..",
        "...",
        "a.b",
        "a.b.c",
        "e30.e30.",
        "e30.e30.e30",
        ".e30.e30",
        "e30..e30",
        "{}.{}.{}",
        ES256_TOKEN + ".",
        ES256_TOKEN + ".e30.e30",
        "." + ES256_TOKEN,
        ES256_TOKEN + "\n",
        ES256_TOKEN + " ",
        ES256_TOKEN + "=",
        ES256_TOKEN.replace(".", "=.", 1),
        ES256_TOKEN.replace(".", " .", 1),
        ES256_TOKEN.replace("U1Q", "U/Q"),
        ES256_TOKEN.replace("-", "+"),
        ES256_TOKEN.replace("U1Q", "U1R"),
        ES256_TOKEN[:-1],
        json.dumps({"payload": "e30", "signatures": []}),
        "\ud800.\ud800.\ud800",
        "é.é.é",
    ],
)
def test_what_is_not_the_compact_form_is_malformed(token: str) -> None:
    assert refusal(token) is DenyReason.MALFORMED_TOKEN


@pytest.mark.parametrize("filler", ["a", ".", "a.", "-", "=", "{"])
def test_size_is_judged_before_anything_else(filler: str) -> None:
    text = filler * MAX_TOKEN_BYTES
    assert refusal(text[:MAX_TOKEN_BYTES]) is DenyReason.MALFORMED_TOKEN
    assert refusal(text[:MAX_TOKEN_BYTES] + "a") is DenyReason.TOKEN_TOO_LARGE


def test_neither_payload_nor_signature_is_shown_in_a_repr() -> None:
    jws = parse(mint({"sub": "secret-subject"}))
    payload = verify(jws, key_set(signing_key()).keys[0])
    assert "secret-subject" not in repr(jws) + repr(payload)
    assert repr(jws.signature) not in repr(jws)
    assert repr(jws) == f"CompactJws(header={jws.header!r})"


@pytest.mark.parametrize("name", [*CompactJws._fields, *ProtectedHeader._fields])
def test_what_was_parsed_does_not_change(name: str) -> None:
    jws = parse(ES256_TOKEN)
    with pytest.raises(AttributeError):
        setattr(jws if name in jws._fields else jws.header, name, None)


# Headers, which are read once.


Counts = Callable[[], tuple[int, int, int]]


@pytest.fixture
def headers() -> Counts:
    """Forget every header, and give a way to ask for hits, misses and headers remembered."""
    _remembered_header.cache_clear()

    def counts() -> tuple[int, int, int]:
        info = _remembered_header.cache_info()
        return info.hits, info.misses, info.currsize

    return counts


def test_a_header_is_read_once_for_all_tokens_that_have_it(headers: Counts) -> None:
    for subject in ("alice", "bob"):
        assert parse(mint({"sub": subject}, {"kid": "shared"})).header.kid == "shared"
    assert headers() == (1, 1, 1)


def test_a_malformed_header_is_malformed_each_time(headers: Counts) -> None:
    for _ in range(2):
        assert refusal(mint(header={"crit": []})) is DenyReason.MALFORMED_TOKEN
    assert headers() == (0, 2, 0)


def test_a_long_header_is_not_remembered(headers: Counts) -> None:
    for _ in range(2):
        assert parse(mint(header={"kid": "k" * 600})).header.kid == "k" * 600
    assert headers() == (0, 0, 0)


def test_headers_without_number_do_not_fill_the_memory(headers: Counts) -> None:
    payload = mint().partition(".")[2]
    for number in range(200):
        header = base64url.encode(json.dumps({"alg": "none", "n": number}).encode())
        assert parse(f"{header}.{payload}").header == ProtectedHeader("none", None, None)
    assert headers() == (0, 200, 64)
