"""Connections that come and go between the real Envoy and the service, and lose no Check."""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import TYPE_CHECKING, Any

import yaml
from aiohttp import ClientSession

from authz_service.demo.envoy import Envoy, render, template
from tests.edge.rig import PATIENCE
from tests.server.processes import PUBLIC_ONLY, issuer, service

if TYPE_CHECKING:
    from pathlib import Path

CONNECTIONS = "cluster.authz-service.upstream_cx_total"
REPLACED = 2


def _configuration(authz: int, upstream: int) -> str:
    """Envoy as it is shipped, but for pings five times in a second."""
    rendered = render(template(), listener=0, admin=0, authz=authz, upstream=upstream)
    config: dict[str, Any] = yaml.safe_load(rendered)
    [cluster] = [
        each for each in config["static_resources"]["clusters"] if each["name"] == "authz-service"
    ]
    [protocol] = cluster["typed_extension_protocol_options"].values()
    keepalive = {"interval": "0.2s", "timeout": "5s"}
    protocol["explicit_http_config"]["http2_protocol_options"] = {"connection_keepalive": keepalive}
    return yaml.safe_dump(config)


async def _connections(session: ClientSession, admin: int) -> int:
    url = f"http://127.0.0.1:{admin}/stats?filter={CONNECTIONS}"
    async with session.get(url) as response:
        return int((await response.text()).rpartition(":")[2])


async def _connections_and_statuses(envoy: Envoy) -> tuple[int, Counter[int]]:
    """Ask until Envoy has replaced its connection twice; then leave it be for a moment."""
    statuses: Counter[int] = Counter()
    enough = asyncio.Event()
    url = f"http://127.0.0.1:{envoy.listener}/healthz"

    async def keep_asking(session: ClientSession) -> None:
        while not enough.is_set():
            async with session.get(url) as response:
                statuses[response.status] += 1

    async with ClientSession() as session, asyncio.timeout(PATIENCE):
        asking = asyncio.gather(*(keep_asking(session) for _ in range(8)))
        while await _connections(session, envoy.admin) <= REPLACED:  # noqa: ASYNC110 - nothing tells
            await asyncio.sleep(0.02)
        enough.set()
        await asking
        return await _connections(session, envoy.admin), statuses


def test_no_check_is_lost_when_connections_are_replaced(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with (
            issuer() as upstream,  # it answers 404 to what it does not know, and that is an answer
            service(tmp_path, PUBLIC_ONLY, "--max-connection-age", "1") as running,
        ):
            log = asyncio.create_task(running.rest_of_the_log())
            port = int(upstream.jwks_uri.split(":")[2].partition("/")[0])
            config = tmp_path / "envoy.yaml"
            config.write_text(_configuration(int(running.listen.rpartition(":")[2]), port), "utf-8")
            async with Envoy(config, log=tmp_path / "envoy.log") as envoy:
                connections, statuses = await _connections_and_statuses(envoy)
            running.process.terminate()
            await running.exit_status()
            checks = [event for event in await log if event["event"] == "check"]
        assert connections > REPLACED
        assert set(statuses) == {404}
        assert [check["decision"] for check in checks] == ["allow"] * statuses[404]

    asyncio.run(exchange())


def test_envoys_pings_are_no_attack(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with (
            issuer() as upstream,
            service(tmp_path, PUBLIC_ONLY) as running,
            ClientSession() as session,
        ):
            port = int(upstream.jwks_uri.split(":")[2].partition("/")[0])
            config = tmp_path / "envoy.yaml"
            config.write_text(_configuration(int(running.listen.rpartition(":")[2]), port), "utf-8")
            async with Envoy(config, log=tmp_path / "envoy.log") as envoy:
                for seven_pings in (1.4, 0):
                    async with session.get(f"http://127.0.0.1:{envoy.listener}/healthz") as answer:
                        assert answer.status == 404
                    await asyncio.sleep(seven_pings)
                assert await _connections(session, envoy.admin) == 1

    asyncio.run(exchange())
