"""What others keep and the metrics only read, at each scrape and at no other time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from collections.abc import Set as AbstractSet


class Counts(Protocol):
    """How often each of a closed set of things has happened."""

    def items(self) -> AbstractSet[tuple[str, int]]:
        """Each thing with its count."""


class KeySetStatus(Protocol):
    """One issuer's key set at the moment."""

    @property
    def issuer(self) -> str:
        """Its name in the policy."""

    @property
    def required(self) -> bool:
        """Whether readiness waits for its keys."""

    @property
    def keys(self) -> int:
        """How many there are to verify with."""

    @property
    def dropped(self) -> int:
        """How many its last good answer had beside them that cannot be used."""

    @property
    def age(self) -> float | None:
        """Seconds since the last good fetch; None without keys, and for keys from a file."""

    @property
    def stale_in(self) -> float | None:
        """Seconds until the keys are withdrawn; None without keys, and for keys from a file."""

    @property
    def fetches(self) -> Counts:
        """Fetches that have ended, by result."""

    @property
    def nudges(self) -> int:
        """Checks that asked for a fresher key set."""


class CacheStatistics(Protocol):
    """What the cache of verified tokens holds, and how often it was of use."""

    @property
    def hits(self) -> int:
        """Tokens that were there."""

    @property
    def misses(self) -> int:
        """Tokens that were looked for and were not."""

    @property
    def evictions(self) -> int:
        """Tokens that made room for others."""

    @property
    def entries(self) -> int:
        """Tokens that are there now."""

    @property
    def bytes(self) -> int:
        """What they take, about."""


@dataclass(frozen=True, slots=True)
class Sources:
    """Whom to ask for what. Of a source that is None, there are no series."""

    ready: Callable[[], bool] | None = None
    warnings: Callable[[], int] | None = None
    policy_hash: Callable[[], str] | None = None
    key_sets: Callable[[], Iterable[KeySetStatus]] | None = None
    token_cache: Callable[[], CacheStatistics] | None = None
    in_flight: Callable[[], int] | None = None
    abandoned: Callable[[], int] | None = None
    log_events_lost: Callable[[], int] | None = None
    certificate_validity: Callable[[], tuple[float, float]] | None = None
