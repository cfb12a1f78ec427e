"""`when`: true lets pass, and everything else denies."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from authz_service.core.conditions import RequestAttributes
from authz_service.core.decision import DenyReason
from authz_service.core.request import Host, HttpRequest
from authz_service.policy.when.expression import MAX_LENGTH, WhenExpression
from authz_service.policy.when.messages import compiler_message

if TYPE_CHECKING:
    from authz_service.core.strict_json import JsonObject

CLAIMS: Final[JsonObject] = {
    "sub": "alice",
    "level": 2,
    "one": 1.0,
    "score": 1.5,
    "digits": "1",
    "admin": True,
    "nothing": None,
    "roles": ["reader", "writer"],
    "org": {"id": "acme", "plan": {"name": "pro"}},
    "https://example.com/tier": "gold",
    "name": "Zoë 😀",
    "exp": 1_700_003_600,
    "iat": 1_700_000_000,
}
HEADERS: Final = (
    (":path", "/members/alice?x=1"),
    ("x-tenant", "acme"),
    ("accept", "text/html"),
    ("accept", "text/plain"),
    ("authorization", "Bearer abc"),
)


def attributes(
    headers: tuple[tuple[str, str], ...] = HEADERS, variables: dict[str, str] | None = None
) -> RequestAttributes:
    request = HttpRequest("GET", "SHOP.example.com:443", "/members/alice?x=1", headers)
    bound = {"id": "alice"} if variables is None else variables
    return RequestAttributes(request, Host.parse(request.authority), bound)


def holds(text: str, claims: JsonObject = CLAIMS) -> bool:
    return WhenExpression.parse(text).holds(claims, attributes())


@pytest.mark.parametrize(
    "text",
    [
        "true",
        "claims.sub == path.id",
        "claims['sub'] == path['id']",
        '"writer" in claims.roles',
        "claims.level >= 2 && claims.level < 3",
        "claims.level == 2.0",
        "claims.one == 1",
        "claims.admin",
        "claims.nothing == null",
        "has(claims.org.plan.name)",
        "!has(claims.missing)",
        "!has(claims.missing) || claims.missing == 1",
        "claims.missing == 1 || true",
        "!(claims.missing == 1 && false)",
        "claims.org.id == request.headers['x-tenant']",
        "claims['https://example.com/tier'] == 'gold'",
        "claims.roles.exists(r, r.startsWith('wr'))",
        "claims.roles.all(r, r in ['reader', 'writer', 'owner'])",
        "claims.roles.exists_one(r, r == 'reader')",
        "claims.org.exists(member, member == 'id')",
        "size(claims.name) == 5",
        "claims.name.endsWith('😀')",
        "claims.sub.matches('^a[a-z]+$')",
        "timestamp(claims.exp) - timestamp(claims.iat) == duration('1h')",
        "request.method == 'GET'",
        "request.host == 'shop.example.com'",
        "request.path == '/members/alice'",
        "request.headers.accept == 'text/html, text/plain'",
        "'x-tenant' in request.headers",
        "has(request.headers.authorization)",
        "request.headers.all(name, !name.startsWith(':'))",
        "request\n  .method == 'GET' // a comment, \"path.nothing\"",
    ],
)
def test_what_is_true_holds(text: str) -> None:
    assert holds(text) is True


@pytest.mark.parametrize(
    "text",
    [
        "false",
        "claims.sub != path.id",
        "claims.level == claims.digits",
        "claims.digits == dyn(1)",
        "claims.admin == dyn(1)",
        "claims.admin == dyn('true')",
        "claims.nothing == false",
        "claims.nothing == claims.admin",
        "'1' in [claims.level]",
        "has(claims.missing)",
        "request.path.contains('?')",
        "':path' in request.headers",
        "request.headers.exists(name, name == ':path')",
        "claims.sub == 'ALICE'",
    ],
)
def test_what_is_false_does_not_hold(text: str) -> None:
    assert holds(text) is False


@pytest.mark.parametrize(
    "text",
    [
        "claims.missing == 1",
        "claims.missing != 1",
        "claims.org.missing.deeper == 1",
        "!has(claims.missing.deeper)",
        "claims.sub.deeper == 1",
        "path.missing == 'a'",
        "path.missing != 'a'",
        "request.headers['x-missing'] != 'a'",
        "claims.roles[2] != 'a'",
        "claims.level < claims.sub",
        "!(claims.sub < claims.level)",
        "!('a' in claims.sub)",
        "claims.level / 0 != 1",
        "claims.level + 9223372036854775807 != 1",
        "int(claims.sub) != 1",
        "!claims.level.matches('2')",
        "timestamp(claims.sub) != timestamp(0)",
        "!claims.roles.all(r, r.missing == 1)",
        "{'a': 1, 'a': 2}.a > 0",
    ],
)
def test_an_error_denies(text: str) -> None:
    assert holds(text) is False


@pytest.mark.parametrize("text", ["claims.sub", "claims.level", "claims.roles", "claims.nothing"])
def test_a_value_that_is_no_boolean_denies(text: str) -> None:
    assert holds(text) is False


@pytest.mark.parametrize("value", [1, 1.0, "true", [True], {"true": True}])
def test_only_true_is_true(value: JsonObject) -> None:
    assert holds("claims.flag", {"flag": True})
    assert not holds("claims.flag", {"flag": value})


def test_it_is_refused_as_a_failed_condition() -> None:
    expression = WhenExpression.parse("false")
    assert expression.reason is DenyReason.CONDITION_FAILED
    assert expression.text == "false"


def test_two_that_are_spelled_alike_are_equal() -> None:
    assert WhenExpression.parse("claims.a") == WhenExpression.parse("claims.a")
    assert WhenExpression.parse("claims.a") != WhenExpression.parse("claims.b")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claim.sub == 'a'", "column 6: undeclared reference to 'claim.sub'"),
        ("request.ip == 'a'", "column 8: undeclared reference to 'request.ip'"),
        ("true &&\n  allowed(1)", "line 2, column 10: undeclared reference to 'allowed'"),
        ("claims.sub.trim() == ''", "column 16: undeclared reference to 'trim'"),
        ("1 == '1'", "column 3: found no matching overload for '_==_' applied to '(int, string)'"),
        ("path.id == 1", "column 9: found no matching overload"),
        ("claims.sub ==", "column 14: Syntax error: mismatched input '<EOF>'"),
        ("", "column 1: Syntax error"),
        ("true true", "column 6: Syntax error: extraneous input 'true'"),
        ("'alice'", "an expression must be true or false, and this is of type string"),
        ("1", "an expression must be true or false, and this is of type int"),
        ("path.id", "an expression must be true or false, and this is of type string"),
        ("claims.a ? 1 : 2", "an expression must be true or false"),
        ("claims.a.map(r, r == 1)[0]", "column 13: there is no map(): write exists() or all()"),
        ("claims.a.filter(r, r) == []", "column 16: there is no filter()"),
        ("claims.a.all(path, path == 1)", "all() needs another name than path"),
        ("[{}].all(request, request.headers == 1)", "all() needs another name than request"),
        ("[{'a': true}].exists((claims), claims.a)", "exists() needs a name first, without"),
        ("[{'a': true}].exists( (path), path.a)", "exists() needs a name first, without"),
        ("[1].all(((request)), request == 1)", "all() needs a name first, without brackets"),
        ("[1].exists_one((x), x == 1)", "exists_one() needs a name first, without brackets"),
        ("'X-Debug' in request.headers", "in lower case here: write x-debug"),
        ("request.headers['X-Debug'] == ''", "in lower case here: write x-debug"),
        ("has(request.headers.X_Debug)", "in lower case here: write x_debug"),
        ("request.headers.`X-Debug` == ''", "in lower case here: write x-debug"),
        ("google.protobuf.Struct{} == claims", "there are no messages here"),
        ("claims.a.all(x, claims.a.exists(y, x == y))", "exists() inside all(), exists() or"),
        ("claims.a.matches(claims.b)", "write text.matches('pattern')"),
        ("claims.a.matches('a' + 'b')", "write text.matches('pattern')"),
        ("matches(claims.a, 'b')", "write text.matches('pattern')"),
        ("claims.a.matches('(')", "a pattern is no regular expression of RE2"),
        (r"claims.a.matches(r'(?<=a)b')", "a pattern is no regular expression of RE2"),
        ("claims.a.matches(b'a')", "column 17: found no matching overload for 'matches'"),
        ("claims.a.matches('((a{30}){30}){30}')", "a pattern is too large"),
        ("claims.a.matches('.{200}') ||" * 5 + "true", "the expression is too costly"),
        ("(" * 100 + "true" + ")" * 100, "nested too deeply"),
        ("!" * 4000 + "(" * 90, "nested too deeply"),
        ("1" + " + 1" * 200 + " == 1", "too long a chain of operators"),
        ("claims" + ".a" * 1000, "too long a chain of operators"),
        ("a" * (MAX_LENGTH + 1), "an expression has at most 4096 characters"),
        ("claims.a ==\n '\x1b[31m'", "line 2, column 3: a character that is not text"),
        ("claims.a == '\0'", "column 14: a character that is not text"),
        ("claims.a == '\ud800'", "column 14: a character that is not text"),
    ],
)
def test_what_cannot_be_right_is_refused_before_any_request(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        WhenExpression.parse(text)
    assert len(str(caught.value).splitlines()) == 1
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("claims.a = 1", "column 10: Syntax error: token recognition error at: '= ' (write ==)"),
        ("claims.a =claims.b", "(write ==)"),
        ("claims.a & claims.b", "(write &&)"),
        ("claims.a | claims.b", "(write ||)"),
        ("claims.a and claims.b", "mismatched input 'and' (write &&)"),
        ("claims.a or claims.b", "mismatched input 'or' (write ||)"),
        ("claims.a and (claims.b)", "(write &&)"),
        ("'a' not in claims.b", "(write !)"),
        ("true &&\n not claims.a", "(write !)"),
        ("not (claims.a)", "undeclared reference to 'not' (write !)"),
        ("claim.sub == 'a'", "undeclared reference to 'claim.sub' (did you mean claims?)"),
        ("Claims['sub'] == 'a'", "(did you mean claims?)"),
        ("pth.id == 'a'", "(did you mean path?)"),
        ("requests.path == 'a'", "(did you mean request?)"),
        ("request.ip == 'a'", "(a request has method, host, path and headers)"),
        ("request.headers.x-foo == 'a'", '(write request.headers["x-foo"])'),
        ("true &&\n request.headers.x-a-b == 'a'", '(write request.headers["x-a-b"])'),
    ],
)
def test_what_is_easily_mistaken_has_a_hint(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        WhenExpression.parse(text)


@pytest.mark.parametrize(
    "text",
    ["sub == 'a'", "claims.a-b == 1", "claims.not claims.a", "claims.a is 1", "allowed(1)"],
)
def test_where_no_remedy_is_certain_there_is_no_hint(text: str) -> None:
    with pytest.raises(ValueError, match=r"column \d+: ") as caught:
        WhenExpression.parse(text)
    assert not str(caught.value).endswith(")")


def test_a_complaint_that_has_no_place_is_told_without_one() -> None:
    assert compiler_message("true", "INTERNAL: out of order") == "the expression does not compile"


def test_an_expression_of_the_full_length_is_read() -> None:
    text = "claims.sub == 'alice' && " + "!" * 1000
    text += "!" * (MAX_LENGTH - len(text) - len("true")) + "true"
    assert len(text) == MAX_LENGTH
    assert isinstance(holds(text), bool)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("claims.sub == path.id", {"id"}),
        ("path['id'] == 'a' && has(path.org) || 'rest' in path", {"id", "org", "rest"}),
        ("path . id == 'a'", {"id"}),
        ("path.`a-b` == 'a'", {"a-b"}),
        ("path[claims.sub] == 'a' || path.id == 'a'", {"id"}),
        ("request.path == 'path.a' && claims.path.b == 1", set()),
        ("true // path.id", set()),
    ],
)
def test_the_variables_that_it_names_are_known(text: str, names: set[str]) -> None:
    assert WhenExpression.parse(text).variables == names


@pytest.mark.parametrize(
    "text",
    [
        "'x-b' in request.headers",
        "(request).headers['x-b'] == '2'",
        ".request.headers['x-b'] == '2'",
        "request.`headers`['x-b'] == '2'",
        "request.headers['x-' + 'b'] == '2'",
        "request.headers['x\\u002db'] == '2'",
        "[request.headers].exists(h, h['x-b'] == '2')",
        "request.headers['x-a'] == '1' && 'x-b' in (request).headers",
        "request.headers.size() == 2",
        "request.headers == {'x-a': '1', 'x-b': '2'}",
    ],
)
def test_no_header_is_missed_however_it_is_asked_for(text: str) -> None:
    sent = attributes((("x-a", "1"), ("x-b", "2")))
    assert WhenExpression.parse(text).holds({}, sent)


HOSTILE: Final = [
    "admin\0",
    "\0admin",
    "\ud800",
    "\x1b[31m",
    "admin" * 10_000,
    2**63,
    -(2**63) - 1,
    10**300,
    float("nan"),
    float("inf"),
    [[[[[[[[[[[[[[[["admin"]]]]]]]]]]]]]]]],
    {"": {"": ["admin"]}},
    {"admin\0": 1},
    [],
    {},
    None,
]


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: ascii(value)[:20])
def test_a_hostile_value_is_never_taken_for_another(value: JsonObject) -> None:
    assert holds("claims.v == 'admin'", {"v": "admin"})
    assert not holds("claims.v == 'admin'", {"v": value})
    assert not holds("claims.v == {'admin': 1}", {"v": value})
    assert not holds("claims.v.exists(r, r == 'admin')", {"v": value})


@pytest.mark.parametrize("name", ["sub", "other"])
def test_a_nul_anywhere_in_the_claims_denies(name: str) -> None:
    """The library ends a string at its first NUL, so it would take this for an admin."""
    assert holds("claims.sub == 'admin'", {"sub": "admin", "other": "x"})
    assert not holds("claims.sub == 'admin'", {"sub": "admin", name: "admin\0x"})
    assert not holds("claims.sub == 'admin'", {"sub": "admin", "other": {"sub\0": [{}]}})


def test_a_nul_in_a_header_or_a_path_variable_denies() -> None:
    header = WhenExpression.parse("request.headers['x-a'] == 'a'")
    assert header.holds({}, attributes((("x-a", "a"),)))
    assert not header.holds({}, attributes((("x-a", "a\0b"),)))
    variable = WhenExpression.parse("path.id == 'a'")
    assert variable.holds({}, attributes(variables={"id": "a"}))
    assert not variable.holds({}, attributes(variables={"id": "a\0b"}))


def test_large_integers_keep_their_value() -> None:
    assert holds("claims.n == 9223372036854775807", {"n": 2**63 - 1})
    assert not holds("claims.n == 9223372036854775807", {"n": 2**63 - 2})
    assert holds("claims.n == 18446744073709551615u", {"n": 2**64 - 1})
    assert not holds("claims.n > 0", {"n": 2**64})


SCALARS: Final = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None))
)
JSON: Final = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)
EXPRESSIONS: Final = [
    WhenExpression.parse(text)
    for text in (
        "claims.a == claims.b",
        "claims.a in claims.b",
        "claims.a.exists(x, x == claims.b)",
        "claims.a.all(x, claims.a[x] == claims.b)",
        "claims.a < claims.b || claims.a + claims.b == claims.a",
        "string(claims.a) == string(claims.b)",
        "claims.a.matches('^[a-z]*$') && size(claims.b) > 0",
        "timestamp(claims.a) < timestamp(claims.b)",
        "timestamp(claims.a).getHours() > 1",
        "duration(claims.a) < duration(claims.b)",
        "request.headers['a'] == claims.a",
        "request.headers.exists(name, request.headers[name] == path.id)",
        "request.host + request.method + request.path == path.id",
    )
]


@given(
    st.sampled_from(EXPRESSIONS),
    st.fixed_dictionaries({"a": JSON, "b": JSON}) | st.dictionaries(st.text(), JSON, max_size=4),
    st.lists(st.tuples(st.sampled_from(["a", "b", ":c"]) | st.text(), st.text()), max_size=5),
    st.dictionaries(st.just("id"), st.text()),
)
@settings(max_examples=100, deadline=None)
def test_whatever_is_sent_the_answer_is_true_or_false(
    expression: WhenExpression,
    claims: JsonObject,
    headers: list[tuple[str, str]],
    variables: dict[str, str],
) -> None:
    assert expression.holds(claims, attributes(tuple(headers), variables)) in {True, False}


@given(
    st.text(st.sampled_from("claims.path()[]{}'\"\\/|&!=<>+-*%?:,_ 01aéx\n`@") | st.characters())
)
@settings(max_examples=300, deadline=None)
def test_whatever_is_written_it_is_an_expression_or_has_a_message_of_one_line(text: str) -> None:
    try:
        expression = WhenExpression.parse(text)
    except ValueError as error:
        message = str(error)
    else:
        message = f"it holds: {expression.holds(CLAIMS, attributes())}"
    assert len(message.splitlines()) == 1


def test_one_expression_serves_many_threads() -> None:
    expression = WhenExpression.parse("claims.roles.exists(r, r == path.id)")
    answers: list[bool] = []

    def ask(name: str) -> None:
        answers.extend(expression.holds({"roles": [name]}, attributes()) for _ in range(500))

    threads = [threading.Thread(target=ask, args=(name,)) for name in ("alice", "bob")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (answers.count(True), answers.count(False)) == (500, 500)


@pytest.mark.parametrize(
    ("program", "loaded"),
    [
        ("import authz_service.policy.when", False),
        ("import authz_service.cli.serve, authz_service.server.service", False),
        ("from authz_service.policy.when.expression import *; WhenExpression.parse('true')", True),
    ],
)
def test_the_library_is_loaded_only_for_an_expression(program: str, *, loaded: bool) -> None:
    report = "import sys; print('cel_expr_python' in sys.modules)"
    finished = subprocess.run(
        [sys.executable, "-W", "error", "-c", f"{program}\n{report}"],
        capture_output=True,
        text=True,
        check=True,
        timeout=50,
    )
    assert finished.stdout.strip() == str(loaded)
