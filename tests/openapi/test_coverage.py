"""What a document and a policy say of each other."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from authz_service.openapi.coverage import routes_without_operation, uncovered_operations
from authz_service.openapi.document import read_api
from tests.openapi.imported import EXAMPLE, api, load, operation, schemes
from tests.support.policies import needs, policy_of, route

if TYPE_CHECKING:
    from authz_service.core.policy import Policy
    from authz_service.openapi.document import ApiDocument

ORDERS: dict[str, Any] = {"/orders/{id}": {"get": operation({"login": ["a"]})}}


def uncovered(document: ApiDocument, policy: Policy) -> list[str]:
    return [str(problem) for problem in uncovered_operations(document, policy)]


def stray(document: ApiDocument, policy: Policy) -> list[str]:
    return [each.message for each in routes_without_operation(document, policy)]


def one_route(path: str, *methods: str, host: str = "*") -> Policy:
    return policy_of(route(path, {method: needs("a") for method in methods}), host=host)


def test_what_was_imported_covers_its_document_and_nothing_else() -> None:
    document, policy = read_api(EXAMPLE), load(EXAMPLE).policy
    assert uncovered(document, policy) == []
    assert stray(document, policy) == []


def test_an_operation_without_a_route_is_told_with_its_place() -> None:
    policy = one_route("/products", "GET", host="shop.example.com")
    lines = uncovered(read_api(EXAMPLE), policy)
    assert lines[0] == f"{EXAMPLE}:12:5: GET /healthz: no route names it, so it is denied"
    assert len(lines) == 7


@pytest.mark.parametrize(
    ("path", "method", "is_covered"),
    [
        ("/orders/{id}", "GET", True),
        ("/orders/*", "GET", True),
        ("/orders/**", "GET", True),
        ("/**", "*", True),
        ("/orders/{id}", "*", True),
        ("/orders/{id}", "POST", False),
        ("/orders/7", "GET", False),
        ("/orders", "GET", False),
        ("/orders/{id}/items", "GET", False),
    ],
)
def test_a_route_covers_an_operation_where_it_takes_every_value(
    path: str, method: str, *, is_covered: bool
) -> None:
    assert (uncovered(api(ORDERS), one_route(path, method)) == []) == is_covered


@pytest.mark.parametrize(
    ("path", "method", "is_stray"),
    [
        ("/orders/{id}", "GET", False),
        ("/orders/7", "GET", False),
        ("/orders/**", "GET", False),
        ("/orders/7/**", "GET", False),
        ("/**", "GET", False),
        ("/orders/{id}", "HEAD", True),
        ("/orders/{id}", "POST", True),
        ("/orders/{id}", "*", False),
        ("/orders", "GET", True),
        ("/orders/7/items", "GET", True),
        ("/orders/7/items/**", "GET", True),
        ("/products/{id}", "GET", True),
    ],
)
def test_a_route_is_stray_where_no_request_of_an_operation_can_fall_under_it(
    path: str, method: str, *, is_stray: bool
) -> None:
    lines = stray(api(ORDERS), one_route(path, method))
    assert lines == ([f"no operation is at {path}, for the host *"] if is_stray else [])


@pytest.mark.parametrize(
    ("server", "host", "is_covered", "is_stray"),
    [
        ("https://a.example", "a.example", True, False),
        ("https://a.example", "*.example", True, False),
        ("https://a.example", "*", True, False),
        ("https://a.example", "b.example", False, True),
        ("https://a.example", "*.a.example", False, True),
        ("/", "a.example", True, False),
        ("/", "*.a.example", True, False),
        ("/", "*", True, False),
        ("/v1", "*", False, True),
    ],
)
def test_hosts_are_compared(server: str, host: str, *, is_covered: bool, is_stray: bool) -> None:
    document = api(ORDERS, servers=[{"url": server}])
    policy = one_route("/orders/{id}", "GET", host=host)
    assert (uncovered(document, policy) == []) == is_covered
    assert bool(stray(document, policy)) == is_stray


def test_one_of_several_servers_is_enough() -> None:
    document = api(ORDERS, servers=[{"url": "https://a.example"}, {"url": "https://b.example"}])
    assert uncovered(document, one_route("/orders/{id}", "GET", host="b.example")) == []


def test_a_get_covers_head() -> None:
    document = api({"/a": {"head": operation({"login": []})}})
    policy = one_route("/a", "GET")
    assert uncovered(document, policy) == []
    assert stray(document, policy) == []


def test_an_operation_that_was_left_out_is_uncovered_and_its_route_is_not_stray() -> None:
    document = api({"/a": {"get": operation({"key": []})}}, components=schemes("key"))
    policy = load(document).policy
    assert uncovered(document, policy) == ["shop.yaml: GET /a: no route names it, so it is denied"]
    assert stray(document, policy) == []


def test_an_operation_at_a_path_that_no_request_can_have_is_uncovered() -> None:
    assert uncovered(api({"/a//b": {"get": operation()}}), one_route("/**", "*"))
