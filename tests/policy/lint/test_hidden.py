from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.policy.lint.expect import findings, passes, warns

if TYPE_CHECKING:
    from tests.policy.folder import Folder


def resource(name: str, hosts: str | None, *paths: str) -> str:
    routes = ", ".join(f'{{path: "{path}", methods: {{GET: public}}}}' for path in paths)
    named = "" if hosts is None else f", hosts: {hosts}"
    return f"  - {{audience: {name}{named}, routes: [{routes}]}}\n".replace('"»', '»"')


def policy(*resources: str) -> str:
    return "version: 1\nresources:\n" + "".join(resources)


PATHS = {"health": "/health", "one": "/{z}", "rest": "/**"}
SHOP = resource("shop", "[shop.example.com]", "/products")


@pytest.mark.parametrize("hosts", [None, '["*"]', '["*.example.com"]', '["*.com", "*.org"]'])
@pytest.mark.parametrize("path", ["/healthz", "/products/{id}", "/**", "/{x}", "/"])
def test_a_route_that_a_named_host_does_not_have_is_told(
    folder: Folder, hosts: str | None, path: str
) -> None:
    text = policy(SHOP, resource("any", hosts, f"»{path}"))
    warns(folder, "hidden-by-host", text, f"{path} does not count at shop.example.com (")


def test_the_place_where_the_host_is_named_is_in_the_message(folder: Folder) -> None:
    [finding] = findings(folder, policy(SHOP, resource("any", None, "/healthz")))
    assert f"shop.example.com ({folder.path}/policy.yaml:3:30)" in finding.message


def test_a_wildcard_hides_what_is_for_any_host(folder: Folder) -> None:
    text = policy(
        resource("w", '["*.example.com"]', "/products"), resource("any", None, "»/healthz")
    )
    warns(folder, "hidden-by-host", text, "does not count at *.example.com (")


def test_a_longer_wildcard_hides_what_is_for_a_shorter(folder: Folder) -> None:
    text = policy(
        resource("w", '["*.a.example.com"]', "/a"), resource("v", '["*.example.com"]', "»/b")
    )
    warns(folder, "hidden-by-host", text, "does not count at *.a.example.com (")


def test_several_routes_of_a_resource_are_one_warning_at_the_first(folder: Folder) -> None:
    text = policy(SHOP, resource("any", None, "/products", "»/a", "/b", "/c"))
    warns(folder, "hidden-by-host", text, "/a and 2 more of this resource does not count at")


def test_routes_that_are_hidden_at_other_hosts_are_warnings_of_their_own(folder: Folder) -> None:
    text = policy(
        SHOP,
        resource("files", "[files.example.com]", "/a"),
        resource("any", None, "»/a", "»/b", "»/products"),
    )
    warns(
        folder, "hidden-by-host", text,
        "at shop.example.com (", "at shop.example.com (", "at files.example.com (",
    )  # fmt: skip


def test_of_many_hosts_three_are_named(folder: Folder) -> None:
    hosts = "[a.example, b.example, c.example, d.example, e.example]"
    text = policy(resource("many", hosts, "/a"), resource("any", None, "/b"))
    [finding] = findings(folder, text)
    assert "a.example (" in finding.message
    assert "c.example (" in finding.message
    assert "d.example" not in finding.message
    assert "), 2 more: " in finding.message


@pytest.mark.parametrize(
    "other",
    [
        resource("any", None, "/products"),
        resource("any", '["*", shop.example.com]', "/healthz"),
        resource("any", "[other.example.com]", "/healthz"),
        resource("any", '["*.shop.example.com"]', "/healthz"),
        resource("any", '["*.example.org"]', "/healthz"),
    ],
)
def test_a_route_that_the_named_host_has_or_that_is_for_others_is_fine(
    folder: Folder, other: str
) -> None:
    passes(folder, "hidden-by-host", policy(SHOP, other))


@pytest.mark.parametrize("own", ["/**", "/{x}", "/{x}/**", "/healthz", "/healthz/**"])
def test_a_path_that_another_route_of_the_named_host_takes_is_fine(
    folder: Folder, own: str
) -> None:
    shop = resource("shop", "[shop.example.com]", own)
    passes(folder, "hidden-by-host", policy(shop, resource("any", None, "/healthz")))


