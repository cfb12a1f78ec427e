"""One thing to look at: a mistake that keeps the policy from loading, or something suspicious."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from authz_service.policy.problems import PolicyError, Position

MISTAKE: Final = "policy"
"""The code of every mistake, as the loader words it."""


class Severity(StrEnum):
    """Whether a policy with the finding loads. In order: what is worse comes first."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """What stands at *position*, and what to do about it. *code* names the rule."""

    severity: Severity
    position: Position
    code: str
    message: str


def mistakes(error: PolicyError) -> tuple[Finding, ...]:
    """Every problem of a policy that does not load, as findings."""
    return tuple(
        Finding(Severity.ERROR, problem.position, MISTAKE, problem.message)
        for problem in error.problems
    )
