"""One host pattern is chosen for a request, and the choice is final."""

from __future__ import annotations

import pytest

from authz_service.core.decision import DenyReason
from authz_service.core.hosts import ANY_HOST, HostIndex, HostPattern
from authz_service.core.policy import Policy, Public, Route
from authz_service.core.request import Host
from authz_service.core.routes import RouteIndex
from tests.support.checks import Check, allowed, denied
from tests.support.policies import route

INDEX = HostIndex(
    {
        HostPattern.parse(text): text
        for text in ("shop.example.com", "*.example.com", "*.shop.example.com", "[::1]", "*.com")
    }
)


@pytest.mark.parametrize(
    ("host", "pattern"),
    [
        ("shop.example.com", "shop.example.com"),
        ("a.shop.example.com", "*.shop.example.com"),
        ("a.b.shop.example.com", "*.shop.example.com"),
        ("a.example.com", "*.example.com"),
        ("a.b.example.com", "*.example.com"),
        ("example.com", "*.com"),
        ("xshop.example.com", "*.example.com"),
        ("xexample.com", "*.com"),
        ("[::1]", "[::1]"),
        ("com", None),
        ("[::2]", None),
        ("localhost", None),
    ],
)
def test_the_exact_host_wins_then_the_longest_wildcard(host: str, pattern: str | None) -> None:
    assert INDEX.find(Host.parse(host)) == pattern


@pytest.mark.parametrize("host", ["localhost", "a.b.c", "[::1]", "127.0.0.1"])
def test_a_star_is_every_host(host: str) -> None:
    assert HostIndex({ANY_HOST: "any"}).find(Host.parse(host)) == "any"


def test_what_one_host_does_not_offer_is_not_looked_for_at_another() -> None:
    def routes(path: str) -> RouteIndex[Route]:
        index: RouteIndex[Route] = RouteIndex()
        only = route(path, {"GET": Public()})
        index.add(only.pattern, only)
        return index

    policy = Policy(
        hosts=HostIndex(
            {
                HostPattern.parse("a.example.com"): routes("/exact"),
                HostPattern.parse("*.example.com"): routes("/wildcard"),
                ANY_HOST: routes("/any"),
            }
        )
    )
    for host, path in [("a.example.com", "/exact"), ("b.example.com", "/wildcard"), ("c", "/any")]:
        for target in ("/exact", "/wildcard", "/any"):
            check = Check(authority=host, target=target, policy=policy)
            if target == path:
                allowed(check)
            else:
                assert denied(check).reason is DenyReason.NO_ROUTE


@pytest.mark.parametrize(
    "text", ["*", "shop.example.com", "*.example.com", "[::1]", "127.0.0.1", "localhost"]
)
def test_a_pattern_is_written_as_it_was_read(text: str) -> None:
    assert str(HostPattern.parse(text)) == text


@pytest.mark.parametrize(
    ("text", "instead"),
    [
        ("Shop.Example.com", "write shop.example.com"),
        ("shop.example.com:443", "write shop.example.com"),
        ("shop.example.com.", "write shop.example.com"),
        ("*.Example.com", r"write \*\.example.com"),
        ("[0::1]", r"write \[::1\]"),
        ("*.[::1]", "nothing below an address"),
    ],
)
def test_a_pattern_that_no_host_would_equal_is_refused_with_the_right_one(
    text: str, instead: str
) -> None:
    with pytest.raises(ValueError, match=instead):
        HostPattern.parse(text)


@pytest.mark.parametrize(
    "text", ["", "*.", "**", "*.*", "a.*.b", "*a.example", "https://a", "a b", "a,b", "::1", "ä.de"]
)
def test_what_is_no_pattern_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="a host is a name"):
        HostPattern.parse(text)
