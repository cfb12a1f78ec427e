"""What a token is said to take in memory is what it takes, or a little more."""

from __future__ import annotations

import functools
import gc
import tracemalloc
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.bearer import BearerToken
from authz_service.core.claims import AccessTokenClaims
from authz_service.core.footprint import footprint
from authz_service.core.forward import ForwardRules, upstream_headers_of
from authz_service.core.jws import CompactJws, verify
from authz_service.core.request import HttpRequest
from authz_service.core.verified import TokenCacheLimits, VerifiedToken, VerifiedTokens
from tests.support.keys import key_set, signing_key
from tests.support.policies import LOGTO
from tests.support.tokens import NOW, mint

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.jwks import KeySet

KEY: Final = signing_key("Ed25519")
KEYS: Final = key_set(KEY)
LONG: Final = "x" * 600
"""In a header, so much that it is not remembered: each token then has a header of its own."""

ROOMY: Final = TokenCacheLimits(entries=10**6, bytes=10**9)

KEYCLOAK: Final[Mapping[str, object]] = {
    "aud": ["https://shopping.api", "account"],
    "azp": "shop-frontend",
    "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-shop"]},
    "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
    "scope": "openid profile email read:products",
    "email_verified": True,
    "name": "Zoë Example",
    "email": "zoe@example.com",
}


@functools.cache
def published(kid: str) -> KeySet:
    """The keys, which are made once and are no token's."""
    return key_set(signing_key("Ed25519", kid=kid))


def remembered(claims: Mapping[str, object], count: int, kid: str, filler: str) -> VerifiedTokens:
    """Fill a cache with *count* tokens that have *claims* and a subject each."""
    key = signing_key("Ed25519", kid=kid)
    keys, cache = published(kid), VerifiedTokens(ROOMY)
    for number in range(count):
        changed = {**claims, "sub": f"user-{number:012}"}
        token = BearerToken(mint(changed, {"x": filler}, key=key))
        cache.keep(token, known_of(token, keys), now=NOW)
    return cache


def known_of(token: BearerToken, keys: KeySet) -> VerifiedToken:
    """What *token* turns out to be."""
    jws = CompactJws.parse(token)
    payload = verify(jws, keys.keys[0])
    claims = AccessTokenClaims.parse(payload, LOGTO)
    return VerifiedToken(LOGTO, keys, keys.keys[0], jws.header, payload, claims)


def measured(
    claims: Mapping[str, object], *, count: int = 8, kid: str = "key-1", filler: str = LONG
) -> tuple[float, float]:
    """How many bytes Python's allocator gave for each token, and how many were counted."""
    remembered(claims, 1, kid, filler)  # what is made once is made
    gc.collect()
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        cache = remembered(claims, count, kid, filler)
        gc.collect()
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    statistics = cache.statistics()
    assert statistics.entries == count
    return taken / count, statistics.bytes / count


@pytest.mark.parametrize(
    "claims",
    [
        pytest.param({"x": [{}] * 2000}, id="empty objects"),
        pytest.param({"x": [[]] * 2000}, id="empty arrays"),
        pytest.param({"x": [1.5] * 1500}, id="floats"),
        pytest.param({"x": [99_999] * 1000}, id="integers"),
        pytest.param({"x": "\N{GRINNING FACE}" * 900}, id="wide characters"),
        pytest.param({"scope": " ".join(f"s{number}" for number in range(1000))}, id="scopes"),
        pytest.param({f"claim-{number}": number + 1000 for number in range(500)}, id="many claims"),
        pytest.param({"aud": ["https://shopping.api"] * 300}, id="audiences"),
    ],
)
def test_a_token_that_is_made_to_be_large_counts_for_what_it_takes(
    claims: Mapping[str, object],
) -> None:
    taken, counted = measured(claims)
    assert taken > 5000
    assert 0.97 * taken < counted < 1.15 * taken


@pytest.mark.parametrize("claims", [{}, KEYCLOAK], ids=["Logto", "Keycloak"])
def test_the_bytes_that_are_counted_are_those_that_are_taken(claims: Mapping[str, object]) -> None:
    taken, counted = measured(claims, count=100)
    assert 0.97 * taken < counted < 1.15 * taken


def test_what_is_held_with_a_token_counts_for_what_it_takes() -> None:
    rules = ForwardRules(claims_header="x-claims")
    request = HttpRequest("GET", "shop.example.com", "/")
    tokens = [BearerToken(mint({"sub": f"user-{n:012}"}, key=KEY)) for n in range(50)]
    taken, counted = [], []
    for prepare in (False, True, True):
        cache = VerifiedTokens(ROOMY)
        for token in tokens:
            cache.keep(token, known_of(token, KEYS), now=NOW)
        gc.collect()
        tracemalloc.start()
        before = cache.statistics().bytes
        for token in tokens:
            known = cache.find(token, keys={"logto": KEYS}, now=NOW)
            assert known is not None
            if prepare:
                upstream_headers_of(rules, known, request)
        gc.collect()
        taken.append(tracemalloc.get_traced_memory()[0] / len(tokens))
        counted.append((cache.statistics().bytes - before) / len(tokens))
        tracemalloc.stop()
    assert counted[0] == 0
    assert taken[2] - taken[0] > 500
    assert 0.9 * (taken[2] - taken[0]) < counted[2] < 1.3 * (taken[2] - taken[0])


def test_a_long_key_id_counts() -> None:
    taken, counted = measured({}, count=100, kid="k" * 9000)
    assert taken > 9000
    assert 0.97 * taken < counted < 1.15 * taken


def test_a_header_that_tokens_share_counts_each_time() -> None:
    taken, counted = measured({}, count=100, filler="short")
    assert taken < counted < 1.3 * taken


def test_what_cpython_shares_counts_each_time() -> None:
    taken, counted = measured({"x": [1] * 2000})
    assert taken < counted < 6 * taken


def test_the_depth_that_json_may_have_can_be_counted() -> None:
    nested: object = []
    for _level in range(14):
        nested = [nested]
    key = signing_key("Ed25519")
    jws = CompactJws.parse(BearerToken(mint({"x": nested}, key=key)))
    claims = AccessTokenClaims.parse(verify(jws, key_set(key).keys[0]), LOGTO)
    assert footprint(jws.header, claims) > 15 * 64
