"""Every mistake in a file of tests is told at its place, with what to write instead."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.decision import DenyReason
from tests.policy.testing.suite import POLICY, TWO_ISSUERS

if TYPE_CHECKING:
    from tests.policy.testing.suite import Suite

REASONS: Final = ", ".join(reason.value for reason in DenyReason)
EITHER: Final = "tests: write either request: or a table requests:"
A_REQUEST: Final = "write a method and a URL: GET /products, or GET https://host/products"
A_TOKEN: Final = "write the name of a token, none, or a mapping such as {claims: {scope: a}}"
AN_EXPECTATION: Final = "write allow, deny, a reason, or a mapping such as {status: 403}"
A_TIME: Final = "now: write a time with its offset, such as 2026-01-01T00:00:00Z"
STATUSES: Final = "200, 400, 401, 403, 431, 500, 503"
ONE_EACH: Final = "requests: write one request in each row, as in - GET /products: allow"
ROW_TOKEN: Final = "tokens: write either token: with a name or none, or a new one with claims:"


def one(test: str) -> str:
    return f"tests:\n  - {{{test}}}\n"


WHOLE_FILES: Final = [
    ("»", ["the file is empty: start with tests:"]),
    ("»[]\n", ["the file: write a mapping: name: value"]),
    ("»{}\n", ['the field "tests" is missing']),
    ("tests: »[]\n", ["tests: write at least one"]),
    ("tests:»\n", ["tests: write a list: [a, b]"]),
    (
        "»test: []\ntests: [{request: GET /, expect: deny}]\n",
        ['unknown field "test": did you mean "tests"?'],
    ),
    (
        "tests: [{request: GET /, expect: deny}]\n»tests: []\n",
        ['"tests" is here already, at line 1'],
    ),
    (
        "policy: »''\ntests: [{request: GET /, expect: deny}]\n",
        ["policy: write a string that is not empty"],
    ),
    ("policy: »[]\ntests: [{request: GET /, expect: deny}]\n", ["policy: write at least one"]),
    (
        'policy: [a, »"\\0"]\ntests: [{request: GET /, expect: deny}]\n',
        ["policy: no file has a NUL in its name"],
    ),
    ("now: »tomorrow\ntests: [{request: GET /, expect: deny}]\n", [A_TIME]),
    ("now: »2026-01-01T00:00:00\ntests: [{request: GET /, expect: deny}]\n", [A_TIME]),
    ("now: »true\ntests: [{request: GET /, expect: deny}]\n", [A_TIME]),
    (
        "host: »''\ntests: [{request: GET /, expect: deny}]\n",
        ["host: write a string that is not empty"],
    ),
    (
        "tokens: »[]\ntests: [{request: GET /, expect: deny}]\n",
        ["tokens: write a mapping: name: value"],
    ),
    (
        "tokens: {none: »{claims: {}}}\ntests: [{request: GET /, expect: deny}]\n",
        ["none stands for no token: choose another name"],
    ),
    (
        "tokens: {a: {»claim: {}}}\ntests: [{request: GET /, expect: deny}]\n",
        ['unknown field "claim": did you mean "claims"?'],
    ),
    (
        (
            "tokens: {a: »{like: b}, b: »{like: c}, c: »{like: a}}\n"
            "tests: [{request: GET /, expect: deny}]\n"
        ),
        [
            "b is like c is like a is like b",
            "c is like a is like b is like c",
            "a is like b is like c is like a",
        ],
    ),
    (
        (
            "tokens: {a: {raw: x}, b: »{like: a, claims: {sub: b}}}\n"
            "tests: [{request: GET /, expect: deny}]\n"
        ),
        ["a is sent as it is: nothing else can be said of it"],
    ),
    ("tests: [{request: GET /, expect: deny}]\n»---\n", ["a file holds one document: remove ---"]),
    (
        "host: »${NO_HOST}\ntests: [{request: GET /, expect: deny}]\n",
        ["the environment variable NO_HOST is not set"],
    ),
]


@pytest.mark.parametrize(("marked", "messages"), WHOLE_FILES)
def test_a_mistake_in_the_file_is_told(suite: Suite, marked: str, messages: list[str]) -> None:
    suite.refuses(marked, *messages)


@pytest.mark.parametrize(
    ("test", "messages"),
    [
        (
            "»requst: GET /, request: GET /, expect: deny",
            ['unknown field "requst": did you mean "request"?'],
        ),
        ("request: »/products, expect: allow", [f"request: {A_REQUEST}"]),
        ("request: »GET products, expect: allow", [f"request: {A_REQUEST}"]),
        ("request: »7, expect: allow", ["request: write a method and a URL: GET /products"]),
        ("requests: [»{/products: allow}]", [f"request: {A_REQUEST}"]),
        ("requests: »[]", ["requests: write at least one"]),
        (
            "requests: [{GET /: »alow}]",
            ['expect: there is no reason "alow": did you mean "allow"?'],
        ),
        ("requests: [{GET /: {status: »600}}]", [f"status: write one of {STATUSES}"]),
        ("requests: [{GET /: »}]", [f"expect: {AN_EXPECTATION}"]),
        ("requests: [»{request: GET /}]", ['the field "expect" is missing']),
        ("requests: [»{expect: allow}]", ['the field "request" is missing']),
        ("requests: [»{GET /: allow, POST /: deny}]", [ONE_EACH]),
        (
            "requests: [{GET /: {status: 200, »upstrem: {}}}]",
            ['unknown field "upstrem": did you mean "upstream"?'],
        ),
        (
            "request: GET /, expect: »insuficient_scope",
            ['expect: there is no reason "insuficient_scope": did you mean "insufficient_scope"?'],
        ),
        (
            "request: GET /, expect: »zzz",
            [f'expect: there is no reason "zzz": write one of {REASONS}'],
        ),
        ("request: GET /, expect: »{}", [f"expect: {AN_EXPECTATION}"]),
        ("request: GET /, expect: »[allow]", [f"expect: {AN_EXPECTATION}"]),
        ("request: GET /, expect: »true", [f"expect: {AN_EXPECTATION}"]),
        ("request: GET /, expect: {decision: »yes}", ["decision: write allow or deny"]),
        (
            "request: GET /, expect: {reason: »expird}",
            ['reason: there is no reason "expird": did you mean "expired"?'],
        ),
        ("request: GET /, expect: {status: »'403'}", [f"status: write one of {STATUSES}"]),
        ("request: GET /, expect: {status: »true}", [f"status: write one of {STATUSES}"]),
        (
            "request: GET /, expect: {route: »7}",
            ["route: write a string (in quotes, where it looks like a number)"],
        ),
        (
            "request: GET /, expect: {resource: »}",
            ["resource: left empty: write a value, or remove it"],
        ),
        ("request: GET /, expect: {upstream: »[a]}", ["upstream: write a mapping: name: value"]),
        (
            "request: GET /, expect: {upstream: »{X-A: b}}",
            ['upstream: "X-A" is not the name of an HTTP header in lower case'],
        ),
        (
            "request: GET /, expect: {upstream: »{x-a: 7}}",
            ["upstream: x-a: write a string (in quotes, where it looks like a number)"],
        ),
        (
            "request: GET /, expect: »{decision: allow, reason: expired}",
            ["expect: a reason is one to deny: write decision: deny, or leave one of them out"],
        ),
        (
            "request: GET /, headers: »{Origin: a}, expect: allow",
            ['headers: "Origin" is not the name of an HTTP header in lower case'],
        ),
        (
            "request: GET /, headers: »{host: a}, expect: allow",
            ["headers: write the host into the URL, or into the field host"],
        ),
        (
            "request: GET /, headers: »{a: [7]}, expect: allow",
            ["headers: a: write a string (in quotes, where it looks like a number)"],
        ),
        ("request: GET /, headers: »[a], expect: allow", ["headers: write a mapping: name: value"]),
        (
            "request: GET /, name: »7, expect: allow",
            ["name: write a string (in quotes, where it looks like a number)"],
        ),
        ("request: GET /, token: »[], expect: allow", [f"token: {A_TOKEN}"]),
        ("request: GET /, token: »'', expect: allow", [f"token: {A_TOKEN}"]),
        (
            "request: GET /, token: {claims: »[]}, expect: allow",
            ["claims: write a mapping: name: value"],
        ),
        (
            "request: GET /, token: {header: »[]}, expect: allow",
            ["header: write a mapping: name: value"],
        ),
        (
            "request: GET /, token: {without: »jti}, expect: allow",
            ["without: write a list: [a, b]"],
        ),
        (
            "request: GET /, token: {without_header: »kid}, expect: allow",
            ["without_header: write a list: [a, b]"],
        ),
        ("request: GET /, token: {forged: »1}, expect: allow", ["forged: write true or false"]),
        (
            "request: GET /, token: {raw: »''}, expect: allow",
            ["raw: write a string that is not empty"],
        ),
        (
            "request: GET /, token: »{raw: a, claims: {}}, expect: allow",
            ["token: a raw token is sent as it is: nothing else can be said of it"],
        ),
        (
            "request: GET /, token: »{like: none, claims: {}}, expect: allow",
            ["token: there is no token to be like: leave like out"],
        ),
        (
            "request: GET /, token: »reader, expect: allow",
            ['no token is named "reader": there is none'],
        ),
        (
            "request: GET /, token: »{issuer: logtoo}, expect: allow",
            ['no issuer is named "logtoo": did you mean "logto"?'],
        ),
        (
            "request: GET /, token: »{issuer: zzz}, expect: allow",
            ['no issuer is named "zzz": there is logto'],
        ),
        (
            "request: GET /, token: »{claims: {exp: 5m}}, expect: allow",
            ["exp: write +5m or -5m, as counted from now"],
        ),
        (
            "request: GET /, tokens: [{token: »reader, expect: allow}]",
            ['no token is named "reader": there is none'],
        ),
        (
            "request: GET /, tokens: [»{like: reader, expect: allow}]",
            ['no token is named "reader": there is none'],
        ),
        ("request: GET /, tokens: [»{expect: allow}]", [ROW_TOKEN]),
        ("request: GET /, tokens: [»{token: none, claims: {}, expect: allow}]", [ROW_TOKEN]),
        ("request: GET /, tokens: [»{token: none}]", ['the field "expect" is missing']),
        ("request: GET /, tokens: »[]", ["tokens: write at least one"]),
    ],
)
def test_a_mistake_in_a_test_is_told(suite: Suite, test: str, messages: list[str]) -> None:
    suite.refuses(one(test), *messages)


@pytest.mark.parametrize(
    ("test", "message"),
    [
        ("name: a", EITHER),
        ("expect: allow", EITHER),
        ("request: GET /, requests: [{GET /: allow}]", EITHER),
        (
            "requests: [{GET /: allow}], tokens: [{token: none, expect: allow}]",
            "tests: write one table: requests with one token, or tokens with one request",
        ),
        (
            "request: GET /, token: none, tokens: [{token: none, expect: allow}]",
            "tests: write either token: or a table tokens:",
        ),
        ("request: GET /", "tests: write what to expect: allow"),
        ("requests: [{GET /: allow}], expect: allow", "tests: each row has its own expect"),
        (
            "request: GET /, tokens: [{token: none, expect: allow}], expect: allow",
            "tests: each row has its own expect",
        ),
    ],
)
def test_what_does_not_go_together_is_told_at_the_test(
    suite: Suite, test: str, message: str
) -> None:
    suite.refuses(f"tests:\n  - »{{{test}}}\n", message)


def test_a_token_with_a_suggestion(suite: Suite) -> None:
    suite.refuses(
        "tokens: {reader: {claims: {}}}\ntests: [{request: GET /, token: »readr, expect: deny}]\n",
        'no token is named "readr": did you mean "reader"?',
    )


def test_whose_token_it_is_must_be_said_where_there_are_several_issuers(suite: Suite) -> None:
    suite.refuses(
        one("request: GET /a, token: »{claims: {aud: a}}, expect: allow"),
        "whose token is this? write issuer: one of logto, partner",
        policy=TWO_ISSUERS,
    )


def test_a_policy_without_an_issuer_has_no_tokens(suite: Suite) -> None:
    suite.refuses(
        one("request: GET /a, token: »{claims: {aud: a}}, expect: allow"),
        "whose token is this? the policy has no issuer",
        policy="version: 1\n",
    )


def test_every_mistake_is_told_at_once(suite: Suite) -> None:
    suite.refuses(
        "tests:\n"
        "  - request: GET /\n"
        "    token: »{issuer: a}\n"
        "    expect: allow\n"
        "  - token: »b\n"
        "    requests:\n"
        "      - GET /: allow\n"
        "  - request: GET /\n"
        "    tokens:\n"
        "      - {token: »c, expect: allow}\n",
        'no issuer is named "a": there is logto',
        'no token is named "b": there is none',
        'no token is named "c": there is none',
    )


def test_a_mistake_below_the_short_form_of_a_request_has_its_own_line(suite: Suite) -> None:
    suite.refuses(
        "tests:\n"
        "  - requests:\n"
        "      - GET /products:\n"
        "          decision: allow\n"
        "          reson: expired\n".replace("reson", "»reson"),
        'unknown field "reson": did you mean "reason"?',
    )


def test_what_a_file_holds_cannot_write_to_the_terminal(suite: Suite) -> None:
    suite.refuses(
        'tests: [{request: GET /, expect: deny, »"\\e[31m": 1}]\n',
        'unknown field "\x1b[31m": write one of expect, headers, host, name, request, requests,'
        " token, tokens",
    )


def test_the_policy_of_these_tests_is_in_order(suite: Suite) -> None:
    suite.passes(one("request: GET /healthz, expect: allow"), POLICY)
