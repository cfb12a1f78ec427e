"""Completion, by a real shell."""

from __future__ import annotations

import shutil
import subprocess
from typing import TYPE_CHECKING, Final

import click
import pytest
from click.testing import CliRunner, Result

from authz_service.cli.main import main
from tests.cli.terminal import install_script
from tests.cli.test_imports import modules_after
from tests.edge.rig import PATIENCE
from tests.server.processes import environment

if TYPE_CHECKING:
    from pathlib import Path

COMMANDS: Final = main.list_commands(click.Context(main))


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="authz-service")


COMPLETIONS: Final = r"""
eval "$(authz-service completion bash)"
complete -p authz-service
compopt() { local IFS=" "; echo "compopt $*"; }  # works in a completion that a key started alone
try() {
  COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
  echo "> ${*:2}"
  _authz_service_completion authz-service
  for reply in "${COMPREPLY[@]}"; do echo "$reply"; done
}
try authz-service ""
try authz-service sch
try authz-service -
try authz-service serve --log
try authz-service serve --log-format ""
try authz-service serve --policy po
try authz-service completion ""
try authz-service schema ""
try authz-service nothing ""
"""


_REGISTERED: Final = "complete -p"


@pytest.fixture(scope="module")
def completed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    """What bash was told for each line of `COMPLETIONS`, under `_REGISTERED` what it registered."""
    directory: Path = tmp_path_factory.mktemp("bin")
    install_script(directory)
    bash = shutil.which("bash")
    assert bash
    result = subprocess.run(
        [bash, "--norc", "--noprofile", "-c", COMPLETIONS],
        env=environment({"PATH": f"{directory}:/usr/bin:/bin"}),
        capture_output=True,
        text=True,
        timeout=2 * PATIENCE,
        check=True,
    )
    assert result.stderr == ""
    first, *pieces = result.stdout.split("> ")
    answers = {_REGISTERED: first.splitlines()}
    for piece in pieces:
        line, *replies = piece.splitlines()
        answers[line] = replies
    return answers


def test_bash_registers_the_completion(completed: dict[str, list[str]]) -> None:
    assert completed[_REGISTERED] == [
        "complete -o nosort -F _authz_service_completion authz-service"
    ]


def test_bash_completes_commands_options_and_choices(completed: dict[str, list[str]]) -> None:
    assert completed[""] == COMMANDS
    assert completed["sch"] == ["schema"]
    assert completed["-"] == ["--version", "-h", "--help"]
    options = ("format", "level", "allows", "identity", "identity-key-file", "path")
    assert completed["serve --log"] == [f"--log-{option}" for option in options]
    assert completed["serve --log-format "] == ["json", "console"]
    assert completed["completion "] == ["bash", "zsh", "fish"]
    assert "policy" in completed["schema "]
    assert completed["nothing "] == COMMANDS


def test_bash_completes_paths_by_itself(completed: dict[str, list[str]]) -> None:
    assert completed["serve --policy po"] == ["compopt -o default"]


def test_to_complete_a_command_loads_none() -> None:
    modules = modules_after(
        "import contextlib, os\n"
        "os.environ.update(_AUTHZ_SERVICE_COMPLETE='bash_complete', COMP_CWORD='1',\n"
        "    COMP_WORDS='authz-service s')\n"
        "from authz_service.cli.main import main\n"
        "with contextlib.suppress(SystemExit): main(prog_name='authz-service')\n"
    )
    assert not {f"authz_service.cli.{name}" for name in COMMANDS} & modules
    assert not {"grpc", "pydantic", "aiohttp", "structlog"} & modules


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_each_shell_has_a_script_that_asks_the_command(shell: str) -> None:
    script = _run("completion", shell).stdout
    assert f"_AUTHZ_SERVICE_COMPLETE={shell}_complete" in script


def test_another_shell_is_bad_usage_with_those_there_are() -> None:
    result = _run("completion", "tcsh")
    assert result.exit_code == 2
    assert "'bash', 'zsh', 'fish'" in result.stderr
