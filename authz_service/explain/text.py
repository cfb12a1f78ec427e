"""An explanation as text, as one would report it to a colleague. Knows nothing of terminals.

What came with the request or the token is made printable, so that it is read and never obeyed.
"""

from __future__ import annotations

import json
import textwrap
from dataclasses import dataclass, replace
from enum import Enum
from typing import TYPE_CHECKING, Final

from authz_service.explain.findings import keys_in_words
from authz_service.explain.times import expiry, relative
from authz_service.policy.problems import printable
from authz_service.policy.why.wording import cut, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.strict_json import JsonObject, JsonValue
    from authz_service.explain.contents import TokenContents
    from authz_service.explain.explanation import Explanation
    from authz_service.explain.step import Step


class Tone(Enum):
    """What a line is, for whoever may colour it."""

    PLAIN = "plain"
    HEADING = "heading"
    GOOD = "good"
    BAD = "bad"
    FAINT = "faint"
    ALARM = "alarm"


@dataclass(frozen=True, slots=True)
class Line:
    """One line, printable, of one tone."""

    text: str = ""
    tone: Tone = Tone.PLAIN


@dataclass(frozen=True, slots=True)
class Signs:
    """How a step shows that it passed, failed, was not come to, and that it decided."""

    passed: str
    failed: str
    not_reached: str
    decided: str

    @property
    def all(self) -> str:
        """Every character of these, for whoever must know whether they can be shown."""
        return self.passed + self.failed + self.not_reached + self.decided


SIGNS: Final = Signs("✓", "✗", "–", "← decided")  # noqa: RUF001 - a dash
ASCII_SIGNS: Final = Signs("+", "x", "-", "<- decided")

_BANNER: Final = (
    "",
    "S I G N A T U R E   N O T   C H E C K E D",
    "ANYBODY COULD HAVE WRITTEN THIS TOKEN. THE RUNNING SERVICE CHECKS IT.",
    "",
)
_NAME_COLUMN: Final = 17
_NUMERIC_DATES: Final = ("exp", "nbf", "iat", "auth_time")


def render(explanation: Explanation, *, width: int = 80, signs: Signs = SIGNS) -> list[Line]:
    """Write *explanation* in lines of *width* columns, but for words that are longer."""
    lines: list[Line] = []
    banner = list(_banner(width)) if explanation.signature_skipped else []
    lines += banner
    lines += _request(explanation)
    for step in explanation.steps:
        lines += _step(step, width, signs)
    lines += _decision(explanation, width)
    lines += _client(explanation, width)
    lines += _upstream(explanation, width)
    if explanation.token is not None:
        lines += _token(explanation.token, explanation.judged.now)
    lines += banner
    return [replace(line, text=printable(line.text)) for line in lines]


def _banner(width: int) -> Iterator[Line]:
    inner = min(width, 80) - 4
    yield Line("*" * (inner + 4), Tone.ALARM)
    for text in _BANNER:
        for part in textwrap.wrap(text, inner) or [""]:
            yield Line(f"* {part.center(inner)} *", Tone.ALARM)
    yield Line("*" * (inner + 4), Tone.ALARM)


def _request(explanation: Explanation) -> Iterator[Line]:
    request = explanation.judged.request
    path = request.target.partition("?")[0]
    yield Line(f"{cut(request.method)} {cut(request.authority)}{cut(path)}", Tone.HEADING)
    yield Line(f"judged at {moment(explanation.judged.now)}", Tone.FAINT)
    if explanation.position is not None:
        yield Line(f"by the route at {explanation.position}", Tone.FAINT)
    if explanation.judged.keys is not None:
        yield Line(f"with {keys_in_words(explanation.judged.keys)}", Tone.FAINT)
    yield Line()


