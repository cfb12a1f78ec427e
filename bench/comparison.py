"""Something measured beside its reference, in turns, and the table of what came out."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

_HEADING: Final = ("measured", "figure", "reference", "target", "met")


@dataclass(frozen=True, slots=True)
class Limit:
    """Less than *seconds*, or less than *times* the reference."""

    seconds: float | None = None
    times: float | None = None

    def __str__(self) -> str:
        return (
            f"< {self.times:g} times reference" if self.times else f"< {_time(self.seconds or 0)}"
        )

    def of(self, reference: float) -> float:
        """The limit in seconds, where the reference takes *reference* seconds."""
        return self.times * reference if self.times else self.seconds or 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """The seconds of each round. Medians are what counts."""

    measured: str
    figures: Sequence[float]
    reference: str
    references: Sequence[float]
    limit: Limit

    @property
    def is_met(self) -> bool:
        """Whether the figure is below its limit."""
        return median(self.figures) < self.limit.of(median(self.references))

    @property
    def cells(self) -> tuple[str, ...]:
        """The row of the table."""
        return (
            self.measured,
            spread(self.figures),
            f"{self.reference}: {spread(self.references)}",
            str(self.limit),
            "yes" if self.is_met else "NO",
        )


def in_turns(
    measured: Callable[[], float], reference: Callable[[], float], rounds: int
) -> tuple[list[float], list[float]]:
    """Measure both in each of *rounds*, in either order by turns, after one round to warm up."""
    pairs = []
    for number in range(rounds + 1):
        if number % 2:
            before = reference()
            pairs.append((measured(), before))
        else:
            pairs.append((measured(), reference()))
    figures, references = zip(*pairs[1:], strict=True)
    return list(figures), list(references)


def table(comparisons: Iterable[Comparison]) -> str:
    """Lay out *comparisons* in columns, under a heading."""
    rows = [_HEADING, *(each.cells for each in comparisons)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def spread(seconds: Sequence[float]) -> str:
    """The median, and between what the others lie."""
    return f"{_time(median(seconds))} ({_time(min(seconds))} to {_time(max(seconds))})"


def _time(seconds: float) -> str:
    for unit, size in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= size:
            return f"{seconds / size:.3g} {unit}"
    return f"{seconds * 1e6:.3g} µs"
