"""The command on a terminal, as a console script is run."""

from __future__ import annotations

import contextlib
import os
import pty
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from tests.edge.rig import PATIENCE
from tests.server.processes import environment

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SETTINGS_OF_COLOUR: Final = {"NO_COLOR", "FORCE_COLOR", "TERM"}


def plain_environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without what says how to colour, and with *overrides*."""
    inherited = environment(overrides)
    for name in SETTINGS_OF_COLOUR - set(overrides or {}):
        inherited.pop(name, None)
    return inherited


def on_terminal(*arguments: str, env: Mapping[str, str] | None = None) -> str:
    """Run the interpreter with *arguments* on a terminal, and return what it shows there."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, *arguments],
        env=plain_environment({"TERM": "xterm-256color", **(env or {})}),
        stdin=subprocess.DEVNULL,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    shown = bytearray()
    with contextlib.suppress(OSError):  # Linux says that nobody holds the other side any more so
        while octets := os.read(ours, 65536):
            shown += octets
    os.close(ours)
    assert process.wait(PATIENCE) == 0
    return shown.decode()


def install_script(directory: Path) -> Path:
    """Write what an installation puts on the path."""
    script = directory / "authz-service"
    script.write_text(
        f"#!{sys.executable}\nfrom authz_service.cli.main import main\nmain()\n", "utf-8"
    )
    script.chmod(0o755)
    return script
