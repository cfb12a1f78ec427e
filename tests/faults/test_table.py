"""The table in the document is the one of the last run, and all else stays."""

from __future__ import annotations

import pytest

from tests.faults.fault import Fault, Result
from tests.faults.scenarios import FAULTS
from tests.faults.table import BEGIN, END, table, with_table
from tests.server.processes import REPOSITORY

DOCUMENT = (REPOSITORY / "docs" / "reliability.md").read_text("utf-8")


async def _nothing(_world: object, _seconds: float) -> None:
    """Do nothing."""


def test_a_row_says_what_came_of_a_fault() -> None:
    result = Result(Fault("all of it", _nothing, "2 s"), 12345, 1, 0.4567, ("a complaint",))
    assert "\n| all of it | 12,345 | 1 | 457 ms | 2 s |\n\nmade today\n" in table(
        [result], "made today"
    )


def test_the_table_takes_the_place_of_the_one_before() -> None:
    before = f"above\n{BEGIN}old\n{END}below\n"
    assert with_table(before, "new\n") == f"above\n{BEGIN}new\n{END}below\n"


@pytest.mark.parametrize("text", ["", BEGIN, END, f"{END}{BEGIN}"])
def test_without_a_place_for_it_there_is_no_table(text: str) -> None:
    with pytest.raises(ValueError, match="no place"):
        with_table(text, "new\n")


@pytest.mark.parametrize("fault", FAULTS, ids=str)
def test_the_document_has_a_row_for_the_fault_without_wrong_answers(fault: Fault) -> None:
    (row,) = [line for line in DOCUMENT.splitlines() if line.startswith(f"| {fault.name} |")]
    _, name, checks, wrong, longest, bound, _ = (cell.strip() for cell in row.split("|"))
    assert (name, bound) == (fault.name, fault.bound)
    assert int(checks.replace(",", "")) > 0
    assert wrong == "0"
    assert longest.endswith(" ms")
