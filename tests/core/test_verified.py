"""Tokens that are known: what is spared for them, what is not, and when they are let go."""

from __future__ import annotations

import functools
import gc
from collections import Counter
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core import authorize as steps
from authz_service.core import base64url
from authz_service.core.authorize import Trail, authorize
from authz_service.core.bearer import BearerToken
from authz_service.core.claims import AccessTokenClaims, ClaimReference
from authz_service.core.decision import Allow, Deny, DenyReason
from authz_service.core.footprint import footprint
from authz_service.core.forward import ForwardRules
from authz_service.core.jwks import KeySet, parse_jwk_set
from authz_service.core.jws import CompactJws, verify
from authz_service.core.policy import AccessTokenMarks, TokenTypes
from authz_service.core.verified import (
    CacheStatistics,
    TokenCacheLimits,
    VerifiedToken,
    VerifiedTokens,
)
from tests.support.checks import Check
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.policies import (
    LEEWAY,
    LOGTO,
    MAX_LIFETIME,
    PARTNER,
    needs,
    policy_of,
    route,
    shop_policy,
)
from tests.support.tokens import AUDIENCE, ISSUER, MISSING, NOW, VALID_CLAIMS, mint

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.decision import Decision
    from authz_service.core.policy import Issuer, Policy

KEY: Final = signing_key("Ed25519")
ANOTHER: Final = signing_key("Ed25519", owner="rotated", kid="key-2")
USURPER: Final = signing_key("Ed25519", owner="rotated")
"""Another key with the same key id."""
SHOP: Final = shop_policy()
EXPIRES: Final = NOW + 3600
ROOMY: Final = TokenCacheLimits(entries=1000, bytes=10**7)


@functools.cache
def published() -> Mapping[str, KeySet]:
    return {"logto": key_set(KEY)}


def minted(**claims: object) -> str:
    return mint(claims, key=KEY)


@functools.cache
def valid() -> str:
    return minted(scope="read:products write:products admin", organization_id="org-1", vip=True)


@dataclass
class Service:
    """Decides with a cache, and makes sure that the decision is the same without."""

    policy: Policy = SHOP
    keys: Mapping[str, KeySet] = field(default_factory=published)
    now: float = NOW
    limits: TokenCacheLimits = ROOMY
    cache: VerifiedTokens = field(init=False)

    def __post_init__(self) -> None:
        self.cache = VerifiedTokens(self.limits)

    def decide(self, token: str, target: str = "/products", method: str = "GET") -> Decision:
        check = Check(authorization=f"Bearer {token}", target=target, method=method)
        with_cache, without = Trail(), Trail()
        decide = functools.partial(
            authorize, check.request(), policy=self.policy, keys=self.keys, now=self.now
        )
        decision = decide(verified=self.cache, trail=with_cache)
        assert decision == decide(trail=without)
        assert with_cache == without
        return decision

    def outcome(self, token: str, target: str = "/products", method: str = "GET") -> str:
        """Give the reason of a refusal, or `allow`."""
        decision = self.decide(token, target, method)
        return decision.reason.value if isinstance(decision, Deny) else "allow"

    @property
    def counts(self) -> tuple[int, int, int]:
        """Hits, misses, entries."""
        statistics = self.cache.statistics()
        return statistics.hits, statistics.misses, statistics.entries


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> Counter[str]:
    """Count how often tokens are parsed, verified and read; they are all the same."""
    count: Counter[str] = Counter()
    parse, read = CompactJws.parse, AccessTokenClaims.parse

    def counting_verify(*arguments: object) -> object:
        count["verify"] += 1
        return verify(*arguments)  # type: ignore[arg-type] # whatever it is given

    def counting_parse(token: BearerToken, max_bytes: int) -> CompactJws:
        count["parse"] += 1
        return parse(token, max_bytes)

    def counting_read(*arguments: object) -> AccessTokenClaims:
        count["read"] += 1
        return read(*arguments)  # type: ignore[arg-type] # likewise

    monkeypatch.setattr(steps, "verify", counting_verify)
    monkeypatch.setattr(CompactJws, "parse", counting_parse)
    monkeypatch.setattr(AccessTokenClaims, "parse", counting_read)
    return count


