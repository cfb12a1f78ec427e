"""Path patterns, and the index that finds the most specific one for a path."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Generic, TypeVar
from urllib.parse import unquote

from authz_service.core.request import is_unambiguous_segment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

RouteT = TypeVar("RouteT")

MAX_SEGMENTS: Final = 64

_VARIABLE: Final = re.compile(r"\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?P<rest>=\*\*)?\}", re.ASCII)
_NOT_LITERAL: Final = re.compile(r"[{}*?#;\\]")
_NOT_IN_PATHS: Final = re.compile(r'[<>\[\]|^"`]')  # RFC 3986, section 3.3
_FOREIGN_VARIABLE: Final = re.compile(r"[:$]([A-Za-z_][A-Za-z0-9_]*)", re.ASCII)
_MALFORMED_ESCAPE: Final = re.compile(r"%(?![0-9A-Fa-f]{2})")


@dataclass(frozen=True, slots=True)
class Literal:
    """A segment that must be exactly *text*, compared after percent-decoding."""

    text: str


@dataclass(frozen=True, slots=True)
class OneSegment:
    """Any one segment, bound to *name* unless that is None."""

    name: str | None


@dataclass(frozen=True, slots=True)
class Rest:
    """All further segments, also none, bound to *name* unless that is None."""

    name: str | None


Segment = Literal | OneSegment | Rest


@dataclass(frozen=True, slots=True)
class PathPattern:
    """A path of the policy: `/products/{id}`, `/files/**` and the like."""

    text: str
    segments: tuple[Segment, ...]
    _ones: tuple[tuple[str, int], ...] = field(init=False, repr=False, compare=False)
    _rest: tuple[str, int] | None = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Note once which segments of a path have a name: of each, and of all from one on."""
        named = [
            (segment.name, position, isinstance(segment, Rest))
            for position, segment in enumerate(self.segments)
            if not isinstance(segment, Literal) and segment.name is not None
        ]
        ones = tuple((name, position) for name, position, rest in named if not rest)
        rests = [(name, position) for name, position, rest in named if rest]
        object.__setattr__(self, "_ones", ones)
        object.__setattr__(self, "_rest", rests[0] if rests else None)

    @classmethod
    def parse(cls, text: str) -> PathPattern:
        """Read a pattern as docs/decision.md describes them.

        Raises ValueError, saying what to write instead where that is known.
        """
        if not text.startswith("/"):
            raise ValueError("a path starts with /")
        parts = text[1:].split("/") if text != "/" else []
        if parts and parts[-1] == "":
            raise ValueError(f"write {text.rstrip('/') or '/'}: it matches a trailing / as well")
        if len(parts) > MAX_SEGMENTS:
            raise ValueError(f"a path has at most {MAX_SEGMENTS} segments")
        segments = tuple(_parse_segment(part) for part in parts)
        if any(isinstance(segment, Rest) for segment in segments[:-1]):
            raise ValueError("** can only be the last segment")
        names = [segment.name for segment in segments if not isinstance(segment, Literal)]
        named = [name for name in names if name is not None]
        if len(set(named)) != len(named):
            raise ValueError("two segments of this path have the same name")
        return cls(text, segments)

    @property
    def variables(self) -> frozenset[str]:
        """The names that `bind` gives values to."""
        return frozenset(name for name, _ in (*self._ones, *filter(None, [self._rest])))

    def bind(self, path: Sequence[str]) -> dict[str, str]:
        """The values of the variables, for the segments of a *path* that this pattern matches."""
        values = {}
        for name, position in self._ones:
            values[name] = path[position]
        if self._rest is not None:
            name, start = self._rest
            values[name] = "/".join(path[start:])
        return values


def _parse_segment(text: str) -> Segment:
    if text == "*":
        return OneSegment(None)
    if text == "**":
        return Rest(None)
    if variable := _VARIABLE.fullmatch(text):
        return Rest(variable["name"]) if variable["rest"] else OneSegment(variable["name"])
    _refuse_misunderstandings(text)
    try:
        literal = unquote(text, errors="strict")
    except UnicodeDecodeError:
        raise ValueError("an escape here is not UTF-8") from None
    if not is_unambiguous_segment(literal) or "/" in literal:
        raise ValueError("no request matches this segment: it would be refused as ambiguous")
    return Literal(literal)


def _refuse_misunderstandings(text: str) -> None:
    """Refuse what would be read as literal text, and was probably meant to be more."""
    if text == "":
        raise ValueError("a path has no empty segment")
    if "?" in text:
        raise ValueError("a path has no query: leave out what starts at ?")
    if foreign := _FOREIGN_VARIABLE.fullmatch(text):
        raise ValueError(
            f"write {{{foreign[1]}}} for a variable, or %{ord(text[0]):X} for {text[0]}"
        )
    if _NOT_IN_PATHS.search(text):
        raise ValueError('one of <>[]|^"` is here: for the character itself, write its escape')
    if _NOT_LITERAL.search(text):
        raise ValueError("a segment is a name, {name}, *, ** or {name=**}, and nothing beside it")
    if _MALFORMED_ESCAPE.search(text):
        raise ValueError("% starts an escape of two hexadecimal digits")


@dataclass(slots=True)
class _Node(Generic[RouteT]):
    """What the patterns with one common beginning say of the segment after it."""

    literals: dict[str, _Node[RouteT]] = field(default_factory=dict)
    one: _Node[RouteT] | None = None
    route: RouteT | None = None
    rest: RouteT | None = None


class RouteIndex(Generic[RouteT]):
    """A tree of patterns; a lookup looks at those alone that begin as the path does."""

    def __init__(self) -> None:
        """Start empty: nothing matches."""
        self._root: _Node[RouteT] = _Node()

    def add(self, pattern: PathPattern, route: RouteT) -> RouteT:
        """Put *route* at *pattern*, or give back the one that a pattern of its shape has taken."""
        node = self._root
        for segment in pattern.segments:
            match segment:
                case Literal(text):
                    node = node.literals.setdefault(text, _Node())
                case OneSegment():
                    node.one = node.one or _Node()
                    node = node.one
                case _:  # Rest, the last one
                    node.rest = node.rest or route
                    return node.rest
        node.route = node.route or route
        return node.route

    def find(self, path: Sequence[str]) -> RouteT | None:
        """The route of the most specific pattern that matches the segments of *path*.

        Segment by segment from the left: a literal, then one segment, then the rest; where a
        choice leads nowhere, the next one is tried. No node is visited twice.
        """
        return _find(self._root, path, 0)

    def __iter__(self) -> Iterator[RouteT]:
        """Every route, in no particular order."""
        return _routes(self._root)


def _find(node: _Node[RouteT], path: Sequence[str], position: int) -> RouteT | None:
    if position == len(path):
        return node.route or node.rest
    literal = node.literals.get(path[position])
    if literal is not None and (route := _find(literal, path, position + 1)) is not None:
        return route
    if node.one is not None and (route := _find(node.one, path, position + 1)) is not None:
        return route
    return node.rest


def _routes(node: _Node[RouteT]) -> Iterator[RouteT]:
    yield from (route for route in (node.route, node.rest) if route is not None)
    for child in (*node.literals.values(), node.one):
        if child is not None:
            yield from _routes(child)
