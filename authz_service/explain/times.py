"""Moments and spans in words: `4 minutes ago (2026-03-01T09:30:00Z)`."""

from __future__ import annotations

from authz_service.policy.why.wording import moment, span


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
