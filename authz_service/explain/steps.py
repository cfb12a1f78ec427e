"""The steps of docs/decision.md as they went for one request, each with what it found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.core.policy import TokenRequirement
from authz_service.explain.checks import claim_checks
from authz_service.explain.findings import FINDINGS
from authz_service.explain.step import Step

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.explain.judged import Judged

_NAMES: Final = {
    1: "path", 2: "host", 3: "route", 4: "method", 5: "requirement", 6: "token", 7: "form",
    8: "issuer", 9: "header", 10: "key", 11: "signature", 12: "claims", 13: "checks",
    14: "upstream",
}  # fmt: skip
_OF_THE_SIGNATURE: Final = {10, 11}
_OF_THE_TOKEN: Final = range(6, 14)
_LAST: Final = 14

NOT_REACHED: Final = "not reached"
NOT_NEEDED: Final = "not needed"
SKIPPED: Final = "SKIPPED, as asked: not checked against any key of the issuer"


def steps_of(judged: Judged, sentence: str) -> tuple[Step, ...]:
    """Every step. *sentence* is what the one says that refused, unless it has more to say."""
    return tuple(_steps(judged, sentence))


def _steps(judged: Judged, sentence: str) -> Iterator[Step]:
    failed = judged.failed_step
    for number, name in _NAMES.items():
        if failed is not None and number > failed:
            yield Step(number, name, passed=None, detail=NOT_REACHED)
        elif number in _OF_THE_TOKEN and _without_token(judged, number):
            yield Step(number, name, passed=None, detail=NOT_NEEDED)
        elif number in _OF_THE_SIGNATURE and judged.signature_skipped:
            yield Step(number, name, passed=None, detail=SKIPPED)
        elif name == "checks":
            yield from _checks(judged)
        elif number == failed:
            yield Step(number, name, passed=False, detail=sentence, decided=True)
        else:
            yield Step(number, name, passed=True, detail=FINDINGS[number](judged))


def _without_token(judged: Judged, number: int) -> bool:
    """Whether the decision passed over step *number*, since no token was asked for, or none came.

    Where a token is optional, that none came is what step 6 found.
    """
    if judged.failed_step is not None:
        return False
    if not isinstance(judged.trail.requirement, TokenRequirement):
        return True
    return judged.trail.token is None and number != min(_OF_THE_TOKEN)


def _checks(judged: Judged) -> Iterator[Step]:
    trail = judged.trail
    requirement = trail.token_requirement
    if (
        trail.claims is None
        or trail.issuer is None
        or trail.match is None
        or trail.host is None
        or requirement is None
    ):  # pragma: no cover - they were established before step 13 was reached
        return
    yield from claim_checks(
        trail.claims,
        requirement,
        issuer=trail.issuer,
        attributes=judged.attributes(trail.host, trail.match),
        now=judged.now,
    )
