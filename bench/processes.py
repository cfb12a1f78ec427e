"""The processes that are measured, and what each has used (Linux)."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import time
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from authz_service.demo.leash import on_a_leash
from authz_service.demo.service import resident_mib

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

ROOT: Final = Path(__file__).parents[1]

_PATIENCE: Final = 60.0  # seconds
_POLL: Final = 0.001  # seconds
_LOG_CHARACTERS: Final = 4000


class BenchError(Exception):
    """What was to be measured did not run as it must."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running process that answers at *target*: `HOST:PORT` or `unix:PATH`."""

    name: str
    pid: int
    target: str

    @property
    def cpu_seconds(self) -> float:
        """What all its threads have used so far, user and system, to the nanosecond."""
        return cpu_seconds(self.pid)

    @property
    def resident(self) -> float:
        """Bytes of memory that it holds."""
        return resident(self.pid)


def cpu_seconds(pid: int) -> float:
    """User and system time of the process *pid* so far, in seconds."""
    # The clock of another process: clock_getcpuclockid(3), which the kernel makes of the id so.
    return time.clock_gettime_ns(~pid << 3 | 2) / 1e9


def resident(pid: int) -> float:
    """Bytes of memory that the process *pid* holds."""
    return resident_mib(pid) * 2**20


@dataclass(frozen=True, slots=True)
class Service(Server):
    """A running `authz-service serve`."""

    admin: str
    policy: Path
    log: Path

    def counter(self, name: str) -> float:
        """What the metric *name*, which has no labels, says now."""
        with urllib.request.urlopen(f"http://{self.admin}/metrics", timeout=10) as response:
            text = response.read().decode("utf-8")
        found = re.search(rf"^{re.escape(name)} (\S+)$", text, re.MULTILINE)
        if found is None:
            raise BenchError(f"there is no metric {name}")
        return float(found[1])

    def wait_for(self, event: str, *, after: int) -> None:
        """Wait for *event* in what is logged beyond the first *after* bytes."""
        _wait(lambda: _find(self.log, event, after=after), self.log)


@contextlib.contextmanager
def service(
    policy: str,
    directory: Path,
    *,
    listen: str = "127.0.0.1:0",
    environment: Mapping[str, str] | None = None,
) -> Iterator[Service]:
    """Run the service with *policy*, ready, with default options. Writes into *directory*."""
    with serving(policy, directory, listen=listen, environment=environment) as starting:
        wait_until_ready(starting.log)
        listening = _find(starting.log, "listening")
        assert listening is not None
        target, admin = listening["listen"], listening["admin"]
        yield Service("authz-service", starting.pid, target, admin, starting.policy, starting.log)


@dataclass(frozen=True, slots=True)
class Starting:
    """An `authz-service serve` that has been started."""

    pid: int
    policy: Path
    log: Path


@contextlib.contextmanager
def serving(
    policy: str,
    directory: Path,
    *,
    listen: str = "127.0.0.1:0",
    environment: Mapping[str, str] | None = None,
    leashed: bool = True,
) -> Iterator[Starting]:
    """Start `authz-service serve` with *policy*, and end it. Its log is a file on disk.

    That file is not where the policy is, which is watched for changes.
    """
    here = Path(tempfile.mkdtemp(dir=directory))
    file, log = here / "policy" / "policy.yaml", here / "log"
    file.parent.mkdir()
    file.write_text(policy, encoding="utf-8")
    command = (
        sys.executable, "-m", "authz_service", "serve",
        "--policy", str(file), "--listen", listen, "--admin", "127.0.0.1:0",
    )  # fmt: skip
    with (
        log.open("ab") as output,
        running(command, environment, leashed=leashed, stdout=output) as process,
    ):
        yield Starting(process.pid, file, log)


def wait_until_ready(log: Path) -> None:
    """Wait for the service that writes *log*."""
    _wait(lambda: _find(log, "readiness", ready=True), log)


@contextlib.contextmanager
def noop(
    answer: bytes, directory: Path, *, listen: str = "127.0.0.1:0", kind: str = "aio"
) -> Iterator[Server]:
    """Run a server that gives *answer*, an encoded CheckResponse, to every Check; see `noop`."""
    file = Path(tempfile.mkdtemp(dir=directory)) / "answer"
    file.write_bytes(answer)
    command = (sys.executable, "-m", "bench.noop", kind, str(file), listen)
    with running(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        target = process.stdout.readline().decode("ascii").strip()
        if not target:
            raise BenchError("the no-op did not start")
        yield Server("no-op", process.pid, target)


@contextlib.contextmanager
def running(
    command: tuple[str, ...],
    environment: Mapping[str, str] | None = None,
    *,
    leashed: bool = True,
    **options: Any,  # noqa: ANN401 - those of Popen
) -> Iterator[subprocess.Popen[bytes]]:
    """Run *command*, and end it; *leashed*, it also ends when this process does."""
    process = subprocess.Popen(
        (*on_a_leash(command[0]), *command[1:]) if leashed else command,
        stdin=subprocess.DEVNULL,
        env=_environment(environment or {}),
        cwd=ROOT,
        start_new_session=True,
        **options,
    )
    try:
        yield process
    finally:
        _end(process)


def _environment(more: Mapping[str, str]) -> dict[str, str]:
    """This process's, without settings of the service, and with *more*."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
    return {**inherited, "PYTHONPATH": str(ROOT), **more}


def _end(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(_PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _find(log: Path, event: str, *, after: int = 0, **fields: object) -> dict[str, Any] | None:
    """The first line of *event* with *fields* beyond the first *after* bytes of *log*."""
    with log.open("rb") as file:
        file.seek(after)
        for line in file:
            if line.endswith(b"\n") and f'"{event}"'.encode() in line:
                found: dict[str, Any] = json.loads(line)
                if found["event"] == event and fields.items() <= found.items():
                    return found
    return None


def _wait(found: Callable[[], object], log: Path) -> None:
    until = time.monotonic() + _PATIENCE
    while not found():
        if time.monotonic() > until:
            end = log.read_text("utf-8")[-_LOG_CHARACTERS:]
            raise BenchError(f"the event did not come; the end of the log:\n{end}")
        time.sleep(_POLL)
