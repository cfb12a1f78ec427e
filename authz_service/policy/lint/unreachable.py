"""Routes that no request reaches."""

from __future__ import annotations

from typing import TYPE_CHECKING

from authz_service.policy.lint.reach import Reach
from authz_service.policy.lint.walk import routes
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service.policy.lint.reach import Never
    from authz_service.policy.loader import LoadedPolicy


def unreachable_route(loaded: LoadedPolicy) -> Iterator[Problem]:
    """What the route matches goes to more specific ones, or is too long for any request."""
    reach = Reach.of(loaded.policy, (route.fields.path for route in routes(loaded)))
    for route in routes(loaded):
        never = reach.never(route.resource.hosts, route.fields.path)
        if never is not None:
            yield Problem((route.place / "path").position, f"no request gets here: {_why(never)}")


def _why(never: Never) -> str:
    if never.too_long:
        return "the path or the host is longer than any that is looked at: make it shorter"
    return (
        f"{' and '.join(never.instead)} are more specific and take every path that this matches:"
        " remove it, or one of them"
    )
