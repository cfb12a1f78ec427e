"""What a document and a policy say of each other, as findings of lint, each where it stands."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from authz_service.openapi import WITHOUT_OPERATION, WITHOUT_ROUTE
from authz_service.openapi.coverage import routes_without_operation, uncovered_operations
from authz_service.policy.lint import Finding, Severity
from authz_service.policy.lint.walk import routes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.core.hosts import HostPattern
    from authz_service.openapi.document import ApiDocument
    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.problems import Position


def findings(document: ApiDocument, loaded: LoadedPolicy) -> tuple[Finding, ...]:
    """Operations of *document* that no route covers, and routes that cover no operation.

    Raises OpenApiError.
    """
    return (*_without_route(document, loaded), *_without_operation(document, loaded))


def _without_route(document: ApiDocument, loaded: LoadedPolicy) -> Iterator[Finding]:
    for problem in uncovered_operations(document, loaded.policy):
        yield Finding(Severity.WARNING, problem.position, WITHOUT_ROUTE, problem.message)


def _without_operation(document: ApiDocument, loaded: LoadedPolicy) -> Iterator[Finding]:
    places = _places(loaded)
    hosts: defaultdict[tuple[Position, str], list[str]] = defaultdict(list)
    for stray in routes_without_operation(document, loaded.policy):
        path = stray.route.pattern.text
        hosts[places[stray.host, path], path].append(str(stray.host))
    for (position, path), names in hosts.items():
        of_host = f"for the host {', '.join(sorted(names))}"
        message = f"no operation of {document.file} is at {path}, {of_host}: is it still there?"
        yield Finding(Severity.WARNING, position, WITHOUT_OPERATION, message)


def _places(loaded: LoadedPolicy) -> dict[tuple[HostPattern, str], Position]:
    """Where each path of each host is written: there are no two of a kind."""
    return {
        (host, route.fields.path.text): (route.place / "path").position
        for route in routes(loaded)
        for host in route.resource.hosts
    }
