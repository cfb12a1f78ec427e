"""What a document and a policy say of each other: operations without a route, and the reverse."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from authz_service.core.errors import AccessDenied
from authz_service.core.hosts import ANY_HOST
from authz_service.core.request import Host, RequestPath
from authz_service.core.routes import Literal, Rest
from authz_service.openapi.operations import operations
from authz_service.openapi.paths import PathError, route_path, shape_of
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_service.core.hosts import HostPattern
    from authz_service.core.policy import Policy, Route
    from authz_service.core.routes import PathPattern, Segment
    from authz_service.openapi.document import ApiDocument
    from authz_service.openapi.operations import Operation

_ANY_VALUE: Final = ""
"""A segment that no literal is equal to, so it stands for every value of a variable."""

_BELOW: Final = "any-label"


@dataclass(frozen=True, slots=True)
class StrayRoute:
    """A route that no operation of a document can be called by, at one of its hosts."""

    host: HostPattern
    route: Route

    @property
    def message(self) -> str:
        """What is wrong, for the place of the route."""
        return f"no operation is at {self.route.pattern.text}, for the host {self.host}"


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an operation is called."""

    host: HostPattern
    pattern: PathPattern


def uncovered_operations(document: ApiDocument, policy: Policy) -> tuple[Problem, ...]:
    """Say which operations of *document* no route of *policy* names, each with its position.

    An operation with several servers is covered where one of them is. A variable is covered by a
    pattern that takes every value of it. Raises OpenApiError.
    """
    return tuple(
        Problem(operation.position, f"{operation}: no route names it, so it is denied")
        for operation in operations(document)
        if not any(_is_named(operation.method, place, policy) for place in _places(operation))
    )


def routes_without_operation(document: ApiDocument, policy: Policy) -> tuple[StrayRoute, ...]:
    """Say which routes of *policy* no operation of *document* can fall under.

    A route that names none of the methods of the operations at its path is one. Raises
    OpenApiError.
    """
    tree = _Tree()
    for operation in operations(document):
        for place in _places(operation):
            tree.add(place.pattern, _Call(operation.method, place.host))
    return tuple(
        StrayRoute(host, route)
        for host, routes in policy.hosts.values.items()
        for route in routes
        if not any(
            _share_a_host(host, call.host) and _names(call.method, route)
            for call in tree.calls(route.pattern.segments)
        )
    )


@dataclass(frozen=True, slots=True)
class _Call:
    """What an operation adds to its path."""

    method: str
    host: HostPattern


@dataclass(slots=True)
class _Tree:
    """Operations by their paths: literal segments, and None for a variable."""

    here: list[_Call] = field(default_factory=list)
    below: dict[str | None, _Tree] = field(default_factory=dict)

    def add(self, pattern: PathPattern, call: _Call) -> None:
        tree = self
        for name in shape_of(pattern):
            tree = tree.below.setdefault(name, _Tree())
        tree.here.append(call)

    def calls(self, segments: Sequence[Segment]) -> Iterator[_Call]:
        """Every call that has a path in common with a pattern of *segments*."""
        if not segments:
            yield from self.here
            return
        first, *rest = segments
        if isinstance(first, Rest):
            yield from self.here
            rest = [first]
        names = {first.text, None} if isinstance(first, Literal) else set(self.below)
        for name in names & self.below.keys():
            yield from self.below[name].calls(rest)


def _places(operation: Operation) -> Iterator[_Place]:
    for address in operation.addresses.values:
        try:
            pattern = route_path(address.base, operation.template).pattern
        except PathError:  # no request can have it
            continue
        yield _Place(address.host, pattern)


def _is_named(method: str, place: _Place, policy: Policy) -> bool:
    path = RequestPath(
        tuple(
            segment.text if isinstance(segment, Literal) else _ANY_VALUE
            for segment in place.pattern.segments
        )
    )
    return any(_allows(method, host, path, policy) for host in _hosts(place.host, policy))


def _hosts(host: HostPattern, policy: Policy) -> Iterator[Host]:
    """*host* itself; for any host, one of each pattern in *policy*."""
    patterns = policy.hosts.values if host == ANY_HOST else (host,)
    for pattern in patterns:
        yield Host(f"{_BELOW}.{pattern.name}".rstrip(".") if pattern.wildcard else pattern.name)


def _allows(method: str, host: Host, path: RequestPath, policy: Policy) -> bool:
    try:
        policy.match(host, path).route.requirement_for(method)
    except AccessDenied:
        return False
    return True


def _names(method: str, route: Route) -> bool:
    """Whether *route* says what *method* needs; one that names none is there to deny them all."""
    if not route.methods or route.other_methods is not None:
        return True
    return method in route.methods or (method == "HEAD" and "GET" in route.methods)


def _share_a_host(one: HostPattern, other: HostPattern) -> bool:
    if one == other or ANY_HOST in {one, other}:
        return True
    return any(
        wide.wildcard and narrow.name.endswith(f".{wide.name}")
        for wide, narrow in ((one, other), (other, one))
    )
