"""Durations as the policy spells them: a number and a unit."""

from __future__ import annotations

import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

_SECONDS: Final[Mapping[str, float]] = MappingProxyType(
    {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
)
_DURATION: Final = re.compile(
    r"(?P<number>[0-9]{1,9}(?:\.[0-9]{1,9})?)(?P<unit>ms|s|m|h|d)", re.ASCII
)


def parse_duration(text: str) -> float:
    """Read `500ms`, `10s`, `5m`, `24h`, `1d` as seconds. Raises ValueError for anything else."""
    if match := _DURATION.fullmatch(text):
        return float(match["number"]) * _SECONDS[match["unit"]]
    message = "write a number and a unit: 500ms, 10s, 5m, 24h, 1d"
    raise ValueError(message)


def spell_duration(seconds: float) -> str:
    """Write *seconds* as a policy has them, in the largest unit that makes a whole number of them.

    Raises ValueError for what is no whole number of milliseconds.
    """
    milliseconds = round(seconds * 1000)
    if milliseconds / 1000 != seconds:
        message = "not a whole number of milliseconds"
        raise ValueError(message)
    lengths = {unit: round(length * 1000) for unit, length in _SECONDS.items()}
    length, unit = max(
        (length, unit) for unit, length in lengths.items() if milliseconds % length == 0
    )
    return f"{milliseconds // length}{unit}"
