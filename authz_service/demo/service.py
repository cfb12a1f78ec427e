"""authz-service itself, as a child process, the way that it runs anywhere else."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import resource
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from authz_service.demo.leash import end, on_a_leash

if TYPE_CHECKING:
    from collections.abc import Mapping

_READY_WITHIN: Final = 20.0
_STOP_WITHIN: Final = 25.0
_EVENT_WITHIN: Final = 5.0


class ServiceStartError(Exception):
    """The service ended, or was not ready in time."""


def resident_mib(pid: int) -> float:
    """The memory that the process *pid* holds, in MiB (Linux)."""
    pages = Path(f"/proc/{pid}/statm").read_text("ascii").split()[1]
    return int(pages) * resource.getpagesize() / 2**20


class AuthzService:
    """One `authz-service serve` on loopback; after a stop it starts again on the same ports."""

    def __init__(self, policy: Path, *, environment: Mapping[str, str], log: Path) -> None:
        """Remember what to run. What it logs is read, and kept in *log*."""
        self._policy = policy
        self._environment = {**os.environ, **environment}
        self._log = log
        self._process: asyncio.subprocess.Process | None = None
        self._reader: asyncio.Task[None] | None = None
        self._checks: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
        self._ready = asyncio.Event()
        self.listen = "127.0.0.1:0"
        """Where Envoy asks; with the real port once it has been started."""
        self.admin = "127.0.0.1:0"
        """Where health and metrics are; likewise."""

    @property
    def port(self) -> int:
        """The port that Envoy asks on."""
        return int(self.listen.rpartition(":")[2])

    @property
    def pid(self) -> int:
        """The id of the running process."""
        assert self._process is not None  # noqa: S101 - it runs
        return self._process.pid

    @property
    def resident_mib(self) -> float:
        """The memory that the running service holds, in MiB (Linux)."""
        return resident_mib(self.pid)

    async def start(self) -> None:
        """Start it and return when it is ready.

        Raises ServiceStartError.
        """
        self._ready.clear()
        self._process = await asyncio.create_subprocess_exec(
            *on_a_leash(sys.executable), "-m", "authz_service", "serve",
            "--policy", str(self._policy), "--listen", self.listen, "--admin", self.admin,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            env=self._environment,
            start_new_session=True,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read(self._process))
        ready = asyncio.create_task(self._ready.wait())
        done, _ = await asyncio.wait(
            {ready, self._reader}, timeout=_READY_WITHIN, return_when=asyncio.FIRST_COMPLETED
        )
        ready.cancel()
        if ready not in done:
            await self.stop()
            log = self._log.read_text(encoding="utf-8")
            raise ServiceStartError(f"authz-service did not get ready; its log:\n{log}")

    async def stop(self) -> None:
        """End it: SIGTERM, and SIGKILL if that is not enough."""
        process, self._process = self._process, None
        if process is None:
            return
        await end(process, within=_STOP_WITHIN)
        if self._reader is not None:
            await self._reader

    async def next_check(self) -> dict[str, Any]:
        """The log event of the next Check, or an empty one where none comes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_EVENT_WITHIN):
                return await self._checks.get()
        return {}

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        """Keep the log, and notice the events that somebody waits for."""
        assert process.stdout is not None  # noqa: S101 - it was asked for
        with self._log.open("ab", buffering=0) as log:
            async for line in process.stdout:
                log.write(line)
                try:
                    event = json.loads(line)
                except ValueError:
                    continue
                if event.get("event") == "listening":
                    self.listen, self.admin = event["listen"], event["admin"]
                elif event.get("event") == "readiness" and event["ready"]:
                    self._ready.set()
                elif event.get("event") == "check":
                    self._checks.put_nowait(event)
