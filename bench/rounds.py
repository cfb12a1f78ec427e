"""Measurements that take turns, so that what else the machine does meets all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

T = TypeVar("T")


def in_turns(measurements: Sequence[Callable[[], T]], rounds: int) -> list[tuple[T, ...]]:
    """What each of *measurements* gave in each of *rounds*.

    Every second round goes from the last to the first.
    """
    results = []
    for number in range(rounds):
        order = range(len(measurements))
        taken = {n: measurements[n]() for n in (reversed(order) if number % 2 else order)}
        results.append(tuple(taken[n] for n in order))
    return results


def warmed_up(measurements: Sequence[Callable[[], T]], rounds: int) -> list[tuple[T, ...]]:
    """The same, after a round that does not count."""
    return in_turns(measurements, rounds + 1)[1:]
