"""Moments and spans in words: `4 minutes ago (2026-03-01T09:30:00Z)`."""

from __future__ import annotations

from typing import Final

from authz_service.policy.why.wording import moment

_UNITS: Final = (
    ("year", 365 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)
_MOST_YEARS: Final = 10_000


def span(seconds: float) -> str:
    """A length of time, rounded down, in the largest unit that there are two of."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            count = min(int(seconds // length), _MOST_YEARS)
            return f"{count} {unit}s" if count < _MOST_YEARS else f"over {_MOST_YEARS} years"
    return "1 second" if seconds >= 1 else "less than a second"


def relative(numeric_date: float, now: float) -> str:
    """`4 minutes ago` or `in 12 minutes`."""
    if numeric_date == now:
        return "now"
    distance = span(abs(numeric_date - now))
    return f"{distance} ago" if numeric_date < now else f"in {distance}"


def expiry(expires_at: float, now: float) -> str:
    """`expired 4 minutes ago (…)` or `expires in 12 minutes (…)`; at the time itself it has."""
    verb = "expired" if expires_at <= now else "expires"
    return f"{verb} {relative(expires_at, now)} ({moment(expires_at)})"
