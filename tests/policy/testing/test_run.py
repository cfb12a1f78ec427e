"""A case passes if everything that it expects is so, and only then."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.decision import DenyReason
from tests.policy.testing.suite import AUDIENCE, POLICY

if TYPE_CHECKING:
    from tests.policy.testing.suite import Suite

READER: Final = f'token: {{claims: {{aud: {AUDIENCE}, sub: alice, scope: "read:products"}}}}'
READ: Final = f"request: GET /products/7, {READER}"
UPSTREAM: Final = "expect: {upstream:"
DENIED: Final = "request: GET /products"
OPEN: Final = "request: GET /healthz"


@pytest.mark.parametrize(
    "test",
    [
        f"{READ}, expect: allow",
        f"{READ}, expect: {{decision: allow}}",
        f"{READ}, expect: {{status: 200}}",
        f"{READ}, expect: {{resource: shopping, route: '/products/{{id}}'}}",
        f"{READ}, expect: {{upstream: {{x-auth-subject: alice, x-auth-scope: 'read:products'}}}}",
        f"{READ}, headers: {{x-auth-role: a, b: c}}, {UPSTREAM} {{x-auth-role: null, b: c}}}}",
        f"{READ}, headers: {{b: [c, d]}}, expect: {{upstream: {{b: 'c,d'}}}}",
        f"{READ}, headers: {{x-auth-subject: eve}}, {UPSTREAM} {{x-auth-subject: alice}}}}",
        f"{OPEN}, headers: {{x-auth-subject: eve}}, {UPSTREAM} {{x-auth-subject: null}}}}",
        f"{DENIED}, expect: deny",
        f"{DENIED}, expect: missing_token",
        f"{DENIED}, expect: {{decision: deny, reason: missing_token, status: 401}}",
        f"{DENIED}, expect: {{resource: shopping, route: /products}}",
        "request: GET /nothing, expect: no_route",
        "request: get /products, expect: method_not_allowed",
        "request: DELETE /products, expect: method_not_allowed",
        "request: HEAD /healthz, expect: allow",
        "request: 'GET http://a.example/healthz?a=b', expect: allow",
        "request: 'GET https://a.example?a=b', expect: no_route",
        "request: 'GET https://a.example', expect: no_route",
        "request: '  GET   /healthz ', expect: allow",
        "request: GET /a/../healthz, expect: ambiguous_path",
        "request: 'GET //healthz', expect: ambiguous_path",
        "request: GET https://a@b/healthz, expect: bad_host",
        "request: GET /healthz, host: 'a,b', expect: bad_host",
        "request: GET https:///healthz, host: a, expect: bad_host",
        f"{READ}, headers: {{authorization: Basic eA}}, expect: missing_token",
        f"{READ}, headers: {{authorization: [Bearer a, Bearer b]}}, expect: malformed_credentials",
    ],
)
def test_what_is_so_passes(suite: Suite, test: str) -> None:
    suite.passes_one(test)


@pytest.mark.parametrize(
    ("test", "differences"),
    [
        (f"{READ}, expect: deny", [("decision", "deny", "allow")]),
        (f"{READ}, expect: expired", [("reason", "expired", None)]),
        (f"{DENIED}, expect: allow", [("decision", "allow", "deny")]),
        (f"{DENIED}, expect: no_route", [("reason", "no_route", "missing_token")]),
        (f"{DENIED}, expect: {{status: 403}}", [("status", "403", "401")]),
        (f"{DENIED}, expect: {{resource: a}}", [("resource", "a", "shopping")]),
        ("request: GET /x, expect: {route: /x}", [("route", "/x", None)]),
        (
            f"{READ}, expect: {{upstream: {{x-auth-subject: bob, x-auth-client-id: null}}}}",
            [("x-auth-subject", "bob", "alice"), ("x-auth-client-id", None, "test-client_id")],
        ),
        (f"{OPEN}, expect: {{upstream: {{x-auth-subject: a}}}}", [("x-auth-subject", "a", None)]),
        (
            f"{DENIED}, expect: {{upstream: {{x-auth-scope: null}}}}",
            [("x-auth-scope", None, None)],
        ),
        (
            f"{DENIED}, expect: {{decision: allow, status: 200, upstream: {{a: b}}}}",
            [("decision", "allow", "deny"), ("status", "200", "401"), ("a", "b", None)],
        ),
    ],
)
def test_what_is_not_so_is_a_difference(
    suite: Suite, test: str, differences: list[tuple[str, str | None, str | None]]
) -> None:
    assert suite.differences(test) == differences


def test_the_credentials_are_taken_from_the_upstream_where_the_policy_says_so(suite: Suite) -> None:
    for keep, expected in (("keep", "Bearer "), ("remove", None)):
        policy = f"{POLICY}forward: {{authorization: {keep}}}\n"
        [(_, _, actual)] = suite.differences(
            f"{READ}, expect: {{upstream: {{authorization: x}}}}", policy
        )
        assert (actual or "")[:7] == (expected or "")


def test_the_host_is_that_of_the_url_else_of_the_test_else_of_the_file(suite: Suite) -> None:
    outcomes = suite.passes(
        "host: file.example\n"
        "tests:\n"
        "  - {request: GET /healthz, expect: allow}\n"
        "  - {request: GET /healthz, host: test.example, expect: allow}\n"
        "  - {host: test.example, requests: [GET https://url.example:8443/healthz: allow]}\n"
    )
    assert [outcome.case.request.authority for outcome in outcomes] == [
        "file.example",
        "test.example",
        "url.example:8443",
    ]
    [outcome] = suite.passes("tests: [{request: GET /healthz, expect: allow}]\n")
    assert outcome.case.request.authority == "localhost"


def test_headers_of_a_row_go_over_those_of_the_test(suite: Suite) -> None:
    [outcome] = suite.passes(
        "tests:\n"
        "  - headers: {a: b, c: d}\n"
        "    requests:\n"
        "      - {request: GET /healthz, headers: {a: e}, expect: {upstream: {a: e, c: d}}}\n"
    )
    assert dict(outcome.case.request.headers) == {"a": "e", "c": "d"}


def test_a_fault_of_ours_is_a_refusal_as_it_is_to_envoy(
    suite: Suite, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_arguments: object, **_named: object) -> None:
        raise RuntimeError

    monkeypatch.setattr("authz_service.policy.testing.run.authorize", fail)
    [outcome] = suite.outcomes(f"tests: [{{{OPEN}, expect: {DenyReason.INTERNAL_ERROR.value}}}]\n")
    assert outcome.passed
    [outcome] = suite.outcomes(f"tests: [{{{OPEN}, expect: deny}}]\n")
    assert not outcome.passed


def test_cases_are_named_by_what_makes_them_different(suite: Suite) -> None:
    outcomes = suite.outcomes(
        "tokens: {reader: {claims: {aud: a}}}\n"
        "tests:\n"
        "  - {name: alone, request: GET /a, expect: deny}\n"
        "  - {request: GET /a, expect: deny}\n"
        "  - {request: GET /a, token: reader, expect: deny}\n"
        "  - {request: GET /a, token: {raw: x}, expect: deny}\n"
        "  - {request: GET /a, token: {claims: {}}, expect: deny}\n"
        "  - request: GET /a\n"
        "    token: {like: reader, claims: {b: c}, forged: true}\n"
        "    expect: deny\n"
        "  - token: reader\n"
        "    requests: [GET /a: deny, {name: own, request: GET /b, expect: deny}]\n"
        "  - {name: t, requests: [GET /a: deny, {name: own, request: GET /b, expect: deny}]}\n"
        "  - request: GET /a\n"
        "    tokens: [{token: none, expect: deny}, {token: reader, name: own, expect: deny}]\n"
        "  - name: t\n"
        "    request: GET /a\n"
        "    tokens: [{claims: {d: e}, expect: deny}, {token: reader, name: own, expect: deny}]\n"
        f"  - {{request: GET /a, token: {{claims: {{a: {'b' * 70}}}}}, expect: deny}}\n"
    )
    assert [outcome.case.name for outcome in outcomes] == [
        "alone",
        "GET /a without a token",
        "GET /a as reader",
        "GET /a with a raw token",
        "GET /a with a plain token",
        'GET /a as reader with {"b": "c", "forged": true}',
        "GET /a as reader",
        "own",
        "t: GET /a",
        "t: own",
        "GET /a without a token",
        "own",
        't: as {"d": "e"}',
        "t: own",
        f'GET /a as {{"a": "{"b" * 52}…',
    ]


def test_cases_have_the_places_of_their_rows(suite: Suite) -> None:
    outcomes = suite.outcomes(
        "tests:\n"
        "  - request: GET /a\n"
        "    expect: deny\n"
        "  - requests:\n"
        "      - GET /a: deny\n"
        "      - request: GET /b\n"
        "        expect: deny\n"
        "  - request: GET /a\n"
        "    tokens:\n"
        "      - {token: none, expect: deny}\n"
    )
    places = [(found.case.position.line, found.case.position.column) for found in outcomes]
    assert places == [(2, 5), (5, 9), (6, 9), (10, 9)]


def test_no_representation_of_a_case_shows_its_token(suite: Suite) -> None:
    outcome = suite.passes_one(f"{READ}, expect: allow")
    [value] = outcome.case.request.header_values("authorization")
    for part in value.removeprefix("Bearer ").split("."):
        assert part not in repr(outcome)
