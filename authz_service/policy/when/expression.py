"""The `when` of a requirement: a CEL expression over `claims`, `path` and `request`.

What can be known without a request is refused when the policy is loaded. After that, whatever is
not `true` is false: an error, a value of another type, a cost beyond `BUDGET`.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Final

from authz_service.core.decision import DenyReason
from authz_service.policy.when.cost import MACROS, Extent, Workload, is_call
from authz_service.policy.when.patterns import MAX_STATES, states_of
from authz_service.policy.when.tokens import (
    Kind,
    MembersRead,
    Token,
    members_read,
    token_at,
    tokens_of,
)

if TYPE_CHECKING:
    from cel_expr_python import cel

    from authz_service.core.conditions import RequestAttributes
    from authz_service.core.request import HttpRequest
    from authz_service.core.strict_json import JsonObject

MAX_LENGTH: Final = 4096  # characters
BUDGET: Final = 10_000_000  # nanoseconds of one evaluation, by our price list

# What a common request and token come to. An expression that is too costly for these is no use.
_COMMON: Final = Extent(nodes=64, widest=16, characters=1024, longest=64)


@dataclass(frozen=True, slots=True)
class WhenExpression:
    """A compiled expression. Two are equal if they are spelled alike."""

    reason: ClassVar[DenyReason] = DenyReason.CONDITION_FAILED

    text: str
    variables: frozenset[str] = field(compare=False)
    """The path variables that the expression names; one that the route lacks is always a deny."""
    _headers: MembersRead = field(repr=False, compare=False)
    _roots: frozenset[str] = field(repr=False, compare=False)
    _workload: Workload = field(repr=False, compare=False)
    _expression: cel.Expression = field(repr=False, compare=False)

    @classmethod
    def parse(cls, text: str) -> WhenExpression:
        """Compile *text*.

        Raises ValueError, saying what is wrong in one line and, where that is known, at which
        line and column of *text*.
        """
        _refuse_unreadable(text)
        expression = _compiled(text)
        if expression.return_type().name() not in {"BOOL", "DYN"}:
            kind = expression.return_type().name().lower()
            raise ValueError(f"an expression must be true or false, and this is of type {kind}")
        tokens = tokens_of(text)
        _refuse_foreign(tokens)
        workload = Workload.of(tokens, _pattern_states(tokens))
        if workload.nanoseconds(_COMMON) > BUDGET:
            raise ValueError("the expression is too costly: fewer operations, shorter patterns")
        return cls(
            text,
            members_read(tokens, "path").named,
            members_read(tokens, "request", "headers"),
            frozenset(token.text for token in tokens if token.kind is Kind.NAME),
            workload,
            expression,
        )

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Whether the expression is true of the claims in *members* and of *attributes*.

        An error is no answer, so it is false like everything else that is not true.
        """
        try:
            return self._value(members, attributes) is True
        except Exception:  # noqa: BLE001 - the library's errors have no common type
            return False

    def _value(self, members: JsonObject, attributes: RequestAttributes) -> object:
        bindings = self._bindings(members, attributes)
        if self._workload.nanoseconds(Extent.of(*bindings.values())) > BUDGET:
            return None
        return self._expression.eval(data=bindings).value()

    def _bindings(self, members: JsonObject, attributes: RequestAttributes) -> JsonObject:
        """What the expression looks at, and no more: the rest would cost, and count as cost."""
        request = attributes.request
        return {
            "claims": members if "claims" in self._roots else {},
            "path": dict(attributes.variables) if "path" in self._roots else {},
            "request.method": request.method,
            "request.host": attributes.host.name,
            "request.path": request.target.partition("?")[0] if "path" in self._roots else "",
            "request.headers": self._header_map(request),
        }

    def _header_map(self, request: HttpRequest) -> JsonObject:
        """Each field once, its lines joined as RFC 9110, section 5.3 joins them."""
        lines: dict[str, list[str]] = {}
        for name, value in request.headers:
            if (self._headers.all or name in self._headers.named) and not name.startswith(":"):
                lines.setdefault(name, []).append(value)
        return {name: ", ".join(values) for name, values in lines.items()}


