"""An explanation as text, as one would report it to a colleague. Knows nothing of terminals.

What came with the request or the token is made printable, so that it is read and never obeyed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from authz_service.explain.findings import keys_in_words
from authz_service.explain.lines import Line, Tone, paragraph
from authz_service.explain.times import expiry, relative
from authz_service.policy.problems import printable
from authz_service.policy.why.wording import cut, listed, moment

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.strict_json import JsonObject, JsonValue
    from authz_service.explain.contents import TokenContents
    from authz_service.explain.explanation import Explanation
    from authz_service.explain.step import Step


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
_INDENT: Final = "  "
_NUMERIC_DATES: Final = ("exp", "nbf", "iat", "auth_time")


def render(explanation: Explanation, *, width: int = 80, signs: Signs = SIGNS) -> list[Line]:
    """Write *explanation* in lines of *width* columns, but for words that are longer."""
    lines: list[Line] = []
    banner = list(_banner(width)) if explanation.signature_skipped else []
    lines += banner
    lines += _request(explanation, width)
    for step in explanation.steps:
        lines += _step(step, width, signs)
    lines += _decision(explanation, width)
    lines += _client(explanation, width)
    lines += _upstream(explanation, width)
    if explanation.token is not None:
        lines += _token(explanation.token, explanation.judged.now, width)
    lines += banner
    return [replace(line, text=printable(line.text)) for line in lines]


def _banner(width: int) -> Iterator[Line]:
    inner = min(width, 80) - 4
    yield Line("*" * (inner + 4), Tone.ALARM)
    for text in _BANNER:
        for line in paragraph(text, inner):
            yield Line(f"* {line.text.center(inner)} *", Tone.ALARM)
    yield Line("*" * (inner + 4), Tone.ALARM)


def _request(explanation: Explanation, width: int) -> Iterator[Line]:
    request, keys = explanation.judged.request, explanation.judged.keys
    path = request.target.partition("?")[0]
    asked = f"{cut(request.method)} {cut(request.authority)}{cut(path)}"
    yield from paragraph(asked, width, Tone.HEADING)
    yield from paragraph(f"judged at {moment(explanation.judged.now)}", width, Tone.FAINT)
    if explanation.position is not None:
        yield from paragraph(f"by the route at {explanation.position}", width, Tone.FAINT)
    if keys is not None:
        yield from paragraph(f"with {keys_in_words(keys)}", width, Tone.FAINT)
    yield Line()


def _step(step: Step, width: int, signs: Signs) -> Iterator[Line]:
    sign, tone = {
        True: (signs.passed, Tone.GOOD),
        False: (signs.failed, Tone.BAD),
        None: (signs.not_reached, Tone.FAINT),
    }[step.passed]
    detail = f"{step.detail} {signs.decided}" if step.decided else step.detail
    yield from paragraph(detail, width, tone, first=f"{sign} {step.number:>2} {step.name:<11} ")


def _decision(explanation: Explanation, width: int) -> Iterator[Line]:
    yield Line()
    yield from paragraph(*_verdict(explanation, width))
    if explanation.needed is None:
        return
    yield Line()
    yield from paragraph("What was found, and what would have been needed", width, Tone.HEADING)
    yield from paragraph(explanation.needed, width, first=_INDENT)
    others = [step.name for step in explanation.steps if step.passed is False and not step.decided]
    if others:
        alone = f"That alone would not do: {listed(dict.fromkeys(others))} failed as well."
        yield from paragraph(alone, width, first=_INDENT)
    if explanation.requirement is not None:
        yield from paragraph(f"The route asks for: {explanation.requirement}", width, first=_INDENT)


def _verdict(explanation: Explanation, width: int) -> tuple[str, int, Tone]:
    denied = f"DENIED ({explanation.reason})"
    if explanation.audited:
        return f"{denied}, AND LET THROUGH: audit mode only reports it", width, Tone.BAD
    if not explanation.passes:
        return denied, width, Tone.BAD
    if explanation.judged.signature_skipped:
        text = "ALLOWED, IF ITS ISSUER SIGNED THE TOKEN: that was not checked"
        return text, width, Tone.ALARM
    return "ALLOWED", width, Tone.GOOD


def _client(explanation: Explanation, width: int) -> Iterator[Line]:
    answer = explanation.client
    if answer is None:
        return
    yield Line()
    yield Line(f"The client gets {answer.status}", Tone.HEADING)
    for name, value in answer.headers:
        yield from _field(name, value, width)
    yield Line()
    yield from paragraph(answer.body, width, first=_INDENT)


def _upstream(explanation: Explanation, width: int) -> Iterator[Line]:
    headers = explanation.upstream
    if headers is None:
        return
    yield Line()
    yield from paragraph("The upstream gets the request with these headers", width, Tone.HEADING)
    for name, value in headers.overwrite:
        yield from _field(name, value, width)
    if not headers.overwrite:
        yield from paragraph("none set: the request has no identity", width, first=_INDENT)
    if headers.remove:
        yield from paragraph(f"and without {', '.join(headers.remove)}", width, first=_INDENT)


def _field(name: str, value: str, width: int) -> Iterator[Line]:
    return paragraph(f"{name}: {value}", width, first=_INDENT, other=_INDENT * 2)


def _token(token: TokenContents, now: float, width: int) -> Iterator[Line]:
    yield Line()
    if token.verified:
        said = "The token says (verified: its issuer signed this)"
        yield from paragraph(said, width, Tone.HEADING)
    else:
        said = "The token says (UNVERIFIED: anybody could have written this)"
        yield from paragraph(said, width, Tone.ALARM)
    for name, members in (("header", token.header), ("claims", token.claims)):
        yield Line(f"{_INDENT}{name}", Tone.FAINT)
        if members is None:
            yield Line(f"{_INDENT * 2}cannot be read as one strict JSON object")
        else:
            yield from _members(members, now)


def _members(members: JsonObject, now: float) -> Iterator[Line]:
    for name, value in members.items():
        text = json.dumps(value, indent=2, ensure_ascii=False)
        first, *more = text.split("\n")
        yield Line(
            f"{_INDENT * 2}{json.dumps(name, ensure_ascii=False)}: {first}{_when(name, value, now)}"
        )
        for part in more:
            yield Line(f"{_INDENT * 2}{part}")


def _when(name: str, value: JsonValue, now: float) -> str:
    """What a time means, beside it."""
    if name not in _NUMERIC_DATES or isinstance(value, bool):
        return ""
    if not isinstance(value, int | float) or abs(value) > 1e15:  # noqa: PLR2004 - no calendar's time
        return ""
    if name == "exp":
        return f"   {expiry(value, now)}"
    return f"   {relative(value, now)} ({moment(value)})"
