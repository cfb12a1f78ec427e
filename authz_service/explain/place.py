"""Where in the policy's files a route stands."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from authz_service.core.policy import Route
    from authz_service.policy.compiler import PolicySource
    from authz_service.policy.problems import Position


def position_of(route: Route, sources: Iterable[PolicySource]) -> Position | None:
    """The place of *route* in *sources*: no two resources have a name, no two of its routes a path.

    None where it was not made from these.
    """
    for source in sources:
        for number, resource in enumerate(source.fields.resources):
            if (resource.name or resource.audience[0].text) != route.resource:
                continue
            for index, fields in enumerate(resource.routes):
                if fields.path == route.pattern:
                    path = ("resources", number, "routes", index)
                    return source.document.position(path)
    return None
