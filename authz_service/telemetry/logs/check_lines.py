"""The usual lines of the decision log, written in one go.

There is one for each Check, so that most of what the log costs is here. What is out of the ordinary
is left to whoever writes all other events; both write the same.
"""

from __future__ import annotations

from json.encoder import encode_basestring_ascii as quoted
from sys import getsizeof
from typing import TYPE_CHECKING, Final

from authz_service.core.claims import ValidatedClaims
from authz_service.core.decision import Allow, DenyReason, refusal
from authz_service.core.summary import identity
from authz_service.core.verified import Prepared
from authz_service.telemetry.logs.bounds import cut_long
from authz_service.telemetry.logs.lines import members
from authz_service.telemetry.logs.needs import needs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from authz_service.core.decision import Decision, Deny
    from authz_service.core.verified import VerifiedToken

_UNUSUAL: Final = None


class CheckLines:
    """Writes lines, and remembers what they say of tokens that come again."""

    def __init__(self, hide: Callable[[dict[str, object]], None], sampled: float) -> None:
        """*hide* replaces the identity in fields; *sampled* is the share of allows that is told."""
        self._hide = hide
        self._sampled = f', "sampled": {sampled!r}' if sampled < 1 else ""
        self._whose: Prepared[CheckLines, str | None] = Prepared(
            lambda token, _lines: self._whose_token(token), getsizeof
        )

    def line(
        self, at: str, decision: Decision, asked: Mapping[str, str], duration_us: int
    ) -> str | None:
        """The line of *decision*, made *at* a time; None where it is out of the ordinary.

        *asked* are fields of the request of which nothing needs to be escaped.
        """
        deny = refusal(decision)
        whose = self._whose_is(decision, deny)
        if whose is _UNUSUAL or (deny is not None and deny.reason is DenyReason.WRONG_AUDIENCE):
            return _UNUSUAL
        request = "".join([f', "{name}": "{value}"' for name, value in asked.items()])
        more = self._sampled if deny is None else _after_comma(members(needs(deny)))
        line = (
            f'{{"timestamp": "{at}", "level": "info", "event": "check"'
            f"{_outcome(decision, deny)}{whose}{request}{more}"
            f', "duration_us": {duration_us}}}'
        )
        return _UNUSUAL if "\\ud" in line else line  # an astral character, or half of one

    def _whose_is(self, decision: Decision, deny: Deny | None) -> str | None:
        if isinstance(decision, Allow) and isinstance(decision.grant, ValidatedClaims):
            return self._whose.of(decision.grant.token, self)
        if deny is None or deny.issuer is None:
            return ""
        return self._told(identity(deny.issuer, deny.claims))

    def _whose_token(self, token: VerifiedToken) -> str | None:
        return self._told(identity(token.issuer, token.claims))

    def _told(self, fields: Mapping[str, object]) -> str | None:
        told = dict(fields)
        self._hide(told)
        cut_long(told)
        return _UNUSUAL if "truncated" in told else _after_comma(members(told))


def _outcome(decision: Decision, deny: Deny | None) -> str:
    """What `core.summary.outcome` gives."""
    if deny is None:
        said = ', "decision": "allow"'
    else:
        mode = "" if deny is decision else ', "mode": "audit"'
        said = f', "decision": "deny", "reason": "{deny.reason.value}"{mode}'
    if decision.match is None:
        return said
    route = decision.match.route
    return f'{said}, "resource": {quoted(route.resource)}, "route": {quoted(route.pattern.text)}'


def _after_comma(text: str) -> str:
    return f", {text}" if text else ""
