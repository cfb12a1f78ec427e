"""Resident memory: after the start, after a million Checks, and with a full token cache."""

from __future__ import annotations

import os
from contextlib import ExitStack
from itertools import chain
from typing import TYPE_CHECKING, Any, Final

from bench.check_requests import check
from bench.figures import Unit
from bench.loads import ALLOW, Checks, Pace, ask
from bench.minting import KeyServer
from bench.policies import path, policy
from bench.processes import BenchError, noop, service
from bench.rows import Reference, Row, at_most, plus
from bench.shop import Kind, shop

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from bench.minting import Issuer
    from bench.processes import Service
    from bench.scale import Scale

_AT_ONCE: Final = 16
_AFTER_START: Final = at_most(70e6)
_GROWTH: Final = plus(2e6)
_FULL: Final = at_most(100e6)
_LOADS: Final = 10
_PROFILE: Final = {
    "azp": "shop-frontend",
    "allowed-origins": ["https://shop.example.com"],
    "realm_access": {"roles": ["offline_access", "uma_authorization", "default-roles-shop"]},
    "resource_access": {"account": {"roles": ["manage-account", "view-profile"]}},
    "name": "Alice Example",
    "preferred_username": "alice",
    "email": "alice@example.com",
}
_FILLS: Final[Mapping[str, tuple[Mapping[str, Any], int]]] = {
    "few claims": ({}, 2300),
    "a whole profile": (_PROFILE, 2300),
    "many empty objects": ({"x": [{}] * 1000}, 400),
}
"""Claims of tokens, and how many of them are more than the cache takes by default."""


def rows(scale: Scale) -> Iterator[Row]:
    """Each beside what it grew from."""
    yield _after_start(scale)
    yield from _after_checks(scale)
    with KeyServer() as keys:
        issuer = keys.issuer("issuer", "ES256")
        for name in scale.pick(tuple(_FILLS), ("few claims",)):
            yield _with_full_cache(name, issuer, scale)


def _after_start(scale: Scale) -> Row:
    ours, noops = [], []
    with KeyServer() as keys:
        text = policy([keys.issuer("issuer", "RS256")])
        for _round in range(scale.pick(5, 1)):
            with noop(b"", scale.directory) as idle:
                noops.append(idle.resident)
            with service(text, scale.directory) as running:
                ours.append(running.resident)
    reference = Reference("no-op", noops)
    return Row("memory after start, ten routes", ours, reference, _AFTER_START, Unit.BYTES)


def _after_checks(scale: Scale) -> Iterator[Row]:
    """Every kind of Check in turn, valid tokens, refused ones, junk and unknown keys."""
    few, many = scale.pick((10_000, 1_000_000), (300, 3000))
    with shop(scale, "RS256") as running:
        checks = _mixed(running.issuers[0], scale.pick(500, 50))
        _ask(running.service, checks, few)
        first = running.service.resident
        yield Row(f"memory after {few:,} Checks", [first], unit=Unit.BYTES)
        for _load in range(_LOADS):
            _ask(running.service, checks, (many - few) // _LOADS)
        reference = Reference(f"after {few:,}", [first])
        last = [running.service.resident]
        yield Row(f"memory after {many:,} Checks", last, reference, _GROWTH, Unit.BYTES)


def _ask(running: Service, checks: Checks, count: int) -> None:
    ask(running, checks, Pace(count, at_once=_AT_ONCE))
    os.truncate(running.log, 0)  # a million lines are of no use to anybody


def _mixed(issuer: Issuer, number: int) -> Checks:
    kinds = [kind.checks(issuer, number) for kind in Kind]
    octets = chain.from_iterable(zip(*(each.octets for each in kinds), strict=True))
    names = chain.from_iterable(zip(*(each.kinds for each in kinds), strict=True))
    return Checks(list(octets), list(names))


def _with_full_cache(name: str, issuer: Issuer, scale: Scale) -> Row:
    claims, count = _FILLS[name]
    # Each comes twice in a row: what is prepared for a token is kept from the second time on.
    tokens = [token for token in issuer.tokens(count, **claims) for _time in range(2)]
    octets = [check("GET", path(n // 2), token) for n, token in enumerate(tokens)]
    checks = Checks.all_of(ALLOW, octets)
    text, residents = policy([issuer]), []
    for environment in ({}, {"AUTHZ_TOKEN_CACHE_ENTRIES": "0"}):
        with ExitStack() as stack:
            running = stack.enter_context(service(text, scale.directory, environment=environment))
            ask(running, checks, Pace(len(octets), at_once=_AT_ONCE))
            if not environment:
                _assert_full(running, name, count)
            residents.append(running.resident)
    full, without = residents
    measured, reference = f"memory, token cache full of {name}", Reference("no cache", [without])
    return Row(measured, [full], reference, _FULL, Unit.BYTES)


def _assert_full(running: Service, name: str, count: int) -> None:
    """Raises BenchError unless room had to be made, for tokens that all came a second time."""
    if not running.counter("authz_token_cache_evictions_total"):
        raise BenchError(f"{count} tokens with {name} do not fill the cache")
    if running.counter("authz_token_cache_hits_total") != count:
        raise BenchError(f"not every token with {name} was known when it came again")