# What is spared, and what is not


def test_a_known_token_is_not_parsed_verified_or_read_again(work: Counter[str]) -> None:
    cache = VerifiedTokens(ROOMY)
    for _ in range(5):
        check = Check(authorization=f"Bearer {valid()}")
        request = check.request()
        decision = authorize(request, policy=SHOP, keys=published(), now=NOW, verified=cache)
        assert isinstance(decision, Allow)
    assert work == {"parse": 1, "verify": 1, "read": 1}
    assert (cache.statistics().hits, cache.statistics().misses) == (4, 1)


def test_without_a_cache_every_token_is_verified(work: Counter[str]) -> None:
    for _ in range(3):
        request = Check(authorization=f"Bearer {valid()}").request()
        authorize(request, policy=SHOP, keys=published(), now=NOW)
    assert work == {"parse": 3, "verify": 3, "read": 3}


@pytest.mark.parametrize(
    ("method", "target", "outcome"),
    [
        ("GET", "/products", "allow"),
        ("POST", "/products", "allow"),
        ("PUT", "/products", "method_not_allowed"),
        ("GET", "/products/archive", "insufficient_scope"),
        ("GET", "/organizations/org-1/members", "wrong_audience"),
        ("GET", "/organizations/org-1/orders", "insufficient_scope"),
        ("GET", "/vip", "allow"),
        ("GET", "/nowhere", "no_route"),
        ("GET", "/products/../vip", "ambiguous_path"),
        ("GET", "/healthz", "allow"),
    ],
)
def test_a_known_token_is_held_against_each_route_anew(
    method: str, target: str, outcome: str
) -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    assert service.outcome(valid(), target, method) == outcome


def test_the_claims_of_a_known_token_are_held_against_each_path_anew() -> None:
    service = Service()
    token = minted(scope="read:orders", organization_id="org-1")
    for organization, outcome in (("org-1", "allow"), ("org-2", "claim_mismatch")) * 2:
        assert service.outcome(token, f"/organizations/{organization}/orders") == outcome
    assert service.counts == (3, 1, 1)


def test_a_token_that_may_not_do_what_it_asks_is_known_all_the_same() -> None:
    service = Service()
    token = minted(scope="write:products")
    assert service.outcome(token) == "insufficient_scope"
    assert service.outcome(token, method="POST") == "allow"
    assert service.counts == (1, 1, 1)


def test_the_trail_of_a_known_token_is_that_of_a_new_one() -> None:
    service = Service()
    service.decide(valid())
    trail = Trail()
    request = Check(authorization=f"Bearer {valid()}").request()
    authorize(request, policy=SHOP, keys=published(), now=NOW, verified=service.cache, trail=trail)
    assert service.counts == (1, 1, 1)
    assert trail.jws == CompactJws.parse(BearerToken(valid()))
    assert trail.issuer is LOGTO
    assert trail.key is published()["logto"].keys[0]
    assert trail.payload is not None
    assert trail.claims is not None
    assert trail.claims.members is trail.payload.members


# Time


@pytest.mark.parametrize("after", [-1, 0, 1, 86400])
def test_the_expiry_of_a_known_token_is_looked_at_each_time(after: int) -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    service.now = EXPIRES + LEEWAY + after
    assert service.outcome(valid()) == ("allow" if after < 0 else "expired")
    assert service.counts == ((1, 1, 1) if after < 0 else (0, 2, 0))


def test_what_has_expired_is_let_go_and_a_clock_that_steps_back_brings_nothing_back() -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    service.now = EXPIRES + LEEWAY
    assert service.outcome(valid()) == "expired"
    assert service.counts == (0, 2, 0)
    service.now = NOW
    assert service.outcome(valid()) == "allow"
    assert service.counts == (0, 3, 1), "verified anew, as without a cache"
    assert service.outcome(valid()) == "allow"
    assert service.counts == (1, 3, 1)


