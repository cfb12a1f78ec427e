"""Routes that a more specific host does not have, though their host pattern covers it.

The host is chosen first, and its routes alone are looked at. So a route for any host ends where
another resource names one, and that is seldom remembered.

Each host pattern is one bit. A tree of all patterns tells, for a path, the bits of the hosts that
have a route for it; what is missing is hidden. So the time is that of one lookup for each route.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING, Final

from authz_service.core.hosts import HostPattern
from authz_service.core.routes import Literal, OneSegment
from authz_service.policy.lint.reach import Reach
from authz_service.policy.lint.walk import resources, routes, routes_of
from authz_service.policy.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_service.core.routes import Segment
    from authz_service.policy.lint.walk import WrittenRoute
    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.place import Place

_MOST_NAMED: Final = 3
"""So many hosts stand in a message; of the others, how many they are."""


def hidden_by_host(loaded: LoadedPolicy) -> Iterator[Problem]:
    """Routes of a resource that are missing at hosts which another resource names.

    One problem for each resource and set of such hosts, at the first of the routes.
    """
    hosts = _Hosts.of(loaded)
    reach = Reach.of(loaded.policy, (route.fields.path for route in routes(loaded)))
    for place, resource in resources(loaded):
        hidden: dict[int, list[WrittenRoute]] = defaultdict(list)
        for route in routes_of(place, resource):
            hidden[_hidden_at(route, hosts, reach)].append(route)
        for bits, missing in hidden.items():
            if bits:
                yield _problem(missing, bits, hosts)


def _hidden_at(route: WrittenRoute, hosts: _Hosts, reach: Reach) -> int:
    """The bits of the hosts that *route*'s own cover, and that have no route for its path."""
    hidden = 0
    for host in route.resource.hosts:
        below = hosts.below.get(host, 0)
        if below and (path := reach.path(host, route.fields.path)) is not None:
            hidden |= below & ~hosts.tree.holders(path, 0)
    return hidden


def _problem(missing: Sequence[WrittenRoute], bits: int, hosts: _Hosts) -> Problem:
    named = [f"{host} ({place.position})" for host, place in islice(hosts.named(bits), _MOST_NAMED)]
    if bits.bit_count() > _MOST_NAMED:
        named.append(f"{bits.bit_count() - _MOST_NAMED} more")
    first = missing[0].fields.path.text
    others = f" and {len(missing) - 1} more of this resource" if missing[1:] else ""
    message = (
        f"{first}{others} does not count at {', '.join(named)}: a host that is named has the routes"
        " of the resources that name it, and no others: add it to the hosts of this one, or ignore"
        " this if that is meant"
    )
    return Problem((missing[0].place / "path").position, message)


@dataclass(slots=True)
class _Tree:
    """The hosts, as bits, that have a pattern which ends here, or takes the rest from here."""

    literals: dict[str, _Tree] = field(default_factory=dict)
    one: _Tree | None = None
    end: int = 0
    rest: int = 0

    def add(self, segments: Sequence[Segment], bits: int) -> None:
        """Note that the hosts of *bits* have a pattern of *segments*."""
        node = self
        for segment in segments:
            match segment:
                case Literal(text):
                    node = node.literals.setdefault(text, _Tree())
                case OneSegment():
                    node.one = node.one or _Tree()
                    node = node.one
                case _:
                    node.rest |= bits
                    return
        node.end |= bits

    def holders(self, path: Sequence[str], position: int) -> int:
        """The hosts that have any pattern which matches *path*."""
        if position == len(path):
            return self.end | self.rest
        bits = self.rest
        for child in (self.literals.get(path[position]), self.one):
            if child is not None:
                bits |= child.holders(path, position + 1)
        return bits


@dataclass(frozen=True, slots=True)
class _Hosts:
    """Every host pattern and where it is named first, in the order of the bits.

    *below* has the bits of the hosts that a pattern covers and that are more specific.
    """

    places: list[tuple[HostPattern, Place]]
    below: dict[HostPattern, int] = field(default_factory=lambda: defaultdict(int))
    tree: _Tree = field(default_factory=_Tree)

    @classmethod
    def of(cls, loaded: LoadedPolicy) -> _Hosts:
        """Look at every resource of the policy."""
        places: dict[HostPattern, Place] = {}
        for place, resource in resources(loaded):
            for number, host in enumerate(resource.hosts):
                places.setdefault(host, place / "hosts" / number)
        hosts = cls(list(places.items()))
        bits = {host: 1 << number for number, host in enumerate(places)}
        for host, bit in bits.items():
            for wider in _wider(host):
                hosts.below[wider] |= bit
        for _place, resource in resources(loaded):
            own = sum(bits[host] for host in set(resource.hosts))
            for route in resource.routes:
                hosts.tree.add(route.path.segments, own)
        return hosts

    def named(self, bits: int) -> Iterator[tuple[HostPattern, Place]]:
        """The hosts of *bits*, and where each is named first."""
        while bits:
            lowest = bits & -bits
            yield self.places[lowest.bit_length() - 1]
            bits ^= lowest


def _wider(host: HostPattern) -> Iterator[HostPattern]:
    """Every pattern that covers *host* and is less specific."""
    name = host.name
    while name:
        name = name.partition(".")[2]
        yield HostPattern(name, wildcard=True)
