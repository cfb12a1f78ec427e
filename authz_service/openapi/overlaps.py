"""Where a route would answer requests that the document gives to another, more closely kept one.

A pattern covers more than a template may: every value of a variable, paths with and without a final
slash, every port. What it covers besides its own is asked for as well, so nobody gets in there whom
the document keeps out.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from authz_service.openapi.security import both
from authz_service.openapi.values import OpenApiError
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from authz_service.openapi.paths import RoutePath, Shape
    from authz_service.openapi.security import Access
    from authz_service.policy.problems import Position

MAX_STEPS: Final = 5_000_000
"""A few seconds, for all hosts of a document together."""

_STEPS_OF_A_CHANGE: Final = 20
_REMARK: Final = "stricter, for what else the pattern covers"
_METHODS: Final = ("HEAD", "GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")

Place = tuple[int | None, bool]
"""What a policy does not tell apart, and a document does: a port, None for any; a final slash."""


class Steps:
    """Counts work that grows faster than the document, and ends it."""

    def __init__(self) -> None:
        """Start with none."""
        self._taken = 0

    def take(self, number: int, position: Position) -> None:
        """Count *number* more. Raises OpenApiError."""
        self._taken += number
        if self._taken > MAX_STEPS:
            message = "too many paths that cover each other: split the document"
            raise OpenApiError([Problem(position, message)])

    def take_both(self, one: Access, other: Access, position: Position) -> None:
        """Count what it takes to ask for *one* and *other*. Raises OpenApiError."""
        sizes = (len((*each.scopes, *each.any_scope, *each.remarks)) for each in (one, other))
        self.take(_STEPS_OF_A_CHANGE + sum(sizes), position)


@dataclass(slots=True)
class Row:
    """One shape at one host, while its operations come in.

    *ends* are those of each path that the pattern cannot say.
    """

    path: RoutePath
    position: Position
    methods: dict[str, Access] = field(default_factory=dict)
    places: dict[str, set[Place]] = field(default_factory=dict)
    templates: dict[str, None] = field(default_factory=dict)
    wider_than: dict[str, None] = field(default_factory=dict)
    ends: dict[tuple[tuple[str, str], ...], None] = field(default_factory=dict)

    @property
    def shape(self) -> Shape:
        """What it has alone at its host."""
        return self.path.shape


def restrict(rows: Iterable[Row], steps: Steps) -> Iterator[Problem]:
    """Make *rows*, those of one host, stricter where they overlap, and say where they became so.

    Raises OpenApiError where that takes too long.
    """
    tree = _Tree()
    for row in rows:
        yield from _restrict_head(row, steps)
        tree.add(_Before(row, dict(row.methods)))
    for row in rows:
        for other in tree.sharing(row, steps):
            if _hides(row.shape, other.row.shape):
                yield from _restrict_by(row, other, steps)


@dataclass(frozen=True, slots=True)
class _Before:
    """A row, and what it asked for before it was made stricter for another."""

    row: Row
    methods: Mapping[str, Access]


@dataclass(slots=True)
class _Node:
    here: _Before | None = None
    below: dict[str | None, _Node] = field(default_factory=dict)

    def at(self, name: str | None) -> Iterable[_Node]:
        """The nodes that a segment can lead to: a literal, or None for every value."""
        if name is None:
            return self.below.values()
        return [self.below[each] for each in (name, None) if each in self.below]


class _Tree:
    """Rows by their shapes."""

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, before: _Before) -> None:
        node = self._root
        for name in before.row.shape:
            node = node.below.setdefault(name, _Node())
        node.here = before

    def sharing(self, row: Row, steps: Steps) -> list[_Before]:
        """Every row that has a path in common with *row*, itself too."""
        level = [self._root]
        for name in row.shape:
            level = [below for node in level for below in node.at(name)]
            steps.take(len(level), row.position)
        return [node.here for node in level if node.here is not None]


def _hides(one: Shape, other: Shape) -> bool:
    """Whether *one* is chosen for what is common to the two: it is the first to have a literal."""
    pairs = zip(one, other, strict=True)
    return next((theirs is None for mine, theirs in pairs if mine != theirs), False)


def _restrict_head(row: Row, steps: Steps) -> Iterator[Problem]:
    """A HEAD of one place must not be one of another place, where there is only a GET."""
    if not {"GET", "HEAD"} <= row.methods.keys():
        return
    several = row.wider_than and len(row.templates) > 1
    if several or not _covers(row.places["HEAD"], row.places["GET"]):
        row.places["HEAD"] |= row.places["GET"]
        yield from _restrict_method(row, "HEAD", row.methods["GET"], steps)


def _restrict_by(row: Row, other: _Before, steps: Steps) -> Iterator[Problem]:
    """Ask at *row*, chosen over *other*, for what the document may ask for there."""
    anywhere = bool(row.wider_than) or _may_be_either(row, other.row)
    named = row.methods.keys() | other.methods.keys()
    for method in _METHODS:
        mine, theirs = _judged(method, row.methods), _judged(method, other.methods)
        if method not in named or mine is None or theirs is None:
            continue
        if anywhere or not _covers(_places(row, method), _places(other.row, method)):
            row.methods.setdefault(method, mine)
            yield from _restrict_method(row, method, theirs, steps)


def _judged(method: str, methods: Mapping[str, Access]) -> Access | None:
    """What *method* is asked for: HEAD is judged as GET unless named."""
    return methods.get(method) or (methods.get("GET") if method == "HEAD" else None)


def _places(row: Row, method: str) -> set[Place]:
    return row.places.get(method) or row.places["GET"]


def _covers(mine: set[Place], theirs: set[Place]) -> bool:
    return all((port, slash) in mine or (None, slash) in mine for port, slash in theirs)


def _may_be_either(row: Row, other: Row) -> bool:
    """Whether a path can be that of both, and the document does not say which it is.

    `/a.json/b` is one of `/a{x}/{y}` and of `/{z}/b`; a path without variables comes first
    (OpenAPI 3.1.1, section 4.8.8.2).
    """
    return None in row.shape and any(_fits(row.shape, ends) for ends in other.ends)


def _fits(shape: Shape, ends: tuple[tuple[str, str], ...]) -> bool:
    return all(
        name is None or (name.startswith(start) and name.endswith(end))
        for name, (start, end) in zip(shape, ends, strict=True)
    )


def _restrict_method(row: Row, method: str, needed: Access, steps: Steps) -> Iterator[Problem]:
    before = row.methods[method]
    steps.take_both(before, needed, row.position)
    restricted = both(before, replace(needed, remarks=()))
    if restricted != before:
        remarks = dict.fromkeys((*restricted.remarks, _REMARK))
        row.methods[method] = replace(restricted, remarks=tuple(remarks))
        yield Problem(row.position, f"{method} {next(iter(row.templates))}: {_REMARK}")