def _refuse_unreadable(text: str) -> None:
    if len(text) > MAX_LENGTH:
        raise ValueError(f"an expression has at most {MAX_LENGTH} characters")
    for index, character in enumerate(text):
        if character not in "\t\n\r" and unicodedata.category(character) in {"Cc", "Cs"}:
            line, column = text.count("\n", 0, index) + 1, index - text.rfind("\n", 0, index)
            raise ValueError(f"{_place(text, line, column)}: a character that is not text")


@cache
def _environment() -> cel.Env:
    """What an expression can name. Attributes of `request` are declared one by one.

    So one that does not exist is found by the compiler. `map` and `filter` make lists, at a cost
    that grows with the square of their length, and a condition has no use for lists.
    """
    from cel_expr_python import cel  # noqa: PLC0415 - 6 MiB that only a policy with `when` needs

    string = cel.Type.STRING
    return cel.NewEnv(
        config=cel.NewEnvConfigFromYaml("stdlib: {exclude_macros: [map, filter]}"),
        variables={
            "claims": cel.Type.Map(string, cel.Type.DYN),
            "path": cel.Type.Map(string, string),
            "request.method": string,
            "request.host": string,
            "request.path": string,
            "request.headers": cel.Type.Map(string, string),
        },
    )


def _compiled(text: str) -> cel.Expression:
    try:
        return _environment().compile(text)
    except RuntimeError as error:
        raise ValueError(_message(text, str(error))) from None


_ERROR: Final = re.compile(r"ERROR: <input>:(?P<line>[0-9]+):(?P<column>[0-9]+): (?P<what>[^\n]*)")
_REMOVED_MACRO: Final = re.compile(r"undeclared reference to '(?P<name>map|filter)'")
_NOISE: Final = re.compile(r" \(in container ''\)| \[[A-Z_]+\]$| expecting \{.*")


def _message(text: str, error: str) -> str:
    """The first of the compiler's complaints, without its drawing and without what it expected."""
    if "recursion" in error:
        return "the expression is nested too deeply, or has too long a chain of operators"
    complaints = list(_ERROR.finditer(error))
    if not complaints:
        return "the expression does not compile"
    for complaint in complaints:
        if removed := _REMOVED_MACRO.search(complaint["what"]):
            what = f"there is no {removed['name']}(): write exists() or all()"
            return f"{_place_of(text, complaint)}: {what}"
    return f"{_place_of(text, complaints[0])}: {_NOISE.sub('', complaints[0]['what'])}"


def _place_of(text: str, complaint: re.Match[str]) -> str:
    return _place(text, int(complaint["line"]), int(complaint["column"]))


def _place(text: str, line: int, column: int) -> str:
    return f"line {line}, column {column}" if "\n" in text else f"column {column}"


_ROOTS: Final = frozenset({"claims", "path", "request"})


def _refuse_foreign(tokens: tuple[Token, ...]) -> None:
    """Refuse what the library knows and we have no use for.

    `all(path, …)` hides a name of ours from a reader, and from what reads the tokens here. Protocol
    Buffers messages copy what they are given, at a price that we do not know.
    """
    for index, token in enumerate(tokens):
        variable = token_at(tokens, index + 2).text
        if token.text in MACROS and is_call(tokens, index) and variable in _ROOTS:
            raise ValueError(f"{token.text}() needs another name than {variable}")
        if token.kind is Kind.NAME and token_at(tokens, index + 1).text == "{":
            raise ValueError("there are no messages here: {...} stands without a name before it")


def _pattern_states(tokens: tuple[Token, ...]) -> dict[int, int]:
    """The size of the pattern of each `matches`, which the policy must spell out.

    Raises ValueError for a pattern that is computed, no regular expression, or too large.
    """
    return {
        index: _states_of_literal(tokens[index + 2 : index + 4])
        for index, token in enumerate(tokens)
        if token.text == "matches" and is_call(tokens, index)
    }


def _states_of_literal(arguments: tuple[Token, ...]) -> int:
    literal = token_at(arguments, 0)
    if literal.kind is not Kind.STRING or token_at(arguments, 1).text != ")":
        raise ValueError("write text.matches('pattern'), with the pattern as one string")
    states = states_of(str(_constant(literal.text)))
    if states > MAX_STATES:
        raise ValueError("a pattern is too large: shorter, or with smaller repetitions")
    if _constant(f"''.matches({literal.text})") not in {True, False}:
        raise ValueError("a pattern is no regular expression of RE2")
    return states


def _constant(text: str) -> object:
    return _compiled(text).eval(data={}).value()
