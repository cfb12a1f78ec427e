"""Claims are compared by type, and one that is missing or null meets nothing."""

from __future__ import annotations

from typing import Final

import pytest

from authz_service.core.claims import ClaimReference
from authz_service.core.conditions import ClaimCondition
from authz_service.core.decision import DenyReason
from tests.support.policies import attributes, claim_is

MISSING: Final = object()


def holds(condition: ClaimCondition, value: object, variables: dict[str, str]) -> bool:
    members = {} if value is MISSING else {"c": value}
    return condition.holds(members, attributes(**variables))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("1", "1"),
        ("", ""),
        (1, 1),
        (0, 0),
        (1, 1.0),
        (1.0, 1),
        (1.5, 1.5),
        (True, True),
        (False, False),
        ("a", ["a"]),
        ("a", ["b", "a", None, 1, {}, []]),
        (1, ["1", 1]),
        (True, [1, True]),
        ("{x}", "bound"),
        ("{x}", ["bound"]),
        ("pre-{x}", "pre-bound"),
        (10**400, 10**400),
    ],
)
def test_a_claim_that_equals_or_contains_the_value_meets_the_condition(
    expected: str | float, actual: object
) -> None:
    assert holds(claim_is("c", expected), actual, {"x": "bound"})


@pytest.mark.parametrize(
    ("expected", "actual"),
    [
        ("1", 1),
        (1, "1"),
        (1, True),
        (0, False),
        (True, 1),
        (False, 0),
        (True, 1.0),
        (True, "true"),
        ("true", True),
        (False, None),
        (False, ""),
        (0, ""),
        ("", MISSING),
        ("", None),
        ("None", None),
        ("null", None),
        ("", []),
        ("a", "A"),
        ("a", "a "),
        ("a", "ab"),
        ("a", [["a"]]),
        ("a", {"a": "a"}),
        ("a", [{"a": "a"}]),
        ("c", {"c": 1}),
        ("[]", []),
        (1, [True]),
        (True, [1]),
        (1e308, 10**400),
        (1, 2),
        ("{x}", "{x}"),
        ("{x}", ["{x}", "other"]),
        (9007199254740993, 9007199254740992),
    ],
)
def test_a_claim_that_does_not_equal_the_value_by_type_does_not(
    expected: str | float, actual: object
) -> None:
    assert not holds(claim_is("c", expected), actual, {"x": "bound"})


def test_one_of_several_values_is_enough() -> None:
    condition = claim_is("c", "a", 1, "{x}")
    for value in ("a", 1, "bound", ["z", "bound"]):
        assert holds(condition, value, {"x": "bound"})
    for value in ("b", 2, "{x}", ["1"]):
        assert not holds(condition, value, {"x": "bound"})


def test_none_of_no_values_is_ever_enough() -> None:
    assert not holds(ClaimCondition(ClaimReference.parse("c"), ()), "a", {})


@pytest.mark.parametrize(
    ("value", "present"),
    [
        ("a", True),
        ("", True),
        (0, True),
        (False, True),
        ([], True),
        ({}, True),
        ([None], True),
        (None, False),
        (MISSING, False),
    ],
)
def test_a_claim_is_present_unless_it_is_missing_or_null(value: object, *, present: bool) -> None:
    assert holds(ClaimCondition(ClaimReference.parse("c"), None), value, {}) is present


def test_a_nested_claim_is_named_by_a_pointer() -> None:
    condition = claim_is("/c/roles", "admin")
    assert holds(condition, {"roles": ["user", "admin"]}, {})
    assert not holds(condition, {"roles": ["user"]}, {})
    assert not holds(condition, ["roles"], {})
    assert not condition.holds({"/c/roles": "admin"}, attributes())


def test_a_claim_that_does_not_hold_is_refused_as_a_mismatch() -> None:
    assert claim_is("c", 1).reason is DenyReason.CLAIM_MISMATCH
