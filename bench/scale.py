"""How much is measured."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from bench.rounds import in_turns, warmed_up

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Scale:
    """A whole run, or a *quick* one that shows that all of it works. *directory* is to write in."""

    directory: Path
    quick: bool = False

    def pick(self, whole: T, quick: T) -> T:
        """One of the two."""
        return quick if self.quick else whole

    def turns(
        self, measurements: Sequence[Callable[[], T]], rounds: int, *, quick: int = 1
    ) -> list[tuple[T, ...]]:
        """What each of *measurements* gave in each of *rounds*, or of *quick* without a warm-up."""
        if self.quick:
            return in_turns(measurements, quick)
        return warmed_up(measurements, rounds)
