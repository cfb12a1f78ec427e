"""Judges every answer by what is documented for this request at this time."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.faults.outcomes import ALLOWED, Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.faults.phases import Timeline
    from tests.faults.traffic import Request

_SHOWN: Final = 20


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; *reason* is None where it is not told, as to clients of Envoy.

    *identity* are the claim headers that the upstream got, and *path* is where it was asked.
    *lost* says what became of a request that got no answer at all, which is never right.
    """

    status: int = 0
    error: str = ""
    reason: str | None = None
    identity: Mapping[str, str] = field(default_factory=dict)
    path: str = ""
    lost: str = ""

    def is_a(self, outcome: Outcome) -> bool:
        """Whether it looks as *outcome* does."""
        looks = (self.status, self.error) == (outcome.status, outcome.error)
        return looks and self.reason in {None, outcome.reason} and not self.lost

    def __str__(self) -> str:
        """What to tell of it."""
        told = (self.status, self.error, self.reason, self.lost)
        return " ".join(str(part) for part in told if part)


@dataclass(slots=True)
class Judge:
    """Counts the checks, and remembers what was wrong and what took longest (seconds)."""

    timeline: Timeline
    checks: int = 0
    wrong: int = 0
    longest: float = 0.0
    met: set[Outcome] = field(default_factory=set)
    complaints: list[str] = field(default_factory=list)

    def judge(
        self, request: Request, answer: Answer, *, sent: float, answered: float, path: str
    ) -> None:
        """Take in the answer to *request*, which was sent as *path*; times are monotonic."""
        self.checks += 1
        self.longest = max(self.longest, answered - sent)
        right = self.timeline.right(request.kind, sent, answered)
        found = next((outcome for outcome in right if answer.is_a(outcome)), None)
        if found is None:
            took = f"after {(answered - sent) * 1000:.0f} ms"
            self.complain(f"{request.kind.name}: {answer} {took}; right is {_listed(right)}")
            return
        self.met.add(found)
        if found == ALLOWED and (answer.identity != request.identity or answer.path != path):
            got = f"{answer.path} as {dict(answer.identity)}"
            self.complain(f"{request.kind.name}: the upstream got {got}")

    def complain(self, complaint: str) -> None:
        """Count something as a wrong answer."""
        self.wrong += 1
        if len(self.complaints) < _SHOWN:
            self.complaints.append(complaint)


def _listed(outcomes: frozenset[Outcome]) -> str:
    return " or ".join(sorted(f"{right.status} {right.reason or 'allow'}" for right in outcomes))
