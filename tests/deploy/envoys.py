"""The files in envoy/, run on this machine: other addresses, and nothing else, are put in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from aiohttp import ClientSession
from yarl import URL

from authz_service.demo.envoy import Envoy, validate
from authz_service.demo.signing_keys import SigningKeys
from authz_service.demo.upstream import Upstream
from tests.edge.rig import PATIENCE
from tests.server.processes import issuer, policy_with, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from authz_service.demo.upstream import ReceivedRequest
    from tests.server.processes import Service

FOLDER: Final = Path(__file__).parents[2] / "envoy"
MODEL: Final = FOLDER / "envoy.yaml"
VARIANTS: Final = tuple(
    file
    for file in sorted(FOLDER.rglob("*.yaml"))
    if file != MODEL and "\nstatic_resources:\n" in file.read_text("utf-8")
)
CENTRAL: Final = FOLDER / "central-mutual-tls" / "envoy.yaml"
ISSUER: Final = "https://auth.example.com/oidc"
FORGED: Final = {
    "x-auth-subject": "mallory",
    "x-auth-scope": "write:products",
    "x_auth_subject": "mallory",
    "x-auth-tenant": "mallory",
}

_LOOPBACK: Final = "127.0.0.1"


def parsed(file: Path) -> dict[str, Any]:
    """Read a configuration."""
    config: dict[str, Any] = yaml.safe_load(file.read_text("utf-8"))
    return config


def named(resources: list[dict[str, Any]], name: str) -> dict[str, Any]:
    """Find one of *resources*."""
    [resource] = [resource for resource in resources if resource["name"] == name]
    return resource


def _socket(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": _LOOPBACK, "port_value": port}}


def _endpoints(*addresses: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"lb_endpoints": [{"endpoint": {"address": address}} for address in addresses]}]


def _in(directory: Path, file: Path) -> str:
    """Read *file* with *directory* in the place of those that it names."""
    text = file.read_text("utf-8")
    for there in ("/etc/envoy/tls", "/etc/envoy", "/run/authz"):
        text = text.replace(there, str(directory))
    return text


def local(
    file: Path, directory: Path, *services: str, upstream: int = 1, name: str = "envoy.yaml"
) -> Path:
    """Write *file* for this machine into *directory*; TLS files and socket are there as well.

    *services* are where instances of authz-service listen, on TCP; without one, the address stays
    as it is.
    """
    for secret in file.parent.glob("sds-*.yaml"):
        (directory / secret.name).write_text(_in(directory, secret), "utf-8")
    config = yaml.safe_load(_in(directory, file))
    static = config["static_resources"]
    config["admin"]["address"] = _socket(0)
    for listener in static["listeners"]:
        listener["address"] = _socket(0)
    api = named(static["clusters"], "api")["load_assignment"]
    api["endpoints"] = _endpoints(_socket(upstream))
    if services:
        assignment = named(static["clusters"], "authz-service")["load_assignment"]
        ports = [int(listen.rpartition(":")[2]) for listen in services]
        assignment["endpoints"] = _endpoints(*(_socket(port) for port in ports))
    written = directory / name
    written.write_text(yaml.safe_dump(config, sort_keys=False), "utf-8")
    return written


@dataclass(frozen=True)
class Answer:
    """What a client got, and what reached the API, if anything did."""

    status: int
    reached: ReceivedRequest | None
    headers: Mapping[str, str]

    def claims(self) -> dict[str, list[str]]:
        """The claim headers that the API got, by their names."""
        assert self.reached is not None
        names = {name.lower() for name, _ in self.reached.headers}
        return {
            name: self.reached.values(name)
            for name in sorted(names)
            if name.replace("_", "-").startswith("x-auth-")
        }


@dataclass(frozen=True)
class Running:
    """Envoy with one of the files, and the API behind it."""

    envoy: Envoy
    upstream: Upstream
    upstream_port: int
    client: ClientSession
    log: Path

    async def get(
        self, path: str, headers: Mapping[str, str] | None = None, *, host: str = "shop.example.com"
    ) -> Answer:
        """Send one request to the listener `public`."""
        self.upstream.last = None
        url = f"http://{_LOOPBACK}:{self.envoy.listener}{path}"
        sent = {"host": host, **(headers or {})}
        async with self.client.get(URL(url, encoded=True), headers=sent) as got:
            await got.read()
            headers = {name.lower(): value for name, value in got.headers.items()}
            return Answer(got.status, self.upstream.last, headers)

    async def admin(self, method: str, path: str) -> str:
        """Ask the admin port."""
        url = f"http://{_LOOPBACK}:{self.envoy.admin}{path}"
        async with self.client.request(method, url) as got:
            return await got.text()

    async def port_of(self, listener: str) -> int:
        """Find out which port *listener* has."""
        told = json.loads(await self.admin("GET", "/listeners?format=json"))
        status = named(told["listener_statuses"], listener)
        return int(status["local_address"]["socket_address"]["port_value"])

    async def lines_of(self, *paths: str) -> dict[str, dict[str, Any]]:
        """Wait for the line of each of *paths* in the access log; gives all lines by path."""
        async with asyncio.timeout(PATIENCE):
            while not set(paths) <= (lines := self._lines()).keys():  # noqa: ASYNC110
                await asyncio.sleep(0.02)  # it writes ten times in a second
        return lines

    def _lines(self) -> dict[str, dict[str, Any]]:
        text = self.log.read_text("utf-8")
        found = map(json.loads, re.findall(r"^\{.*\}$", text, re.MULTILINE))
        return {line["path"]: line for line in found}


@contextlib.asynccontextmanager
async def running(file: Path, directory: Path, *services: str) -> AsyncIterator[Running]:
    """Run Envoy with *file*, and the API."""
    upstream = Upstream()
    await upstream.start()
    try:
        config = local(file, directory, *services, upstream=upstream.port)
        assert validate(config) == f"configuration '{config}' OK\n"
        log = directory / "envoy.log"
        async with Envoy(config, log=log) as envoy, ClientSession() as client:
            yield Running(envoy, upstream, upstream.port, client, log)
    finally:
        await upstream.stop()


@dataclass(frozen=True)
class Shop:
    """An issuer, and the policy that believes it."""

    keys: SigningKeys
    policy: str

    def bearer(self, **claims: object) -> dict[str, str]:
        """Make the header of a request with a valid token, but for *claims*."""
        now = int(time.time())
        members = {
            "iss": ISSUER, "aud": "https://shopping.api", "sub": "user-1", "client_id": "app-1",
            "scope": "read:products", "jti": "token-1", "iat": now, "exp": now + 600, **claims,
        }  # fmt: skip
        return {"authorization": f"Bearer {self.keys.sign(members)}"}


@contextlib.asynccontextmanager
async def shop(more: str = "") -> AsyncIterator[Shop]:
    """Run the issuer; *more* is added to the routes of the policy."""
    keys = SigningKeys("ES256")
    async with issuer(keys) as published:
        yield Shop(keys, policy_with(ISSUER, published.jwks_uri) + more)


@contextlib.asynccontextmanager
async def authz_service(
    directory: Path, policy: str, *options: str, listen: str = "127.0.0.1:0"
) -> AsyncIterator[Service]:
    """Run the service until it is ready and on."""
    async with service(directory, policy, *options, listen=listen) as started:
        await started.event("readiness", ready=True)
        yield started


CLAIMS: Final = {
    "x-auth-client-id": ["app-1"],
    "x-auth-issuer": [ISSUER],
    "x-auth-scope": ["read:products"],
    "x-auth-subject": ["user-1"],
}
"""What the API gets of a token of the shop's, whatever the client adds."""


async def assert_allows_and_refuses(front: Running, shop: Shop) -> None:
    """One request is let through, with claims and nothing forged, and some are refused."""
    allowed = await front.get("/products", {**FORGED, **shop.bearer()})
    assert (allowed.status, allowed.claims()) == (200, CLAIMS)
    public = await front.get("/healthz", FORGED)
    assert (public.status, public.claims()) == (200, {})
    refused = await front.get("/products", {**FORGED, **shop.bearer(scope="read:orders")})
    assert (refused.status, refused.reached) == (403, None)
    assert 'error="insufficient_scope"' in refused.headers["www-authenticate"]
    assert (await front.get("/products", FORGED)).status == 401
    assert (await front.get("/elsewhere", shop.bearer())).status == 403
