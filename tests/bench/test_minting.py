"""The tokens that are measured with, and the server of their keys."""

from __future__ import annotations

import json
import urllib.error
import urllib.request

import pytest
from cryptography.exceptions import InvalidSignature

from authz_service.core import base64url
from authz_service.core.bearer import BearerToken
from authz_service.core.jwks import parse_jwk_set
from authz_service.core.jws import CompactJws, verify
from bench.minting import ALGORITHMS, Issuer, KeyServer, primitive_seconds


def issuer(alg: str = "ES256") -> Issuer:
    """Make an issuer."""
    return Issuer("issuer", "https://auth.example.com", alg)


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_a_token_verifies_with_the_published_key(alg: str) -> None:
    mint = issuer(alg)
    jws = CompactJws.parse(BearerToken(mint.token(sub="alice")))
    key = parse_jwk_set(mint.jwk_set).select(alg=alg, kid=jws.header.kid)
    members = verify(jws, key).members
    assert (members["iss"], members["sub"]) == ("https://auth.example.com/issuer", "alice")


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_primitive_verifies_and_refuses(alg: str) -> None:
    mint = issuer(alg)
    token = mint.token()
    assert primitive_seconds(mint, [token]) > 0
    signing_input, _dot, signature = token.rpartition(".")
    other = mint.key.primitive(signing_input.encode() + b"x", base64url.decode(signature))
    with pytest.raises(InvalidSignature):
        other()


@pytest.mark.parametrize("alg", ALGORITHMS)
def test_the_primitive_needs_the_loaded_public_key_alone(
    alg: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    mint = issuer(alg)
    tokens = mint.tokens(2)
    monkeypatch.delattr(mint.key, "_key")
    assert primitive_seconds(mint, tokens) > 0


def test_no_token_is_made_twice() -> None:
    mint = issuer()
    tokens = [*mint.tokens(20), *mint.tokens(20)]
    assert len({token.rpartition(".")[0] for token in tokens}) == 40


def test_the_key_server_serves_what_the_service_looks_for() -> None:
    with KeyServer() as server:
        mint = server.issuer("one", "ES256")
        url = f"{mint.identifier}/.well-known/openid-configuration"
        with urllib.request.urlopen(url, timeout=10) as response:  # noqa: S310 - ours, on loopback
            metadata = json.load(response)
        assert metadata["issuer"] == mint.identifier
        with urllib.request.urlopen(metadata["jwks_uri"], timeout=10) as response:  # noqa: S310
            assert response.read() == mint.jwk_set
        with pytest.raises(urllib.error.HTTPError, match="404"):
            urllib.request.urlopen(f"{mint.identifier}/elsewhere", timeout=10)  # noqa: S310
