"""gRPC's two servers, and the event loops, without any decision: what there is to choose from."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from bench.comparison import Plan, Side, compare
from bench.loads import one_answer
from bench.processes import noop
from bench.shop import Kind, shop

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bench.rows import Row
    from bench.scale import Scale


def rows(scale: Scale) -> Iterator[Row]:
    """Each of the others, beside `grpc.aio` on uvloop."""
    with contextlib.ExitStack() as stack:
        running = stack.enter_context(shop(scale, "RS256"))
        checks = Kind.ALLOWED.checks(running.issuers[0], 10)
        answer = one_answer(running.service, checks.octets[0])
        for kind in ("threads", "asyncio"):
            other = stack.enter_context(noop(answer, scale.directory, kind=kind))
            yield from compare(
                f"no-op, {kind}",
                Side(other, lambda: checks),
                Side(running.noop, lambda: checks),
                Plan.of(scale, rounds=5),
            )
