"""A command run in this process, for where one of its own would add nothing but a second."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

from click.testing import CliRunner

from authz_service.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Mapping


def run_here(
    *arguments: str | Path,
    cwd: Path | None = None,
    env: Mapping[str, str] | None = None,
    given: bytes = b"",
) -> CompletedProcess[str]:
    """Run the command to its end; what would be a traceback is raised."""
    settings = (name for name in os.environ if name.startswith("AUTHZ_"))
    with contextlib.chdir(cwd or Path.cwd()):
        result = CliRunner().invoke(
            main, [*map(str, arguments)], input=given, env=dict.fromkeys(settings) | dict(env or {})
        )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return CompletedProcess([], result.exit_code, result.stdout, result.stderr)
