"""A fault: what is done to the world while it is under load, and what must come of it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.faults.judge import Judge
from tests.faults.outcomes import ALLOWED, BAD_SIGNATURE, Outcome
from tests.faults.phases import Timeline
from tests.faults.shop import Settings

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from tests.faults.service import Start
    from tests.faults.world import World

RATE: Final = 120.0
"""Requests a second."""

_AFTERWARDS: Final = 0.1
"""Of the fault's time: how long all must be well after it."""


_ORDINARY: Final = frozenset({ALLOWED, BAD_SIGNATURE})
"""What every load brings about that goes on for long enough."""

_ENOUGH: Final = 3.0  # seconds
_LOOK_EVERY: Final = 0.05


@dataclass(frozen=True, slots=True)
class Fault:
    """One line of the table.

    *strike* takes about so many seconds, and leaves the world as it was, at best. *meets* are
    outcomes without which the fault had no effect; *bound* says what bounds the longest time to
    answer. *start* is None where it does not matter how the service was started.
    """

    name: str
    strike: Callable[[World, float], Awaitable[None]]
    bound: str
    meets: frozenset[Outcome] = frozenset()
    start: Start | None = None
    settings: Settings = field(default_factory=Settings)

    def __str__(self) -> str:
        """The name of what is done, without what is told of it."""
        return self.strike.__name__.replace("_", "-")


@dataclass(frozen=True, slots=True)
class Result:
    """What came of *fault*; *longest* is the longest time to an answer, in seconds."""

    fault: Fault
    checks: int
    wrong: int
    longest: float
    complaints: tuple[str, ...]


async def try_out(world: World, fault: Fault, seconds: float, *, rate: float = RATE) -> Result:
    """Bring *fault* upon *world* under load, for about so many seconds, and count."""
    await world.have(fault.start or world.ordinary, fault.settings)
    judge = world.load.judge = Judge(Timeline())
    async with world.load.steady(rate):
        await fault.strike(world, seconds)
        await asyncio.sleep(seconds * _AFTERWARDS)
        await _until_met(judge, _ORDINARY)
    for outcome in {*_ORDINARY, *fault.meets} - judge.met:
        judge.complain(f"no request met {outcome}")
    for place in await world.leaks():
        judge.complain(f"something of a token is in {place}")
    return Result(fault, judge.checks, judge.wrong, judge.longest, tuple(judge.complaints))


async def _until_met(judge: Judge, outcomes: frozenset[Outcome]) -> None:
    """Let the load go on until it has brought about *outcomes*, which chance may have kept away."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_ENOUGH):
            while not outcomes <= judge.met:  # noqa: ASYNC110 - the judge tells nobody
                await asyncio.sleep(_LOOK_EVERY)
