"""Cases run through the real decision, and what of it is not as expected."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.core.answers import ANSWERS
from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, Decision, Deny, DenyReason
from authz_service.core.summary import summarize
from authz_service.policy.testing.reach import Reach
from authz_service.policy.testing.tokens import Keys

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.policy import Policy
    from authz_service.core.request import HttpRequest
    from authz_service.policy.testing.cases import Case

_ALLOWED_STATUS = 200


@dataclass(frozen=True, slots=True)
class Subject:
    """A policy under test: its issuers' throwaway keys, and what was reached of it."""

    policy: Policy
    keys: Keys
    reach: Reach

    @classmethod
    def of(cls, policy: Policy) -> Subject:
        """Make keys for *policy*; nothing is reached yet."""
        return cls(policy, Keys(policy), Reach(policy))


@dataclass(frozen=True, slots=True)
class Difference:
    """Something of a decision, as it was expected and as it is. None is nothing at all."""

    what: str
    expected: str | None
    actual: str | None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What was decided of a case at the time *now*; it passed if there are no *differences*."""

    case: Case
    subject: Subject = field(repr=False)
    decision: Decision = field(repr=False)
    now: float
    differences: tuple[Difference, ...]

    @property
    def passed(self) -> bool:
        """Whether all is as expected."""
        return not self.differences


def run(case: Case, subject: Subject, now: float) -> Outcome:
    """Have *case* decided at the time *now*, in seconds since the epoch."""
    decision = _decide(case.request, subject, now)
    subject.reach.note(decision, case.request.method)
    return Outcome(case, subject, decision, now, tuple(_differences(case, decision)))


def _decide(request: HttpRequest, subject: Subject, now: float) -> Decision:
    try:
        return authorize(request, policy=subject.policy, keys=subject.keys.key_sets(), now=now)
    except Exception:  # noqa: BLE001 - to Envoy, too, a fault of ours is a refusal
        return Deny()


def _differences(case: Case, decision: Decision) -> Iterator[Difference]:
    actual = summarize(decision) | {"status": status(decision)}
    for what in ("decision", "reason", "mode", "status", "resource", "route"):
        expected = getattr(case.expected, what)
        if expected is not None and expected != actual.get(what):
            yield Difference(what, str(expected), _text(actual.get(what)))
    fault = DenyReason.INTERNAL_ERROR.value
    if actual.get("reason") == fault != case.expected.reason:  # no refusal that was meant
        yield Difference("reason", "the policy's", fault)
    for name, expected in case.expected.upstream.items():
        value = upstream_value(name, case.request, decision)
        if value != expected or not isinstance(decision, Allow):
            yield Difference(name, expected, value)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def status(decision: Decision) -> int:
    """The HTTP status of a refusal; 200 stands for whatever the upstream answers."""
    return ANSWERS[decision.reason].http_status if isinstance(decision, Deny) else _ALLOWED_STATUS


def upstream_value(name: str, request: HttpRequest, decision: Decision) -> str | None:
    """What the upstream gets as the header *name*, from us or from the client, or None."""
    if not isinstance(decision, Allow):
        return None
    overwritten = dict(decision.headers.overwrite)
    if name in overwritten:
        return overwritten[name]
    sent = request.header_values(name)
    return None if name in decision.headers.remove or not sent else ",".join(sent)
