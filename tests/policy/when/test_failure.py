"""Why a condition does not hold, for the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from authz_service.policy.when import WhenExpression
from tests.policy.when.test_expression import attributes

if TYPE_CHECKING:
    from authz_service.core.strict_json import JsonObject

CLAIMS: Final[JsonObject] = {
    "sub": "alice",
    "key": "\x1b[31m\n",
    "long": "k" * 1000,
    "level": 2,
    "ratio": 1.5,
    "zero": 0,
    "nothing": None,
    "roles": ["reader"],
    "org": {},
    "many": [0] * 5000,
}


@pytest.mark.parametrize(
    ("text", "failure"),
    [
        ("claims.level > 3", "it is false"),
        ("claims.level > 1", "it is true"),
        ("claims.sub", "it is of type string, not true or false"),
        ("claims.level", "it is of type int, not true or false"),
        ("claims.ratio", "it is of type double, not true or false"),
        ("claims.roles", "it is of type list, not true or false"),
        ("claims.org", "it is of type map, not true or false"),
        ("claims.nothing", "it is of type null, not true or false"),
        ("claims.age > 3", "it cannot be evaluated: no such key: age"),
        ("claims.org.plan.name == ''", "it cannot be evaluated: no such key: plan"),
        ("request.headers['x-a'] == ''", "it cannot be evaluated: no such key: x-a"),
        (
            "claims.sub > 3",
            "it cannot be evaluated: No matching overloads found: _>_(string, int64)",
        ),
        ("1 / claims.zero == 1", "it cannot be evaluated: divide by zero"),
        (
            "claims.many.all(x, claims == claims)",
            "it would cost too much for this request",
        ),
        ("claims.org[claims.key] == 1", r"it cannot be evaluated: no such key: \x1b[31m\n"),
    ],
)
def test_each_way_to_fail_is_told_apart(text: str, failure: str) -> None:
    assert WhenExpression.parse(text).failure(CLAIMS, attributes()) == failure


def test_an_integer_beyond_64_bits_is_named_with_its_place() -> None:
    failure = WhenExpression.parse("claims.huge == 1").failure({"huge": 2**64}, attributes())
    assert failure.startswith("it cannot be evaluated: Integer value '18446744073709551616' out of")


def test_a_nul_is_named() -> None:
    failure = WhenExpression.parse("claims.sub == ''").failure({"sub": "a\0"}, attributes())
    assert failure == "it cannot be evaluated: a NUL in a string"


def test_a_long_key_is_cut() -> None:
    expression = WhenExpression.parse("claims.org[claims.long] == 1")
    failure = expression.failure(CLAIMS, attributes())
    assert failure.endswith("kkk…")
    assert len(failure) < 250
