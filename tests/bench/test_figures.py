"""What is said of figures."""

from __future__ import annotations

import pytest

from bench.figures import Unit, percentile, spread


@pytest.mark.parametrize(
    ("values", "share", "expected"),
    [
        ([7], 0.5, 7),
        ([7], 0.999, 7),
        ([3, 1, 2], 0.5, 2),
        ([4, 3, 2, 1], 0.5, 2),
        (range(1, 101), 0.99, 99),
        (range(1, 1001), 0.999, 999),
        (range(1, 1001), 1, 1000),
        (range(1, 1001), 0, 1),
    ],
)
def test_a_percentile_is_the_value_at_the_nearest_rank(
    values: list[float], share: float, expected: float
) -> None:
    assert percentile(values, share) == expected


@pytest.mark.parametrize(
    ("value", "unit", "expected"),
    [
        (2.5, Unit.SECONDS, "2.5 s"),
        (0.0125, Unit.SECONDS, "12.5 ms"),
        (0.000252, Unit.SECONDS, "252 µs"),
        (-0.002, Unit.SECONDS, "-2 ms"),
        (95_600_000, Unit.BYTES, "95.6 MB"),
        (4711.2, Unit.PER_SECOND, "4,711/s"),
        (1.149, Unit.TIMES, "1.15x"),
        (286, Unit.COUNT, "286"),
    ],
)
def test_a_value_is_told_with_its_unit(value: float, unit: Unit, expected: str) -> None:
    assert unit.text(value) == expected


def test_a_spread_is_the_median_and_the_extremes() -> None:
    assert spread([3, 1, 2], Unit.SECONDS) == "2 s (1 s to 3 s)"


def test_a_single_figure_has_no_spread() -> None:
    assert spread([2], Unit.SECONDS) == "2 s"
