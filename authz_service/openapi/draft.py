"""From operations to the resources and routes of a policy, before it has words.

Two things make a draft stricter than a list of routes would be. A host does not fall through to
another, so what may be anywhere is written for each host. And a route that lets nobody in is
written too, so that its requests do not find a more generous pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from authz_service.core.hosts import ANY_HOST, HostPattern
from authz_service.openapi.paths import PathError, RoutePath, route_path
from authz_service.openapi.security import Access, access, both
from authz_service.openapi.values import OpenApiError
from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from authz_service.openapi.operations import Operation
    from authz_service.openapi.paths import Shape

MAX_ROUTES: Final = 100_000

MAX_WIDER: Final = 1_000

_WIDER: Final = "the route is wider than this path, which a pattern cannot say"
_ORDER: Final = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE")


@dataclass(frozen=True, slots=True)
class DraftRoute:
    """A pattern with what each method asks for; a method that is denied is kept for its remarks."""

    pattern: str
    methods: tuple[tuple[str, Access], ...]
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DraftResource:
    """Routes that are the same at each of *hosts*."""

    hosts: tuple[HostPattern, ...]
    routes: tuple[DraftRoute, ...]


@dataclass(frozen=True, slots=True)
class Draft:
    """A policy without issuers and audience. *notes* say where it differs from the document."""

    resources: tuple[DraftResource, ...]
    notes: tuple[Problem, ...]

    @property
    def needs_tokens(self) -> bool:
        """Whether any route asks for one."""
        return any(
            not (needed.public or needed.denied)
            for resource in self.resources
            for route in resource.routes
            for _method, needed in route.methods
        )


@dataclass(slots=True)
class _Row:
    """One shape at one host, while its operations come in."""

    path: RoutePath
    position: Position
    methods: dict[str, Access] = field(default_factory=dict)
    templates: dict[str, None] = field(default_factory=dict)
    wider_than: dict[str, None] = field(default_factory=dict)


def draft(operations: Sequence[Operation]) -> Draft:
    """Lay out *operations*. Raises OpenApiError where that would be too many routes."""
    drawing = _Drawing(operations)
    for operation in operations:
        drawing.add(operation)
    return drawing.finish()


class _Drawing:
    """The routes of each host so far, by shape, and the notes."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        self._hosts = dict.fromkeys(
            address.host for each in operations for address in each.addresses.values
        )
        self._tables: dict[HostPattern, dict[Shape, _Row]] = {host: {} for host in self._hosts}
        self._notes: dict[Problem, None] = {}
        self._count = 0

    def add(self, operation: Operation) -> None:
        for remark in operation.addresses.remarks:
            self._note(Position(operation.position.file), remark)
        if not operation.addresses.values:
            self._note(operation.position, f"{operation}: left out, it has no server")
        needed = _needed(operation)
        for address in operation.addresses.values:
            try:
                path = route_path(address.base, operation.template)
            except PathError as error:
                self._note(operation.position, f"{operation}: left out, {error}")
                continue
            hosts = self._hosts if address.host == ANY_HOST else (address.host,)
            for host in hosts:
                self._put(host, path, operation, needed)

    def _put(
        self, host: HostPattern, path: RoutePath, operation: Operation, needed: Access
    ) -> None:
        self._count += 1
        if self._count > MAX_ROUTES:
            message = f"more than {MAX_ROUTES} operations, counting one for each host"
            raise OpenApiError([Problem(operation.position, message)])
        if path.wider and (needed.public or needed.optional):
            remark = "not public, because the pattern covers more than the document's path"
            needed = replace(
                needed, public=False, optional=False, remarks=(*needed.remarks, remark)
            )
        row = self._tables[host].setdefault(path.shape, _Row(path, operation.position))
        before = row.methods.get(operation.method)
        row.methods[operation.method] = needed if before is None else both(before, needed)
        row.templates[operation.template] = None
        if path.wider:
            row.wider_than[operation.template] = None
            self._note(operation.position, f"{operation}: {_WIDER}")
        for remark in needed.remarks:
            self._note(operation.position, f"{operation}: {remark}")

    def finish(self) -> Draft:
        resources: dict[tuple[DraftRoute, ...], list[HostPattern]] = {}
        for host, table in self._tables.items():
            self._restrict_wider(list(table.values()))
            for row in table.values():
                self._close_get(row)
            routes = tuple(_route(row) for row in table.values())
            if routes:
                resources.setdefault(routes, []).append(host)
        drafted = tuple(DraftResource(tuple(hosts), routes) for routes, hosts in resources.items())
        return Draft(drafted, tuple(self._notes))

    def _restrict_wider(self, rows: list[_Row]) -> None:
        """Ask, where a pattern covers more than its path, for what the rest of it is asked for.

        `/{a}.json/c`, written as `/{a}/c`, gets requests that are those of `/{b}/{c}`.
        """
        wider = [row for row in rows if row.wider_than]
        if len(wider) > MAX_WIDER:
            message = f"more than {MAX_WIDER} paths that a pattern cannot say"
            raise OpenApiError([Problem(wider[MAX_WIDER].position, message)])
        for row in wider:
            if len(row.templates) > 1 and "HEAD" in row.methods and "GET" in row.methods:
                self._restrict(row, "HEAD", row.methods["GET"])
        before = [(row, dict(row.methods)) for row in rows]
        for row in wider:
            for other, methods in before:
                if _hides(row.path.shape, other.path.shape):
                    self._restrict_all(row, methods)

    def _restrict_all(self, row: _Row, methods: Mapping[str, Access]) -> None:
        """Ask at *row* for what *methods* ask for, too; HEAD is judged as GET unless named."""
        if "HEAD" in methods and "GET" in row.methods:
            row.methods.setdefault("HEAD", row.methods["GET"])
        if "HEAD" in row.methods and "GET" in methods:
            methods = {"HEAD": methods["GET"], **methods}
        for method in _ORDER:
            if method in row.methods and method in methods:
                self._restrict(row, method, methods[method])

    def _restrict(self, row: _Row, method: str, needed: Access) -> None:
        restricted = both(row.methods[method], replace(needed, remarks=()))
        if restricted != row.methods[method]:
            remark = "stricter, for what else the pattern covers"
            remarks = dict.fromkeys((*restricted.remarks, remark))
            row.methods[method] = replace(restricted, remarks=tuple(remarks))
            self._note(row.position, f"{method} {next(iter(row.templates))}: {remark}")

    def _close_get(self, row: _Row) -> None:
        """HEAD is judged as GET unless it is named, and no name stands for nobody."""
        head, get = row.methods.get("HEAD"), row.methods.get("GET")
        if head is not None and head.denied and get is not None and not get.denied:
            remark = "nobody is let in: HEAD would be judged as GET"
            row.methods["GET"] = Access(denied=True, remarks=(*get.remarks, remark))
            self._note(row.position, f"GET {next(iter(row.templates))}: {remark}")

    def _note(self, position: Position, message: str) -> None:
        self._notes[Problem(position, message)] = None


def _needed(operation: Operation) -> Access:
    if operation.alternatives is None:
        return Access()
    needed = access(operation.alternatives)
    if operation.stated:
        return needed
    return replace(needed, remarks=(*needed.remarks, "public: the document asks for nothing here"))


def _hides(one: Shape, other: Shape) -> bool:
    """Whether some path has both shapes, and *one* is chosen for it: the more specific."""
    if len(one) != len(other):
        return False
    pairs = [pair for pair in zip(one, other, strict=True) if pair[0] != pair[1]]
    return all(None in pair for pair in pairs) and bool(pairs) and pairs[0][1] is None


def _route(row: _Row) -> DraftRoute:
    methods = row.methods
    return DraftRoute(
        row.path.pattern.text,
        tuple((method, methods[method]) for method in _ORDER if method in methods),
        tuple(_route_remarks(row)),
    )


def _route_remarks(row: _Row) -> Iterable[str]:
    for template in row.wider_than:
        yield f"wider than {template}, which a pattern cannot say"
    for original, name in row.path.renamed:
        yield f"{{{original}}} is {{{name}}} here"
    others = [each for each in row.templates if each not in row.wider_than]
    if len(others) > 1:
        yield f"also {', '.join(others[1:])}"
