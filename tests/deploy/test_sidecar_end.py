"""A pod with the sidecars comes to its end without a request lost: the real Envoy is told."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from aiohttp import ClientSession

from authz_service.demo.envoy import Envoy
from authz_service.demo.upstream import Upstream
from tests.server.processes import PUBLIC_ONLY, service

if TYPE_CHECKING:
    from collections.abc import Sequence

REPOSITORY: Final = Path(__file__).parents[2]
CONFIG: Final = (REPOSITORY / "envoy" / "unix-socket.yaml").read_text("utf-8")
SIDECARS: Final = REPOSITORY / "deploy" / "k8s" / "sidecar" / "component" / "sidecars.yaml"


def _hook() -> list[str]:
    """What kubelet runs in the container of authz-service when the pod ends."""
    patch = yaml.safe_load(SIDECARS.read_text("utf-8"))
    containers = patch["spec"]["template"]["spec"]["initContainers"]
    [hook] = [each["lifecycle"]["preStop"] for each in containers if "lifecycle" in each]
    return [str(word) for word in hook["exec"]["command"]]


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


async def _run(command: Sequence[str]) -> int:
    process = await asyncio.create_subprocess_exec(*command)
    return await process.wait()


async def _get(session: ClientSession, url: str) -> tuple[int, str | None]:
    async with session.get(url) as answer:
        return answer.status, answer.headers.get("connection")


def test_after_the_hook_envoy_answers_as_ever_and_keeps_no_connection(tmp_path: Path) -> None:
    async def run() -> None:
        api = Upstream()
        await api.start()
        config = _here(tmp_path, upstream=api.port)
        socket = f"unix:{tmp_path / 'authz.sock'}"
        async with (
            service(tmp_path, PUBLIC_ONLY, listen=socket),
            Envoy(config, log=tmp_path / "envoy.log") as envoy,
            ClientSession() as session,
        ):
            url = f"http://127.0.0.1:{envoy.listener}/healthz"
            ready = f"http://127.0.0.1:{await _probe_port(envoy.admin)}/ready"
            assert await _get(session, url) == (200, None)
            assert (await _get(session, ready))[0] == 200
            python, *rest = _hook()
            assert python == "python"
            words = [word.replace("9901", str(envoy.admin)) for word in rest]
            assert await _run([sys.executable, *words]) == 0
            assert [await _get(session, url) for _ in range(3)] == [(200, "close")] * 3
            assert (await _get(session, ready))[0] == 503
        await api.stop()

    asyncio.run(run())


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
