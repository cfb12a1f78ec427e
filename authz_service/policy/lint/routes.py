"""What is suspicious about a route by itself, or beside those of its resource."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.core.routes import Literal, Rest
from authz_service.policy.lint.walk import files, resources, routes, routes_of
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_service.core.routes import PathPattern, Segment
    from authz_service.policy.lint.walk import WrittenRoute
    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.schema import RequirementFields


def no_routes(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Nothing is opened: by a resource, or by the whole policy."""
    for place, resource in resources(loaded):
        if not resource.routes:
            message = "this resource has no routes, so it opens nothing: add one, or remove it"
            yield Problem(place.position, message)
    if not any(fields.resources for _place, fields in files(loaded)):
        for place, _fields in list(files(loaded))[:1]:
            yield Problem(
                place.position, "there are no resources, so every request is denied: add one"
            )


def no_methods(loaded: LoadedPolicy) -> Iterator[Problem]:
    """A route that denies everything, also what a less specific one would let through."""
    for route in routes(loaded):
        if not route.fields.methods:
            message = (
                "no method is named, so every request to this path is denied, also where a less"
                " specific route would allow it: name the methods, or remove the route"
            )
            yield Problem((route.place / "methods").position, message)


def public_other_methods(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Methods that nobody thought of are open, and one that somebody thought of is not."""
    for route in routes(loaded):
        methods = dict(route.fields.methods)
        others = methods.pop("*", None)
        closed = [method for method, needed in methods.items() if not _is_open(needed)]
        if others is not None and _is_open(others) and closed:
            message = (
                f"{' and '.join(closed)} needs a token here and every method that is not named,"
                " writing ones too, does not: name those that are to be open"
            )
            yield Problem((route.place / "methods" / "*").position, message)


def public_wildcard(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Whatever a whole API, or a part where something needs a token, has beside it is open."""
    for place, resource in resources(loaded):
        written = list(routes_of(place, resource))
        guarded = _Beginnings()
        for route in filter(_is_guarded, written):
            guarded.add(_fixed(route.fields.path))
        for route in written:
            if _is_wildcard(route.fields.path) and _is_too_wide(route, guarded):
                yield from _open_methods(route)


def _open_methods(route: WrittenRoute) -> Iterator[Problem]:
    for method, needed in route.fields.methods.items():
        if _is_open(needed):
            message = (
                f"{route.fields.path.text} takes every path below it that no other route names,"
                " and needs no token: name the paths that are to be open"
            )
            yield Problem((route.place / "methods" / method).position, message)


def _is_open(needed: RequirementFields) -> bool:
    """Whether a request without a token passes."""
    return needed.public or needed.optional


def _is_guarded(route: WrittenRoute) -> bool:
    """Whether *route* needs a token, and is no wildcard that does so for some methods alone."""
    is_open = [_is_open(needed) for needed in route.fields.methods.values()]
    return not all(is_open) and not (any(is_open) and _is_wildcard(route.fields.path))


def _is_wildcard(pattern: PathPattern) -> bool:
    return bool(pattern.segments) and isinstance(pattern.segments[-1], Rest)


def _is_too_wide(route: WrittenRoute, guarded: _Beginnings) -> bool:
    """Whether a path that is forgotten, of those that need a token, may be one of *route*'s.

    What has nothing *guarded* below it is a public part, such as `/static/**`, where something
    else is guarded, or where its methods are named.
    """
    prefix = _fixed(route.fields.path)
    if not any(isinstance(segment, Literal) for segment in prefix):
        return True
    if guarded.is_empty:
        others = route.fields.methods.get("*")
        return others is not None and _is_open(others)
    return guarded.are_below(prefix)


def _fixed(pattern: PathPattern) -> Sequence[Segment]:
    return pattern.segments[:-1] if _is_wildcard(pattern) else pattern.segments


@dataclass(slots=True)
class _Beginnings:
    """A tree of patterns, in which a variable is None, and whether there is any."""

    after: dict[str | None, _Beginnings] = field(default_factory=dict)
    is_empty: bool = True

    def add(self, segments: Sequence[Segment]) -> None:
        """Note a pattern of *segments*, which has no `**`."""
        node = self
        node.is_empty = False
        for segment in segments:
            text = segment.text if isinstance(segment, Literal) else None
            node = node.after.setdefault(text, _Beginnings())

    def are_below(self, prefix: Sequence[Segment]) -> bool:
        """Whether there is a pattern whose every path begins with *prefix*."""
        nodes = [self]
        for segment in prefix:
            if isinstance(segment, Literal):
                nodes = [each.after[segment.text] for each in nodes if segment.text in each.after]
            else:
                nodes = [following for each in nodes for following in each.after.values()]
        return bool(nodes)
