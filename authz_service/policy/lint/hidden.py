"""Routes that a more specific host does not have, though their host pattern covers it.

The host is chosen first, and its routes alone are looked at. So a route for any host ends where
another resource names one, and that is seldom remembered.

Each host pattern is one bit. A tree of all patterns tells, for a path, the bits of the hosts that
have a route for it, and for which methods; what is missing is hidden. So the time is that of one
lookup for each route, and for one with `**`, of one for each number of segments.
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
    from collections.abc import Iterable, Iterator, Sequence

    from authz_service.core.routes import Segment
    from authz_service.policy.lint.walk import WrittenRoute
    from authz_service.policy.loader import LoadedPolicy
    from authz_service.policy.place import Place

_ANY: Final = "*"
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
    """The bits of the hosts that *route*'s own cover, and that have less for its paths."""
    hidden = 0
    for host in route.resource.hosts:
        if below := hosts.below.get(host, 0):
            for path in reach.paths(host, route.fields.path):
                hidden |= _hidden_from(path, route.fields.methods, below, hosts.tree)
    return hidden


def _hidden_from(path: Sequence[str], methods: Iterable[str], below: int, tree: _Tree) -> int:
    """The bits, of those of *below*, that have no route for *path*, or none of its *methods*."""
    hidden, undecided = 0, below
    for end in tree.matching(path):
        for method in methods:
            hidden |= undecided & end.without(method)
        undecided &= ~end.hosts
    return hidden | undecided


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
class _End:
    """The hosts, as bits, that have a pattern which ends here, and those for each method of it."""

    hosts: int = 0
    methods: dict[str, int] = field(default_factory=lambda: defaultdict(int))

    def add(self, methods: Iterable[str], bits: int) -> None:
        """Note that the hosts of *bits* have *methods* here."""
        self.hosts |= bits
        for method in methods:
            self.methods[method] |= bits

    def without(self, method: str) -> int:
        """The hosts that refuse *method* here; none do so for `*`, where they name their own."""
        if method == _ANY:
            return 0
        own = self.methods.get(method, 0) | self.methods.get(_ANY, 0)
        if method == "HEAD":
            own |= self.methods.get("GET", 0)
        return self.hosts & ~own


@dataclass(slots=True)
class _Tree:
    """The patterns of all hosts: those that end here, and those that take the rest from here."""

    literals: dict[str, _Tree] = field(default_factory=dict)
    one: _Tree | None = None
    end: _End = field(default_factory=_End)
    rest: _End = field(default_factory=_End)

    def ending(self, segments: Sequence[Segment]) -> _End:
        """Where a pattern of *segments* ends."""
        node = self
        for segment in segments:
            match segment:
                case Literal(text):
                    node = node.literals.setdefault(text, _Tree())
                case OneSegment():
                    node.one = node.one or _Tree()
                    node = node.one
                case _:
                    return node.rest
        return node.end

    def matching(self, path: Sequence[str], position: int = 0) -> Iterator[_End]:
        """Where the patterns end that match *path*, in the order in which a host tries them."""
        if position == len(path):
            yield self.end
        else:
            for child in (self.literals.get(path[position]), self.one):
                if child is not None:
                    yield from child.matching(path, position + 1)
        yield self.rest


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
                hosts.tree.ending(route.path.segments).add(route.methods, own)
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
