"""Measurements take turns."""

from __future__ import annotations

from functools import partial

from bench.rounds import in_turns, warmed_up


def test_every_second_round_goes_the_other_way() -> None:
    order: list[str] = []
    in_turns([partial(order.append, name) for name in "abc"], 3)
    assert "".join(order) == "abccbaabc"


def test_results_are_in_the_order_of_the_measurements() -> None:
    assert in_turns([lambda: 1, lambda: 2], 2) == [(1, 2), (1, 2)]


def test_the_round_to_warm_up_does_not_count() -> None:
    numbers = iter(range(10))
    assert warmed_up([lambda: next(numbers)], 2) == [(1,), (2,)]
