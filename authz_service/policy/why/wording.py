"""Values and lists of them as part of a sentence for the operator's terminal.

What came with a request is the client's choice: it is made printable and cut.
"""

from __future__ import annotations

import datetime as dt
import json
from typing import TYPE_CHECKING, Final

from authz_service.policy.problems import printable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

_MAX_CHARACTERS: Final = 200
_UNITS: Final = (
    ("year", 365 * 86400),
    ("day", 86400),
    ("hour", 3600),
    ("minute", 60),
    ("second", 1),
)
_MOST_YEARS: Final = 10_000


def cut(text: str) -> str:
    """*text* on one line that a terminal can show, and not too much of it."""
    text = printable(text[: _MAX_CHARACTERS + 1])
    return text if len(text) <= _MAX_CHARACTERS else f"{text[:_MAX_CHARACTERS]}…"


def literal(value: object) -> str:
    """A JSON value as JSON has it, where its type matters."""
    return cut(json.dumps(value, ensure_ascii=False))


def shown(value: object) -> str:
    """A JSON value: a string of one word as it is, everything else as JSON has it."""
    return cut(value) if isinstance(value, str) and value and " " not in value else literal(value)


def listed(
    values: Iterable[object],
    conjunction: str = "and",
    *,
    nothing: str = "none",
    form: Callable[[object], str] = shown,
) -> str:
    """`a, b and c`."""
    *most, last = [form(value) for value in values] or [nothing]
    return cut(f"{', '.join(most)} {conjunction} {last}" if most else last)


def span(seconds: float) -> str:
    """A length of time, rounded down, in the largest unit that there are two of: `4 minutes`."""
    for unit, length in _UNITS:
        if seconds >= 2 * length:
            count = min(int(seconds // length), _MOST_YEARS)
            return f"{count} {unit}s" if count < _MOST_YEARS else f"over {_MOST_YEARS} years"
    return "1 second" if seconds >= 1 else "less than a second"


def moment(numeric_date: float) -> str:
    """A NumericDate as RFC 3339 has it, where the calendar goes that far."""
    try:
        return dt.datetime.fromtimestamp(numeric_date, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    except (OverflowError, OSError, ValueError):
        return str(numeric_date)
