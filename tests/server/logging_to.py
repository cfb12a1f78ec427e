"""The service as a process that logs to wherever a test wants, be it read or not."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING

import grpc.aio

from tests.edge.rig import PATIENCE, Caller
from tests.server.processes import PUBLIC_ONLY, environment
from tests.support.event_loops import eventually
from tests.support.leaks import GUARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path


@dataclass
class LoggingService:
    """A running `authz-service serve`, and Envoy's side of a connection to it."""

    process: asyncio.subprocess.Process
    caller: Caller
    errors: Path

    async def stop(self) -> int:
        """Ask it to stop, and give its exit status."""
        self.process.terminate()
        return await asyncio.wait_for(self.process.wait(), PATIENCE)


@contextlib.asynccontextmanager
async def logging_to(
    stdout: int | IO[bytes],
    directory: Path,
    *options: str,
    policy: str = PUBLIC_ONLY,
    closed: tuple[int, ...] = (),
) -> AsyncIterator[LoggingService]:
    """Start the service, and come back when it listens: its log cannot say so.

    The descriptors in *closed* are closed for it, as `>&-` does in a shell.
    """
    close = "".join(f" {number}>&-" for number in closed)
    file, address, errors = directory / "policy.yaml", directory / "authz.sock", directory / "err"
    file.write_text(policy, encoding="utf-8")
    with errors.open("wb") as stderr:
        process = await asyncio.create_subprocess_exec(
            "sh", "-c", f'exec "$0" "$@"{close}',
            sys.executable, "-m", "authz_service", "serve", "--policy", str(file),
            "--listen", f"unix:{address}", "--admin", "off", *options,
            stdin=asyncio.subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environment(),
        )  # fmt: skip
    try:
        await eventually(address.exists, within=2 * PATIENCE)
        async with grpc.aio.insecure_channel(f"unix:{address}") as channel:
            await asyncio.wait_for(channel.channel_ready(), PATIENCE)
            yield LoggingService(process, Caller(channel), errors)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
        GUARD.look_into(errors)
