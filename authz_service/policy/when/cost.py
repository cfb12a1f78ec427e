"""What an evaluation of a CEL expression can cost at most, in nanoseconds of one core.

The library bounds the iterations of an evaluation, but not what one of them does. So each operation
gets a price in terms of the size of what it is fed, and the sum is known before anything is run.
The prices are upper ones; `bench/sections/policy.py` holds hostile input against them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from authz_service.policy.when.tokens import Kind, Token, token_at

if TYPE_CHECKING:
    from authz_service.core.strict_json import JsonValue

MACROS: Final = frozenset({"all", "exists", "exists_one"})


@dataclass(frozen=True, slots=True)
class Extent:
    """How much an expression is fed: values, elements of the widest of them, and characters."""

    nodes: int = 0
    widest: int = 0
    characters: int = 0
    longest: int = 0

    @classmethod
    def of(cls, *values: JsonValue) -> Extent:
        """Measure *values*, members' names included.

        Raises ValueError for a NUL, at which the library would cut a string short.
        """
        nodes = widest = characters = longest = 0
        waiting: list[JsonValue] = list(values)
        while waiting:
            value = waiting.pop()
            nodes += 1
            if isinstance(value, str):
                if "\0" in value:
                    raise ValueError("a NUL in a string")
                characters += len(value)
                longest = max(longest, len(value))
            elif isinstance(value, list | dict):
                widest = max(widest, len(value))
                waiting.extend(value)
                if isinstance(value, dict):
                    waiting.extend(value.values())
        return cls(nodes, widest, characters, longest)

    def grown(self, factor: int, literals: Extent) -> Extent:
        """What an expression can make of this by joining *factor* of them, with its *literals*."""
        return Extent(
            factor * (self.nodes + literals.nodes),
            factor * (self.widest + literals.widest),
            factor * (self.characters + literals.characters),
            factor * (self.longest + literals.longest),
        )


@dataclass(frozen=True, slots=True)
class Price:
    """Nanoseconds of an operation, in terms of the extent of what it may meet."""

    fixed: float = 0
    node: float = 0
    character: float = 0
    longest: float = 0
    longest_squared: float = 0

    def __add__(self, other: Price) -> Price:
        return Price(
            self.fixed + other.fixed,
            self.node + other.node,
            self.character + other.character,
            self.longest + other.longest,
            self.longest_squared + other.longest_squared,
        )

    def nanoseconds(self, extent: Extent) -> float:
        """The most that this costs when fed *extent*."""
        return (
            self.fixed
            + self.node * extent.nodes
            + self.character * extent.characters
            + self.longest * extent.longest
            + self.longest_squared * extent.longest**2
        )


_TOKEN_PRICE: Final = Price(fixed=200)
_COMPARISON: Final = Price(node=60, character=0.2)
_JOIN: Final = Price(node=80, character=2)
_FUNCTION: Final = Price(longest=6)
_SEARCH: Final = Price(longest=6, longest_squared=0.007)
_COMPARISONS: Final = frozenset({"==", "!=", "<", ">", "<=", ">="})
_PATTERN_COMPILED: Final = 900  # for each state, and at each evaluation: RE2 keeps none
_PATTERN_STEP: Final = 25  # for each state and character, when RE2 cannot cache what it has seen


@dataclass(frozen=True, slots=True)
class Workload:
    """What an expression does: *once*, and *each* time round a macro."""

    once: Price
    each: Price
    joins: int
    literals: Extent

    @classmethod
    def of(cls, tokens: tuple[Token, ...], pattern_states: dict[int, int]) -> Workload:
        """Price *tokens*; *pattern_states* has the size of the pattern of each `matches`, by place.

        Raises ValueError for a macro inside another.
        """
        inside = macro_bodies(tokens)
        once = each = Price()
        for index in range(len(tokens)):
            price = _price(tokens, index, pattern_states.get(index))
            if index in inside:
                each += price
            else:
                once += price
        return cls(once, each, _joins(tokens), _literals(tokens))

    def nanoseconds(self, fed: Extent) -> float:
        """The most that an evaluation costs that is *fed* this much."""
        # What is joined outside a macro may be joined again inside.
        extent = fed.grown((1 + self.joins) ** 2, self.literals)
        return self.once.nanoseconds(extent) + extent.widest * self.each.nanoseconds(extent)


def macro_bodies(tokens: tuple[Token, ...]) -> frozenset[int]:
    """The places of the tokens that run once for each element.

    Raises ValueError for a macro inside another: their product is what an attacker would choose.
    """
    inside = set[int]()
    for index, token in enumerate(tokens):
        if token.text in MACROS and is_call(tokens, index):
            if index in inside:
                raise ValueError(f"{token.text}() inside all(), exists() or exists_one()")
            inside.update(range(index + 2, _closing(tokens, index + 1)))
    return frozenset(inside)


def is_call(tokens: tuple[Token, ...], index: int) -> bool:
    """Whether the name at *index* is followed by arguments."""
    return tokens[index].kind is Kind.NAME and token_at(tokens, index + 1).text == "("


def _closing(tokens: tuple[Token, ...], opening: int) -> int:
    """The place of the bracket that closes the one at *opening*; the end if none does."""
    depth = 0
    for index in range(opening, len(tokens)):
        depth += (tokens[index].text in _OPENING) - (tokens[index].text in _CLOSING)
        if depth == 0:
            return index
    return len(tokens)


_OPENING: Final = frozenset({"(", "[", "{"})
_CLOSING: Final = frozenset({")", "]", "}"})


def _price(tokens: tuple[Token, ...], index: int, states: int | None) -> Price:
    if states is not None:
        return Price(fixed=10_000 + _PATTERN_COMPILED * states, longest=_PATTERN_STEP * states)
    return _TOKEN_PRICE + _reading_price(tokens, index)


def _reading_price(tokens: tuple[Token, ...], index: int) -> Price:
    """What an operation costs that looks at the whole of its operands."""
    text = tokens[index].text
    if is_call(tokens, index) and text not in MACROS:
        return {"contains": _SEARCH, "in": _COMPARISON}.get(text, _FUNCTION)
    if text in _COMPARISONS:
        return Price() if _beside_literal(tokens, index) else _COMPARISON
    return {"+": _JOIN, "in": _COMPARISON}.get(text, Price())


def _beside_literal(tokens: tuple[Token, ...], index: int) -> bool:
    """Whether one side is a plain value, so that the comparison ends soon."""
    return token_at(tokens, index - 1).is_literal or token_at(tokens, index + 1).is_literal


def _joins(tokens: tuple[Token, ...]) -> int:
    """How often values are put together into larger ones: `a + b`, `[a, b]`, `{a: b, c: d}`."""
    commas = sum(not _between_literals(tokens, index) for index in _separators(tokens))
    return commas + sum(token.text == "+" for token in tokens)


def _literals(tokens: tuple[Token, ...]) -> Extent:
    """How much the expression has of its own."""
    elements = len(_separators(tokens)) + 1
    lengths = [len(token.text) for token in tokens if token.kind is Kind.STRING]
    return Extent(elements, elements, sum(lengths), max(lengths, default=0))


def _separators(tokens: tuple[Token, ...]) -> list[int]:
    """The places of the commas between elements or entries, not between arguments."""
    separators: list[int] = []
    brackets: list[str] = []
    for index, token in enumerate(tokens):
        if token.text in _OPENING:
            brackets.append(token.text)
        elif token.text in _CLOSING and brackets:
            brackets.pop()
        elif token.text == "," and brackets[-1:] != ["("]:
            separators.append(index)
    return separators


def _between_literals(tokens: tuple[Token, ...], index: int) -> bool:
    return token_at(tokens, index - 1).is_literal and token_at(tokens, index + 1).is_literal
