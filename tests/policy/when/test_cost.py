"""What is too costly is refused or denied, and whatever is sent has an answer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.conditions import RequestAttributes
from authz_service.core.request import Host, HttpRequest
from authz_service.policy.when.cost import Extent, macro_bodies
from authz_service.policy.when.expression import WhenExpression
from authz_service.policy.when.patterns import MAX_STATES, states_of
from authz_service.policy.when.tokens import tokens_of
from tests.support.hostile_input import HEADERS, SHAPES, SHARES, Shape, hostile_attributes, integers

if TYPE_CHECKING:
    from authz_service.core.strict_json import JsonObject, JsonValue

EACH_SHAPE: Final = pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: shape.text)


@pytest.mark.parametrize("same", [False, True], ids=["mixed", "same"])
@EACH_SHAPE
def test_whatever_a_client_sends_the_answer_is_true_or_false(shape: Shape, *, same: bool) -> None:
    expression = WhenExpression.parse(shape.text)
    for share in SHARES:
        answer = expression.holds(shape.claims(share), hostile_attributes(share, same=same))
        assert isinstance(answer, bool)


@EACH_SHAPE
def test_what_a_client_makes_too_costly_is_denied_even_if_it_is_true(shape: Shape) -> None:
    """What is denied for its cost is denied for every larger input, too."""
    expression = WhenExpression.parse(f"true || {shape.text}")
    answers = [
        expression.holds(shape.claims(share), hostile_attributes(share, same=True))
        for share in SHARES
    ]
    assert answers[0]
    assert answers[-1] == shape.affordable
    assert answers == sorted(answers, reverse=True)


def test_what_would_be_true_is_denied_where_it_costs_too_much() -> None:
    expression = WhenExpression.parse("claims.l.all(x, claims.l == claims.l)")
    assert expression.holds(integers(0.02), hostile_attributes(0))
    assert not expression.holds(integers(1), hostile_attributes(0))


def test_a_member_in_backquotes_that_is_spelled_like_a_constant_costs_what_it_is() -> None:
    expression = WhenExpression.parse("claims.l.all(x, claims.`null` == claims.`true`)")
    for length, affordable in ((10, True), (3000, False)):
        zeros: list[JsonValue] = [0] * length
        claims: JsonObject = {"l": zeros, "null": zeros, "true": zeros}
        assert expression.holds(claims, hostile_attributes(0)) is affordable


def test_a_large_token_is_fine_where_the_expression_is_cheap() -> None:
    claims: JsonObject = {"groups": [f"group-{n:04}" for n in range(900)]}
    for text in (
        "'group-0899' in claims.groups",
        "claims.groups.exists(g, g == 'group-0899')",
        "claims.groups.exists(g, g.startsWith('group-08') && g.endsWith('99'))",
    ):
        assert WhenExpression.parse(text).holds(claims, hostile_attributes(1))


def test_headers_that_it_does_not_name_do_not_count() -> None:
    headers = (("x-a", "ab"), ("cookie", "a" * HEADERS))
    request = HttpRequest("GET", "h", "/", headers)
    attributes = RequestAttributes(request, Host("h"), {})
    pattern = "matches('^.*x.{30}z$')"
    assert WhenExpression.parse(f"!request.headers['x-a'].{pattern}").holds({}, attributes)
    assert not WhenExpression.parse(f"!request.headers.cookie.{pattern}").holds({}, attributes)


def test_brackets_that_nothing_closes_end_with_the_expression() -> None:
    assert macro_bodies(tokens_of("a.all(x, (y")) == {4, 5, 6, 7}
    assert macro_bodies(tokens_of("a.all(x, (y)) || z")) == {4, 5, 6, 7, 8}


@pytest.mark.parametrize(
    ("value", "extent"),
    [
        (None, Extent(nodes=1)),
        ("abc", Extent(1, 0, 3, 3)),
        (["a", "bc", 1], Extent(4, 3, 3, 2)),
        ({"ab": {"c": [1, 2, 3]}}, Extent(8, 3, 3, 2)),
    ],
)
def test_all_that_is_fed_is_measured(value: JsonObject, extent: Extent) -> None:
    assert Extent.of(value) == extent


@pytest.mark.parametrize("value", ["a\0", ["\0"], {"a": {"\0": 1}}, {"a": [{"b": "c\0d"}]}])
def test_a_nul_is_found_wherever_it_is(value: JsonObject) -> None:
    with pytest.raises(ValueError, match="NUL"):
        Extent.of(value)


@pytest.mark.parametrize(
    ("pattern", "least", "most"),
    [
        ("", 0, 0),
        ("abc", 3, 3),
        ("a+b*c?", 3, 6),
        ("[a-z0-9-]", 3, 3),
        (r"[\]a]", 2, 2),
        ("[]a]", 2, 2),
        (r"[A-\\]", 1, 1),
        (r"[!-\]a]", 2, 2),
        ("[^a]", 2, 20),
        (r"\{3}", 3, 3),
        ("a{10}", 10, 11),
        ("a{2,10}", 10, 11),
        ("a{10,}", 10, 12),
        ("(ab){10}", 20, 40),
        ("((ab){10}){10}", 200, 400),
        ("(?P<name>(?:ab){10}){10}", 200, 400),
        ("(x{50}(?i)(ab){10}){10}", 700, 1200),
        ("é", 2, 2),
        (".", 4, 10),
        (r"\d\w\s", 3, 10),
        (r"\pL", 400, 2000),
        (r"[\p{Greek}a]", 400, 2000),
        ("[[:alpha:]]", 2, 2000),
        (r"\W\D", 10, 40),
    ],
)
def test_the_states_of_a_pattern_are_counted(pattern: str, least: int, most: int) -> None:
    assert least <= states_of(pattern) <= most


@pytest.mark.parametrize(
    "pattern", ["a{5000}", "(a{70}){70}", "((((a{9}){9}){9}){9}){9}", r"(\pL){9}", "a{99999999999}"]
)
def test_a_pattern_beyond_the_limit_is_known_as_such(pattern: str) -> None:
    assert states_of(pattern) == MAX_STATES + 1


@pytest.mark.parametrize("pattern", [")))", "(((", "a{", "[", "\\", "{3}", "(?", "[[:"])
def test_what_is_no_pattern_is_counted_all_the_same(pattern: str) -> None:
    assert 0 <= states_of(pattern) <= 20
