"""Tokens that verified, remembered, so that the same token need not be verified again.

What is remembered is verification, never authorization: that this token, to the last character of
its signature, was made with this key of this issuer, and what its claims are. Whether it may be
used is decided anew each time, by the policy, the keys and the time of the moment. So a decision
is the same with and without; docs/adr/0008-verification-is-remembered.md says why.

The tokens themselves are not kept: nobody who reads the memory finds one here to send.
Not for several threads: it belongs to the event loop whose decisions use it, and has no lock.
Among threads it could miscount, or fail, which is a refusal. What an entry says of its token never
changes, so that it could not take one token for another.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar, cast

from authz_service.core import base64url
from authz_service.core.footprint import HELD, footprint
from authz_service.core.jws import CompactJws

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.bearer import BearerToken
    from authz_service.core.claims import AccessTokenClaims
    from authz_service.core.jwks import KeySet, VerificationKey
    from authz_service.core.jws import ProtectedHeader, VerifiedPayload
    from authz_service.core.policy import Issuer


@dataclass(slots=True, eq=False)
class VerifiedToken:
    """What a token turned out to be, and by which *issuer*, *key_set* and *key* it did.

    These three are compared as objects, not as values: a reload makes every issuer anew, and a
    fetch that finds other keys makes another key set, which is another generation of the keys.
    Nothing here changes but what is held for others, which follows from the rest; see `Prepared`.
    """

    issuer: Issuer
    key_set: KeySet
    key: VerificationKey
    header: ProtectedHeader
    payload: VerifiedPayload = field(repr=False)
    claims: AccessTokenClaims = field(repr=False)
    _cache: VerifiedTokens | None = field(default=None, init=False, repr=False)
    _bytes: int = field(default=0, init=False, repr=False)
    held: dict[object, _Held] = field(default_factory=dict, init=False, repr=False)
    """What others have left here with `hold`, by who they are. To be read only."""

    def jws_of(self, token: BearerToken) -> CompactJws:
        """What `CompactJws.parse` gives for *token*, which is the one that this was made of."""
        signing_input, _dot, signature = token.value.rpartition(".")
        return CompactJws(
            self.header,
            self.payload.members,
            signing_input.encode("ascii"),
            base64url.decode(signature),
        )

    def is_expired(self, now: float) -> bool:
        """Whether the token is of no use any more; `now` is in seconds since the epoch."""
        return self.claims.expires_at + self.issuer.leeway <= now

    @property
    def bytes(self) -> int:
        """What it takes where it is remembered, about, with all that is held here."""
        return self._bytes

    def hold(self, owner: object, held: _Held) -> None:
        """Keep *held* in the place of what *owner* had here, for as long as this is remembered.

        Only where the token has come a second time: many never do.
        """
        if self._cache is None:
            return
        before = self.held.get(owner)
        more = held.bytes - (before.bytes if before is not None else 0)
        if self._bytes + more > self._cache.limits.bytes:
            return
        self.held[owner] = held
        self._bytes += more
        self._cache.grow(more)

    def enter(self, size: int) -> None:
        """Be remembered, as something that takes *size* bytes."""
        self._bytes = size

    def meet(self, cache: VerifiedTokens) -> None:
        """Be found in *cache*."""
        self._cache = cache

    def leave(self) -> int:
        """Be forgotten, with all that is held here, and give the bytes that it took."""
        self._cache = None
        self.held.clear()
        size, self._bytes = self._bytes, 0
        return size


BasisT = TypeVar("BasisT")
ValueT = TypeVar("ValueT")


@dataclass(frozen=True, slots=True)
class _Held:
    basis: object
    value: object
    bytes: int


class Prepared(Generic[BasisT, ValueT]):
    """Something that follows from a verified token and one other thing, its basis.

    It is worked out once, for as long as the token is remembered and comes with the same object for
    a basis. It goes with the token, and counts as part of what the token takes.
    """

    def __init__(
        self, make: Callable[[VerifiedToken, BasisT], ValueT], size: Callable[[ValueT], int]
    ) -> None:
        """*make* looks at nothing else. *size* gives the bytes that a value takes."""
        self._make = make
        self._size = size

    def of(self, token: VerifiedToken, basis: BasisT) -> ValueT:
        """Give what follows from *token* and *basis*. Raises what the making of it raises."""
        held = token.held.get(self)
        if held is not None and held.basis is basis:
            return cast("ValueT", held.value)
        value = self._make(token, basis)
        token.hold(self, _Held(basis, value, HELD + self._size(value)))
        return value


@dataclass(frozen=True, slots=True)
class TokenCacheLimits:
    """How many tokens are remembered at the most, and how many bytes they may take. 0 is none."""

    entries: int = 2048
    bytes: int = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class CacheStatistics:
    """What a cache has done since the start, and what it holds now.

    *hits* and *misses* count the tokens that were known, and those that verified and were not; a
    token that does not verify is neither. *evictions* made room: entries that expired or whose
    keys have gone are not among them. *bytes* is an upper estimate; see `core.footprint`.
    """

    hits: int
    misses: int
    evictions: int
    entries: int
    bytes: int


class VerifiedTokens:
    """The tokens that verified, by the SHA-256 of each; the least recently used goes first."""

    def __init__(self, limits: TokenCacheLimits) -> None:
        """Know no token, and never more than *limits* allow."""
        self.limits: Final = limits
        self._entries: OrderedDict[bytes, VerifiedToken] = OrderedDict()
        self._bytes = 0
        self._longest = 0
        self._hits = 0
        self._misses = 0
        self._evictions = 0

    def find(
        self, token: BearerToken, *, keys: Mapping[str, KeySet], now: float
    ) -> VerifiedToken | None:
        """What is known of *token*, as long as it has not expired and its key set is in *keys*.

        An entry that is of no use any more is let go, and stays so wherever the clock goes next.
        """
        if len(token.value) > self._longest:  # what cannot be here is not worth its hash
            return None
        digest = _digest(token)
        known = self._entries.get(digest)
        if known is None:
            return None
        if keys.get(known.issuer.name) is not known.key_set or known.is_expired(now):
            self._drop(digest)
            return None
        self._entries.move_to_end(digest)
        self._hits += 1
        known.meet(self)
        return known

    def keep(self, token: BearerToken, verified: VerifiedToken, *, now: float) -> None:
        """Remember that *token* is *verified*, unless it is of no use already or does not fit."""
        self._misses += 1
        if self.limits.entries <= 0 or verified.is_expired(now):
            return
        size = footprint(verified.header, verified.claims)
        if size > self.limits.bytes:  # it would drive out all the others, and then itself
            return
        digest = _digest(token)
        self._drop(digest)
        self._entries[digest] = verified
        self._longest = max(self._longest, len(token.value))
        verified.enter(size)
        self.grow(size)

    def grow(self, more: int) -> None:
        """Note that an entry takes *more* bytes, and let go of others where that is too much."""
        self._bytes += more
        while len(self._entries) > self.limits.entries or self._bytes > self.limits.bytes:
            self._drop(next(iter(self._entries)))
            self._evictions += 1

    def retain(self, keys: Mapping[str, KeySet]) -> None:
        """Let go of every token whose key set is not in *keys* any more."""
        gone = [
            digest
            for digest, known in self._entries.items()
            if keys.get(known.issuer.name) is not known.key_set
        ]
        for digest in gone:
            self._drop(digest)

    def clear(self) -> None:
        """Let go of every token: the issuers are others from now on."""
        for digest in list(self._entries):
            self._drop(digest)
        self._longest = 0

    def statistics(self) -> CacheStatistics:
        """What has been counted up to now."""
        return CacheStatistics(
            self._hits, self._misses, self._evictions, len(self._entries), self._bytes
        )

    def _drop(self, digest: bytes) -> None:
        known = self._entries.pop(digest, None)
        if known is not None:
            self._bytes -= known.leave()


def _digest(token: BearerToken) -> bytes:
    """SHA-256 of the whole token: the payload alone says nothing of who signed it."""
    return hashlib.sha256(token.value.encode("utf-8")).digest()
