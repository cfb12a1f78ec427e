"""The soak notices what grows."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.faults.soak import Sample, growth

STEADY = [Sample(float(at), 1, 60.0 + at % 3, 20 + at % 4, 8, 12) for at in range(100)]


def test_what_comes_and_goes_has_not_grown() -> None:
    assert growth(STEADY) == []


def test_memory_that_was_taken_in_the_first_half_has_not_grown_since() -> None:
    assert growth([replace(STEADY[0], memory=20.0), *STEADY]) == []


@pytest.mark.parametrize(
    ("name", "value", "complaint"),
    [
        ("memory", 80.0, "memory grew from 62.0 to 80.0 MiB"),
        ("files", 40, "files grew from 20 to 40"),
        ("threads", 14, "threads grew from 8 to 14"),
        ("tasks", 18, "tasks grew from 12 to 18"),
    ],
)
def test_what_does_not_go_again_has_grown(name: str, value: float, complaint: str) -> None:
    changed = replace(STEADY[-1], **{name: value})  # type: ignore[arg-type] # of the table
    assert growth([*STEADY, changed]) == [complaint]
