"""Bad input gets one clear message and the right exit status, whichever command it is given to."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING, Final

import pytest

from tests.cli.in_this_process import run_here
from tests.policy.folder import policy_text
from tests.server.processes import environment

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

MEBIBYTE: Final = 2**20
BOMB: Final = "a: &a [x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 9)}]\n"
    for before, name in zip("abcdefgh", "bcdefghi", strict=True)
)
DEEP: Final = "[" * 5000
TESTS: Final = "policy: policy.yaml\ntests: [{request: GET /x, expect: no_route}]\n"


def run(*arguments: str | Path, token: bytes = b"") -> tuple[int, str, str]:
    """Run the command in this process; `serve` as one of its own, which it takes for itself."""
    if arguments[0] != "serve":
        done = run_here(*arguments, given=token)
        return done.returncode, done.stdout, done.stderr
    finished = subprocess.run(
        [sys.executable, "-m", "authz_service", *map(str, arguments)],
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=50,
        check=False,
    )
    return finished.returncode, finished.stdout.decode(), finished.stderr.decode()


def large(folder: Path) -> Path:
    file = folder / "policy.yaml"
    with file.open("wb") as stream:
        stream.truncate(50 * MEBIBYTE)
    return file


def bomb(folder: Path) -> Path:
    file = folder / "policy.yaml"
    file.write_text(BOMB, "utf-8")
    return file


def deep(folder: Path) -> Path:
    file = folder / "policy.yaml"
    file.write_text(DEEP, "utf-8")
    return file


def binary(folder: Path) -> Path:
    file = folder / "policy.yaml"
    file.write_bytes(bytes(range(256)))
    return file


def missing(folder: Path) -> Path:
    return folder / "policy.yaml"


def with_an_unreadable_file(folder: Path) -> Path:
    (folder / "good.yaml").write_text(policy_text(), "utf-8")
    (folder / "gone.yaml").symlink_to(folder / "nowhere")
    return folder


COMMANDS: Final[dict[str, Callable[[Path], list[str | Path]]]] = {
    "serve": lambda path: ["serve", "--policy", path],
    "lint": lambda path: ["lint", path],
    "test": lambda path: ["test", "--policy", path, path.parent / "x_test.yaml"],
    "explain": lambda path: ["explain", "--policy", path, "GET", "/x", "--host", "a.example"],
    "import openapi": lambda path: ["import", "openapi", path],
}
INPUTS: Final[dict[Callable[[Path], Path], str]] = {
    large: "MiB",
    bomb: "",
    deep: "deep",
    binary: "",
    missing: "",
    with_an_unreadable_file: "gone.yaml",
}


@pytest.mark.parametrize("made", INPUTS, ids=lambda made: made.__name__)
@pytest.mark.parametrize("command", COMMANDS)
def test_one_line_and_the_right_status(
    tmp_path: Path, command: str, made: Callable[[Path], Path]
) -> None:
    folder = tmp_path / "folder"
    folder.mkdir()
    path = made(folder)
    (path.parent / "x_test.yaml").write_text(TESTS, "utf-8")
    status, output, errors = run(*COMMANDS[command](path))
    told = (errors or output).splitlines()
    assert "Traceback" not in output + errors
    if command == "lint" and made is not missing:
        assert status == 1  # a policy with a mistake is what it looks for
        told = [line for line in told if ": error" in line]
    else:
        assert status == 2
        told = [line for line in told if not line.startswith(("Usage", "Try", "{"))]
    told = [line for line in told if line]
    assert len(told) == 1, told
    if command != "import openapi":
        assert INPUTS[made] in told[0]
    assert told[0].isprintable()
    assert len(told[0]) < 500


@pytest.mark.parametrize("command", COMMANDS)
def test_an_empty_path_is_not_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    (tmp_path / "policy.yaml").write_text(policy_text(), "utf-8")
    (tmp_path / "x_test.yaml").write_text(TESTS, "utf-8")
    monkeypatch.chdir(tmp_path)
    written = COMMANDS[command](tmp_path / "policy.yaml")
    arguments = ["" if each == tmp_path / "policy.yaml" else each for each in written]
    status, output, errors = run(*arguments)
    assert (status, output) == (2, "")
    assert errors


def test_an_empty_path_of_tests_is_not_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "policy.yaml").write_text(policy_text(), "utf-8")
    (tmp_path / "policy_test.yaml").write_text(TESTS, "utf-8")
    monkeypatch.chdir(tmp_path)
    assert run("test", ".")[0] == 0
    status, output, errors = run("test", "")
    assert (status, output) == (2, "")
    assert "the path is empty" in errors


@pytest.mark.parametrize("token", [b"\xff\xfe\x00\x1b[31m" * 20, b"\0", b"a.b.c", b"e30.e30.\n"])
def test_a_token_of_junk_is_refused_like_any_other(tmp_path: Path, token: bytes) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(policy_text(), "utf-8")
    arguments: list[str | Path] = [
        "explain",
        "--policy",
        policy,
        "--token",
        "-",
        "GET",
        "/orders/7",
    ]
    status, output, errors = run(*arguments, "--host", "a.example", token=token)
    assert status == 1
    assert errors == ""
    assert "DENIED (mal" in output
    assert all(line.isprintable() for line in output.splitlines())


def test_a_token_of_50_mebibytes_and_no_token_are_bad_usage(tmp_path: Path) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text(policy_text(), "utf-8")
    file = tmp_path / "token"
    arguments: list[str | Path] = ["explain", "--policy", policy, "--token-file", file, "GET", "/x"]
    for size in (None, 0, 50 * MEBIBYTE):
        if size is not None:
            with file.open("wb") as stream:
                stream.truncate(size)
        status, _output, errors = run(*arguments, "--host", "a.example")
        assert status == 2
        assert "Traceback" not in errors
        assert str(file) in errors or "--token-file" in errors
