"""With the cache and without, the decision is the same, whatever happened before."""

from __future__ import annotations

import functools
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from authz_service.core.authorize import Trail, authorize
from authz_service.core.claims import ClaimReference
from authz_service.core.decision import Deny
from authz_service.core.forward import ForwardRules
from authz_service.core.policy import AccessTokenMarks, TokenTypes
from authz_service.core.verified import TokenCacheLimits, VerifiedTokens
from tests.support.checks import Check
from tests.support.keys import key_set, signing_key
from tests.support.policies import LOGTO, PARTNER, needs, policy_of, route, shop_policy
from tests.support.tokens import MISSING, NOW, mint

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer, Policy
    from tests.support.keys import SigningKey

OLD: Final = signing_key("Ed25519")
NEW: Final = signing_key("ES256", owner="rotated", kid="key-2")
USURPER: Final = signing_key("Ed25519", owner="rotated")
"""Another key with the key id of the old one."""
THEIRS: Final = signing_key("ES384", owner="partner")
SAID: Final = (*needs().issuers, "https://elsewhere.example")

EVERYTHING: Final[dict[str, object]] = {
    "scope": "read:products write:products admin read:archive read:orders",
    "organization_id": "org-1",
    "vip": True,
}


@functools.cache
def tokens() -> tuple[str, ...]:
    """Tokens of every kind, each made once, so that they come again."""
    good = [
        mint({**EVERYTHING, "jti": str(number)}, key=key)
        for number, key in enumerate((OLD, OLD, OLD, NEW, NEW, USURPER))
    ]
    claims: list[dict[str, object]] = [
        {"exp": NOW + 10},
        {"exp": NOW - 9},
        {"exp": NOW - 10},
        {"exp": NOW + 86400 + 10},
        {"exp": NOW + 10**9},
        {"nbf": NOW + 11},
        {"iat": NOW + 3600, "exp": NOW + 7200},
        {"aud": "urn:logto:organization:org-1", "scope": "read:members"},
        {"aud": ["https://other.api", "https://shopping.api"], "scp": ["read:products"]},
        {"aud": MISSING, "resource": "https://shopping.api"},
        {"scope": "write:products"},
        {"sub": MISSING},
        {"sub": "\N{SNOWMAN}\u0080"},
        {"sub": "x" * 5000},
        {"iss": SAID[-1]},
        {"iss": PARTNER.identifiers[0]},
        {"exp": "never"},
        {"email": "alice@example.com", "nonce": "n"},
    ]
    different = [mint({**EVERYTHING, **changed}, key=OLD) for changed in claims]
    header, payload, signature = good[0].split(".")
    return (
        *good,
        *different,
        mint({**EVERYTHING, "iss": PARTNER.identifiers[0], "scp": "read:products"}, key=THEIRS),
        mint(EVERYTHING, {"typ": "JWT"}, key=OLD),
        mint(EVERYTHING, {"alg": "EdDSA"}, key=OLD),
        mint(EVERYTHING, {"kid": MISSING}, key=OLD),
        mint(EVERYTHING, {"kid": "key-3"}, key=OLD),
        f"{header}.{payload}.{good[1].split('.')[2]}",
        f"{header}.{good[1].split('.')[1]}.{signature}",
        f"{header}.{payload}",
    )


PLACES: Final = (
    ("GET", "/products"),
    ("POST", "/products"),
    ("GET", "/products/archive"),
    ("GET", "/me"),
    ("GET", "/vip"),
    ("GET", "/organizations/org-1/members"),
    ("GET", "/organizations/org-1/orders"),
    ("GET", "/organizations/org-2/orders"),
    ("GET", "/healthz"),
    ("DELETE", "/products"),
)

# Made anew each time, so that equal ones are not the same.
KEY_SETS: Final[tuple[tuple[SigningKey, ...], ...]] = (
    (OLD,), (OLD,), (NEW, OLD), (NEW,), (USURPER,), (OLD, USURPER), (THEIRS,), (THEIRS, OLD), (),
)  # fmt: skip
ISSUERS: Final = (
    LOGTO,
    LOGTO,
    replace(LOGTO, algorithms=frozenset({"ES256", "ES384"})),
    replace(LOGTO, algorithms=frozenset({"EdDSA"})),
    replace(LOGTO, token_types=TokenTypes.of("jwt")),
    replace(LOGTO, required_claims=("sub", "organization_id")),
    replace(LOGTO, required_claims=(), audience_stand_in="resource"),
    replace(LOGTO, scope_claims=(ClaimReference.parse("scp"),)),
    replace(LOGTO, leeway=0, max_token_lifetime=None),
    replace(LOGTO, leeway=100, max_token_lifetime=3600),
    replace(LOGTO, marks=AccessTokenMarks(never=("nonce",))),
    replace(LOGTO, identifiers=(SAID[-1],)),
    replace(LOGTO, name="renamed"),
)
SECONDS: Final = (-86400, -3600, -101, -11, -10, -1, 0, 1, 9, 10, 11, 101, 3600, 86400)

LIMITS: Final = (
    TokenCacheLimits(),
    TokenCacheLimits(entries=3),
    TokenCacheLimits(entries=1),
    TokenCacheLimits(bytes=7000),
    TokenCacheLimits(entries=0),
)


