"""From operations to the resources and routes of a policy, before it has words.

Two things make a draft stricter than a list of routes would be. A host does not fall through to
another, so what may be anywhere is written for each host. And a route that lets nobody in is
written too, so that its requests do not find a more generous pattern.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from authz_service.core.hosts import ANY_HOST, HostPattern
from authz_service.openapi.overlaps import Row, Steps, restrict
from authz_service.openapi.paths import PathError, RoutePath, route_path
from authz_service.openapi.security import Access, access, both
from authz_service.openapi.values import OpenApiError
from authz_service.policy.problems import Position, Problem

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from authz_service.openapi.operations import Operation
    from authz_service.openapi.paths import Shape
    from authz_service.openapi.security import Alternative

MAX_ROUTES: Final = 50_000

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


def draft(operations: Sequence[Operation]) -> Draft:
    """Lay out *operations*. Raises OpenApiError where that would be too many routes."""
    drawing = _Drawing(operations)
    for operation in operations:
        drawing.add(operation)
    return drawing.finish()


class _Drawing:
    """The routes of each host so far, by shape, and the notes."""

    def __init__(self, operations: Sequence[Operation]) -> None:
        once = {id(each.addresses): each for each in operations}.values()
        self._hosts = dict.fromkeys(
            address.host for each in once for address in each.addresses.values
        )
        self._tables: dict[HostPattern, dict[Shape, Row]] = {host: {} for host in self._hosts}
        self._notes: dict[Problem, None] = {}
        self._count = 0
        self._steps = Steps()
        for each in once:
            for remark in each.addresses.remarks:
                self._note(Position(each.position.file), remark)

    def add(self, operation: Operation) -> None:
        if not operation.addresses.values:
            self._note(operation.position, f"{operation}: left out, it has no server")
        needed = _needed(operation)
        for address in operation.addresses.values:
            try:
                path = route_path(address.base, operation.template)
            except PathError as error:
                self._count_one(operation)
                self._note(operation.position, f"{operation}: left out, {error}")
                continue
            hosts = self._hosts if address.host == ANY_HOST else (address.host,)
            for host in hosts:
                self._count_one(operation)
                self._put(host, path, address.port, operation, needed)

    def _count_one(self, operation: Operation) -> None:
        self._count += 1
        if self._count > MAX_ROUTES:
            message = f"more than {MAX_ROUTES} operations, counting one for each host"
            raise OpenApiError([Problem(operation.position, message)])

    def _put(
        self,
        host: HostPattern,
        path: RoutePath,
        port: int | None,
        operation: Operation,
        needed: Access,
    ) -> None:
        if path.wider and (needed.public or needed.optional):
            remark = "not public, because the pattern covers more than the document's path"
            needed = replace(
                needed, public=False, optional=False, remarks=(*needed.remarks, remark)
            )
        row = self._tables[host].setdefault(path.shape, Row(path, operation.position))
        before = row.methods.get(operation.method)
        if before is not None:
            self._steps.take_both(before, needed, operation.position)
        row.methods[operation.method] = needed if before is None else both(before, needed)
        row.places.setdefault(operation.method, set()).add((port, path.slash))
        row.templates[operation.template] = None
        if path.wider:
            row.wider_than[operation.template] = None
            row.ends[path.ends] = None
            self._note(operation.position, f"{operation}: {_WIDER}")
        for remark in needed.remarks:
            self._note(operation.position, f"{operation}: {remark}")

    def finish(self) -> Draft:
        resources: dict[tuple[DraftRoute, ...], list[HostPattern]] = {}
        for host, table in self._tables.items():
            self._notes.update(dict.fromkeys(restrict(table.values(), self._steps)))
            for row in table.values():
                self._close_get(row)
            routes = tuple(_route(row) for row in table.values())
            if routes:
                resources.setdefault(routes, []).append(host)
        drafted = tuple(DraftResource(tuple(hosts), routes) for routes, hosts in resources.items())
        return Draft(drafted, tuple(self._notes))

    def _close_get(self, row: Row) -> None:
        """HEAD is judged as GET unless it is named, and no name stands for nobody."""
        head, get = row.methods.get("HEAD"), row.methods.get("GET")
        if head is not None and head.denied and get is not None and not get.denied:
            remark = "nobody is let in: HEAD would be judged as GET"
            row.methods["GET"] = Access(denied=True, remarks=(*get.remarks, remark))
            self._note(row.position, f"GET {next(iter(row.templates))}: {remark}")

    def _note(self, position: Position, message: str) -> None:
        self._notes[Problem(position, message)] = None


@lru_cache(maxsize=1)
def _access(alternatives: tuple[Alternative, ...]) -> Access:
    """As `access`, once for the many operations that inherit what the document asks for."""
    return access(alternatives)


def _needed(operation: Operation) -> Access:
    if operation.alternatives is None:
        return Access()
    needed = _access(operation.alternatives)
    if operation.stated:
        return needed
    return replace(needed, remarks=(*needed.remarks, "public: the document asks for nothing here"))


def _route(row: Row) -> DraftRoute:
    methods = row.methods
    return DraftRoute(
        row.path.pattern.text,
        tuple((method, methods[method]) for method in _ORDER if method in methods),
        tuple(_route_remarks(row)),
    )


def _route_remarks(row: Row) -> Iterable[str]:
    for template in row.wider_than:
        yield f"wider than {template}, which a pattern cannot say"
    for original, name in row.path.renamed:
        yield f"{{{original}}} is {{{name}}} here"
    others = [each for each in row.templates if each not in row.wider_than]
    if len(others) > 1:
        yield f"also {', '.join(others[1:])}"
