"""A compiled policy finds the route and the requirement, and an empty one denies all."""

from __future__ import annotations

from dataclasses import replace

import pytest

from authz_service.core.decision import DenyReason
from authz_service.core.errors import AccessDenied
from authz_service.core.policy import Policy, Public, RemoteKeys, Route, TokenTypes
from authz_service.core.refresh import RefreshSettings
from authz_service.core.request import Host, RequestPath
from tests.support.checks import SHOP
from tests.support.keys import key_set, signing_key
from tests.support.policies import HOST, LOGTO, needs, policy_of, route


def refusal(policy: Policy, target: str, host: str = HOST) -> DenyReason:
    with pytest.raises(AccessDenied) as refused:
        policy.match(Host.parse(host), RequestPath.parse(target))
    return refused.value.reason


def requirement_of(route: Route, method: str) -> object:
    try:
        return route.requirement_for(method)
    except AccessDenied as denied:
        return denied.reason


def test_a_match_carries_the_route_and_its_variables() -> None:
    match = SHOP.match(Host(HOST), RequestPath.parse("/organizations/o-1/members"))
    assert match.route.pattern.text == "/organizations/{org_id}/members"
    assert match.variables == {"org_id": "o-1"}


def test_an_empty_policy_has_no_route() -> None:
    for target in ("/", "/products"):
        assert refusal(Policy(), target) is DenyReason.NO_ROUTE
    assert refusal(Policy(), "/a%2Fb") is DenyReason.AMBIGUOUS_PATH


def test_what_no_route_names_is_not_matched() -> None:
    assert refusal(SHOP, "/nothing") is DenyReason.NO_ROUTE
    assert refusal(SHOP, "/products", "elsewhere.example") is DenyReason.NO_ROUTE


@pytest.mark.parametrize("slash", [True, False])
@pytest.mark.parametrize("parameters", [True, False])
def test_each_kind_of_ambiguity_is_kept_on_its_own(*, slash: bool, parameters: bool) -> None:
    policy = policy_of(
        route(
            "/{name}",
            {"GET": Public()},
            keep_encoded_slash=slash,
            keep_path_parameters=parameters,
        )
    )
    for target, needs_slash, needs_parameters in [
        ("/a", False, False),
        ("/a%2Fb", True, False),
        ("/a;v=1", False, True),
        ("/a%2Fb;v=1", True, True),
    ]:
        if (needs_slash and not slash) or (needs_parameters and not parameters):
            assert refusal(policy, target) is DenyReason.AMBIGUOUS_PATH
        else:
            variables = policy.match(Host(HOST), RequestPath.parse(target)).variables
            assert variables == {"name": "a/b" if needs_slash else "a"}


def test_a_method_is_looked_up_in_its_route() -> None:
    read, write, rest = needs("read"), needs("write"), needs("rest")
    named = route("/", {"GET": read, "POST": write})
    assert requirement_of(named, "GET") is read
    assert requirement_of(named, "POST") is write
    assert requirement_of(named, "HEAD") is read
    for method in ("PUT", "OPTIONS", "get", "", "*", "GET "):
        assert requirement_of(named, method) is DenyReason.METHOD_NOT_ALLOWED
    starred = route("/", {"GET": read, "*": rest})
    for method, needed in {"GET": read, "HEAD": read, "POST": rest, "M-SEARCH": rest}.items():
        assert requirement_of(starred, method) is needed
    # To a server that folds case, "delete" is DELETE: it must not be "any other method" here.
    for method in ("get", "delete", "Delete", "*", "", "DELETE ", "GET /admin", "GÉT"):
        assert requirement_of(starred, method) is DenyReason.METHOD_NOT_ALLOWED
    assert requirement_of(route("/", {"HEAD": rest, "GET": read}), "HEAD") is rest
    assert requirement_of(route("/", {"*": rest}), "HEAD") is rest
    assert requirement_of(route("/", {"POST": write}), "HEAD") is DenyReason.METHOD_NOT_ALLOWED
    assert requirement_of(route("/", {"HEAD": read}), "GET") is DenyReason.METHOD_NOT_ALLOWED


def test_the_challenge_names_every_scope_that_plays_a_part() -> None:
    assert needs("a", "b", any_scope=("c", "d")).named_scopes == ("a", "b", "c", "d")
    assert needs().named_scopes == ()


@pytest.mark.parametrize(
    ("types", "typ", "accepted"),
    [
        (TokenTypes.of("at+jwt"), "at+jwt", True),
        (TokenTypes.of("at+jwt"), "AT+jwt", True),
        (TokenTypes.of("at+jwt"), "application/at+jwt", True),
        (TokenTypes.of("at+jwt"), "APPLICATION/AT+JWT", True),
        (TokenTypes.of("application/AT+JWT"), "at+jwt", True),
        (TokenTypes.of("at+jwt"), "jwt", False),
        (TokenTypes.of("at+jwt"), "at+jwt ", False),
        (TokenTypes.of("at+jwt"), "at+jwt; charset=utf-8", False),
        (TokenTypes.of("at+jwt"), "text/at+jwt", False),
        (TokenTypes.of("at+jwt"), "application/", False),
        (TokenTypes.of("at+jwt"), "", False),
        (TokenTypes.of("at+jwt"), None, False),
        (TokenTypes.of("at+jwt", "jwt"), "JWT", True),
        (TokenTypes.of("at+jwt", absent=True), None, True),
        (TokenTypes.of("at+jwt", absent=True), "", False),
        (TokenTypes.of("at+jwt", absent=True), "absent", False),
        (TokenTypes.of("at+jwt", absent=True), "jwt", False),
        (TokenTypes.of(absent=True), None, True),
        (TokenTypes.of(), "at+jwt", False),
    ],
)
def test_a_token_type_is_accepted_by_name(
    types: TokenTypes, typ: str | None, *, accepted: bool
) -> None:
    assert types.accept(typ) is accepted


@pytest.mark.parametrize(("cooldown", "seconds"), [(10.0, 10), (0.5, 1), (0.0, 1), (1.2, 2)])
def test_a_client_is_told_to_come_back_after_the_cooldown(cooldown: float, seconds: int) -> None:
    remote = RemoteKeys(refresh=RefreshSettings(cooldown=cooldown))
    assert replace(LOGTO, keys=remote).retry_after == seconds


def test_keys_from_a_file_are_there_in_a_second() -> None:
    assert replace(LOGTO, keys=key_set(signing_key())).retry_after == 1


def test_the_resources_are_those_that_have_routes() -> None:
    assert SHOP.resources == {
        route.resource for routes in SHOP.hosts.values.values() for route in routes
    }
    assert "shopping" in SHOP.resources
    assert Policy().resources == frozenset()