def test_a_token_that_has_expired_is_never_kept() -> None:
    service = Service(now=EXPIRES + LEEWAY)
    for _ in range(3):
        assert service.outcome(valid()) == "expired"
    assert service.counts == (0, 3, 0)


@pytest.mark.parametrize("claim", ["nbf", "iat"])
def test_that_a_token_is_not_yet_valid_is_not_remembered(claim: str) -> None:
    service = Service()
    token = minted(**{claim: NOW + 100})
    starts = NOW + 100 - LEEWAY
    for now, outcome in (
        (NOW, "not_yet_valid"), (starts - 1, "not_yet_valid"), (starts, "allow"),
        (starts - 1, "not_yet_valid"), (NOW, "not_yet_valid"), (starts + 1, "allow"),
    ):  # fmt: skip
        service.now = now
        assert service.outcome(token) == outcome
    assert service.counts == (5, 1, 1)


def test_a_clock_that_steps_back_makes_a_known_token_too_long_lived_or_too_early() -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    service.now = NOW - 60 - LEEWAY - 1
    assert service.outcome(valid()) == "not_yet_valid"
    service.now = EXPIRES - MAX_LIFETIME - LEEWAY - 1
    assert service.outcome(minted(iat=service.now)) == "lifetime_too_long"
    assert service.outcome(minted(iat=MISSING)) == "missing_claim"
    service.now = NOW
    assert service.outcome(valid()) == "allow"


def test_the_leeway_that_counts_is_that_of_the_issuer_as_it_is_now() -> None:
    service = Service(now=EXPIRES + LEEWAY - 1)
    assert service.outcome(valid()) == "allow"
    service.policy = shop_policy(issuer=replace(LOGTO, leeway=0))
    assert service.outcome(valid()) == "expired"


# The issuer


@pytest.mark.parametrize(
    ("changed", "outcome"),
    [
        (replace(LOGTO, algorithms=frozenset({"ES384"})), "algorithm_not_allowed"),
        (replace(LOGTO, token_types=TokenTypes.of("jwt")), "token_type_not_allowed"),
        (replace(LOGTO, required_claims=("sub", "email")), "missing_claim"),
        (replace(LOGTO, marks=AccessTokenMarks(never=("vip",))), "token_type_not_allowed"),
        (replace(LOGTO, marks=AccessTokenMarks(one_of=(("x", "y"),))), "missing_claim"),
        (replace(LOGTO, scope_claims=(ClaimReference.parse("scp"),)), "insufficient_scope"),
        (replace(LOGTO, client_id_claims=(ClaimReference.parse("aud"),)), "allow"),
        (replace(LOGTO, identifiers=("https://elsewhere.example",)), "unknown_issuer"),
        (replace(LOGTO, max_token_lifetime=60), "lifetime_too_long"),
        (replace(LOGTO, name="other"), "keys_unavailable"),
    ],
)
def test_a_changed_issuer_is_the_one_that_counts_also_where_nobody_cleared_the_cache(
    changed: Issuer, outcome: str
) -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    service.policy = shop_policy(issuer=changed)
    for _ in range(2):
        assert service.outcome(valid()) == outcome
    service.policy = SHOP
    assert service.outcome(valid()) == "allow"


def test_what_was_read_by_an_issuer_of_another_policy_is_read_anew() -> None:
    service = Service()
    service.decide(valid())
    service.policy = shop_policy(issuer=replace(LOGTO))
    service.decide(valid())
    assert service.cache.statistics().misses == 2
    service.decide(valid())
    assert service.cache.statistics().misses == 2


def test_a_known_token_is_no_good_at_a_resource_that_does_not_take_its_issuer() -> None:
    requirement = needs(issuers=(PARTNER,))
    policy = policy_of(
        route("/products", {"GET": needs()}), route("/partners", {"GET": requirement})
    )
    service = Service(policy)
    assert service.outcome(valid()) == "allow"
    assert service.outcome(valid(), "/partners") == "unknown_issuer"
    assert service.outcome(valid()) == "allow"
    assert service.counts[1:] == (1, 1)


