"""The moment to judge at, as it is asked for: a time, or how far from now."""

from __future__ import annotations

import datetime as dt
import re
from typing import Final

from authz_service.policy.duration import parse_duration

_RELATIVE: Final = re.compile(r"(?P<sign>[+-])(?P<duration>[0-9.]+[a-z]+)", re.ASCII)
_RFC_3339: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt ][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?"
    r"(?:[Zz]|[+-][0-9]{2}:[0-9]{2})",
    re.ASCII,
)
_FORMS: Final = "write a time such as 2026-03-01T09:30:00Z, or a distance from now: -5m, +2h"


def parse_at(text: str, now: float) -> float:
    """Read *text* as seconds since the epoch. Raises ValueError."""
    if relative := _RELATIVE.fullmatch(text):
        distance = parse_duration(relative["duration"])
        return now + distance if relative["sign"] == "+" else now - distance
    if not _RFC_3339.fullmatch(text):
        raise ValueError(_FORMS)
    try:
        return dt.datetime.fromisoformat(text.upper()).timestamp()
    except (ValueError, OverflowError):
        raise ValueError(_FORMS) from None
