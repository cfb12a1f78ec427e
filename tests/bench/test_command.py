"""`make bench`: what it prints and writes, and how it ends."""

from __future__ import annotations

import argparse
import json
import sys
from datetime import UTC, datetime
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING

import pytest

from bench import __main__ as command
from bench import results
from bench.__main__ import SECTIONS
from bench.rows import Failure, Reference, Row, at_most, times

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from bench.scale import Scale

FAST, SLOW = Row("fast", [1.0], target=at_most(2)), Row("slow", [3.0], target=at_most(2))


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where results are written."""
    write = results.write
    monkeypatch.setattr(results, "write", lambda found: write(found, tmp_path))
    return tmp_path


def section(monkeypatch: pytest.MonkeyPatch, name: str, *rows: Row | Exception) -> None:
    """Let the section *name* give *rows*, and raise what is an exception."""

    def give(_scale: Scale) -> Iterator[Row]:
        for row in rows:
            if isinstance(row, Exception):
                raise row
            yield row

    module = ModuleType(name)
    module.rows = give  # type: ignore[attr-defined] # what a section has
    monkeypatch.setitem(sys.modules, f"bench.sections.{name}", module)


def run(*names: str, quick: bool = False) -> int:
    """Run the sections *names*."""
    return command.main(argparse.Namespace(only=list(names), quick=quick))


@pytest.mark.parametrize(("row", "status"), [(FAST, 0), (SLOW, 1), (Row("it", [3.0]), 0)])
def test_the_status_is_one_where_a_target_is_missed(
    directory: Path, monkeypatch: pytest.MonkeyPatch, row: Row, status: int
) -> None:
    section(monkeypatch, "warm", row)
    assert run("warm") == status
    assert list(directory.iterdir())


def test_few_rounds_miss_no_target_that_counts(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    section(monkeypatch, "warm", SLOW)
    assert run("warm", quick=True) == 0
    section(monkeypatch, "cold", ValueError("it broke"))
    assert run("cold", quick=True) == 1
    assert list(directory.iterdir())


def test_a_section_that_fails_keeps_no_other_from_being_measured(
    directory: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    section(monkeypatch, "warm", FAST, ValueError("it broke"))
    section(monkeypatch, "cold", SLOW)
    assert run("warm", "cold") == 1
    printed = capsys.readouterr().out
    assert "failed: ValueError: it broke" in printed
    assert "2 of 3 targets missed" in printed
    [file] = directory.iterdir()
    found = json.loads(file.read_text("utf-8"))["sections"]
    assert [row["met"] for rows in found.values() for row in rows] == [True, False, False]


def test_a_file_says_what_was_measured_where_and_with_what() -> None:
    row = Row("CPU", [2.0, 3.0, 4.0], Reference("no-op", [2.0, 2.0, 2.0]), times(1.2))
    started = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    found = results.document({"warm": [row, Failure("it", "why")]}, started=started, quick=False)
    assert found["started"] == "2026-01-02T03:04:05+00:00"
    assert {"cpu", "cores", "kernel"} <= found["machine"].keys()
    assert {"python", "grpcio", "cryptography"} <= found["versions"].keys()
    assert found["commit"]
    assert found["sections"]["warm"] == [
        {
            "measured": "CPU",
            "unit": "s",
            "median": 3.0,
            "figures": [2.0, 3.0, 4.0],
            "reference": {"name": "no-op", "median": 2.0, "figures": [2.0, 2.0, 2.0]},
            "target": {"at_most": 1.2, "of": "ratio", "median": 1.5},
            "met": False,
        },
        {"measured": "it", "failed": "why", "met": False},
    ]
    assert json.loads(json.dumps(found)) == found


def test_sections_run_in_their_order_whatever_was_said() -> None:
    assert command._sections("memory,warm") == ["warm", "memory"]


def test_a_section_that_is_not_there_is_bad_usage() -> None:
    with pytest.raises(argparse.ArgumentTypeError, match="no such section: hot"):
        command._sections("warm,hot")


@pytest.mark.parametrize("name", SECTIONS)
def test_every_section_is_a_module_that_gives_rows(name: str) -> None:
    assert callable(import_module(f"bench.sections.{name}").rows)
