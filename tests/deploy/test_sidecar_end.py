"""A pod with the sidecars comes to its end without a request lost: the real Envoy is told."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Any, Final

import yaml
from aiohttp import ClientSession

from authz_service.demo.envoy import Envoy
from authz_service.demo.upstream import Upstream
from tests.server.processes import PUBLIC_ONLY, service

REPOSITORY: Final = Path(__file__).parents[2]
CONFIG: Final = (REPOSITORY / "envoy" / "unix-socket.yaml").read_text("utf-8")
SIDECARS: Final = REPOSITORY / "deploy" / "k8s" / "sidecar" / "component" / "sidecars.yaml"


async def _run_hook(name: str, *, admin: int) -> int:
    """Do what kubelet does in the container of authz-service, and give the exit status."""
    patch = yaml.safe_load(SIDECARS.read_text("utf-8"))
    containers = patch["spec"]["template"]["spec"]["initContainers"]
    [lifecycle] = [each["lifecycle"] for each in containers if "lifecycle" in each]
    python, *words = map(str, lifecycle[name]["exec"]["command"])
    assert python == "python"
    here = [word.replace("9901", str(admin)) for word in words]
    return await (await asyncio.create_subprocess_exec(sys.executable, *here)).wait()


def _here(directory: Path, *, upstream: int) -> Path:
    """Write the configuration with ports and paths of this test."""
    config: dict[str, Any] = yaml.safe_load(CONFIG)
    listeners = config["static_resources"]["listeners"]
    for address in [config["admin"]["address"], *(each["address"] for each in listeners)]:
        address["socket_address"] = {"address": "127.0.0.1", "port_value": 0}
    text = yaml.safe_dump(config).replace("/run/authz", str(directory))
    file = directory / "envoy.yaml"
    file.write_text(text.replace("port_value: 9000", f"port_value: {upstream}"), "utf-8")
    return file


async def _probe_port(admin: int) -> int:
    async with (
        ClientSession() as session,
        session.get(f"http://127.0.0.1:{admin}/listeners?format=json") as answer,
    ):
        listeners = (await answer.json(content_type=None))["listener_statuses"]
    [probe] = [each for each in listeners if each["name"] == "probe"]
    return int(probe["local_address"]["socket_address"]["port_value"])


async def _get(session: ClientSession, url: str) -> tuple[int, str | None]:
    async with session.get(url) as answer:
        return answer.status, answer.headers.get("connection")


def test_after_the_hook_envoy_answers_as_ever_and_keeps_no_connection(tmp_path: Path) -> None:
    async def run() -> None:
        api = Upstream()
        await api.start()
        config = _here(tmp_path, upstream=api.port)
        listen = f"unix:{tmp_path / 'authz.sock'}"
        async with (
            service(tmp_path, PUBLIC_ONLY, listen=listen),
            Envoy(config, log=tmp_path / "envoy.log") as envoy,
            ClientSession() as session,
        ):
            url = f"http://127.0.0.1:{envoy.listener}/healthz"
            ready = f"http://127.0.0.1:{await _probe_port(envoy.admin)}/ready"
            assert await _get(session, url) == (200, None)
            assert (await _get(session, ready))[0] == 200
            assert await _run_hook("preStop", admin=envoy.admin) == 0
            assert [await _get(session, url) for _ in range(3)] == [(200, "close")] * 3
            assert (await _get(session, ready))[0] == 503
            # It was not the end of the pod.
            assert await _run_hook("postStart", admin=envoy.admin) == 0
            assert await _get(session, url) == (200, None)
            assert (await _get(session, ready))[0] == 200
        await api.stop()

    asyncio.run(run())


def test_a_pod_that_starts_has_no_envoy_to_tell() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    assert asyncio.run(_run_hook("postStart", admin=port)) == 0


def test_the_port_for_probes_shows_nothing_but_whether_envoy_is_ready(tmp_path: Path) -> None:
    async def run() -> None:
        config = _here(tmp_path, upstream=1)
        async with (
            Envoy(config, log=tmp_path / "envoy.log") as envoy,
            ClientSession(f"http://127.0.0.1:{await _probe_port(envoy.admin)}") as probe,
        ):
            assert (await _get(probe, "/ready"))[0] == 200
            for path in ("/", "/stats", "/config_dump", "/quitquitquit", "/healthcheck/fail"):
                async with probe.get(path) as answer:
                    assert answer.status == 404
                async with probe.post(path) as answer:
                    assert answer.status == 404

    asyncio.run(run())