def test_new_rules_for_headers_count_for_known_tokens() -> None:
    service = Service()
    service.decide(valid())
    rules = ForwardRules(headers=(("x-user", ClaimReference.parse("sub")),))
    service.policy = replace(SHOP, forward=rules)
    decision = service.decide(valid())
    assert isinstance(decision, Allow)
    assert decision.headers.overwrite == (("x-user", "user-1"),)
    assert service.counts == (1, 1, 1)


# The keys


def test_a_token_whose_key_has_gone_is_refused_at_once_and_let_go() -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    service.keys = {"logto": key_set(ANOTHER)}
    deny = service.decide(valid())
    assert isinstance(deny, Deny)
    assert (deny.reason, deny.nudge) == (DenyReason.UNKNOWN_KEY, True)
    assert service.counts == (0, 1, 0)
    service.keys = published()
    assert service.outcome(valid()) == "allow"
    assert service.counts == (0, 2, 1), "the key is back, and the token was verified with it again"


@pytest.mark.parametrize(
    ("keys", "outcome"),
    [
        (dict, "keys_unavailable"),
        (lambda: {"partner": key_set(KEY)}, "keys_unavailable"),
        (lambda: {"logto": key_set(USURPER)}, "bad_signature"),
        (lambda: {"logto": key_set(KEY, USURPER)}, "unknown_key"),
        (lambda: {"logto": key_set(ANOTHER, KEY)}, "allow"),
        (lambda: {"logto": key_set(KEY)}, "allow"),
    ],
    ids=["none", "another issuer's", "same key id", "two of one id", "one more", "the same again"],
)
def test_every_other_key_set_is_another_generation(
    keys: Callable[[], Mapping[str, KeySet]], outcome: str
) -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    service.keys = keys()
    assert service.outcome(valid()) == outcome
    assert service.counts[0] == 0
    assert service.counts[2] == (1 if outcome == "allow" else 0)


def test_a_key_that_may_not_be_used_for_the_algorithm_any_more_takes_its_tokens_along() -> None:
    service = Service()
    assert service.outcome(valid()) == "allow"
    narrowed = parse_jwk_set(jwk_set({**KEY.public, "alg": "EdDSA"}))
    service.keys = {"logto": narrowed}
    assert service.outcome(valid()) == "unknown_key"


def test_the_tokens_of_an_issuer_with_other_keys_go_and_the_others_stay() -> None:
    partner = signing_key(owner="partner")
    service = Service(keys={"logto": key_set(KEY, ANOTHER), "partner": key_set(partner)})
    theirs = {"iss": PARTNER.identifiers[0], "scp": "read:products"}
    tokens = (valid(), minted(jti="2"), mint(key=ANOTHER), mint(theirs, key=partner))
    assert [service.outcome(token) for token in tokens] == ["allow"] * 4
    service.keys = {**service.keys, "logto": key_set(KEY)}
    service.cache.retain(service.keys)
    assert service.counts == (0, 4, 1)
    assert service.outcome(tokens[-1]) == "allow"
    assert service.counts == (1, 4, 1)
    service.cache.retain({})
    assert service.cache.statistics() == CacheStatistics(1, 4, 0, 0, 0)


def test_an_equal_key_set_of_another_fetch_takes_the_tokens_of_the_last_one_along() -> None:
    service = Service()
    service.decide(valid())
    equal = key_set(KEY)
    assert equal == service.keys["logto"]
    service.cache.retain({"logto": equal})
    assert service.counts == (0, 1, 0)


def test_an_entry_of_another_key_than_the_one_that_is_selected_spares_nothing() -> None:
    service = Service(keys={"logto": key_set(KEY, ANOTHER)})
    service.decide(valid())
    known = service.cache.find(BearerToken(valid()), keys=service.keys, now=NOW)
    assert known is not None
    mistaken = replace(known, key=service.keys["logto"].keys[1])
    service.cache.keep(BearerToken(valid()), mistaken, now=NOW)
    assert service.outcome(valid()) == "allow"
    assert service.cache.statistics().misses == 3
    found = service.cache.find(BearerToken(valid()), keys=service.keys, now=NOW)
    assert found is not None
    assert found.key is known.key


