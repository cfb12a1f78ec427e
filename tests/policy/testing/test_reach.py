"""What no case has reached is told by resource, route and method."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from authz_service.policy import load_policy
from authz_service.policy.testing.reach import RouteReach, percentage
from tests.policy.testing.suite import POLICY

if TYPE_CHECKING:
    from tests.policy.testing.suite import Suite

TWO_HOSTS: Final = """\
version: 1
resources:
  - {audience: a, hosts: [a.example, "*.a.example"], routes: [{path: /x, methods: {GET: public}}]}
  - {audience: b, hosts: [b.example], routes: [{path: /x, methods: {GET: public, HEAD: public}}]}
"""


def reached(suite: Suite, requests: str, policy: str = POLICY) -> dict[str, tuple[str, ...]]:
    """Give what is missed of each route after *requests*, each of which is decided somehow."""
    outcomes = suite.outcomes(f"tests: [{{requests: [{requests}]}}]\n", policy)
    routes = outcomes[0].subject.reach.routes()
    return {f"{route.resource} {route.path}": route.missed for route in routes}


def test_a_method_is_reached_whatever_is_decided_there(suite: Suite) -> None:
    assert reached(suite, "GET /healthz: allow, POST /products: deny, GET /nothing: deny") == {
        "shopping /healthz": (),
        "shopping /products": ("GET",),
        "shopping /products/{id}": ("GET", "*"),
    }


def test_any_other_method_reaches_the_asterisk(suite: Suite) -> None:
    assert reached(suite, "PURGE /products/7: deny")["shopping /products/{id}"] == ("GET",)


def test_head_reaches_get_unless_it_is_named(suite: Suite) -> None:
    assert reached(suite, "HEAD /healthz: allow")["shopping /healthz"] == ()
    requests = "HEAD https://a.example/x: allow, HEAD https://b.example/x: allow"
    assert reached(suite, requests, TWO_HOSTS) == {"a /x": (), "b /x": ("GET",)}


def test_a_method_that_the_route_does_not_have_reaches_nothing(suite: Suite) -> None:
    assert reached(suite, "DELETE /products: deny")["shopping /products"] == ("GET", "POST")
    assert reached(suite, "get /products/7: deny")["shopping /products/{id}"] == ("GET", "*")


def test_a_route_of_several_hosts_is_one(suite: Suite) -> None:
    assert reached(suite, "GET https://x.a.example/x: allow", TWO_HOSTS) == {
        "a /x": (),
        "b /x": ("GET", "HEAD"),
    }


def test_the_percentage_counts_methods() -> None:
    routes = [
        RouteReach("a", "/a", ("GET", "POST", "*"), ("POST",)),
        RouteReach("a", "/b", ("GET",), ("GET",)),
        RouteReach("a", "/c", (), ()),
    ]
    assert percentage(routes) == 50.0
    assert percentage(routes[:1]) == 100 * 2 / 3
    assert percentage([]) == 100.0


def test_an_empty_policy_has_nothing_to_reach(suite: Suite) -> None:
    file = suite.write("version: 1\n", "policy.yaml")
    assert list(load_policy([file], environment={}).hosts.values) == []
    assert reached(suite, "GET /: no_route", "version: 1\n") == {}
