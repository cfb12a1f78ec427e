"""The service under load: a process that is started, hurt, watched and started again."""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import json
import os
import random
import signal
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import ClientConnectionError, ClientSession, ClientTimeout

from authz_service.demo.leash import on_a_leash
from tests.server.processes import environment

if TYPE_CHECKING:
    from collections.abc import Iterator

PATIENCE: Final = 30.0
"""Seconds after which what should have happened did not."""

NOBODY_READS: Final = ""
SERVE: Final = ("-m", "authz_service", "serve")
TOKEN_MARK: Final = b"eyJ"
"""How every token begins, and every signed part of one: `{"` in base64url."""

_PORTS: Final = (15_000, 30_000)  # below those that Linux and macOS give to clients
_GRACE: Final = "2"  # seconds; most of them are the drain, as the load does not cease
_LOG_LIMIT: Final = 2**20
_SMALL_PIPE: Final = 4096  # bytes; full after a few lines
_POLL: Final = 0.03  # seconds between questions to a port that tells nothing by itself
_CHECK_EVENT: Final = b'"event": "check"'


@dataclass(frozen=True, slots=True)
class Start:
    """How the service is started: *program* is for Python, *options* are of `serve`.

    *stdout* is a file to log to, or `NOBODY_READS`; None for a pipe that is read.
    """

    program: tuple[str, ...] = SERVE
    options: tuple[str, ...] = ()
    stdout: str | None = None


ORDINARY: Final = Start()
LABORATORY: Final = Start(program=("-m", "tests.faults.laboratory", "serve"))


@dataclass(frozen=True, slots=True)
class Holdings:
    """What the process holds: resident memory in MiB, open files, threads."""

    memory: float
    files: int
    threads: int


class DidNotStartError(Exception):
    """The service ended instead of listening."""


class ServiceProcess:
    """One `authz-service serve` on fixed ports; *log* gets what it says, and all who ran before."""

    def __init__(self, start: Start, policy: Path, log: Path, *, listen: int, admin: int) -> None:
        """Start nothing yet."""
        self.start_as = start
        self.events: list[dict[str, Any]] = []
        """What it has logged, but for Checks."""
        self._policy = policy
        self._log = log
        self._ports = (listen, admin)
        self._said = asyncio.Event()
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._unread: int | None = None

    @property
    def pid(self) -> int:
        """The process's id."""
        assert self._process is not None
        return self._process.pid

    async def start(self) -> None:
        """Start it, and wait until it listens: ready or not is not asked.

        Raises DidNotStartError.
        """
        listen, admin = (f"127.0.0.1:{port}" for port in self._ports)
        with self._log.open("ab") as log, self._output() as stdout:
            self._process = await asyncio.create_subprocess_exec(
                *on_a_leash(sys.executable), *self.start_as.program, "--policy", str(self._policy),
                "--listen", listen, "--admin", admin, "--grace", _GRACE, *self.start_as.options,
                stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=log,
                env=environment(), cwd=self._policy.parent, start_new_session=True,
                limit=_LOG_LIMIT,
            )  # fmt: skip
        if self._process.stdout is not None:
            self._reader = asyncio.create_task(self._read(self._process.stdout))
        async with asyncio.timeout(PATIENCE):
            while self._process.returncode is None and await self.get("/livez") != 200:  # noqa: ASYNC110
                await asyncio.sleep(_POLL)
        if self._process.returncode is not None:
            await self.ended()
            raise DidNotStartError(self._log.read_text("utf-8")[-2000:])

    @contextlib.contextmanager
    def _output(self) -> Iterator[int]:
        """Where the log goes."""
        stdout = self.start_as.stdout
        if stdout is None:
            yield asyncio.subprocess.PIPE
            return
        if stdout != NOBODY_READS:
            descriptor = os.open(stdout, os.O_WRONLY)
        else:
            self._unread, descriptor = os.pipe()
            fcntl.fcntl(descriptor, fcntl.F_SETPIPE_SZ, _SMALL_PIPE)
        try:
            yield descriptor
        finally:
            os.close(descriptor)

    async def get(self, path: str) -> int:
        """The status of the admin port's answer, 0 for none."""
        return (await self.read(path))[0]

    async def read(self, path: str) -> tuple[int, bytes]:
        """What the admin port answers: 0 and nothing for no answer."""
        url = f"http://127.0.0.1:{self._ports[1]}{path}"
        with contextlib.suppress(ClientConnectionError, TimeoutError):
            async with ClientSession(timeout=ClientTimeout(1.0)) as session, session.get(url) as it:
                return it.status, await it.read()
        return 0, b""

    async def ready(self) -> None:
        """Wait until it is ready."""
        async with asyncio.timeout(PATIENCE):
            while await self.get("/readyz") != 200:  # noqa: ASYNC110 - nothing tells
                await asyncio.sleep(_POLL)

    async def event(self, *names: str, since: int = 0, **fields: object) -> dict[str, Any]:
        """Wait for an event of one of *names*, with *fields*, among `events` from *since* on."""
        async with asyncio.timeout(PATIENCE):
            while True:
                for event in self.events[since:]:
                    if event["event"] in names and fields.items() <= event.items():
                        return event
                self._said.clear()
                await self._said.wait()

    def send(self, number: signal.Signals) -> None:
        """Send a signal."""
        os.kill(self.pid, number)

    async def ended(self) -> int:
        """Wait for its end, and give its exit status."""
        assert self._process is not None
        status = await asyncio.wait_for(self._process.wait(), PATIENCE)
        if self._reader is not None:
            await self._reader
        if self._unread is not None:
            os.close(self._unread)
            self._unread = None
        return status

    async def kill(self) -> None:
        """End it with SIGKILL, whatever it is doing."""
        with contextlib.suppress(ProcessLookupError):
            self.send(signal.SIGKILL)
        await self.ended()

    def holdings(self) -> Holdings:
        """What it holds now (Linux)."""
        process = Path("/proc", str(self.pid))
        status = dict(
            line.split(":", 1) for line in (process / "status").read_text("ascii").splitlines()
        )
        return Holdings(
            int(status["VmRSS"].split()[0]) / 1024,
            len(list((process / "fd").iterdir())),
            int(status["Threads"]),
        )

    async def _read(self, output: asyncio.StreamReader) -> None:
        """Keep the log, and the events of what is not a Check."""
        with self._log.open("ab", buffering=0) as log:
            async for line in output:
                log.write(line)
                if _CHECK_EVENT not in line:
                    self.events.append(json.loads(line))
                    self._said.set()


def free_port() -> int:
    """A port of loopback that nobody listens on, and that no connection gets by itself.

    A client may be given the very port that it tries to reach, and meets itself.
    """
    while True:
        port = random.randrange(*_PORTS)  # noqa: S311 - any will do
        with contextlib.suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
