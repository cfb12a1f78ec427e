"""What the cache of verified tokens gains and costs: time of a decision, and memory when full.

Ends with status 1 if a target is missed. Times are the processor's, each beside the same decision
without a cache. Memory is the resident size of a service of its own, with and without a cache.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow
from authz_service.core.verified import TokenCacheLimits, VerifiedTokens
from authz_service.demo import tokens
from authz_service.demo.issuer import DevelopmentIssuer
from authz_service.demo.service import AuthzService
from authz_service.demo.world import SHOP
from bench.comparison import Comparison, Limit, in_turns, table
from tests.support.checks import Check
from tests.support.keys import key_set, signing_key
from tests.support.tokens import NOW

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from authz_service.core.jwks import KeySet
    from authz_service.core.request import HttpRequest

_ALGORITHMS: Final = ("RS256", "ES256", "ES384", "EdDSA")
_TOKENS: Final = 200
_ROUNDS: Final = 15
_QUICK_ROUNDS: Final = 5
_KNOWN: Final = Limit(times=0.75)
_NEW: Final = Limit(times=1.5)
_MEGABYTES: Final = 100
_PROFILE: Final = {
    "azp": "shop-frontend",
    "allowed-origins": ["https://shop.example.com"],
    "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-shop"]},
    "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
    "name": "Alice Example",
    "preferred_username": "alice",
    "email": "alice@example.com",
}
_FILLS: Final[tuple[tuple[str, Mapping[str, object], int], ...]] = (
    ("few claims", {}, 2300),
    ("a whole profile", _PROFILE, 1500),
    ("many empty objects", {"x": [{}] * 1000}, 200),
)
_POLICY: Final = """
version: 1
issuers: [{name: development, issuer: "${DEMO_ISSUER}", preset: logto}]
resources:
  - {audience: https://shopping.api, routes: [{path: /products, methods: {GET: []}}]}
"""


def main(rounds: int) -> int:
    """Run the benchmark and give the exit status."""
    comparisons = [each for alg in _ALGORITHMS for each in _times(alg, rounds)]
    print(table(comparisons))
    fits = _memory()
    return 0 if fits and all(each.is_met for each in comparisons) else 1


def _times(alg: str, rounds: int) -> Iterator[Comparison]:
    """A decision about a known token, and about one that is seen for the first time."""
    key = signing_key(alg)
    keys = {"logto": key_set(key)}
    checks = (Check(claims={"jti": str(n)}, signed_with=lambda: key) for n in range(_TOKENS))
    requests = [check.request() for check in checks]
    cache = VerifiedTokens(TokenCacheLimits())
    without = partial(_seconds, requests, keys, None)
    known = partial(_seconds, requests, keys, cache)
    known()

    def new() -> float:
        return _seconds(requests, keys, VerifiedTokens(TokenCacheLimits()))

    reference = "without a cache"
    yield Comparison(f"{alg}, known", *_turns(known, without, rounds, reference), _KNOWN)
    assert cache.statistics().misses == _TOKENS
    yield Comparison(f"{alg}, new", *_turns(new, without, rounds, reference), _NEW)


def _turns(
    measured: Callable[[], float], reference: Callable[[], float], rounds: int, name: str
) -> tuple[list[float], str, list[float]]:
    figures, references = in_turns(measured, reference, rounds)
    return figures, name, references


def _seconds(
    requests: Sequence[HttpRequest], keys: Mapping[str, KeySet], cache: VerifiedTokens | None
) -> float:
    """How long one decision takes, on the average of *requests*."""
    policy = Check().policy
    started = time.process_time()
    for request in requests:
        decision = authorize(request, policy=policy, keys=keys, now=NOW, verified=cache)
        assert isinstance(decision, Allow)
    return (time.process_time() - started) / len(requests)


def _memory() -> bool:
    """The resident size after as many tokens as fill the cache, and whether it is small enough."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "policy.yaml").write_text(_POLICY, encoding="utf-8")
        largest = max(asyncio.run(_resident(Path(directory), *fill)) for fill in _FILLS)
    print(f"the largest: {largest:.1f} MB (less than {_MEGABYTES}): ", end="")
    print("met" if largest < _MEGABYTES else "NOT MET")
    return largest < _MEGABYTES


async def _resident(directory: Path, name: str, claims: Mapping[str, object], count: int) -> float:
    """Megabytes, without a cache and with it full of tokens that have *claims*."""
    without, full = [
        await _filled(directory, claims, count, entries)
        for entries in (0, TokenCacheLimits().entries)
    ]
    print(f"after {count} tokens of {name}: {full:.1f} MB resident, without a cache {without:.1f}")
    return full


async def _filled(directory: Path, claims: Mapping[str, object], count: int, entries: int) -> float:
    issuer = DevelopmentIssuer([SHOP])
    await issuer.start()
    environment = {"DEMO_ISSUER": issuer.issuer, "AUTHZ_TOKEN_CACHE_ENTRIES": str(entries)}
    service = AuthzService(
        directory / "policy.yaml", environment=environment, log=directory / "log"
    )
    try:
        await service.start()
        await _check(service, issuer, claims, count)
        return service.resident_mib * 2**20 / 1e6
    finally:
        await service.stop()
        await issuer.stop()


async def _check(
    service: AuthzService, issuer: DevelopmentIssuer, claims: Mapping[str, object], count: int
) -> None:
    """Have *count* different tokens checked, each once."""
    async with grpc.aio.insecure_channel(service.listen) as channel:
        check = channel.unary_unary(
            "/envoy.service.auth.v3.Authorization/Check",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )
        for number in range(count):
            token = issuer.mint(tokens.claims(issuer, **{**claims, "sub": f"user-{number:032}"}))
            message = CheckRequest()
            http = message.attributes.request.http
            http.method, http.path, http.host = "GET", "/products", "shop.example.com"
            http.headers["authorization"] = f"Bearer {token}"
            response = await check(message)
            assert response.status.code == 0
            await service.next_check()  # the log is read as it is written


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--quick", action="store_true", help=f"{_QUICK_ROUNDS} rounds, not {_ROUNDS}"
    )
    sys.exit(main(_QUICK_ROUNDS if parser.parse_args().quick else _ROUNDS))
