"""Everything that the demonstration runs, started and stopped together."""

from __future__ import annotations

import asyncio
import contextlib
import http.client
import os
import shutil
import socket
import tempfile
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Final

from authz_service.demo.envoy import Envoy, find_envoy, render, template
from authz_service.demo.issuer import Client, DevelopmentIssuer
from authz_service.demo.service import AuthzService
from authz_service.demo.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

API: Final = "https://shopping.api"
OTHER_API: Final = "https://billing.api"
OUR_ORGANIZATION: Final = "org-1"
OTHER_ORGANIZATION: Final = "org-2"

SHOP: Final = Client(
    client_id="shop-frontend",
    client_secret="not-a-secret",  # noqa: S106 - the development issuer's, of use to no one
    grants={
        API: ("read:products", "write:products", "read:orders"),
        OTHER_API: ("read:invoices",),
    },
    organizations={OUR_ORGANIZATION: ("read:members",), OTHER_ORGANIZATION: ("read:members",)},
)


@dataclass(frozen=True, slots=True)
class ReceivedResponse:
    """What a client got. Header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: str


@dataclass(frozen=True, slots=True)
class World:
    """The running parts: a client's request goes to *envoy*, which asks *service*."""

    issuer: DevelopmentIssuer
    upstream: Upstream
    service: AuthzService
    envoy: Envoy
    directory: Path

    async def send(
        self, method: str, target: str, headers: tuple[tuple[str, str], ...] = ()
    ) -> ReceivedResponse:
        """Send one request through Envoy, its *target* exactly as it stands here."""
        self.upstream.last = None
        return await asyncio.to_thread(_send, self.envoy.listener, method, target, headers)


def _send(
    port: int, method: str, target: str, headers: tuple[tuple[str, str], ...]
) -> ReceivedResponse:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as client:
        client.putrequest(method, target, skip_accept_encoding=True)
        for name, value in headers:
            client.putheader(name, value)
        client.endheaders()
        response = client.getresponse()
        return ReceivedResponse(
            response.status,
            {name.lower(): value for name, value in response.getheaders()},
            response.read().decode("utf-8", "replace"),
        )


def _check_free(port: int) -> None:
    """Raise OSError for a *port* that is taken: Envoy would say so at length, and later."""
    try:
        with socket.create_server(("127.0.0.1", port)):
            pass
    except OSError as error:
        raise OSError(error.errno, f"port {port}: {os.strerror(error.errno or 0)}") from None


@contextlib.asynccontextmanager
async def running_world(*, listener: int = 0) -> AsyncIterator[World]:
    """Run the issuer, the sample API, the service and Envoy, each on a free port of loopback.

    *listener* is Envoy's port, 0 for a free one. Raises EnvoyError, ServiceStartError, OSError.
    """
    binary = find_envoy()  # before anything is started that would have to be stopped again
    if listener:
        _check_free(listener)
    directory = Path(tempfile.mkdtemp(prefix="authz-service-demo-"))
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(shutil.rmtree, directory, ignore_errors=True)
        issuer, upstream = DevelopmentIssuer([SHOP]), Upstream()
        await issuer.start()
        stack.push_async_callback(issuer.stop)
        await upstream.start()
        stack.push_async_callback(upstream.stop)
        policy = directory / "policy.yaml"
        policy.write_text(
            resources.files("authz_service.demo").joinpath("policy.yaml").read_text("utf-8"),
            encoding="utf-8",
        )
        service = AuthzService(
            policy, environment={"DEMO_ISSUER": issuer.issuer}, log=directory / "authz-service.log"
        )
        stack.push_async_callback(service.stop)
        await service.start()
        config = directory / "envoy.yaml"
        config.write_text(
            render(
                template(), listener=listener, admin=0, authz=service.port, upstream=upstream.port
            ),
            encoding="utf-8",
        )
        envoy = Envoy(config, log=directory / "envoy.log", binary=binary)
        stack.push_async_callback(envoy.stop)
        await envoy.start()
        yield World(issuer, upstream, service, envoy, directory)
