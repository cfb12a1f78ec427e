"""Help that can be tried, and what is said of a command or an option that there is not."""

from __future__ import annotations

import re
import shlex
from typing import Final

import click
import pytest
from click.testing import CliRunner, Result

from authz_service.cli.examples import examples
from authz_service.cli.main import main
from tests.cli.test_imports import modules_after

CONTEXT: Final = main.make_context("authz-service", [], resilient_parsing=True)
COMMANDS: Final = main.list_commands(CONTEXT)
EACH_COMMAND: Final = pytest.mark.parametrize("name", COMMANDS)


def _run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments), prog_name="authz-service")


def _command(name: str) -> click.Command:
    command = main.get_command(CONTEXT, name)
    assert command is not None
    return command


def _examples(command: click.Command) -> list[str]:
    heading, *lines = (command.epilog or "").splitlines()[1:]
    assert heading == "Examples:"
    return [line.strip() for line in lines]


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS)])
@pytest.mark.parametrize("option", ["-h", "--help"])
def test_help_is_everywhere_and_ends_with_the_examples(arguments: list[str], option: str) -> None:
    command = _command(arguments[0]) if arguments else main
    result = _run(*arguments, option)
    assert result.exit_code == 0
    expected = ["  Examples:", *(f"    {line}" for line in _examples(command))]
    assert result.stdout.splitlines()[-len(expected) :] == expected


def test_examples_are_not_wrapped() -> None:
    long = "authz-service " + "x" * 200
    command = click.Command("x", epilog=examples(long, "authz-service y"))
    assert f"    {long}\n    authz-service y" in command.get_help(click.Context(command))


@EACH_COMMAND
def test_every_example_is_a_command_with_options_that_exist(name: str) -> None:
    command, shown = _command(name), _examples(_command(name))
    assert shown
    for example in shown:
        words = _words(example)
        assert words[0] == name
        _assert_can_be_parsed(command, words[1:])


def test_every_example_of_the_group_is_of_a_command() -> None:
    for example in _examples(main):
        name, *arguments = _words(example)
        _assert_can_be_parsed(_command(name), arguments)


def _words(example: str) -> list[str]:
    """What the shell would hand to authz-service."""
    ours = re.search(r"\bauthz-service\b([^|>&;)]*)", example)
    assert ours, example
    return shlex.split(ours[1])


def _assert_can_be_parsed(command: click.Command, words: list[str]) -> None:
    if isinstance(command, click.Group):
        command, words = command.commands[words[0]], words[1:]
    context = click.Context(command, info_name=command.name, parent=CONTEXT)
    values, rest, _order = command.make_parser(context).parse_args(words)
    assert rest == []
    for parameter in command.params:
        value = values.get(parameter.name or "")
        if isinstance(parameter.type, click.Choice) and isinstance(value, str):
            parameter.type.convert(value, parameter, context)


def test_a_command_that_is_nearly_one_is_suggested() -> None:
    result = _run("shcema")
    assert result.exit_code == 2
    assert result.stderr.splitlines()[-1] == (
        "Error: No such command 'shcema'. Did you mean 'schema'?"
    )


def test_a_command_that_is_like_none_is_not_suggested() -> None:
    assert _run("zzz").stderr.splitlines()[-1] == "Error: No such command 'zzz'."


def test_what_cannot_be_printed_of_a_command_is_escaped() -> None:
    assert r"'\x1b[2J'" in _run("\x1b[2J").stderr


def test_an_option_that_is_nearly_one_is_suggested() -> None:
    result = _run("serve", "--polcy", "x")
    assert result.exit_code == 2
    assert "--policy" in result.stderr.splitlines()[-1]


@pytest.mark.parametrize("arguments", [["--help"], ["shcema"], ["--version"]])
def test_what_is_said_of_all_commands_loads_none(arguments: list[str]) -> None:
    modules = modules_after(
        "import contextlib\nfrom authz_service.cli.main import main\n"
        f"with contextlib.suppress(SystemExit): main({arguments!r})\n"
    )
    assert not {f"authz_service.cli.{name}" for name in COMMANDS} & modules
    assert not {"grpc", "pydantic", "aiohttp", "structlog"} & modules
