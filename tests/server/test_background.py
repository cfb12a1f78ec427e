"""Work beside the event loop, which neither it nor the process waits for at the end."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.server.background import in_background, is_busy
from tests.server.processes import environment
from tests.support.event_loops import in_event_loop

if TYPE_CHECKING:
    from pathlib import Path


@in_event_loop
async def test_what_the_work_returns_or_raises_is_given() -> None:
    assert await in_background(max, 1, 2) == 2
    with pytest.raises(ZeroDivisionError):
        await in_background(divmod, 1, 0)


def test_the_event_loop_ends_though_the_work_does_not() -> None:
    may_end = threading.Event()

    async def exchange() -> None:
        work = asyncio.create_task(in_background(may_end.wait))
        await asyncio.sleep(0)
        work.cancel()

    asyncio.run(exchange())
    assert is_busy()
    may_end.set()


THREAD: Final = """
import os, signal, threading
from authz_service.server import service
from authz_service.server.background import in_background
def hang():
    os.kill(os.getpid(), signal.SIGTERM)
    threading.Event().wait()
async def load(*_arguments):
    await in_background(hang)
service.load_apart = load
"""
PROCESS: Final = """
from authz_service.server import loading
class Reloading(loading.Loading):
    def __init__(self, *arguments, **named):
        program = "import os, signal; os.kill(os.getppid(), signal.SIGTERM); signal.pause()"
        loading._PROGRAM = program
        super().__init__(*arguments, **named)
really = loading.load_apart
def load(*arguments):
    loading.Loading = Reloading
    return really(*arguments)
from authz_service.server import service
service.load_apart = load
"""
SERVE: Final = """
import sys
from authz_service.cli import serve
serve.command(["--policy", sys.argv[1], "--listen", "127.0.0.1:0", "--admin", "off"])
"""


@pytest.mark.parametrize("what_hangs", [THREAD, PROCESS], ids=["thread", "process"])
def test_the_service_ends_though_a_reload_hangs(tmp_path: Path, what_hangs: str) -> None:
    policy = tmp_path / "policy.yaml"
    policy.write_text("version: 1\n")
    process = subprocess.Popen(
        [sys.executable, "-c", what_hangs + SERVE, str(policy)],
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    for line in process.stdout:
        if "readiness" in line:
            break
    policy.write_text("version: 1\nmode: audit\n")
    output, errors = process.communicate(timeout=30)
    assert "stopped" in output
    assert errors == ""
    assert process.returncode == 0
