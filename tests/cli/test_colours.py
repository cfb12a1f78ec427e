"""Colours are for terminals, and for people who want them."""

from __future__ import annotations

import subprocess
import sys
from typing import Final

import pytest

from tests.cli.terminal import on_terminal, plain_environment
from tests.edge.rig import PATIENCE

ESCAPE: Final = "\x1b"
HELP: Final = ("-m", "authz_service", "schema", "--help")
LOG: Final = ("-c", """\
import structlog
from authz_service.telemetry import logs
logs.configure(log_format="console", level="info")
structlog.get_logger().info("hello")
""")  # fmt: skip
EACH: Final = pytest.mark.parametrize("arguments", [HELP, LOG], ids=["help", "log"])


@EACH
def test_a_terminal_gets_colours(arguments: tuple[str, ...]) -> None:
    assert ESCAPE in on_terminal(*arguments)


@EACH
def test_a_terminal_of_somebody_who_wants_none_gets_none(arguments: tuple[str, ...]) -> None:
    shown = on_terminal(*arguments, env={"NO_COLOR": "1"})
    assert shown
    assert ESCAPE not in shown


@EACH
def test_an_empty_no_color_says_nothing(arguments: tuple[str, ...]) -> None:
    assert ESCAPE in on_terminal(*arguments, env={"NO_COLOR": ""})


@EACH
def test_a_pipe_gets_no_colours(arguments: tuple[str, ...]) -> None:
    result = subprocess.run(
        [sys.executable, *arguments],
        env=plain_environment({"TERM": "xterm-256color"}),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    assert result.stdout
    assert ESCAPE not in result.stdout
