"""Checks under policies with many routes, hosts and issuers, beside one with few."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bench.check_requests import check
from bench.comparison import CPU, Plan, Side, compare
from bench.loads import ALLOW, Checks
from bench.minting import KeyServer
from bench.policies import host_name, path, policy
from bench.processes import service
from bench.rows import times

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from bench.minting import Issuer
    from bench.rows import Row, Target
    from bench.scale import Scale

_STRIDE: Final = 7919  # a prime, so that Checks are spread over all routes


@dataclass(frozen=True, slots=True)
class Size:
    """So many *routes* at each of *hosts*, for the tokens of *issuers*."""

    name: str
    routes: int = 10
    hosts: int = 1
    issuers: int = 1
    target: Target | None = None


_SMALLEST: Final = Size("10 routes")
_SIZES: Final = (
    Size("1,000 routes", routes=1000),
    Size("10,000 routes", routes=10_000, target=times(1.1)),
    Size("100 hosts", hosts=100),
    Size("50 issuers", issuers=50),
)


def rows(scale: Scale) -> Iterator[Row]:
    """Each size, beside the smallest: tokens that were seen before, spread over all that there is.

    All services run all the time, so that turns can be taken.
    """
    with contextlib.ExitStack() as stack:
        keys = stack.enter_context(KeyServer())
        issuers = [keys.issuer(f"issuer-{n}", "ES256") for n in range(50)]
        sizes = scale.pick(_SIZES, _SIZES[1:])
        sides = {
            size: stack.enter_context(_side(size, issuers, scale)) for size in (_SMALLEST, *sizes)
        }
        for size in sizes:
            targets = {CPU: size.target} if size.target else {}
            plan = Plan.of(scale, rounds=5)
            yield from compare(size.name, sides[size], sides[_SMALLEST], plan, targets=targets)


@contextlib.contextmanager
def _side(size: Size, issuers: Sequence[Issuer], scale: Scale) -> Iterator[Side]:
    used = issuers[: size.issuers]
    text = policy(used, routes=size.routes, hosts=size.hosts)
    octets = [
        check(
            "GET",
            path(number * _STRIDE, routes=size.routes),
            used[number % size.issuers].token(),
            host=host_name(number % size.hosts),
        )
        for number in range(scale.pick(1000, 100))
    ]
    checks = Checks.all_of(ALLOW, octets)
    with service(text, scale.directory) as running:
        yield Side(running, lambda: checks, called=size.name)
