"""Every issuer, resource, route and requirement of the files, each with the place it stands at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from authz_service.policy.place import Place

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.schema import (
        IssuerFields,
        PolicyFields,
        RequirementFields,
        ResourceFields,
        RouteFields,
    )


@dataclass(frozen=True, slots=True)
class WrittenRoute:
    """A route of a file, and the resource around it."""

    place: Place
    fields: RouteFields
    resource_place: Place
    resource: ResourceFields


@dataclass(frozen=True, slots=True)
class WrittenRequirement:
    """What one *method* of a route needs."""

    place: Place
    method: str
    fields: RequirementFields
    route: WrittenRoute


def files(loaded: LoadedPolicy) -> Iterator[tuple[Place, PolicyFields]]:
    """Every file."""
    for source in loaded.sources:
        yield Place(source.document), source.fields


def issuers(loaded: LoadedPolicy) -> Iterator[tuple[Place, IssuerFields]]:
    """Every issuer of every file."""
    for place, fields in files(loaded):
        for number, issuer in enumerate(fields.issuers):
            yield place / "issuers" / number, issuer


def resources(loaded: LoadedPolicy) -> Iterator[tuple[Place, ResourceFields]]:
    """Every resource of every file."""
    for place, fields in files(loaded):
        for number, resource in enumerate(fields.resources):
            yield place / "resources" / number, resource


def routes_of(place: Place, resource: ResourceFields) -> Iterator[WrittenRoute]:
    """Every route of *resource*, which stands at *place*."""
    for number, route in enumerate(resource.routes):
        yield WrittenRoute(place / "routes" / number, route, place, resource)


def routes(loaded: LoadedPolicy) -> Iterator[WrittenRoute]:
    """Every route of every resource."""
    for place, resource in resources(loaded):
        yield from routes_of(place, resource)


def requirements(loaded: LoadedPolicy) -> Iterator[WrittenRequirement]:
    """Every method's requirement of every route."""
    for route in routes(loaded):
        for method, fields in route.fields.methods.items():
            yield WrittenRequirement(route.place / "methods" / method, method, fields, route)
