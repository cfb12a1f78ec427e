"""`authz-service lint`: what it prints, and how it ends; once as a real process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.in_this_process import run_here
from tests.edge.rig import PATIENCE
from tests.server.processes import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

FINE, FAILED, BAD_USAGE = 0, 1, 2

SUSPICIOUS: Final = """\
version: 1
resources:
  - audience: https://shopping.api
    mode: audit
    routes:
      - {path: /products, methods: {}}
"""
MISTAKEN: Final = "version: 2\nresource: []\n"


def _lint(
    *arguments: str | Path, cwd: Path, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    return run_here("lint", *arguments, cwd=cwd, env=env)


def _lint_as_a_process(*arguments: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "authz_service", "lint", *map(str, arguments)],
        cwd=cwd,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def _assert_fails_in_one_line(result: subprocess.CompletedProcess[str], *parts: str) -> None:
    assert (result.returncode, result.stderr) == (FAILED, "")
    line, summary = result.stdout.splitlines()
    assert summary == "1 error; warnings are told once there are no errors"
    for part in parts:
        assert part in line


def test_a_good_policy_is_fine(policy: Path) -> None:
    for option in ((), ("--strict",)):
        result = _lint_as_a_process(*option, policy, cwd=policy.parent)
        assert (result.returncode, result.stderr) == (FINE, "")
        assert result.stdout == "no errors, no warnings\n"


def test_warnings_fail_only_where_that_is_asked_for(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(SUSPICIOUS)
    expected = (
        "p.yaml:4:11: warning[audit]: what is refused here is reported and let through: write"
        " enforce as soon as nothing is refused that should pass\n"
        "p.yaml:6:36: warning[no-methods]: no method is named, so every request to this path is"
        " denied, also where a less specific route would allow it: name the methods, or remove the"
        " route\n"
        "no errors, 2 warnings\n"
    )
    for options, status in (((), FINE), (("--strict",), FAILED)):
        result = _lint(*options, "p.yaml", cwd=tmp_path)
        assert (result.returncode, result.stdout, result.stderr) == (status, expected, "")


def test_what_is_ignored_does_not_fail(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(SUSPICIOUS)
    options = ("--strict", "--ignore", "audit", "--ignore", "no-methods")
    result = _lint(*options, "p.yaml", cwd=tmp_path)
    assert (result.returncode, result.stdout) == (FINE, "no errors, no warnings\n")


def test_errors_fail_each_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text(MISTAKEN)
    result = _lint_as_a_process("p.yaml", cwd=tmp_path)
    assert (result.returncode, result.stderr) == (FAILED, "")
    assert result.stdout == (
        "p.yaml:1:10: error[policy]: version: write 1\n"
        'p.yaml:2:1: error[policy]: unknown field "resource": did you mean "resources"?\n'
        "2 errors; warnings are told once there are no errors\n"
    )


@pytest.mark.parametrize(("text", "status"), [(SUSPICIOUS, FINE), (MISTAKEN, FAILED)])
def test_every_format_ends_with_the_same_status(tmp_path: Path, text: str, status: int) -> None:
    (tmp_path / "p.yaml").write_text(text)
    machine = _lint("--format", "json", "p.yaml", cwd=tmp_path)
    github = _lint("--format", "github", "p.yaml", cwd=tmp_path)
    assert (machine.returncode, github.returncode) == (status, status)
    found = json.loads(machine.stdout)
    assert len(found) == len(github.stdout.splitlines()) == 2
    for finding, line in zip(found, github.stdout.splitlines(), strict=True):
        place = f"file=p.yaml,line={finding['line']},col={finding['column']}"
        assert line.startswith(f"::{finding['severity']} {place},title={finding['code']}::")


def test_a_directory_and_files_are_one_policy(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "issuers.yaml").write_text("version: 1\nissuers: [{issuer: 'https://${HOST}'}]\n")
    (tmp_path / "more.yaml").write_text(
        "version: 1\nresources: [{audience: a, routes: [{path: /a, methods: {GET: []}}]}]\n"
    )
    result = _lint("--strict", folder, "more.yaml", cwd=tmp_path, env={"HOST": "a.example"})
    assert (result.returncode, result.stdout) == (FINE, "no errors, no warnings\n")


# Bad input


def test_a_variable_that_is_not_set_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text("version: 1\nissuers: [{issuer: 'https://${NOT_SET_HERE}'}]\n")
    _assert_fails_in_one_line(_lint("p.yaml", cwd=tmp_path), "p.yaml:2:20: ", "NOT_SET_HERE")


def test_a_file_of_fifty_mebibytes_is_an_error(tmp_path: Path) -> None:
    with (tmp_path / "p.yaml").open("wb") as file:
        file.truncate(50 * 2**20)
    _assert_fails_in_one_line(_lint("p.yaml", cwd=tmp_path), "p.yaml: ", "at most 4 MiB")


@pytest.mark.parametrize(
    ("bomb", "message"),
    [
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "anchors and aliases"),
        ("[" * 100_000, "nested more than 32 deep"),
        ("version: 1\nissuers: " + "{a: " * 100_000, "nested more than 32 deep"),
    ],
)
def test_a_bomb_is_an_error(tmp_path: Path, bomb: str, message: str) -> None:
    (tmp_path / "p.yaml").write_text(bomb)
    _assert_fails_in_one_line(_lint("p.yaml", cwd=tmp_path), "p.yaml:", message)


def test_what_cannot_be_read_in_a_directory_is_an_error(policy: Path) -> None:
    """Not a matter of rights, which the superuser does not know."""
    os.mkfifo(policy.parent / "pipe.yaml")
    (policy.parent / "dangling.yaml").symlink_to("nowhere")
    result = _lint(policy.parent, cwd=policy.parent)
    assert result.returncode == FAILED
    dangling, pipe, _summary = result.stdout.splitlines()
    assert "dangling.yaml: error[policy]: cannot be read: No such file" in dangling
    assert "pipe.yaml: error[policy]: cannot be read: not a regular file" in pipe


def test_a_directory_without_a_policy_is_an_error(tmp_path: Path) -> None:
    result = _lint(tmp_path, cwd=tmp_path)
    _assert_fails_in_one_line(result, "no *.yaml, *.yml or *.json in here")


def test_what_a_file_holds_does_not_reach_the_terminal_raw(tmp_path: Path) -> None:
    (tmp_path / "p.yaml").write_text('version: 1\n"\\e[31m\\n": 1\n')
    for form in ("text", "json", "github"):
        result = _lint("--format", form, "p.yaml", cwd=tmp_path)
        assert result.returncode == FAILED
        assert result.stdout.replace("\n", "").isprintable()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((), "Missing argument 'PATH...'"),
        (("nowhere.yaml",), "'nowhere.yaml' does not exist"),
        (("",), "does not exist"),
        (("--format", "xml", "."), "'text', 'json', 'github'"),
        (("--ignore", "audits", "."), "'audits' is not one of audit, hidden-by-host"),
        (("--ignore", "policy", "."), "'policy' is not one of"),
        (("--loud", "."), "--loud"),
    ],
)
def test_bad_usage_says_what_to_write(
    tmp_path: Path, arguments: tuple[str, ...], message: str
) -> None:
    result = _lint(*arguments, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (BAD_USAGE, "")
    assert message in result.stderr.splitlines()[-1]
