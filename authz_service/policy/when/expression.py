"""The `when` of a requirement: a CEL expression over `claims`, `path` and `request`.

What can be known without a request is refused when the policy is loaded. After that, whatever is
not `true` is false: an error, a value of another type, a cost beyond `BUDGET`.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, ClassVar, Final

from authz_service.core.decision import DenyReason
from authz_service.policy.when.cost import MACROS, Extent, Workload, is_call
from authz_service.policy.when.environment import ZONED, compiled
from authz_service.policy.when.messages import ROOTS, fault, place
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
        tokens = tokens_of(text)
        _refuse_foreign(tokens)
        expression = compiled(text)
        if expression.return_type().name() not in {"BOOL", "DYN"}:
            kind = expression.return_type().name().lower()
            raise ValueError(f"an expression must be true or false, and this is of type {kind}")
        workload = Workload.of(tokens, _pattern_states(tokens))
        if workload.nanoseconds(_COMMON) > BUDGET:
            raise ValueError("the expression is too costly: fewer operations, shorter patterns")
        return cls(
            text,
            members_read(tokens, "path").named,
            _headers_read(tokens),
            frozenset(token.text for token in tokens if token.is_name),
            workload,
            expression,
        )

    def __reduce__(self) -> tuple[object, ...]:
        """Pickle the text: what the library made of it is not picklable."""
        return WhenExpression.parse, (self.text,)

    def holds(self, members: JsonObject, attributes: RequestAttributes) -> bool:
        """Whether the expression is true of the claims in *members* and of *attributes*.

        An error is no answer, so it is false like everything else that is not true.
        """
        try:
            value = self._value(members, attributes)
            return value is not None and value.value() is True
        except Exception:  # noqa: BLE001 - the library's errors have no common type
            return False

    def failure(self, members: JsonObject, attributes: RequestAttributes) -> str:
        """Say why it does not hold: `it is false`, `it cannot be evaluated: no such key: age`.

        For the operator's terminal alone, since a key that is looked up may be a claim's value.
        """
        try:
            value = self._value(members, attributes)
        except Exception as error:  # noqa: BLE001 - as above
            return f"it cannot be evaluated: {fault(str(error))}"
        if value is None:
            return "it would cost too much for this request"
        kind = value.type().name()
        if kind == "ERROR":
            return f"it cannot be evaluated: {fault(str(value.value()))}"
        if kind == "BOOL":
            return f"it is {str(value.value()).lower()}"
        return f"it is of type {kind.partition('<')[0].lower()}, not true or false"

    def _value(self, members: JsonObject, attributes: RequestAttributes) -> cel.Value | None:
        """What the library makes of it, or None if it would cost too much."""
        bindings = self._bindings(members, attributes)
        if self._workload.nanoseconds(Extent.of(*bindings.values())) > BUDGET:
            return None
        return self._expression.eval(data=bindings)

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
            raise ValueError(f"{place(text, line, column)}: a character that is not text")


def _refuse_foreign(tokens: tuple[Token, ...]) -> None:
    """Refuse what the library knows and we have no use for.

    Protocol Buffers messages copy what they are given, at a price that we do not know. A time zone
    is opened as a file; the library does not have those functions here, and this says so.
    """
    for index, token in enumerate(tokens):
        if token.kind is Kind.NAME and token_at(tokens, index + 1).text == "{":
            raise ValueError("there are no messages here: {...} stands without a name before it")
        if not is_call(tokens, index):
            continue
        if token.text in MACROS:
            _refuse_hidden(token.text, token_at(tokens, index + 2))
        if token.text in ZONED and token_at(tokens, index + 2).text != ")":
            raise ValueError(f"{token.text}() has no argument: there are no time zones, only UTC")


def _refuse_hidden(macro: str, variable: Token) -> None:
    """`all(path, …)` hides a name of ours from a reader, and from what reads the tokens here.

    So does `all((path), …)`, which the library takes for the same.
    """
    if variable.kind is not Kind.NAME:
        raise ValueError(f"{macro}() needs a name first, without brackets: {macro}(x, ...)")
    if variable.text in ROOTS:
        raise ValueError(f"{macro}() needs another name than {variable.text}")


def _headers_read(tokens: tuple[Token, ...]) -> MembersRead:
    """Raises ValueError for a name that no header has: Envoy sends them in lower case."""
    headers = members_read(tokens, "request", "headers")
    for name in sorted(headers.named):
        if name != name.lower():
            raise ValueError(f"names of headers are in lower case here: write {name.lower()}")
    return headers


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
    return compiled(text).eval(data={}).value()
