"""How one issuer's keys are: for metrics, and for `/readyz`."""

from __future__ import annotations

from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Mapping

FetchResult = Literal["changed", "unchanged", "failed"]

NO_FETCHES: Final[Mapping[FetchResult, int]] = MappingProxyType(
    {"changed": 0, "unchanged": 0, "failed": 0}
)


@dataclass(frozen=True, slots=True)
class KeySetStatus:
    """The keys of *issuer*, by its name in the policy, at one moment. All times are in seconds.

    *keys* serve and *dropped* ones of the same set cannot. *age* is the time since the last good
    fetch and *stale_in* the time until the keys are withdrawn: None without keys and for a static
    set. *fetches* are counted from the start, and *nudges*, which are asks for an unknown key id.
    *problem* is why the last fetch failed, in words that hold nothing a server chose; None where it
    did not. *without_keys_for* is None with keys, *next_fetch_in* for a static set.
    """

    issuer: str
    required: bool
    keys: int
    dropped: int
    age: float | None
    stale_in: float | None
    fetches: Mapping[FetchResult, int]
    nudges: int
    problem: str | None
    without_keys_for: float | None = None
    next_fetch_in: float | None = None
