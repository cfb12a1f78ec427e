"""What follows from a token and something else is worked out once, and goes with the token."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Final

from authz_service.core.bearer import BearerToken
from authz_service.core.claims import AccessTokenClaims
from authz_service.core.footprint import HELD
from authz_service.core.jws import CompactJws, verify
from authz_service.core.verified import Prepared, TokenCacheLimits, VerifiedToken, VerifiedTokens
from tests.support.keys import key_set, signing_key
from tests.support.policies import LOGTO
from tests.support.tokens import NOW, mint

KEY: Final = signing_key("Ed25519")
KEYS: Final = {"logto": key_set(KEY)}
SIZE: Final = 1000
ROOMY: Final = TokenCacheLimits(entries=1000, bytes=10**7)


@dataclass
class Basis:
    """Something that can be told apart from its equals."""

    text: str = "basis"


@dataclass
class Workshop:
    """Works out a text of a token and a basis, and counts how often."""

    limits: TokenCacheLimits = ROOMY
    cache: VerifiedTokens = field(init=False)
    made: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self.cache = VerifiedTokens(self.limits)
        self.prepared = Prepared(self._make, lambda _text: SIZE)

    def _make(self, token: VerifiedToken, basis: Basis) -> str:
        self.made[basis.text] += 1
        return f"{token.claims.subject} {basis.text}"

    def remember(self, subject: str = "alice") -> VerifiedToken:
        """Have the cache know a token, without it having come a second time."""
        token = _token(subject)
        jws = CompactJws.parse(token)
        (key,) = KEYS["logto"].keys
        payload = verify(jws, key)
        claims = AccessTokenClaims.parse(payload, LOGTO)
        known = VerifiedToken(LOGTO, KEYS["logto"], key, jws.header, payload, claims)
        self.cache.keep(token, known, now=NOW)
        return known

    def meet(self, subject: str = "alice") -> VerifiedToken | None:
        return self.cache.find(_token(subject), keys=KEYS, now=NOW)

    @property
    def bytes(self) -> int:
        return self.cache.statistics().bytes


def _token(subject: str) -> BearerToken:
    return BearerToken(mint({"sub": subject}, key=KEY))


def test_it_is_worked_out_once_for_a_token_that_comes_again() -> None:
    workshop, basis = Workshop(), Basis()
    known = workshop.remember()
    before = workshop.bytes
    assert workshop.meet() is known
    for _ in range(3):
        assert workshop.prepared.of(known, basis) == "alice basis"
    assert workshop.made == {"basis": 1}
    assert workshop.bytes == known.bytes == before + HELD + SIZE


def test_nothing_is_held_for_a_token_that_has_come_once() -> None:
    workshop, basis = Workshop(), Basis()
    known = workshop.remember()
    before = workshop.bytes
    for _ in range(2):
        assert workshop.prepared.of(known, basis) == "alice basis"
    assert workshop.made == {"basis": 2}
    assert workshop.bytes == before


def test_another_basis_takes_the_place_of_the_last_one_also_where_it_is_equal() -> None:
    workshop = Workshop()
    known = workshop.remember()
    workshop.meet()
    before = workshop.bytes
    for basis in (Basis(), Basis(), Basis("other")):
        workshop.prepared.of(known, basis)
    assert workshop.made == {"basis": 2, "other": 1}
    assert workshop.prepared.of(known, Basis("last")) == "alice last"
    assert workshop.bytes == before + HELD + SIZE


def test_two_that_prepare_something_do_not_disturb_each_other() -> None:
    workshop, basis = Workshop(), Basis()
    another: Prepared[Basis, object] = Prepared(
        lambda token, basis: (token, basis), lambda _pair: SIZE
    )
    known = workshop.remember()
    workshop.meet()
    before = workshop.bytes
    for _ in range(2):
        assert workshop.prepared.of(known, basis) == "alice basis"
        assert another.of(known, basis) == (known, basis)
    assert workshop.made == {"basis": 1}
    assert workshop.bytes == before + 2 * (HELD + SIZE)


def test_two_tokens_do_not_share_it() -> None:
    workshop, basis = Workshop(), Basis()
    for subject in ("alice", "bob"):
        known = workshop.remember(subject)
        workshop.meet(subject)
        assert workshop.prepared.of(known, basis) == f"{subject} basis"


def test_it_goes_with_the_token() -> None:
    workshop, basis = Workshop(), Basis()
    known = workshop.remember()
    workshop.meet()
    workshop.prepared.of(known, basis)
    workshop.cache.retain({})
    assert workshop.cache.statistics().entries == workshop.bytes == known.bytes == 0
    workshop.prepared.of(known, basis)
    assert workshop.made == {"basis": 2}
    assert workshop.bytes == 0, "nor does it come back"


def test_what_is_held_drives_out_the_least_recently_used() -> None:
    one = Workshop()
    one.remember("a" * 8)
    workshop = Workshop(TokenCacheLimits(entries=1000, bytes=3 * one.bytes + HELD + SIZE - 1))
    for subject in ("a" * 8, "b" * 8, "c" * 8):
        workshop.remember(subject)
    known = workshop.meet("c" * 8)
    assert known is not None
    workshop.prepared.of(known, Basis())
    statistics = workshop.cache.statistics()
    assert (statistics.entries, statistics.evictions) == (2, 1)
    assert workshop.meet("a" * 8) is None
    assert statistics.bytes <= workshop.limits.bytes


def test_what_would_not_fit_is_not_held_and_drives_nobody_out() -> None:
    one = Workshop()
    one.remember()
    workshop = Workshop(TokenCacheLimits(entries=1000, bytes=one.bytes + HELD + SIZE - 1))
    known = workshop.remember()
    workshop.meet()
    assert workshop.prepared.of(known, Basis()) == "alice basis"
    assert workshop.cache.statistics().entries == 1
    assert workshop.bytes == one.bytes
