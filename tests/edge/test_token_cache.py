"""Checks over gRPC with tokens that are known, many at once: each is decided as without a cache."""

from __future__ import annotations

import asyncio
import functools
import random
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from authz_service.core.authorize import authorize
from authz_service.core.policy import Policy
from authz_service.core.verified import TokenCacheLimits, VerifiedTokens
from authz_service.demo.signing_keys import SigningKeys
from tests.edge.rig import FakeKeys, ask, edge, reason, servicer
from tests.edge.shop import (
    NOW,
    POLICY,
    check_request,
    key_set_of,
    mint,
    policy_from,
    shop_policy,
    signing_keys,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from authz_service.ext_authz.servicer import AuthorizationServicer, DecidedCheck
    from tests.edge.rig import Caller

CALLERS: Final = 16
CHECKS: Final = 30
"""Of each caller, one after the other."""


@functools.cache
def rotated_keys() -> SigningKeys:
    return SigningKeys("ES384")


@functools.cache
def policies() -> tuple[Policy, ...]:
    """Each is good for other tokens."""
    other = POLICY.replace("read:products", "admin").replace("max_token_lifetime: 1d", "leeway: 0s")
    return shop_policy(), policy_from(other), Policy()


@functools.cache
def requests() -> tuple[CheckRequest, ...]:
    """Few tokens, so that they come again: of both keys, and some that are no good."""
    tokens = [
        mint(
            {"jti": str(number), "scope": scope, "exp": NOW + seconds},
            keys=keys,
        )
        for keys in (signing_keys(), rotated_keys())
        for number, scope, seconds in (
            (1, "read:products", 3600), (2, "admin", 3600), (3, "read:products admin", 30),
        )
    ]  # fmt: skip
    tokens.append(mint({"nbf": NOW + 60}))
    tokens.append(tokens[0][:-4] + "AAAA")
    return tuple(
        check_request(target, token=token) for token in tokens for target in ("/products", "/me")
    )


@dataclass
class World:
    """A service whose policy, keys and clock change all the time; *wrong* decisions are told."""

    limits: TokenCacheLimits = field(default_factory=TokenCacheLimits)
    keys: FakeKeys = field(default_factory=FakeKeys)
    policy: Policy = field(default_factory=shop_policy)
    now: float = NOW
    wrong: list[DecidedCheck] = field(default_factory=list)
    reasons: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.cache = VerifiedTokens(self.limits)
        self.servicer = servicer(
            policy=self.policy,
            keys=self.keys,
            observe=self.observe,
            clock=lambda: self.now,
            verified=self.cache,
        )
        self.random = random.Random(4711)  # noqa: S311 - the same changes in every run

    def observe(self, check: DecidedCheck) -> None:
        """Decide once more, in the same step of the event loop, without the cache."""
        without = authorize(
            check.request, policy=self.policy, keys=self.keys.key_sets, now=self.now
        )
        if without != check.decision:
            self.wrong.append(check)

    def change(self) -> None:
        """Change one thing, as a reload, a fetch or the operating system does."""
        self.random.choice((self.reload, self.rotate, self.step))()

    def reload(self) -> None:
        self.policy = self.random.choice(policies()[:2] * 3 + policies())
        self.servicer.use(self.policy)

    def rotate(self) -> None:
        both = (signing_keys(), rotated_keys())
        chosen = self.random.choice((both, both, both[:1], both[1:], ()))
        self.keys.key_sets = {"logto": key_set_of(*chosen)} if chosen else {}
        self.cache.retain(self.keys.key_sets)

    def step(self) -> None:
        self.now = NOW + self.random.choice((0, 0, 29, 45, 61, -100, 4000))

    async def call(self, caller: Caller) -> None:
        """One connection's share, with a change now and then between two Checks."""
        for _ in range(CHECKS):
            response = await caller.check(self.random.choice(requests()))
            self.reasons.add(reason(response) if response.status.code else "allow")
            if self.random.random() < 0.1:
                self.change()


def run(world: World) -> None:
    async def exchange() -> None:
        async with edge(world.servicer) as caller:
            await asyncio.gather(*(world.call(caller) for _ in range(CALLERS)))

    asyncio.run(exchange())


def test_among_many_checks_at_once_and_changes_none_is_decided_otherwise_than_without() -> None:
    world = World()
    run(world)
    assert world.wrong == []
    assert world.cache.statistics().hits > CHECKS
    assert world.reasons >= {"allow", "insufficient_scope", "expired", "unknown_key"}


def test_nor_where_there_is_room_for_few() -> None:
    world = World(TokenCacheLimits(entries=2))
    run(world)
    assert world.wrong == []
    statistics = world.cache.statistics()
    assert statistics.hits > 0
    assert statistics.evictions > CHECKS
    assert statistics.entries <= 2


def served_with(cache: VerifiedTokens) -> Callable[[], AuthorizationServicer]:
    return lambda: servicer(verified=cache)


def test_the_answer_about_a_known_token_is_the_same_to_the_octet() -> None:
    cache = VerifiedTokens(TokenCacheLimits())
    message = check_request(token=mint())
    first, second = ask(message, message, served=served_with(cache))
    assert first == second == ask(message)[0]
    assert cache.statistics().hits == 1


def test_another_policy_takes_every_entry_along_at_once() -> None:
    cache = VerifiedTokens(TokenCacheLimits())
    served = served_with(cache)()
    message = check_request(token=mint())

    async def exchange() -> None:
        async with edge(served) as caller:
            await caller.check(message)
            assert cache.statistics().entries == 1
            served.use(replace(shop_policy()))
            assert cache.statistics().entries == 0
            assert (await caller.check(message)).status.code == 0

    asyncio.run(exchange())
    assert (cache.statistics().hits, cache.statistics().misses) == (0, 2)
