"""The rows of a kind of Check: a server beside its reference, with the same Checks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from bench.figures import Unit
from bench.loads import Pace, Report, ShedError, ask
from bench.rounds import in_turns
from bench.rows import Reference, Row

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from bench.loads import Checks
    from bench.processes import Server
    from bench.rows import Target
    from bench.scale import Scale

CPU: Final = "CPU"
P50: Final = "p50"
P99: Final = "p99"
P999: Final = "p99.9"
CPU_AT_ONCE: Final = "CPU, 16 in flight"
RATE_AT_ONCE: Final = "Checks, 16 in flight"
RESIDENT: Final = "resident"
_AT_ONCE: Final = 16
_ATTEMPTS: Final = 3
_SHARES: Final = {P50: 0.5, P99: 0.99, P999: 0.999}


@dataclass(frozen=True, slots=True)
class Plan:
    """So many *rounds* of *paced* Checks at *rate* a second, and *at_once* with 16 in flight."""

    rounds: int
    paced: int
    at_once: int
    rate: float = 1000

    @classmethod
    def of(cls, scale: Scale, *, rounds: int, rate: float = 1000, at_once: int = 4000) -> Plan:
        """Two seconds at the rate in each round, and *at_once* without; or much less."""
        paced, at_once = scale.pick((2 * round(rate), at_once), (100, 200))
        return cls(scale.pick(rounds, 1), paced, at_once, rate)


@dataclass(frozen=True, slots=True)
class Side:
    """A server, and what it is asked: *checks* is called for each load.

    *called* is its name in the table, where the server's own does not tell.
    """

    server: Server
    checks: Callable[[], Checks]
    called: str = ""

    @property
    def name(self) -> str:
        """What it is called in the table."""
        return self.called or self.server.name


@dataclass(frozen=True, slots=True)
class Addition:
    """What a reference's CPU time is increased by: its *name*, and how it is measured (seconds)."""

    name: str
    measure: Callable[[], float]


@dataclass(frozen=True, slots=True)
class _Round:
    paced: Report
    at_once: Report
    added: float


def compare(  # noqa: PLR0913 - two sides, and how they are compared
    name: str,
    ours: Side,
    reference: Side,
    plan: Plan,
    *,
    targets: Mapping[str, Target] | None = None,
    addition: Addition | None = None,
) -> Iterator[Row]:
    """Measure both sides in turns, after a load that warms them up.

    Gives the rows of *name*, with *targets* by the constants above. *addition* is measured in each
    round, beside the reference.
    """
    for side in (ours, reference):
        _load(side, Pace(plan.at_once, at_once=_AT_ONCE))
    rounds = in_turns(
        [partial(_round, ours, plan, None), partial(_round, reference, plan, addition)], plan.rounds
    )
    told = f"{reference.name} + {addition.name}" if addition else reference.name
    for label, unit, value in _values(plan):
        mine, theirs = ([value(each) for each in side] for side in zip(*rounds, strict=True))
        cpu = label.startswith(CPU)
        yield Row(
            f"{name}: {label}{_at(label, plan)}",
            mine,
            Reference(told if cpu else reference.name, theirs),
            (targets or {}).get(label),
            unit,
        )
    resident = Reference(reference.name, [reference.server.resident])
    yield Row(f"{name}: {RESIDENT}", [ours.server.resident], resident, unit=Unit.BYTES)


def _round(side: Side, plan: Plan, addition: Addition | None) -> _Round:
    paced = _load(side, Pace(plan.paced, rate=plan.rate))
    at_once = _load(side, Pace(plan.at_once, at_once=_AT_ONCE))
    return _Round(paced, at_once, addition.measure() if addition else 0.0)


def _load(side: Side, pace: Pace) -> Report:
    """One load; once more, and said so, where it met a machine that stood still meanwhile."""
    for _attempt in range(_ATTEMPTS - 1):
        try:
            return ask(side.server, side.checks(), pace)
        except ShedError as error:
            print(f" {side.name}: {error}; once more …", file=sys.stderr, end="", flush=True)
    return ask(side.server, side.checks(), pace)


def _values(plan: Plan) -> Iterator[tuple[str, Unit, Callable[[_Round], float]]]:
    """What is told of a round, by its label. A share needs as many answers that are slower."""
    yield CPU, Unit.SECONDS, lambda each: each.paced.cpu + each.added
    for label, share in _SHARES.items():
        if plan.paced * (1 - share) >= 1:
            yield label, Unit.SECONDS, partial(_percentile, share)
    yield CPU_AT_ONCE, Unit.SECONDS, lambda each: each.at_once.cpu + each.added
    yield RATE_AT_ONCE, Unit.PER_SECOND, lambda each: each.at_once.per_second


def _percentile(share: float, each: _Round) -> float:
    return each.paced.percentile(share)


def _at(label: str, plan: Plan) -> str:
    return f", {plan.rate:,.0f}/s" if label in {CPU, *_SHARES} else ""
