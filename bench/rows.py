"""One line of the table: what was measured, beside what, and whether that is good enough."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from statistics import median
from typing import TYPE_CHECKING

from bench.figures import Unit, spread

if TYPE_CHECKING:
    from collections.abc import Sequence


class Of(Enum):
    """What a target is about: the figure by itself, or against its reference."""

    FIGURE = "figure"
    RATIO = "ratio"
    DIFFERENCE = "difference"


@dataclass(frozen=True, slots=True)
class Target:
    """The median may be *limit* at the most: in the figure's unit, or a ratio."""

    limit: float
    of: Of = Of.FIGURE

    def text(self, unit: Unit) -> str:
        """The target of a figure that is in *unit*."""
        match self.of:
            case Of.FIGURE:
                return f"≤ {unit.text(self.limit)}"
            case Of.RATIO:
                return f"≤ {self.limit:g}x reference"
            case Of.DIFFERENCE:
                return f"≤ reference + {unit.text(self.limit)}"


def at_most(limit: float) -> Target:
    """The figure itself is at most *limit*."""
    return Target(limit)


def times(limit: float) -> Target:
    """The figure is at most *limit* times its reference."""
    return Target(limit, Of.RATIO)


def plus(limit: float) -> Target:
    """The figure is at most *limit* above its reference."""
    return Target(limit, Of.DIFFERENCE)


@dataclass(frozen=True, slots=True)
class Reference:
    """What the figures of a row are beside: one of its own for each of their rounds."""

    name: str
    figures: Sequence[float]


@dataclass(frozen=True, slots=True)
class Row:
    """The figures of each round.

    A ratio and a difference are those of a round, whose two figures are neighbours in time; their
    median is what counts. Medians of either side first would hold one minute against another.
    """

    measured: str
    figures: Sequence[float]
    reference: Reference | None = None
    target: Target | None = None
    unit: Unit = Unit.SECONDS

    def __post_init__(self) -> None:
        """Refuse what nothing could be said of."""
        if not self.figures:
            raise ValueError(f"{self.measured}: nothing was measured")
        if self.reference and len(self.reference.figures) != len(self.figures):
            raise ValueError(f"{self.measured}: not every round has its reference")
        if self.target and self.target.of is not Of.FIGURE and self.reference is None:
            raise ValueError(f"{self.measured}: the target needs a reference")

    @property
    def ratios(self) -> list[float]:
        """How many times its reference the figure of each round is."""
        return [figure / reference for figure, reference in self._pairs()]

    @property
    def differences(self) -> list[float]:
        """How much above its reference the figure of each round is."""
        return [figure - reference for figure, reference in self._pairs()]

    @property
    def judged(self) -> Sequence[float]:
        """What the target is about, of each round."""
        if self.target is None or self.target.of is Of.FIGURE:
            return self.figures
        return self.ratios if self.target.of is Of.RATIO else self.differences

    @property
    def is_met(self) -> bool | None:
        """Whether the target is met, None where there is none."""
        return None if self.target is None else median(self.judged) <= self.target.limit

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        return (
            self.measured,
            spread(self.figures, self.unit) + self._against_reference(),
            f"{self.reference.name}: {spread(self.reference.figures, self.unit)}"
            if self.reference
            else "-",
            self.target.text(self.unit) if self.target else "-",
            {None: "-", True: "yes", False: "NO"}[self.is_met],
        )

    def _against_reference(self) -> str:
        if self.reference is None:
            return ""
        if self.target is not None and self.target.of is Of.DIFFERENCE:
            return f"; + {spread(self.differences, self.unit)}"
        return f"; {spread(self.ratios, Unit.TIMES)}" if all(self.reference.figures) else ""

    def _pairs(self) -> zip[tuple[float, float]]:
        figures = self.reference.figures if self.reference else ()
        return zip(self.figures, figures, strict=True)


@dataclass(frozen=True, slots=True)
class Failure:
    """A section that did not come to its end; no target of it is met."""

    measured: str
    why: str

    @property
    def is_met(self) -> bool:
        """It is not."""
        return False

    @property
    def cells(self) -> tuple[str, ...]:
        """The line of the table."""
        return (self.measured, f"failed: {self.why.splitlines()[0]}", "-", "-", "NO")
