"""What a route may ask of single claims, compared by type: `1` is not `"1"`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, NamedTuple, Protocol

from authz_service.core.claims import ABSENT
from authz_service.core.decision import DenyReason
from authz_service.core.templates import Template

if TYPE_CHECKING:
    from collections.abc import Mapping

    from authz_service.core.claims import ClaimReference
    from authz_service.core.request import Host, HttpRequest
    from authz_service.core.strict_json import JsonObject

ExpectedValue = Template | bool | int | float


class RequestAttributes(NamedTuple):
    """What a condition may look at beside the claims; *variables* are those of the path."""

    request: HttpRequest
    host: Host
    variables: Mapping[str, str]


class Condition(Protocol):
    """Something that verified claims must meet; *reason* says how it is refused if they do not."""

    @property
    def reason(self) -> DenyReason:
        """Why a request is denied for which this does not hold."""

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Whether the claims in *members* meet this, for a request with *attributes*."""


@dataclass(frozen=True, slots=True)
class ClaimCondition:
    """A claim that must be there, and equal or contain one of *any_of* unless that is None."""

    reason: ClassVar[DenyReason] = DenyReason.CLAIM_MISMATCH

    claim: ClaimReference
    any_of: tuple[ExpectedValue, ...] | None

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Whether the claims in *members* meet this; one that is missing or null never does."""
        actual = self.claim.find(members)
        if actual is ABSENT or actual is None:
            return False
        if self.any_of is None:
            return True
        candidates = actual if isinstance(actual, list) else [actual]
        return any(
            _same(_bound(expected, attributes.variables), value)
            for expected in self.any_of
            for value in candidates
        )


def _bound(expected: ExpectedValue, variables: Mapping[str, str]) -> str | float:
    return expected.expand(variables) if isinstance(expected, Template) else expected


def _same(expected: str | float, actual: object) -> bool:
    """Compare as JSON does. To Python `True == 1`, to JSON they are of two types."""
    if isinstance(expected, bool) or isinstance(actual, bool):
        return expected is actual
    return expected == actual
