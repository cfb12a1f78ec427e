"""Which methods of which routes any case has reached: the coverage of a policy by its tests."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from authz_service.core.decision import Allow, Preflight
from authz_service.core.policy import is_method

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from authz_service.core.decision import Decision
    from authz_service.core.policy import Policy, Route


@dataclass(frozen=True, slots=True)
class RouteReach:
    """A route with the methods that it names, `*` among them, and those that nothing reached."""

    resource: str
    path: str
    methods: tuple[str, ...]
    missed: tuple[str, ...]


@dataclass(slots=True)
class Reach:
    """What the cases of one policy have reached so far."""

    policy: Policy
    _reached: set[tuple[int, str]] = field(default_factory=set)

    def note(self, decision: Decision, method: str) -> None:
        """Take note of the requirement that *decision*, on a request with *method*, was made by."""
        if decision.match is None or _is_preflight(decision):  # that needs no requirement
            return
        route = decision.match.route
        if (named := _named_method(route, method)) is not None:
            self._reached.add((id(route), named))

    def routes(self) -> Iterator[RouteReach]:
        """Every route once, however many hosts it has, in the order of the policy."""
        indexes = self.policy.hosts.values.values()
        for route in {id(route): route for index in indexes for route in index}.values():
            methods = tuple(_methods(route))
            missed = tuple(name for name in methods if (id(route), name) not in self._reached)
            yield RouteReach(route.resource, route.pattern.text, methods, missed)


def _is_preflight(decision: Decision) -> bool:
    return isinstance(decision, Allow) and isinstance(decision.grant, Preflight)


def _methods(route: Route) -> Iterator[str]:
    yield from route.methods
    if route.other_methods is not None:
        yield "*"


def _named_method(route: Route, method: str) -> str | None:
    """The name that *route* has for *method*; as in `Route.requirement_for`."""
    if not is_method(method):
        return None
    for name in (method, "GET" if method == "HEAD" else method):
        if name in route.methods:
            return name
    return None if route.other_methods is None else "*"


def percentage(routes: Iterable[RouteReach]) -> float:
    """How much of *routes* was reached, from 0 to 100. All of nothing is 100."""
    counts = [(len(route.methods), len(route.missed)) for route in routes]
    methods, missed = sum(count for count, _ in counts), sum(count for _, count in counts)
    return 100.0 if methods == 0 else 100.0 * (methods - missed) / methods
