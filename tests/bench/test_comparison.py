"""The rows of a kind of Check."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from bench import comparison
from bench.comparison import CPU, P99, Addition, Plan, Side, compare
from bench.loads import Checks, Pace, Report, ShedError
from bench.processes import BenchError, Server
from bench.rows import plus, times
from bench.scale import Scale

if TYPE_CHECKING:
    from pathlib import Path

    from bench.rows import Row

OURS = Server("authz-service", 1, "ours")
NOOP = Server("no-op", 2, "noop")
CHECKS = Checks.all_of("allow", [b""])


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Pace]]:
    """Every load, with servers that take as many seconds as their ids say."""
    loads: list[tuple[str, Pace]] = []

    def ask(server: Server, _checks: Checks, pace: Pace) -> Report:
        loads.append((server.target, pace))
        seconds = [float(server.pid)] * pace.count
        return Report(float(server.pid), 10.0 * server.pid, [0.0] * pace.count, seconds)

    monkeypatch.setattr(comparison, "ask", ask)
    monkeypatch.setattr(Server, "resident", 1e6)
    return loads


def rows(**options: object) -> dict[str, Row]:
    """Compare in two rounds, and give the rows by their names."""
    sides = (Side(OURS, lambda: CHECKS), Side(NOOP, lambda: CHECKS))
    found = compare("it", *sides, Plan(2, 2000, 100), **options)  # type: ignore[arg-type] # as given
    return {row.measured: row for row in found}


def test_there_is_a_row_for_each_thing_that_is_told(asked: list[tuple[str, Pace]]) -> None:
    assert list(rows()) == [
        "it: CPU, 1,000/s",
        "it: p50, 1,000/s",
        "it: p99, 1,000/s",
        "it: p99.9, 1,000/s",
        "it: CPU, 16 in flight",
        "it: Checks, 16 in flight",
        "it: resident",
    ]
    assert len(asked) == 2 + 2 * 2 * 2  # a load to warm up, and two kinds in two rounds


def test_sides_take_turns_in_either_order(asked: list[tuple[str, Pace]]) -> None:
    rows()
    paced = [target for target, pace in asked if pace.rate]
    assert paced == ["ours", "noop", "noop", "ours"]


@pytest.mark.usefixtures("asked")
def test_targets_are_those_of_their_rows() -> None:
    found = rows(targets={CPU: times(0.5), P99: times(0.4)})
    met = {name: row.is_met for name, row in found.items() if row.target}
    assert met == {"it: CPU, 1,000/s": True, "it: p99, 1,000/s": False}


@pytest.mark.usefixtures("asked")
def test_what_is_added_to_the_reference_counts_in_its_cpu_alone() -> None:
    found = rows(targets={CPU: plus(-4)}, addition=Addition("verify", lambda: 3.0))
    row = found["it: CPU, 1,000/s"]
    assert row.figures == [1.0, 1.0]
    assert row.reference is not None
    assert (row.reference.name, row.reference.figures) == ("no-op + verify", [5.0, 5.0])
    assert row.is_met is True
    p50 = found["it: p50, 1,000/s"].reference
    assert p50 is not None
    assert (p50.name, p50.figures) == ("no-op", [2.0, 2.0])


def test_a_quick_plan_has_a_round_and_few_checks(tmp_path: Path) -> None:
    assert Plan.of(Scale(tmp_path, quick=True), rounds=9) == Plan(1, 100, 200)
    assert Plan.of(Scale(tmp_path), rounds=9, rate=500) == Plan(9, 1000, 4000, 500)


def test_a_load_that_was_shed_is_repeated_with_new_checks_and_said_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    outcomes: list[Report | Exception] = [ShedError("too many"), Report(0.0, 1.0, [], [])]
    asked: list[Checks] = []

    def ask(_server: Server, checks: Checks, _pace: Pace) -> Report:
        asked.append(checks)
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    monkeypatch.setattr(comparison, "ask", ask)
    made = iter([CHECKS, Checks.all_of("allow", [b"new"])])
    comparison._load(Side(OURS, lambda: next(made)), Pace(1))
    assert [checks.octets for checks in asked] == [[b""], [b"new"]]
    assert "authz-service: too many; once more" in capsys.readouterr().err


@pytest.mark.parametrize("error", [ShedError("too many"), BenchError("wrong")])
def test_what_is_shed_again_and_again_or_wrong_is_an_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def ask(*_arguments: object) -> Report:
        raise error

    monkeypatch.setattr(comparison, "ask", ask)
    with pytest.raises(type(error), match=str(error)):
        comparison._load(Side(OURS, lambda: CHECKS), Pace(1))
