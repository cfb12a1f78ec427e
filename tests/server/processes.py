"""The service as a process of its own, and an issuer that answers when the test says so."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import grpc.aio
from aiohttp import ClientSession, web

from tests.edge.rig import PATIENCE, Caller
from tests.support.leaks import GUARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from authz_service.demo.signing_keys import SigningKeys

REPOSITORY: Final = Path(__file__).parents[2]

PUBLIC_ONLY: Final = """\
version: 1
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - {path: /healthz, methods: {GET: public}}
"""


def policy_with(issuer: str, jwks_uri: str) -> str:
    """A policy with one issuer, whose keys are fetched again whenever a token asks for it."""
    return f"""\
version: 1
issuers:
  - name: logto
    issuer: {issuer}
    jwks_uri: {jwks_uri}
    refresh: {{cooldown: 1ms, timeout: 10s, interval: 1h}}
resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - {{path: /healthz, methods: {{GET: public}}}}
      - {{path: /products, methods: {{GET: [read:products]}}}}
"""


def policy_of(*issuers: str, more: str = "") -> str:
    """Write a policy of *issuers*, each of whose tokens is good for `/products`."""
    entries = "".join(f"  - {{{fields}}}\n" for fields in issuers)
    return f"""\
version: 1
issuers:
{entries}resources:
  - name: shopping
    audience: https://shopping.api
    routes:
      - {{path: /healthz, methods: {{GET: public}}}}
      - {{path: /products, methods: {{GET: []}}}}
{more}"""


def environment(overrides: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of the service, and with *overrides*."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("AUTHZ_")}
    return {**inherited, "PYTHONPATH": str(REPOSITORY), **(overrides or {})}


@dataclass
class Service:
    """A running `authz-service serve`. *listen* and *admin* are where it says it listens."""

    process: asyncio.subprocess.Process
    errors: Path
    _log: asyncio.StreamReader
    _log_pipe: asyncio.ReadTransport
    listen: str = ""
    admin: str | None = None

    async def event(self, name: str, **fields: object) -> dict[str, object]:
        """Read the log up to the next event *name* that has *fields*."""
        async with asyncio.timeout(PATIENCE):
            while line := await self._log.readline():
                event: dict[str, object] = json.loads(line)
                if event["event"] == name and fields.items() <= event.items():
                    return event
        raise AssertionError(f"the log ended before {name}: {self.errors.read_text()}")

    async def rest_of_the_log(self) -> list[dict[str, object]]:
        """Read to the end, which is the process's."""
        async with asyncio.timeout(PATIENCE):
            return [json.loads(line) async for line in self._log]

    def close_log(self) -> None:
        """Go away, as a log collector does that has crashed."""
        self._log_pipe.close()

    def signal(self, number: int) -> None:
        """Send a signal."""
        self.process.send_signal(number)

    async def exit_status(self) -> int:
        """Wait for the end."""
        return await asyncio.wait_for(self.process.wait(), PATIENCE)

    @contextlib.asynccontextmanager
    async def caller(self) -> AsyncIterator[Caller]:
        """Connect as Envoy does."""
        async with grpc.aio.insecure_channel(self.listen) as channel:
            yield Caller(channel)

    async def get(self, path: str) -> tuple[int, str]:
        """Ask the admin port."""
        async with ClientSession() as session, session.get(f"http://{self.admin}{path}") as answer:
            return answer.status, await answer.text()


@contextlib.asynccontextmanager
async def service(
    directory: Path,
    policy: str,
    *options: str,
    admin: str = "127.0.0.1:0",
    listen: str = "127.0.0.1:0",
    path: Path | None = None,
) -> AsyncIterator[Service]:
    """Start the service with *policy* in *directory*, and leave nothing of it behind.

    With *path*, that is the policy, and it is there already.
    """
    file = path or directory / "policy.yaml"
    if path is None:
        file.write_text(policy, encoding="utf-8")
    errors = directory / "stderr"
    read_end, write_end = os.pipe()
    log = asyncio.StreamReader()
    pipe, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(log), os.fdopen(read_end, "rb")
    )
    with contextlib.closing(pipe), errors.open("wb") as stderr:
        try:
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "authz_service", "serve", "--policy", str(file),
                "--listen", listen, "--admin", admin, *options,
                stdin=asyncio.subprocess.DEVNULL, stdout=write_end, stderr=stderr,
                env=environment(), cwd=directory,
            )  # fmt: skip
        finally:
            os.close(write_end)
        running = Service(process, errors, log, pipe)
        try:
            started = await running.event("listening")
            running.listen = str(started["listen"])
            if started["admin"] is not None:
                running.admin = str(started["admin"])
            yield running
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()
            await asyncio.wait_for(log.read(), PATIENCE)  # the guard is to see all of it
            GUARD.look_into(errors)


def bound_socket() -> socket.socket:
    """A loopback port that is ours, and refuses connections as long as nobody listens."""
    bound = socket.socket()
    bound.bind(("127.0.0.1", 0))
    return bound


class Issuer:
    """Publishes the keys of *published*, as soon as `gate` is open."""

    def __init__(self, *published: SigningKeys) -> None:
        self.published = published
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.jwks_uri = ""
        self.fetches = 0

    async def _jwks(self, _request: web.Request) -> web.Response:
        self.fetches += 1
        self.asked.set()
        await self.gate.wait()
        entries = [entry for keys in self.published for entry in keys.jwk_set()["keys"]]
        return web.json_response({"keys": entries})

    async def was_asked(self) -> None:
        """Wait until somebody asks from now on."""
        self.asked.clear()
        await asyncio.wait_for(self.asked.wait(), PATIENCE)


@contextlib.asynccontextmanager
async def issuer(
    *published: SigningKeys, listener: socket.socket | None = None
) -> AsyncIterator[Issuer]:
    """Serve a key set on a loopback port, or on *listener*, which is bound and not listening."""
    served = Issuer(*published)
    app = web.Application()
    app.router.add_get("/jwks", served._jwks)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        await web.SockSite(runner, listener or bound_socket()).start()
        served.jwks_uri = f"http://127.0.0.1:{runner.addresses[0][1]}/jwks"
        yield served
    finally:
        served.gate.set()
        await runner.cleanup()