def test_a_new_mapping_with_the_same_key_sets_takes_nothing_along() -> None:
    service = Service()
    service.decide(valid())
    service.keys = dict(service.keys)
    service.cache.retain(service.keys)
    service.decide(valid())
    assert service.counts == (1, 1, 1)


def test_a_cleared_cache_knows_nothing() -> None:
    service = Service()
    service.decide(valid())
    service.cache.clear()
    assert service.cache.statistics() == CacheStatistics(0, 1, 0, 0, 0)
    assert service.outcome(valid()) == "allow"
    assert service.counts == (0, 2, 1)


# What gets in


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (lambda: "junk", "malformed_token"),
        (lambda: mint(key=USURPER), "bad_signature"),
        (lambda: mint(key=ANOTHER), "unknown_key"),
        (lambda: mint(header={"alg": "none"}, key=KEY), "algorithm_not_allowed"),
        (lambda: mint(header={"typ": "JWT"}, key=KEY), "token_type_not_allowed"),
        (lambda: minted(iss="https://elsewhere.example"), "unknown_issuer"),
        (lambda: minted(sub=MISSING), "missing_claim"),
        (lambda: minted(exp="never"), "malformed_claim"),
        (lambda: minted(exp=NOW - LEEWAY), "expired"),
        (lambda: minted(filler="x" * 17_000), "token_too_large"),
    ],
)
def test_a_token_that_does_not_verify_or_has_expired_is_not_kept(
    token: Callable[[], str], reason: str
) -> None:
    service, made = Service(), token()
    for _ in range(2):
        assert service.outcome(made) == reason
    assert service.cache.statistics().entries == 0
    assert service.cache.statistics().hits == 0


def test_nothing_but_the_token_to_its_last_character_is_known() -> None:
    service = Service()
    token, other = valid(), minted(sub="mallory")
    (header, payload, signature), (_header, forged, foreign) = token.split("."), other.split(".")
    assert service.outcome(token) == "allow"
    first, *rest = base64url.decode(signature)
    flipped = base64url.encode(bytes([first ^ 1, *rest]))
    for changed in (
        f"{header}.{forged}.{signature}",
        f"{header}.{payload}.{foreign}",
        f"{header}.{payload}.{flipped}",
        f"{header}.{payload}.",
        f"{header}.{payload}",
        token[:-1],
        f"{token}A",
        f"{token}=",
        token.swapcase(),
    ):
        assert service.outcome(changed) in {"bad_signature", "malformed_token"}
    assert service.counts == (0, 1, 1)


def test_the_two_spellings_of_an_ecdsa_signature_are_two_tokens() -> None:
    """Whoever has one can make the other, and no third."""
    order = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551
    key = signing_key("ES256")
    service = Service(keys={"logto": key_set(key)})
    token = mint(key=key)
    signed, _dot, signature = token.rpartition(".")
    r, s = base64url.decode(signature)[:32], base64url.decode(signature)[32:]
    twin = (order - int.from_bytes(s)).to_bytes(32)
    other = f"{signed}.{base64url.encode(r + twin)}"
    assert [service.outcome(each) for each in (token, other, token, other)] == ["allow"] * 4
    assert service.counts == (2, 2, 2)


def test_routes_that_look_at_no_token_do_not_ask_the_cache() -> None:
    service = Service()
    service.decide(valid())
    for _ in range(3):
        assert service.outcome(valid(), "/healthz") == "allow"
    assert service.counts == (0, 1, 1)


# How much


def tokens(count: int, **claims: object) -> list[str]:
    return [minted(**{**claims, "jti": f"token-{number:04}"}) for number in range(count)]


def test_the_least_recently_used_token_makes_room() -> None:
    service = Service(limits=replace(ROOMY, entries=3))
    first, second, third, fourth = tokens(4)
    for token in (first, second, third, first, fourth):
        assert service.outcome(token) == "allow"
    assert service.cache.statistics().evictions == 1
    assert service.counts == (1, 4, 3)
    for token in (first, third, fourth):
        service.decide(token)
    assert service.counts == (4, 4, 3)
    service.decide(second)
    assert service.counts == (4, 5, 3)
    service.decide(first)
    assert service.counts == (4, 6, 3), "now it was the least recently used"


