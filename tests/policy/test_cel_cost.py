"""What is too costly is refused or denied, and what is run has a price that holds."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.conditions import RequestAttributes
from authz_service.core.request import Host, HttpRequest
from authz_service.policy.when.cost import Extent, macro_bodies
from authz_service.policy.when.expression import WhenExpression
from authz_service.policy.when.patterns import MAX_STATES, states_of
from authz_service.policy.when.tokens import tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.strict_json import JsonObject

TOKEN: Final = 12_000  # characters of JSON that a token of 16 KiB holds
HEADERS: Final = 60_000  # characters that Envoy lets pass
LIMIT: Final = 0.1  # seconds: ten times what was measured, for a busy machine


def _integers(share: float) -> JsonObject:
    return {"l": [0] * int(TOKEN / 2 * share)}


def _names(share: float) -> JsonObject:
    return {"l": ["aaab"] * int(TOKEN / 7 * share), "s": "a" * int(TOKEN / 2 * share)}


def _object(share: float) -> JsonObject:
    return {"l": {f"k{n}": n for n in range(int(TOKEN / 12 * share))}}


SHAPES: Final[list[tuple[str, Callable[[float], JsonObject]]]] = [
    ("claims.l.all(x, x == 0)", _integers),
    ("claims.l.all(x, x != path.id)", _names),
    ("claims.l.all(x, claims.l == claims.l)", _integers),
    ("claims.l.all(x, claims == claims)", _object),
    ("claims.l.all(x, !(1 in claims.l))", _integers),
    ("claims.l.all(x, (claims.l + claims.l).size() > 0)", _integers),
    ("(claims.l + claims.l + claims.l).all(x, x == 0)", _integers),
    ("claims.l.exists(x, int(x) == 1)", _names),
    ("claims.l.exists(x, claims.nope == 1)", _integers),
    ("claims.l.exists(x, claims.s.size() == 1)", _names),
    ("claims.l.exists(x, claims.s + claims.s == 'b')", _names),
    ("claims.l.exists(x, x.matches('^team-[a-z]+-admin$'))", _names),
    ("claims.l.exists(x, duration(claims.s) == duration('1s'))", _names),
    ("claims.l.exists(x, request.headers.a.contains(x))", _names),
    ("request.headers.a.contains(request.headers.b)", _names),
    ("request.headers.a.matches('(x|y)*x(x|y){20}z')", _names),
    ("request.headers.a.matches('.*x.{30}z')", _names),
    ("request.headers.c.matches('(é|x)*x(é|x){20}z')", _names),
    ("request.headers.a.matches('(x+x+)+y')", _names),
    ("claims.l.exists(x, request.headers.c.matches('[a-z]*x[a-z]{20}z'))", _names),
    ("request.headers.all(k, request.headers[k].size() > 0)", _integers),
]


def _mixed(length: int, letters: str) -> str:
    """Text without a period, so that no state of a pattern comes back soon."""
    seed, text = 1, []
    for _ in range(length):
        seed = (seed * 1_103_515_245 + 12_345) % 2**31
        text.append(letters[seed >> 16 & 1])
    return "".join(text)


_XY: Final = _mixed(HEADERS, "xy")
_EX: Final = _mixed(HEADERS, "éx")


def _attributes(share: float, *, same: bool = False) -> RequestAttributes:
    size = int(HEADERS * share)
    first = "a" * (size * 2 // 3) if same else _XY[: size // 2]
    headers = (("a", first), ("b", "a" * (size // 3) + "b"), ("c", _EX[: size // 3]))
    return RequestAttributes(HttpRequest("GET", "h", "/", headers), Host("h"), {"id": "alice"})


@pytest.mark.parametrize("same", [False, True], ids=["mixed", "same"])
@pytest.mark.parametrize(("text", "claims"), SHAPES, ids=[text for text, _ in SHAPES])
def test_nothing_that_a_client_sends_takes_long(
    text: str, claims: Callable[[float], JsonObject], *, same: bool
) -> None:
    """Sizes from small to the largest: the worst is just below where the price denies."""
    expression = WhenExpression.parse(text)
    for percent in (1, 2, 3, 5, 8, 12, 18, 25, 35, 50, 70, 100):
        members, attributes = claims(percent / 100), _attributes(percent / 100, same=same)
        start = time.perf_counter()
        assert expression.holds(members, attributes) in {True, False}
        assert time.perf_counter() - start < LIMIT


def test_what_would_be_true_is_denied_where_it_costs_too_much() -> None:
    expression = WhenExpression.parse("claims.l.all(x, claims.l == claims.l)")
    assert expression.holds(_integers(0.02), _attributes(0))
    assert not expression.holds(_integers(1), _attributes(0))


def test_a_large_token_is_fine_where_the_expression_is_cheap() -> None:
    claims: JsonObject = {"groups": [f"group-{n:04}" for n in range(900)]}
    for text in (
        "'group-0899' in claims.groups",
        "claims.groups.exists(g, g == 'group-0899')",
        "claims.groups.exists(g, g.startsWith('group-08') && g.endsWith('99'))",
    ):
        assert WhenExpression.parse(text).holds(claims, _attributes(1))


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
