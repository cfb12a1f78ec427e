"""When to fetch an issuer's key set next: a pure schedule, told of the time and of what happened.

All times are seconds on one clock that does not go back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final

_FIRST_RETRY: Final = 1.0
_JITTER: Final = 0.1
_SHORTEST_MAX_AGE: Final = 60.0


@dataclass(frozen=True, slots=True)
class RefreshSettings:
    """How an issuer's keys are kept fresh; all in seconds.

    *interval*: from one fetch to the next. *cooldown*: between a fetch and one that a token asks
    for. *timeout*: of one fetch. *max_stale*: how long keys serve after the last good fetch.
    """

    interval: float = 300.0
    cooldown: float = 10.0
    timeout: float = 5.0
    max_stale: float = 86400.0


@dataclass(frozen=True, slots=True)
class RefreshSchedule:
    """What is due when: *next_fetch_at*, and *stale_at*, from which on the keys must not serve."""

    settings: RefreshSettings
    next_fetch_at: float
    last_attempt_at: float | None = None
    stale_at: float | None = None
    failures: int = 0

    @property
    def fetched_at(self) -> float | None:
        """When the last good fetch was."""
        return None if self.stale_at is None else self.stale_at - self.settings.max_stale

    def attempted(self, now: float) -> RefreshSchedule:
        """A fetch starts."""
        return replace(self, last_attempt_at=now)

    def succeeded(self, now: float, *, max_age: float | None, random: float) -> RefreshSchedule:
        """A fetch gave keys, or said that they have not changed; the answer may state *max_age*.

        The next one is due after the interval, or sooner where the issuer says so. An age of zero
        is not taken to the letter: Logto states it always, and would be asked without end.
        *random* is from 0 up to 1 and spreads what many instances do.
        """
        interval = self.settings.interval
        if max_age:
            interval = min(interval, max(max_age, _SHORTEST_MAX_AGE))
        return replace(
            self,
            next_fetch_at=now + _spread(interval, random),
            stale_at=now + self.settings.max_stale,
            failures=0,
        )

    def failed(self, now: float, *, random: float) -> RefreshSchedule:
        """A fetch gave nothing usable: the next one comes after twice the wait, up to the interval.

        When the keys go stale does not change.
        """
        # The exponent is bounded because a float is; two to the sixteenth is most of a day.
        wait = min(self.settings.interval, _FIRST_RETRY * 2.0 ** min(self.failures, 16))
        return replace(self, next_fetch_at=now + _spread(wait, random), failures=self.failures + 1)

    def restored(self, now: float, *, age: float) -> RefreshSchedule:
        """There are keys from a good fetch *age* seconds ago, by this process or another.

        When they go stale is counted from that fetch; when the next one is due does not change.
        """
        return replace(self, stale_at=now - age + self.settings.max_stale)

    def nudged(self, now: float) -> RefreshSchedule:
        """A token names a key that the set lacks: fetch now, or as soon as the cooldown is over.

        However many ask, the fetch comes no earlier than *cooldown* after the last attempt.
        """
        earliest = now
        if self.last_attempt_at is not None:
            earliest = max(now, self.last_attempt_at + self.settings.cooldown)
        return replace(self, next_fetch_at=min(self.next_fetch_at, earliest))

    def is_stale(self, now: float) -> bool:
        """Whether the last good fetch is so long ago that its keys must not serve any more."""
        return self.stale_at is not None and self.stale_at <= now


def _spread(seconds: float, random: float) -> float:
    """*seconds*, or up to a tenth less."""
    return seconds * (1.0 - _JITTER * random)
