"""When a target is met."""

from __future__ import annotations

import pytest

from bench.figures import Unit
from bench.rows import Failure, Reference, Row, Target, at_most, plus, times
from bench.table import HEADING, table

SLOW, QUICK = Reference("slow", [4, 4, 4]), Reference("quick", [1, 1, 1])


@pytest.mark.parametrize(
    ("figures", "reference", "target", "met"),
    [
        ([1, 2, 9], None, at_most(2), True),
        ([1, 2.1, 2.2], None, at_most(2), False),
        ([5, 5, 5], SLOW, times(1.25), True),
        ([5, 5, 5], SLOW, times(1.2), False),
        ([5, 5, 5], SLOW, plus(1), True),
        ([5, 5, 5], SLOW, plus(0.9), False),
        ([5, 5, 5], QUICK, at_most(5), True),
        ([5, 5, 5], QUICK, None, None),
    ],
)
def test_a_target_is_met_by_the_median(
    figures: list[float], reference: Reference | None, target: Target | None, *, met: bool | None
) -> None:
    assert Row("it", figures, reference, target).is_met is met


def test_a_ratio_is_that_of_neighbours_not_of_medians() -> None:
    # As where the machine was busy in the second round: medians would tell of 2 and 1.
    row = Row("it", [1, 20, 2], Reference("other", [1, 20, 1]), times(1))
    assert row.ratios == [1, 1, 2]
    assert row.is_met is True


def test_a_difference_is_that_of_neighbours() -> None:
    row = Row("it", [1, 20, 2], Reference("other", [0.5, 19.5, 1]), plus(0.5))
    assert row.judged == [0.5, 0.5, 1]
    assert row.is_met is True


@pytest.mark.parametrize(
    ("figures", "reference", "target"),
    [([], None, None), ([1], SLOW, None), ([1], None, times(2)), ([1], None, plus(2))],
)
def test_a_row_that_says_nothing_is_refused(
    figures: list[float], reference: Reference | None, target: Target | None
) -> None:
    with pytest.raises(ValueError, match="it: "):
        Row("it", figures, reference, target)


@pytest.mark.parametrize(
    ("row", "cells"),
    [
        (
            Row("CPU", [2e-6, 3e-6, 4e-6], Reference("no-op", [2e-6, 2e-6, 2e-6]), times(1.15)),
            (
                "CPU",
                "3 µs (2 µs to 4 µs); 1.50x (1.00x to 2.00x)",
                "no-op: 2 µs (2 µs to 2 µs)",
                "≤ 1.15x reference",
                "NO",
            ),
        ),
        (
            Row("memory", [6e6], Reference("before", [5e6]), plus(2e6), Unit.BYTES),
            ("memory", "6.0 MB; + 1.0 MB", "before: 5.0 MB", "≤ reference + 2.0 MB", "yes"),
        ),
        (
            Row("refused", [0], Reference("undisturbed", [0]), at_most(0), Unit.COUNT),
            ("refused", "0", "undisturbed: 0", "≤ 0", "yes"),
        ),
        (Row("start", [1.5]), ("start", "1.5 s", "-", "-", "-")),
        (Failure("warm", "it broke\nhere"), ("warm", "failed: it broke", "-", "-", "NO")),
    ],
)
def test_a_row_is_a_line_of_the_table(row: Row | Failure, cells: tuple[str, ...]) -> None:
    assert row.cells == cells


def test_the_table_has_its_columns_one_below_the_other() -> None:
    lines = table([Row("a long name", [1]).cells, Row("short", [1]).cells]).splitlines()
    assert [cell.strip() for cell in lines[0].split("|")] == list(HEADING)
    assert {line.index("|") for line in lines} == {len("a long name ")}
