"""Checks with tokens that are new: each is verified, and none is known."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from bench.comparison import CPU, Addition, Plan, Side, compare
from bench.minting import ALGORITHMS, primitive_seconds
from bench.processes import BenchError
from bench.rows import plus
from bench.shop import Kind, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.loads import Checks
    from bench.minting import Issuer
    from bench.rows import Row
    from bench.scale import Scale
    from bench.shop import Shop

_TARGETS: Final = {CPU: plus(45e-6)}
_RATE: Final = 500  # a second: with ES384, 1,000 would be more than one core
_HITS: Final = "authz_token_cache_hits_total"


def rows(scale: Scale) -> Iterator[Row]:
    """Each algorithm, beside a server that decides nothing and the library's verification."""
    with shop(scale, *ALGORITHMS) as running:
        for issuer in running.issuers:
            yield from _of(issuer, running, Plan.of(scale, rounds=5, rate=_RATE, at_once=1000))
        if hits := running.service.counter(_HITS):
            raise BenchError(f"{hits:.0f} tokens were not new")


def _of(issuer: Issuer, running: Shop, plan: Plan) -> Iterator[Row]:
    tokens = issuer.tokens(200)
    same = Kind.ALLOWED.checks(issuer, 200)
    yield from compare(
        f"cold, {issuer.alg}",
        Side(running.service, partial(_new, issuer, plan)),
        Side(running.noop, lambda: same),
        plan,
        targets=_TARGETS,
        addition=Addition(f"{issuer.alg} verify", partial(primitive_seconds, issuer, tokens)),
    )


def _new(issuer: Issuer, plan: Plan) -> Checks:
    """As many as the larger of the two loads needs."""
    return Kind.ALLOWED.checks(issuer, max(plan.paced, plan.at_once))