def test_a_large_token_takes_the_place_of_many() -> None:
    one = bytes_of(tokens(1)[0])
    service = Service(limits=TokenCacheLimits(entries=1000, bytes=10 * one))
    for token in tokens(10):
        service.decide(token)
    assert service.cache.statistics() == CacheStatistics(0, 10, 0, 10, 10 * one)
    large = minted(filler="x" * (one * 9 // 2), jti="token-0000")
    service.decide(large)
    statistics = service.cache.statistics()
    assert statistics.bytes <= 10 * one
    assert (statistics.evictions, statistics.entries) == (6, 5)
    service.decide(large)
    assert service.cache.statistics().hits == 1


def bytes_of(token: str) -> int:
    jws = CompactJws.parse(BearerToken(token))
    payload = verify(jws, published()["logto"].keys[0])
    return footprint(jws.header, AccessTokenClaims.parse(payload, LOGTO))


def test_a_token_that_does_not_fit_at_all_drives_nobody_out() -> None:
    one = bytes_of(tokens(1)[0])
    service = Service(limits=TokenCacheLimits(entries=1000, bytes=2 * one))
    service.decide(tokens(1)[0])
    large = minted(filler="x" * 2 * one)
    for _ in range(2):
        assert service.outcome(large) == "allow"
    assert service.counts == (0, 3, 1)
    assert service.cache.statistics().evictions == 0


def test_a_token_that_just_fits_is_kept() -> None:
    token = tokens(1)[0]
    for missing, entries in ((0, 1), (1, 0)):
        service = Service(limits=TokenCacheLimits(entries=1, bytes=bytes_of(token) - missing))
        service.decide(token)
        assert service.counts == (0, 1, entries)


@pytest.mark.parametrize("limits", [TokenCacheLimits(entries=0), TokenCacheLimits(bytes=0)])
def test_a_cache_without_room_keeps_nothing(limits: TokenCacheLimits) -> None:
    service = Service(limits=limits)
    for _ in range(3):
        assert service.outcome(valid()) == "allow"
    assert service.cache.statistics() == CacheStatistics(0, 3, 0, 0, 0)


def test_a_token_that_is_verified_twice_is_one_entry() -> None:
    service, cache = Service(), VerifiedTokens(ROOMY)
    service.decide(valid())
    known = service.cache.find(BearerToken(valid()), keys=service.keys, now=NOW)
    assert isinstance(known, VerifiedToken)
    for _ in range(2):
        cache.keep(BearerToken(valid()), known, now=NOW)
    assert cache.statistics() == CacheStatistics(0, 2, 0, 1, bytes_of(valid()))


# What it gives away


def everything_in(root: object) -> list[object]:
    """Follow every reference from *root*, but not into modules, classes and functions."""
    seen: dict[int, object] = {}
    open_ends = [root]
    while open_ends:
        value = open_ends.pop()
        if id(value) not in seen and not isinstance(value, type) and not callable(value):
            seen[id(value)] = value
            open_ends += gc.get_referents(value)
    return list(seen.values())


def test_the_token_itself_is_not_in_the_cache() -> None:
    service = Service()
    service.decide(valid())
    held = everything_in(service.cache)
    assert VALID_CLAIMS["sub"] in held
    signature = valid().rpartition(".")[2]
    for value in held:
        if isinstance(value, str):
            assert signature not in value
        elif isinstance(value, bytes):
            assert base64url.decode(signature) not in value
            assert signature.encode() not in value


def test_what_is_known_of_a_token_does_not_show_its_claims() -> None:
    service = Service()
    service.decide(valid())
    known = service.cache.find(BearerToken(valid()), keys=service.keys, now=NOW)
    shown = f"{known!r} {service.cache!r} {service.cache.statistics()!r}"
    for secret in (AUDIENCE, "user-1", "org-1", valid()):
        assert secret not in shown
    assert ISSUER in shown, "it is in the policy"
