"""How a command ends: the status, and what is said, when somebody has left or something is bad."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Final

import pytest

from authz_service.cli.exits import BAD_INPUT, INTERRUPTED, NOT_READ, quiet_endings, refuse
from tests.edge.rig import PATIENCE
from tests.policy.folder import policy_text
from tests.server.processes import environment

# Stands for any command that a person waits for.
WAITING: Final = """\
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)  # also where the suite runs without one
from authz_service.cli import schema
from authz_service.cli.main import main

def wait(kind):
    print("waiting", flush=True)
    signal.pause()

schema.command.callback = wait
main(["schema"])
"""


@pytest.mark.parametrize(
    "arguments",
    [["schema"], ["--help"], ["schema", "--help"], ["--version"], ["completion", "zsh"]],
)
def test_a_reader_that_has_left_ends_a_command_silently(arguments: list[str]) -> None:
    readable, writable = os.pipe()
    os.close(readable)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "authz_service", *arguments],
            env=environment(),
            stdout=writable,
            stderr=subprocess.PIPE,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writable)
    assert (result.returncode, result.stderr) == (NOT_READ, b"")


def test_a_reader_of_errors_that_has_left_changes_no_refusal() -> None:
    readable, writable = os.pipe()
    os.close(readable)
    try:
        result = subprocess.run(
            [sys.executable, "-m", "authz_service", "serve", "--policy", "/nowhere/policy.yaml"],
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=writable,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writable)
    assert (result.returncode, result.stdout) == (BAD_INPUT, b"")


FULL: Final = "/dev/full"
"""Every write to it fails as on a full disk (full(4))."""
TESTS: Final = "policy: policy.yaml\ntests: [{request: GET /x, expect: no_route}]\n"


@pytest.mark.parametrize("unbuffered", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["", "unbuffered"])
@pytest.mark.parametrize(
    "arguments",
    [
        ["schema"], ["--help"], ["schema", "--help"], ["--version"], ["completion", "zsh"],
        ["lint", "policy.yaml"], ["test", "x_test.yaml"], ["test", "-v", "x_test.yaml"],
        ["explain", "--policy", "policy.yaml", "GET", "https://a.example/"],
        ["explain", "--policy", "policy.yaml", "--json", "GET", "https://a.example/"],
    ],
)  # fmt: skip
def test_an_output_that_cannot_be_written_is_told_in_one_line(
    tmp_path: Path, arguments: list[str], unbuffered: dict[str, str]
) -> None:
    (tmp_path / "policy.yaml").write_text(policy_text(), "utf-8")
    (tmp_path / "x_test.yaml").write_text(TESTS, "utf-8")
    with Path(FULL).open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "authz_service", *arguments],
            cwd=tmp_path, env=environment(unbuffered), stdout=full, stderr=subprocess.PIPE,
            timeout=PATIENCE, check=False,
        )  # fmt: skip
    told = b"authz-service: the output cannot be written: No space left on device\n"
    assert (result.returncode, result.stderr) == (BAD_INPUT, told)


@pytest.mark.parametrize(
    "arguments", [["serve", "--policy", "/nowhere/policy.yaml"], ["schema"]], ids=" ".join
)
def test_errors_that_cannot_be_written_change_no_status(arguments: list[str]) -> None:
    with Path(FULL).open("wb") as full:
        result = subprocess.run(
            [sys.executable, "-m", "authz_service", *arguments],
            env=environment(), stdout=full, stderr=full, timeout=PATIENCE, check=False,
        )  # fmt: skip
    assert result.returncode == BAD_INPUT


def test_an_error_that_is_not_of_the_output_is_not_called_one() -> None:
    with pytest.raises(OSError, match="No space"), quiet_endings():
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_ctrl_c_ends_a_command_silently() -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", WAITING],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting\n"
    process.send_signal(signal.SIGINT)
    rest, errors = process.communicate(timeout=PATIENCE)
    assert (process.returncode, rest, errors) == (INTERRUPTED, "", "")


def test_a_refusal_is_one_line_for_each_mistake(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        refuse("policy.yaml:1:1: one", "policy.yaml:2:1: other")
    assert ended.value.code == BAD_INPUT
    shown = capfd.readouterr()
    assert (shown.out, shown.err) == ("", "policy.yaml:1:1: one\npolicy.yaml:2:1: other\n")
