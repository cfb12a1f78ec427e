"""Which requests a route gets: one to show for it, or why there is none.

The argument. The index takes, segment by segment, a literal before a variable before the rest, and
the first that leads to a route wins. Take a path that has the pattern's own literals, and for each
variable a word that is a literal of no pattern at all. At a literal of the pattern, the index
follows it; at a variable, no literal fits, so it follows the variable. So it walks exactly along
the pattern, and what has no `**` is reached. With a `**`, it is at the right node, and what is
above the rest there are only the patterns that go on with variables: with words as above, only how
many follow matters. What happens at one more than the longest pattern has happens at all that
are longer. What none of these numbers leads to, no path leads to: a literal in the
place of a word can only lead elsewhere, never to the rest of this node sooner.

Two things are left, both of size: a path or a host that is too long to be judged at all.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count, product
from string import ascii_lowercase
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

from authz_service.core.errors import AccessDenied
from authz_service.core.request import Host, RequestPath
from authz_service.core.routes import Literal, Rest

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from authz_service.core.hosts import HostPattern
    from authz_service.core.policy import Policy, Route
    from authz_service.core.routes import PathPattern, RouteIndex

# What stands for itself in a path, beside letters, digits and "-._~".
_RAW: Final = "!\"$&'()*+,:<=>@[]^`{|}"


@dataclass(frozen=True, slots=True)
class Never:
    """No request reaches the route: those that it matches go to *instead*, or are refused."""

    instead: tuple[str, ...] = ()
    too_long: bool = False


@dataclass(frozen=True, slots=True)
class Reach:
    """What can be asked of *policy*.

    *word* is no literal of its patterns, and none of them has more than *longest* segments.
    """

    policy: Policy
    word: str = field(kw_only=True)
    longest: int = field(kw_only=True)

    @classmethod
    def of(cls, policy: Policy, patterns: Iterable[PathPattern]) -> Reach:
        """Look at *policy*, whose routes have *patterns*."""
        known = list(patterns)
        literals = {
            segment.text
            for pattern in known
            for segment in pattern.segments
            if isinstance(segment, Literal)
        }
        word = next(word for word in _words() if word not in literals)
        longest = max((len(pattern.segments) for pattern in known), default=0)
        return cls(policy, word=word, longest=longest)

    def path(self, host: HostPattern, pattern: PathPattern) -> tuple[str, ...] | None:
        """The segments of a path for which *host*'s routes have the one of *pattern*, or None."""
        return next(self.paths(host, pattern), None)

    def paths(self, host: HostPattern, pattern: PathPattern) -> Iterator[tuple[str, ...]]:
        """Such paths of every length that makes a difference, the shortest first."""
        for path, route in self._tries(host, pattern):
            if route.pattern == pattern:
                yield path

    def never(self, hosts: Sequence[HostPattern], pattern: PathPattern) -> Never | None:
        """Why no request reaches the route that *hosts* have for *pattern*; None where one does."""
        if not _is_judged("a", shortest_target(pattern)):
            return Never(too_long=True)
        possible = [host for host in hosts if _has_room(host)]
        if any(self.path(host, pattern) is not None for host in possible):
            return None
        takers = (
            route.pattern.text for host in possible for _path, route in self._tries(host, pattern)
        )
        return Never(tuple(dict.fromkeys(takers)), too_long=not possible)

    def _tries(
        self, host: HostPattern, pattern: PathPattern
    ) -> Iterator[tuple[tuple[str, ...], Route]]:
        """Paths that *pattern* matches, and the routes that they go to."""
        index: RouteIndex[Route] = self.policy.hosts.values[host]
        for path in _paths(pattern, self.word, self.longest):
            if (route := index.find(path)) is not None:
                yield path, route


def target(path: Sequence[str]) -> str:
    """The shortest way to write the segments of *path*."""
    return "/" + "/".join(quote(segment, safe=_RAW) for segment in path)


def shortest_target(pattern: PathPattern) -> str:
    """As long as the shortest that *pattern* matches."""
    return target(next(_paths(pattern, "a", 0)))


def _paths(pattern: PathPattern, word: str, longest: int) -> Iterator[tuple[str, ...]]:
    fixed = tuple(
        segment.text if isinstance(segment, Literal) else word
        for segment in pattern.segments
        if not isinstance(segment, Rest)
    )
    yield fixed
    if len(fixed) < len(pattern.segments):
        for length in range(1, longest + 2 - len(fixed)):
            yield (*fixed, *(word for _ in range(length)))


def _has_room(host: HostPattern) -> bool:
    """Whether a host is short enough, and *host* covers it."""
    return not host.wildcard or _is_judged(f"a.{host.name}" if host.name else "a", "/")


def _is_judged(host: str, raw_path: str) -> bool:
    """Whether a request is looked at further, or refused for what *host* and *raw_path* are."""
    try:
        Host.parse(host)
        RequestPath.parse(raw_path)
    except AccessDenied:
        return False
    return True


def _words() -> Iterator[str]:
    """a, b, … z, aa, ab, …: without end, and the short ones first."""
    for length in count(1):
        yield from ("".join(letters) for letters in product(ascii_lowercase, repeat=length))
