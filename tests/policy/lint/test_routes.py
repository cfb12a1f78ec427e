from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.policy.lint import lint
from authz_service.policy.loader import load
from tests.policy.folder import policy_text
from tests.policy.lint.expect import findings, passes, warns

if TYPE_CHECKING:
    from tests.policy.folder import Folder


def api(*routes: str) -> str:
    """Write a policy of one resource, each of *routes* a path and its methods."""
    lines = [f"      - {{path: {line.replace(' ', ', methods: ', 1)}}}" for line in routes]
    return (
        "version: 1\n"
        "issuers: [{issuer: https://auth.example.com}]\n"
        "resources:\n"
        "  - audience: a\n"
        "    routes:\n" + "\n".join(lines) + "\n"
    )


# no-routes


def test_a_resource_without_routes_is_told(folder: Folder) -> None:
    text = "version: 1\nresources:\n  - »audience: a\n  - »{audience: b, routes: []}\n"
    warns(folder, "no-routes", text, "opens nothing", "opens nothing")


def test_a_policy_without_resources_is_told_once(folder: Folder) -> None:
    warns(folder, "no-routes", "»version: 1\n", "every request is denied")


def test_a_file_of_issuers_beside_one_of_resources_is_fine(folder: Folder) -> None:
    folder.write("version: 1\nissuers: [{issuer: https://a.example}]\n", "issuers.yaml")
    passes(folder, "no-routes", policy_text())


# no-methods


def test_a_route_without_methods_is_told(folder: Folder) -> None:
    warns(folder, "no-methods", policy_text(methods="»{}"), "also where a less specific route")


def test_a_route_with_a_method_is_fine(folder: Folder) -> None:
    passes(folder, "no-methods", policy_text(methods='{"*": []}'))


# public-other-methods


@pytest.mark.parametrize(
    "methods",
    [
        '{GET: [read], "*": »public}',
        '{"*": »public, GET: [read]}',
        '{GET: public, DELETE: [admin], "*": »public}',
        '{GET: [read], "*": »{optional: true}}',
    ],
)
def test_other_methods_that_are_open_beside_a_closed_one_are_told(
    folder: Folder, methods: str
) -> None:
    warns(folder, "public-other-methods", policy_text(methods=methods), "needs a token here")


@pytest.mark.parametrize(
    "methods",
    [
        '{"*": public}',
        '{GET: public, "*": public}',
        '{GET: public, "*": []}',
        "{GET: [read], POST: public}",
        '{GET: {optional: true}, "*": public}',
    ],
)
def test_other_methods_that_are_as_open_as_the_rest_are_fine(folder: Folder, methods: str) -> None:
    passes(folder, "public-other-methods", policy_text(methods=methods))


# public-wildcard


@pytest.mark.parametrize(
    "route",
    [
        "/** {GET: »public}",
        '/** {"*": »public}',
        "'/{rest=**}' {GET: [read], POST: »public, PUT: »public}",
        "'/{tenant}/**' {GET: »public}",
        "/*/** {GET: »public}",
        "/** {GET: »{optional: true}}",
    ],
)
def test_a_public_wildcard_that_no_literal_limits_is_told(folder: Folder, route: str) -> None:
    warns(folder, "public-wildcard", api(route, "/admin {GET: [admin]}"))


def test_the_paths_that_a_public_wildcard_takes_are_in_the_message(folder: Folder) -> None:
    message = "/** takes every path below it that no other route names, and needs no token"
    warns(folder, "public-wildcard", api("/** {GET: »public}"), message)


@pytest.mark.parametrize("closed", [["/api/admin"], ["/api"], ["/api/a", "/api/b/c", "/api/d/**"]])
@pytest.mark.parametrize(
    "route", ["/api/** {GET: »public}", "/api/** {GET: »public, PUT: [write]}"]
)
def test_a_public_wildcard_above_all_that_needs_a_token_is_told(
    folder: Folder, route: str, closed: list[str]
) -> None:
    routes = [f"{path} {{GET: [admin]}}" for path in closed]
    warns(folder, "public-wildcard", api("/healthz {GET: public}", *routes, route))


def test_variables_of_a_public_wildcard_stand_for_any_segment(folder: Folder) -> None:
    text = api(
        "'/{tenant}/v1/**' {GET: »public}", "/a/v1/x {GET: []}", "'/{tenant}/v1/y' {GET: []}"
    )
    warns(folder, "public-wildcard", text)


