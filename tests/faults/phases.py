"""What is documented to happen, and when: a fault begins, has its effects, and is over.

A phase says for each kind of request which outcomes are right while it lasts. While one phase turns
into the next, both are right. A request that was under way during several may have met any of them.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.faults.outcomes import KEYS_UNAVAILABLE, NO_ANSWER, Outcome

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.faults.traffic import Kind


@dataclass(frozen=True, slots=True)
class Phase:
    """Which outcomes are right for a kind of request."""

    right: Callable[[Kind], frozenset[Outcome]]

    def __or__(self, other: Phase) -> Phase:
        """What is right in either of two phases."""
        return Phase(lambda kind: self.right(kind) | other.right(kind))

    def but(self, **outcomes: tuple[Outcome, ...]) -> Phase:
        """Have other outcomes for the kinds of these names, `_` in the place of spaces."""
        named = {name.replace("_", " "): frozenset(right) for name, right in outcomes.items()}
        return Phase(lambda kind: named[kind.name] if kind.name in named else self.right(kind))


STEADY: Final = Phase(lambda kind: frozenset({kind.earns}))
"""Every request gets what it earns."""

DOWN: Final = Phase(lambda _kind: frozenset({NO_ANSWER}))
"""Nobody gets an answer from the service, and so nobody gets in."""

STUCK: Final = STEADY | DOWN
"""Who gets an answer in time gets the right one."""


def without_keys(issuer: str) -> Phase:
    """No token of *issuer* can be checked, and none gets in; all else is as ever."""
    return Phase(
        lambda kind: frozenset({KEYS_UNAVAILABLE if kind.keys_of == issuer else kind.earns})
    )


STARTING: Final = STUCK | without_keys("logto") | without_keys("partner")
"""Nobody listens, then somebody does who has no keys yet, and then all is well."""


class Timeline:
    """The phases so far, with the time at which each began (seconds, monotonic)."""

    def __init__(self) -> None:
        """Begin with what every request earns."""
        self._begun: list[tuple[float, Phase]] = [(time.monotonic(), STEADY)]

    @property
    def now(self) -> Phase:
        """The phase that was begun last."""
        return self._begun[-1][1]

    def begin(self, phase: Phase) -> None:
        """Have *phase* from now on."""
        self._begun.append((time.monotonic(), phase))

    def right(self, kind: Kind, sent: float, answered: float) -> frozenset[Outcome]:
        """Every outcome that is right for a request of *kind* that was under way from then on."""
        phases = self._between(sent, answered)
        return frozenset().union(*(phase.right(kind) for phase in phases))

    def _between(self, sent: float, answered: float) -> Iterator[Phase]:
        """The phases from the last that began before *sent* to the last before *answered*."""
        for begun, phase in reversed(self._begun):
            if begun <= answered:
                yield phase
            if begun <= sent:
                return