def partners_only(policy: Policy) -> Policy:
    """A policy in which the shop's own issuer is there, and its tokens are good for nothing."""
    return replace(policy_of(route("/products", {"GET": needs(issuers=(PARTNER,))})),
                   issuers=policy.issuers)  # fmt: skip


CHANGES: Final[tuple[Callable[[Policy], Policy], ...]] = (
    lambda policy: policy,
    lambda policy: policy,
    lambda policy: replace(policy, audit=True),
    lambda policy: replace(policy, forward=ForwardRules(claims_header="x-auth-claims")),
    lambda policy: replace(policy, forward=ForwardRules(headers=(), strip=())),
    partners_only,
)

SEEN: Final[Counter[str]] = Counter()
"""What came about in all runs, so that none of it is only thought to have."""


class World(RuleBasedStateMachine):
    """Two services that see the same, of which one remembers."""

    def __init__(self) -> None:
        super().__init__()
        self.first = shop_policy(), {"logto": key_set(OLD, NEW), "partner": key_set(THEIRS)}
        self.policy: Policy
        self.keys: dict[str, KeySet]
        self.now: float
        self.set_right()
        self.limits = LIMITS[0]
        self.cache = VerifiedTokens(self.limits)

    @initialize(limits=st.sampled_from(LIMITS))
    def begin(self, limits: TokenCacheLimits) -> None:
        """Some caches have room for few."""
        self.limits = limits
        self.cache = VerifiedTokens(limits)

    @rule(
        sent=st.lists(st.deferred(lambda: st.sampled_from(tokens()[:8])), min_size=1),
        place=st.sampled_from(PLACES[:2]),
    )
    def check_good(self, sent: list[str], place: tuple[str, str]) -> None:
        """The same few tokens, most of which would pass if all were right."""
        self.check_all(sent * 2, *place)

    @rule(
        sent=st.lists(st.deferred(lambda: st.sampled_from(tokens())), min_size=1, max_size=6),
        place=st.sampled_from(PLACES),
        times=st.integers(1, 2),
    )
    def check(self, sent: list[str], place: tuple[str, str], times: int) -> None:
        """Requests of every kind."""
        self.check_all(sent * times, *place)

    def check_all(self, sent: list[str], method: str, target: str) -> None:
        for token in sent:
            self.check_one(token, method, target)

    def check_one(self, token: str, method: str, target: str) -> None:
        request = Check(authorization=f"Bearer {token}", method=method, target=target).request()
        ours, theirs = Trail(), Trail()
        hits = self.cache.statistics().hits
        decide = functools.partial(
            authorize, request, policy=self.policy, keys=self.keys, now=self.now
        )
        with_cache = decide(verified=self.cache, trail=ours)
        assert with_cache == decide(trail=theirs)
        assert ours == theirs
        if self.cache.statistics().hits > hits:
            SEEN[with_cache.reason.value if isinstance(with_cache, Deny) else "allow"] += 1

    @rule(
        issuer=st.sampled_from(["logto", "partner"]),
        keys=st.sampled_from(KEY_SETS),
        told=st.booleans(),
    )
    def rotate(self, issuer: str, keys: tuple[SigningKey, ...], *, told: bool) -> None:
        """An issuer has other keys, or none; the cache may not have been told yet."""
        self.keys = {name: known for name, known in self.keys.items() if name != issuer}
        if keys:
            self.keys[issuer] = key_set(*keys)
        if told:
            self.cache.retain(self.keys)

    @rule(
        issuer=st.sampled_from(ISSUERS),
        change=st.sampled_from(CHANGES),
        anew=st.booleans(),
        told=st.booleans(),
    )
    def reload(
        self, issuer: Issuer, change: Callable[[Policy], Policy], *, anew: bool, told: bool
    ) -> None:
        """Another policy; its issuers may be those of an earlier one."""
        issuer = replace(issuer) if anew else issuer
        self.policy = change(shop_policy(issuer=issuer))
        if told:
            self.cache.clear()

    @rule(seconds=st.sampled_from(SECONDS))
    def step(self, seconds: int) -> None:
        """The clock goes on, or back."""
        self.now += seconds

    @rule()
    def set_right(self) -> None:
        """All is as it was, the very objects, but for the cache."""
        self.policy, self.keys = self.first
        self.now = NOW

    @invariant()
    def holds_no_more_than_it_may(self) -> None:
        """Both limits hold at any moment, and nothing weighs nothing."""
        statistics = self.cache.statistics()
        assert 0 <= statistics.entries <= self.limits.entries
        assert 0 <= statistics.bytes <= self.limits.bytes
        assert (statistics.entries == 0) == (statistics.bytes == 0)
        held = self.cache._entries.values()
        assert statistics.bytes == sum(entry.bytes for entry in held)


def test_a_service_with_the_cache_decides_exactly_as_one_without() -> None:
    SEEN.clear()
    run_state_machine_as_test(
        World,
        settings=settings(
            deadline=None,
            max_examples=40,
            stateful_step_count=40,
            suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
        ),
    )
    assert SEEN["allow"], SEEN
    assert len(SEEN) > 1, "known tokens are refused too"
