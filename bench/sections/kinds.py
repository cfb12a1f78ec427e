"""Checks that need no token, or have none that is good."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bench.comparison import Plan, Side, compare
from bench.shop import Kind, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.loads import Checks
    from bench.rows import Row
    from bench.scale import Scale
    from bench.shop import Shop


def rows(scale: Scale) -> Iterator[Row]:
    """Each kind, beside a server that decides nothing."""
    with shop(scale, "RS256") as running:
        for kind in Kind:
            if kind is not Kind.ALLOWED:
                checks = kind.checks(running.issuers[0], scale.pick(500, 50))
                yield from _of(kind, running, checks, Plan.of(scale, rounds=5))


def _of(kind: Kind, running: Shop, checks: Checks, plan: Plan) -> Iterator[Row]:
    ours, reference = (Side(server, lambda: checks) for server in (running.service, running.noop))
    yield from compare(kind.value, ours, reference, plan)
