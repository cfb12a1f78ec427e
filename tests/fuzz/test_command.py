"""`make fuzz`: what it prints, and how it ends."""

from __future__ import annotations

import argparse
import importlib.util
from typing import TYPE_CHECKING

import pytest

from fuzz import __main__ as command
from fuzz.campaign import Outcome, _outcome, _quoted
from fuzz.target import MODULES, target

if TYPE_CHECKING:
    from pathlib import Path

ENDED = """\
INFO: Seed: 1
#65536	pulse  cov: 480 ft: 900 corp: 90/9Kb lim: 20480 exec/s: 2048 rss: 99Mb
#70000	DONE   cov: 487 ft: 950 corp: 99/9Kb lim: 20480 exec/s: 2000 rss: 102Mb
stat::number_of_executed_units: 70000
stat::average_exec_per_sec:     2000
stat::slowest_unit_time_sec:    1
stat::peak_rss_mb:              102
"""


def options(**given: object) -> argparse.Namespace:
    """Give the options, with defaults."""
    return argparse.Namespace(**{"target": [], "seconds": 1, "reproduce": None, **given})


def test_an_input_that_is_fine_again_ends_with_zero(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "keys-crash-0123"
    file.write_bytes(b"{}")
    assert command.main(options(reproduce=file)) == 0
    assert "nothing is wrong with keys" in capsys.readouterr().out


def test_an_input_that_still_fails_ends_with_one_and_says_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fuzz.key_set.parse_jwk_set", lambda _octets: 1 / 0)
    file = tmp_path / "anything"
    file.write_bytes(b"{}")
    assert command.main(options(reproduce=file, target=["keys"])) == 1
    assert "ZeroDivisionError" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["crash-0123", "keys-crash-that-is-not-there"])
def test_an_input_of_nobody_is_bad_usage(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert command.main(options(reproduce=tmp_path / name)) == 2
    assert capsys.readouterr().err.count("\n") == 1


def test_without_the_engine_one_line_says_where_it_is_to_be_had(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    assert command.main(options()) == 2
    assert "atheris" in capsys.readouterr().err


def test_what_the_engine_says_becomes_a_row() -> None:
    outcome = _outcome("token", ENDED, (), failed=False)
    assert outcome == Outcome("token", 70000, 2000, 487, 1, 102, (), None)
    assert outcome.cells == ("token", "70000", "2000", "487", "1", "102", "nothing")


def test_what_fails_is_told_from_the_exception_on(tmp_path: Path) -> None:
    said = "INFO: x\n === Uncaught Python exception: ===\nAssertionError: no\nTraceback\n"
    outcome = _outcome("token", said, (tmp_path / "token-crash-1",), failed=True)
    assert outcome.why is not None
    assert outcome.why.startswith("=== Uncaught Python exception: ===\nAssertionError: no")
    assert outcome.cells[-1] == "FAILED"


@pytest.mark.parametrize("ends", [{"failed": True, "failing": ()}, {"failed": False}])
def test_an_engine_that_ends_badly_or_leaves_a_file_has_failed(ends: dict[str, object]) -> None:
    failing = ends.get("failing", ("file",))
    outcome = _outcome("keys", ENDED, failing, failed=bool(ends["failed"]))  # type: ignore[arg-type] # only whether there is one counts
    assert outcome.why is not None


def test_every_word_is_one_line_of_plain_ascii_for_the_engine() -> None:
    for name in MODULES:
        for word in target(name).words:
            assert _quoted(word).isascii()
            assert _quoted(word).count("\n") == 1
    assert _quoted('a"\n') == '"\\x61\\x22\\x0a"\n'
