"""Figures of several rounds: their units, and what is said of them."""

from __future__ import annotations

import math
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence


class Unit(Enum):
    """What a figure counts."""

    SECONDS = "s"
    BYTES = "bytes"
    PER_SECOND = "1/s"
    TIMES = "times"
    COUNT = "count"

    def text(self, value: float) -> str:
        """*value* with its unit, as people read it."""
        match self:
            case Unit.SECONDS:
                return _seconds(value)
            case Unit.BYTES:
                return f"{value / 1e6:.1f} MB"
            case Unit.PER_SECOND:
                return f"{value:,.0f}/s"
            case Unit.TIMES:
                return f"{value:.2f}x"
            case Unit.COUNT:
                return f"{value:,.0f}"


def _seconds(value: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if abs(value) >= size:
            return f"{value / size:.3g} {unit}"
    return f"{value * 1e6:.3g} µs"


def spread(values: Sequence[float], unit: Unit) -> str:
    """The median of *values* and, where there are several, between what they lie."""
    middle = unit.text(median(values))
    if len(values) == 1:
        return middle
    return f"{middle} ({unit.text(min(values))} to {unit.text(max(values))})"


def percentile(values: Sequence[float], share: float) -> float:
    """The least of *values* that *share* of them (0 to 1) do not exceed: the nearest rank."""
    # Rounded: 0.999 of 1,000 is a little more than 999 to a float.
    rank = math.ceil(round(share * len(values), 6))
    return sorted(values)[max(rank, 1) - 1]