@pytest.mark.parametrize(
    "elsewhere",
    [["/internal {GET: [x]}"], ["/** {GET: [x]}"], ["/v2/** {GET: [x]}", "/ {GET: [x]}"], []],
)
@pytest.mark.parametrize("route", ["/v1/** {'*': »public}", "/v1/** {GET: »public}"])
def test_what_needs_a_token_elsewhere_does_not_silence_a_public_wildcard(
    folder: Folder, route: str, elsewhere: list[str]
) -> None:
    text = api("/v1/users {GET: [r]}", "/v1/orders {GET: [r], POST: [w]}", route, *elsewhere)
    warns(folder, "public-wildcard", text)


@pytest.mark.parametrize("others", [[], ["/healthz {GET: public}"]])
@pytest.mark.parametrize("open_", ["public", "{optional: true}"])
def test_every_method_of_a_public_wildcard_where_nothing_needs_a_token_is_told(
    folder: Folder, open_: str, others: list[str]
) -> None:
    warns(folder, "public-wildcard", api(f"/v1/** {{'*': »{open_}}}", *others))


@pytest.mark.parametrize(
    "routes",
    [
        ["/static/** {GET: public}", "/orders {GET: []}"],
        ["/static/** {GET: public}"],
        ["/static/** {GET: public, PUT: [write]}"],
        ["/login/** {'*': public}", "/orders {GET: []}"],
        ["/static/** {GET: public}", "/** {GET: []}"],
        ["/static/** {GET: public}", "'/{page}/x' {GET: []}"],
        ["/a/b/** {GET: public}", "/a {GET: []}"],
        ["/api/** {GET: public}", "/ {GET: []}"],
        ["/api/v1/** {GET: public}", "/api/v2/x {GET: []}"],
        ["/api/v1/** {GET: public}", "/api/** {GET: []}"],
        ["/** {GET: []}", "/healthz {GET: public}"],
        ["'/{page}' {GET: public}", "/ {GET: public}"],
    ],
)
def test_a_public_wildcard_of_a_part_and_a_closed_one_are_fine(
    folder: Folder, routes: list[str]
) -> None:
    passes(folder, "public-wildcard", api(*routes))


def test_what_another_resource_closes_does_not_count(folder: Folder) -> None:
    other = "  - {audience: b, routes: [{path: /static/private, methods: {GET: []}}]}\n"
    passes(folder, "public-wildcard", api("/static/** {GET: public}") + other)


# scope-case


def test_the_rarer_spelling_of_a_scope_is_told_with_the_place_of_the_usual_one(
    folder: Folder,
) -> None:
    text = api("/a {GET: [»Read:x]}", "/b {GET: [read:x, y]}", "/c {GET: {any_scope: [y, read:x]}}")
    [finding] = [each for each in findings(folder, text.replace("»", "")) if "scope" in each.code]
    warns(folder, "scope-case", text, '"Read:x" differs only in case from "read:x" at')
    assert f"{folder.path}/policy.yaml:7:36" in finding.message


def test_of_two_spellings_that_are_as_frequent_the_later_is_told(folder: Folder) -> None:
    warns(folder, "scope-case", api("/a {GET: [read]}", "/b {GET: {scopes: [x, »READ]}}"))


def test_each_spelling_is_told_once_wherever_it_stands(folder: Folder) -> None:
    text = api("/a {GET: [a, a, a]}", "/b {GET: {any_scope: [»A, A]}}", "/ä {GET: [A]}")
    warns(folder, "scope-case", text)


def test_scopes_of_several_files_are_compared(folder: Folder) -> None:
    other = "version: 1\nresources:\n  - {audience: b, routes: [{path: /b, methods: {GET: [x]}}]}\n"
    folder.write(other, "b.yaml")
    folder.write(api("/a {GET: [X, X]}"), "a.yaml")
    [finding] = lint(load([folder.path], environment={}))
    assert finding.code == "scope-case"
    assert finding.position.file.endswith("b.yaml")
    assert "a.yaml:6:" in finding.message


def test_scopes_that_differ_in_more_than_case_are_fine(folder: Folder) -> None:
    passes(folder, "scope-case", api("/a {GET: [read:a, read:b]}", "/b {GET: [read:a, Read-a]}"))