def _step(step: Step, width: int, signs: Signs) -> Iterator[Line]:
    mark, tone = {
        True: (signs.passed, Tone.GOOD),
        False: (signs.failed, Tone.BAD),
        None: (signs.not_reached, Tone.FAINT),
    }[step.passed]
    head = f"{mark} {step.number:>2} {step.name:<11} ".ljust(_NAME_COLUMN)
    detail = f"{step.detail} {signs.decided}" if step.decided else step.detail
    first, *more = _wrapped(detail, width - _NAME_COLUMN)
    yield Line(f"{head}{first}", tone)
    for part in more:
        yield Line(" " * _NAME_COLUMN + part, tone)


def _wrapped(text: str, width: int) -> list[str]:
    return textwrap.wrap(text, max(width, 20), break_long_words=False, break_on_hyphens=False) or [
        ""
    ]


def _decision(explanation: Explanation, width: int) -> Iterator[Line]:
    yield Line()
    if explanation.needed is None:
        if explanation.judged.signature_skipped:
            yield Line("ALLOWED, IF ITS ISSUER SIGNED THE TOKEN: that was not checked", Tone.ALARM)
        else:
            yield Line("ALLOWED", Tone.GOOD)
        return
    if explanation.audited:
        verdict = f"DENIED ({explanation.reason}), AND LET THROUGH: audit mode only reports it"
    else:
        verdict = f"DENIED ({explanation.reason})"
    yield Line(verdict, Tone.BAD)
    yield Line()
    yield Line("What was found, and what would have been needed", Tone.HEADING)
    for part in _wrapped(explanation.needed, width - 2):
        yield Line(f"  {part}")
    if explanation.requirement is not None:
        for part in _wrapped(f"The route asks for: {explanation.requirement}", width - 2):
            yield Line(f"  {part}")


def _client(explanation: Explanation, width: int) -> Iterator[Line]:
    answer = explanation.client
    if answer is None:
        return
    yield Line()
    yield Line(f"The client gets {answer.status}", Tone.HEADING)
    for name, value in answer.headers:
        yield from _field(name, value, width)
    yield Line()
    for part in _wrapped(answer.body, width - 2):
        yield Line(f"  {part}")


def _upstream(explanation: Explanation, width: int) -> Iterator[Line]:
    headers = explanation.upstream
    if headers is None:
        return
    yield Line()
    yield Line("The upstream gets the request with these headers", Tone.HEADING)
    for name, value in headers.overwrite:
        yield from _field(name, value, width)
    if not headers.overwrite:
        yield Line("  none set: the request has no identity")
    if headers.remove:
        for part in _wrapped(f"and without {', '.join(headers.remove)}", width - 2):
            yield Line(f"  {part}")


def _field(name: str, value: str, width: int) -> Iterator[Line]:
    first, *more = _wrapped(f"{name}: {value}", width - 4)
    yield Line(f"  {first}")
    for part in more:
        yield Line(f"    {part}")


def _token(token: TokenContents, now: float) -> Iterator[Line]:
    yield Line()
    if token.verified:
        yield Line("The token says (verified: its issuer signed this)", Tone.HEADING)
    else:
        yield Line("The token says (UNVERIFIED: anybody could have written this)", Tone.ALARM)
    for name, members in (("header", token.header), ("claims", token.claims)):
        yield Line(f"  {name}", Tone.FAINT)
        if members is None:
            yield Line("    cannot be read as one strict JSON object")
        else:
            yield from _members(members, now)


def _members(members: JsonObject, now: float) -> Iterator[Line]:
    for name, value in members.items():
        text = json.dumps(value, indent=2, ensure_ascii=False)
        first, *more = text.split("\n")
        yield Line(f"    {json.dumps(name, ensure_ascii=False)}: {first}{_when(name, value, now)}")
        for part in more:
            yield Line(f"    {part}")


def _when(name: str, value: JsonValue, now: float) -> str:
    """What a time means, beside it."""
    if name not in _NUMERIC_DATES or isinstance(value, bool):
        return ""
    if not isinstance(value, int | float) or abs(value) > 1e15:  # noqa: PLR2004 - no calendar's time
        return ""
    if name == "exp":
        return f"   {expiry(value, now)}"
    return f"   {relative(value, now)} ({moment(value)})"
