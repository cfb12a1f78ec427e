"""The session that the README shows, run in an empty folder."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.server.processes import environment

ROOT: Final = Path(__file__).parents[2]
README: Final = (ROOT / "README.md").read_text("utf-8")
CONSOLES: Final = re.findall(r"```console\n(.*?)```", README, re.DOTALL)
TESTS: Final = re.findall(r"```yaml\n(host: .*?)```", README, re.DOTALL)
SECONDS: Final = re.compile(r"in [0-9.]+s\b")
BASH: Final = shutil.which("bash") or "bash"
COMMAND: Final = re.compile(r"^\$ (.*)\n((?:(?!\$ ).*\n)*)", re.MULTILINE)


def commands() -> list[tuple[str, str]]:
    """Each command, with what it prints; how long it took aside."""
    text = SECONDS.sub("in a moment", "".join(CONSOLES))
    return COMMAND.findall(text)


def test_the_session_of_the_readme_goes_as_it_shows(tmp_path: Path) -> None:
    shutil.copy(ROOT / "docs" / "examples" / "shop-openapi.yaml", tmp_path)
    (tmp_path / "policy_test.yaml").write_text("".join(TESTS), "utf-8")
    env = environment()
    env["PATH"] = f"{Path(sys.executable).parent}:{env['PATH']}"
    shown = commands()
    assert len(shown) == 7
    for command, expected in shown:
        finished = subprocess.run(
            [BASH, "-c", command],
            cwd=tmp_path,
            env=env,
            capture_output=True,
            text=True,
            timeout=50,
            check=False,
        )
        assert SECONDS.sub("in a moment", finished.stdout) == expected, command
        assert finished.stderr == ""
