"""What lint calls unreachable is so, and all else is reached by a request that is built here."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count, product
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authz_service.core.errors import AccessDenied
from authz_service.core.hosts import HostIndex, HostPattern
from authz_service.core.policy import Policy, Route
from authz_service.core.request import Host, RequestPath
from authz_service.core.routes import MAX_SEGMENTS, PathPattern, RouteIndex
from authz_service.policy.lint.reach import Never, Reach, target
from tests.policy.folder import policy_text
from tests.policy.lint.expect import passes, warns

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from tests.policy.folder import Folder

HOSTS: Final = ("*", "*.example", "a.example", "*.a.example", "b.a.example", "b.example")
LONGEST_HOST: Final = 261


@dataclass(frozen=True)
class Placed:
    """A route, and the hosts that have it."""

    route: Route
    hosts: tuple[HostPattern, ...]


def policy_with(*resources: tuple[Sequence[str], Sequence[str]]) -> tuple[Policy, list[Placed]]:
    """Make a policy of hosts and paths; a path that a host has already is left out there."""
    hosts: dict[HostPattern, RouteIndex[Route]] = {}
    placed: list[Placed] = []
    for names, paths in resources:
        for path in paths:
            route = Route("r", PathPattern.parse(path), {})
            patterns = [HostPattern.parse(name) for name in dict.fromkeys(names)]
            own = [
                pattern for pattern in patterns
                if hosts.setdefault(pattern, RouteIndex()).add(route.pattern, route) is route
            ]  # fmt: skip
            if own:
                placed.append(Placed(route, tuple(own)))
    return Policy(hosts=HostIndex(hosts)), placed


def reach_of(policy: Policy, placed: Iterable[Placed]) -> Reach:
    return Reach.of(policy, [each.route.pattern for each in placed])


def host_of(policy: Policy, pattern: HostPattern) -> str:
    """Find a host that *pattern* is chosen for."""
    if not pattern.wildcard:
        return pattern.name
    names = (f"w{number}.{pattern.name}".rstrip(".") for number in count())
    return next(name for name in names if HostPattern(name) not in policy.hosts.values)


def taken_by(policy: Policy, host: str, raw_path: str) -> Route | None:
    try:
        return policy.match(Host.parse(host), RequestPath.parse(raw_path)).route
    except AccessDenied:
        return None


segments = st.lists(st.sampled_from(["a", "b", "%41", "*", "*"]), max_size=3)
paths = st.builds(
    lambda parts, rest: "/" + "/".join([*parts, *rest]), segments, st.sampled_from([[], [], ["**"]])
)
resources = st.tuples(
    st.lists(st.sampled_from(HOSTS), min_size=1, max_size=3),
    st.lists(paths, min_size=1, max_size=8),
)
policies = st.lists(resources, min_size=1, max_size=4)


@given(policies)
def test_a_route_that_is_not_called_unreachable_is_reached_by_the_request_for_it(
    written: list[tuple[list[str], list[str]]],
) -> None:
    policy, placed = policy_with(*written)
    reach = reach_of(policy, placed)
    for each in placed:
        if reach.never(each.hosts, each.route.pattern) is None:
            requests = [
                (host_of(policy, host), target(path))
                for host in each.hosts
                if (path := reach.path(host, each.route.pattern)) is not None
            ]
            assert requests
            assert {id(taken_by(policy, *request)) for request in requests} == {id(each.route)}


@given(policies)
def test_no_request_reaches_a_route_that_is_called_unreachable(
    written: list[tuple[list[str], list[str]]],
) -> None:
    policy, placed = policy_with(*written)
    reach = reach_of(policy, placed)
    never = {id(each.route) for each in placed if reach.never(each.hosts, each.route.pattern)}
    names = {host_of(policy, host) for host in policy.hosts.values}
    for length in range(5 if never else 0):
        for path in product(["a", "b", "A", "other"], repeat=length):
            for name in names:
                assert id(taken_by(policy, name, target(path))) not in never


@pytest.mark.parametrize(
    ("shields", "path"),
    [
        (["/", "/{x}/**"], "/**"),
        (["/a", "/a/{x}", "/a/{x}/{y}/**"], "/a/**"),
        (["/a", "/a/*/**", "/a/b"], "/a/{rest=**}"),
        (["/{x}", "/{x}/{y}/**"], "/{z}/**"),
    ],
)
def test_a_rest_that_more_specific_routes_take_whole_is_never_reached(
    shields: list[str], path: str
) -> None:
    policy, placed = policy_with((["*"], [*shields, path]))
    reach = reach_of(policy, placed)
    never = reach.never(placed[-1].hosts, placed[-1].route.pattern)
    assert never is not None
    assert set(never.instead) <= set(shields)
    for each in placed[:-1]:
        assert reach.never(each.hosts, each.route.pattern) is None


@pytest.mark.parametrize(
    ("others", "path"),
    [
        (["/{x}/**"], "/**"),  # "/" is left
        (["/", "/a/**", "/b/**"], "/**"),  # and so is any other first segment
        (["/a", "/a/{x}"], "/a/**"),
        (["/a", "/a/{x}/{y}/**"], "/a/**"),
        (["/a", "/{x}/b/**", "/{x}"], "/a/**"),
        (["/a/b", "/{x}/c"], "/{x}/{y}"),
    ],
)
def test_a_route_that_others_leave_a_path_to_is_reached(others: list[str], path: str) -> None:
    policy, placed = policy_with((["*"], [*others, path]))
    reach = reach_of(policy, placed)
    assert [reach.never(each.hosts, each.route.pattern) for each in placed] == [None] * len(placed)


def test_a_route_is_reached_if_one_of_its_hosts_leaves_it_a_path() -> None:
    policy, placed = policy_with((["*", "a.example"], ["/**"]), (["*"], ["/", "/{x}/**"]))
    reach = reach_of(policy, placed)
    assert reach.never(placed[0].hosts, placed[0].route.pattern) is None
    assert reach.path(HostPattern.parse("*"), placed[0].route.pattern) is None


def test_as_many_variables_as_a_pattern_may_have_leave_longer_paths_to_the_rest() -> None:
    chain = ["/" + "/".join(["*"] * length) for length in range(MAX_SEGMENTS + 1)]
    policy, placed = policy_with((["*"], ["/**", *chain]))
    reach = reach_of(policy, placed)
    path = reach.path(placed[0].hosts[0], placed[0].route.pattern)
    assert path is not None
    assert len(path) == MAX_SEGMENTS + 1
    assert taken_by(policy, "x", target(path)) is placed[0].route


@pytest.mark.parametrize(
    ("path", "length"),
    [("/" + "a" * 8191, 8192), ("/" + "%20" * 2730 + "a", 8192), ("/" + "ab/" * 60 + "**", 180)],
)
def test_the_shortest_path_may_be_as_long_as_a_path_may_be(path: str, length: int) -> None:
    policy, placed = policy_with((["*"], [path]))
    found = reach_of(policy, placed).path(placed[0].hosts[0], placed[0].route.pattern)
    assert found is not None
    assert len(target(found)) == length
    assert taken_by(policy, "x", target(found)) is placed[0].route
    assert reach_of(policy, placed).never(placed[0].hosts, placed[0].route.pattern) is None


@pytest.mark.parametrize(
    "path", [f"/{'a' * 8192}", f"/{'%C3%A9' * 1366}", f"/{'a' * 8190}/*", f"/*/{'a' * 8190}"]
)
def test_a_path_that_is_longer_than_any_request_has_is_never_reached(path: str) -> None:
    policy, placed = policy_with((["*"], [path]))
    never = reach_of(policy, placed).never(placed[0].hosts, placed[0].route.pattern)
    assert never == Never(too_long=True)


def long_host(length: int) -> str:
    return "*." + ("a" * 62 + ".") * 4 + "b" * (length - 252 - 2)


def test_a_wildcard_that_leaves_no_room_for_what_is_below_it_is_never_reached() -> None:
    policy, placed = policy_with(([long_host(LONGEST_HOST + 1), long_host(262)], ["/a"]))
    never = reach_of(policy, placed).never(placed[0].hosts, placed[0].route.pattern)
    assert never == Never(too_long=True)


def test_a_wildcard_with_room_for_one_more_character_is_reached() -> None:
    name = long_host(LONGEST_HOST)
    policy, placed = policy_with(([name], ["/a"]))
    assert reach_of(policy, placed).never(placed[0].hosts, placed[0].route.pattern) is None
    assert taken_by(policy, f"w{name.removeprefix('*')}", "/a") is placed[0].route


# As warnings


def test_an_unreachable_route_is_told_with_those_that_take_its_place(folder: Folder) -> None:
    text = policy_text(path="/a").replace("version: 1\n", "version: 1\n") + (
        '      - {path: "/a/{x}/**", methods: {}}\n      - {path: »/a/**, methods: {}}\n'
    )
    message = "no request gets here: /a and /a/{x}/** are more specific and take every path"
    warns(folder, "unreachable-route", text, message)


def test_a_route_of_a_path_that_is_too_long_is_told(folder: Folder) -> None:
    text = policy_text(path="»/" + "a" * 8192)
    warns(folder, "unreachable-route", text, "is longer than any that is looked at")


def test_a_reachable_route_is_fine(folder: Folder) -> None:
    passes(folder, "unreachable-route", policy_text(path="/**"))
