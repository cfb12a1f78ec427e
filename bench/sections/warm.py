"""Checks with tokens that were seen before: what a service does all day."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bench.comparison import CPU, P99, Plan, Side, compare
from bench.rows import times
from bench.shop import Kind, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.rows import Row
    from bench.scale import Scale

_TARGETS: Final = {CPU: times(1.15), P99: times(1.2)}


def rows(scale: Scale) -> Iterator[Row]:
    """The same tokens again and again, beside a server that decides nothing."""
    tokens = scale.pick(1000, 100)
    with shop(scale, "RS256") as running:
        checks = Kind.ALLOWED.checks(running.issuers[0], tokens)
        yield from compare(
            f"warm, {tokens:,} tokens, RS256",
            Side(running.service, lambda: checks),
            Side(running.noop, lambda: checks),
            Plan.of(scale, rounds=9),
            targets=_TARGETS,
        )
