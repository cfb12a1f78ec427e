"""The tokens of a CEL expression: enough of its grammar to see what an expression asks for.

Whether the expression is well formed is for the library to say; this is read beside it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final


class Kind(Enum):
    """What a token is.

    *QUOTED* is a name in backquotes, *MARK* an operator, a bracket, a dot or a comma.
    """

    NAME = auto()
    QUOTED = auto()
    STRING = auto()
    NUMBER = auto()
    MARK = auto()


@dataclass(frozen=True, slots=True)
class Token:
    """One token as the expression spells it, a name without its backquotes."""

    kind: Kind
    text: str

    @property
    def is_literal(self) -> bool:
        """Whether this is a value by itself; `null` in backquotes is a member of that name."""
        return self.kind in _LITERALS or (self.kind is Kind.NAME and self.text in _CONSTANTS)

    @property
    def is_name(self) -> bool:
        """Whether this is a name, in backquotes or not."""
        return self.kind in _NAMES


_LITERALS: Final = frozenset({Kind.STRING, Kind.NUMBER})
_NAMES: Final = frozenset({Kind.NAME, Kind.QUOTED})
_CONSTANTS: Final = frozenset({"true", "false", "null"})
END: Final = Token(Kind.MARK, "")

# Lexis of the CEL specification. A mark that is none is left for the library to refuse.
_TOKEN: Final = re.compile(
    r"""
      (?P<SKIP>   \s+ | //[^\n]* )
    | (?P<STRING> [bB]?[rR](?: \"{3}.*?\"{3} | '{3}.*?'{3} | "[^"\n]*" | '[^'\n]*' )
                | [bB]?(?: \"{3}(?:\\.|[^\\])*?\"{3} | '{3}(?:\\.|[^\\])*?'{3}
                         | "(?:\\.|[^"\\\n])*" | '(?:\\.|[^'\\\n])*' ) )
    | (?P<NAME>   [A-Za-z_][A-Za-z0-9_]* )
    | (?P<QUOTED> `[^`\n]*` )
    | (?P<NUMBER> 0[xX][0-9A-Fa-f]+[uU]?
                | (?:[0-9]+(?:\.[0-9]+)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?[uU]? )
    | (?P<MARK>   == | != | <= | >= | && | \|\| | . )
    """,
    re.VERBOSE | re.DOTALL,
)


def tokens_of(text: str) -> tuple[Token, ...]:
    """Split *text*; white space and comments are left out."""
    return tuple(
        Token(Kind[match.lastgroup], match[0].strip("`") if match["QUOTED"] else match[0])
        for match in _TOKEN.finditer(text)
        if match.lastgroup is not None and match.lastgroup != "SKIP"
    )


def token_at(tokens: tuple[Token, ...], index: int) -> Token:
    """The token at *index*, or one that is nothing where there is none."""
    return tokens[index] if 0 <= index < len(tokens) else END


@dataclass(frozen=True, slots=True)
class MembersRead:
    """Which members of a map an expression names; *all* if it may look at others too."""

    named: frozenset[str]
    all: bool


def members_read(tokens: tuple[Token, ...], *path: str) -> MembersRead:
    """See what is read of the map at *path*: `map.NAME`, `map["NAME"]` and `"NAME" in map` name it.

    Every other use of the map's last name, wherever it stands, counts as a look at all of it.
    """
    spelled = [part for name in path for part in (".", name)][1:]
    texts = [token.text for token in tokens]
    named = set[str]()
    unclear = False
    for end in (index for index, text in enumerate(texts, 1) if text == path[-1]):
        start = end - len(spelled)
        member = None
        if texts[max(start, 0) : end] == spelled and token_at(tokens, start - 1).text != ".":
            member = _member_after(tokens, end) or _member_before(tokens, start)
        named |= {member} if member else set()
        unclear = unclear or not member
    return MembersRead(frozenset(named), unclear)


def _member_after(tokens: tuple[Token, ...], index: int) -> str | None:
    opening, name, closing = (token_at(tokens, index + offset) for offset in range(3))
    if opening.text == "." and name.is_name and closing.text != "(":
        return name.text
    if opening.text == "[" and closing.text == "]":
        return plain_string(name)
    return None


def _member_before(tokens: tuple[Token, ...], index: int) -> str | None:
    if token_at(tokens, index - 1).text != "in":
        return None
    return plain_string(token_at(tokens, index - 2))


def plain_string(token: Token) -> str | None:
    """The value of a string literal without prefix, escapes or triple quotes, else None."""
    match = re.fullmatch(r"""(["'])([^"'\\]*)\1""", token.text)
    return match[2] if match else None