@pytest.mark.parametrize(
    "own",
    [
        ["/{z}"],
        ["/{z}", "/{z}/{y}"],
        ["/api"],
        ["/api", "/api/{x}"],
        ["/api/foo"],
        ["/api/{x}/**"],
        ["/api", "/api/{x}", "/api/{x}/{y}/{z}/**"],
    ],
)
def test_a_rest_is_told_where_a_path_of_any_length_is_missing(
    folder: Folder, own: list[str]
) -> None:
    shop = resource("shop", "[shop.example.com]", *own)
    text = policy(shop, resource("any", None, "»/api/**"))
    warns(folder, "hidden-by-host", text, "/api/** does not count at shop.example.com (")


@pytest.mark.parametrize(
    "own",
    [
        ["/**"],
        ["/{z}/**"],
        ["/api", "/api/{x}/**"],
        ["/{z}", "/{z}/{y}", "/api/{x}/{y}/**"],
    ],
)
def test_a_rest_that_the_named_host_has_at_every_length_is_fine(
    folder: Folder, own: list[str]
) -> None:
    shop = resource("shop", "[shop.example.com]", *own)
    passes(folder, "hidden-by-host", policy(shop, resource("any", None, "/api/**")))


def test_a_length_that_another_route_of_its_own_takes_is_not_missing(folder: Folder) -> None:
    shop = resource("shop", "[shop.example.com]", "/api/{x}/**")
    text = policy(shop, resource("any", None, "»/api", "/api/**"))
    warns(folder, "hidden-by-host", text, "/api does not count at shop.example.com (")


def with_methods(name: str, hosts: str, **routes: str) -> str:
    written = ", ".join(
        f"{{path: '{PATHS[path]}', methods: {methods}}}" for path, methods in routes.items()
    )
    return f"  - {{audience: {name}, hosts: {hosts}, routes: [{written}]}}\n"


@pytest.mark.parametrize(
    ("shop", "methods"),
    [
        ({"one": "{POST: public}"}, "{GET: public}"),
        ({"health": "{POST: public}"}, "{GET: public}"),
        ({"one": "{POST: public}", "rest": "{GET: public}"}, "{GET: public}"),
        ({"one": "{GET: public}"}, "{GET: public, PUT: public}"),
        ({"one": "{HEAD: public}"}, "{GET: public}"),
        ({"one": "{}"}, "{GET: public}"),
    ],
)
def test_a_method_that_the_named_host_refuses_is_told(
    folder: Folder, shop: dict[str, str], methods: str
) -> None:
    named = with_methods("shop", "[shop.example.com]", **shop)
    text = policy(named, with_methods("any", '["*"]', health=methods))
    [finding] = [each for each in findings(folder, text) if each.code == "hidden-by-host"]
    assert "/health does not count at shop.example.com (" in finding.message


@pytest.mark.parametrize(
    ("shop", "methods"),
    [
        ({"one": "{GET: public}"}, "{GET: public}"),
        ({"one": '{"*": public}'}, "{GET: public, PUT: public}"),
        ({"one": "{GET: public}"}, "{HEAD: public}"),
        ({"one": "{GET: public}", "rest": "{POST: public}"}, "{GET: public}"),
        ({"one": "{GET: public}"}, '{"*": public}'),
        ({"one": "{GET: public}"}, "{}"),
    ],
)
def test_methods_that_the_named_host_has_are_fine(
    folder: Folder, shop: dict[str, str], methods: str
) -> None:
    named = with_methods("shop", "[shop.example.com]", **shop)
    passes(folder, "hidden-by-host", policy(named, with_methods("any", '["*"]', health=methods)))


def test_the_routes_of_all_that_name_the_host_count(folder: Folder) -> None:
    more = resource("more", "[shop.example.com]", "/healthz")
    passes(folder, "hidden-by-host", policy(SHOP, more, resource("any", None, "/healthz")))


def test_a_policy_without_hosts_is_fine(folder: Folder) -> None:
    passes(folder, "hidden-by-host", policy(resource("a", None, "/a"), resource("b", None, "/b")))
