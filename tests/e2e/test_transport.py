"""The real Envoy asks over mutual TLS and over unix sockets, set up as docs/transport.md says."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import yaml
from aiohttp import ClientSession

from authz_service.demo.envoy import Envoy, render, template, validate
from authz_service.demo.upstream import Upstream
from tests.server.processes import PUBLIC_ONLY, service
from tests.support.certificates import ENVOY_ID, Leaf, authority, dns, uri

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

DOCUMENT: Final = (Path(__file__).parents[2] / "docs" / "transport.md").read_text("utf-8")
SNIPPETS: Final[list[dict[str, Any]]] = [
    yaml.safe_load(text) for text in re.findall(r"```yaml\n(.*?)```", DOCUMENT, re.DOTALL)
]
TLS, PIPE, ABSTRACT = (
    snippet for snippet in SNIPPETS if {"transport_socket", "load_assignment"} & snippet.keys()
)


def _envoy_config(directory: Path, snippet: dict[str, Any], *, port: int, upstream: int) -> Path:
    """Write the configuration that users copy, with *snippet* in the cluster authz-service."""
    config = yaml.safe_load(render(template(), listener=0, admin=0, authz=port, upstream=upstream))
    clusters = config["static_resources"]["clusters"]
    [cluster] = [cluster for cluster in clusters if cluster["name"] == "authz-service"]
    cluster.update(snippet)
    file = directory / "envoy.yaml"
    file.write_text(yaml.safe_dump(config), "utf-8")
    return file


def _in(directory: Path, snippet: dict[str, Any], **replacements: str) -> dict[str, Any]:
    """Put *snippet*'s paths into *directory*."""
    text = yaml.safe_dump(snippet).replace("/etc/envoy/tls", str(directory))
    for old, new in {"/run/authz": str(directory), **replacements}.items():
        text = text.replace(old, new)
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@contextlib.asynccontextmanager
async def _envoy(directory: Path, snippet: dict[str, Any], listen: str) -> AsyncIterator[str]:
    """Run the sample upstream and Envoy; gives Envoy's URL."""
    upstream = Upstream()
    await upstream.start()
    port = 1 if listen.startswith("unix:") else int(listen.rpartition(":")[2])
    try:
        config = _envoy_config(directory, snippet, port=port, upstream=upstream.port)
        assert "WARN" not in validate(config).upper()
        async with Envoy(config, log=directory / "envoy.log") as envoy:
            yield f"http://127.0.0.1:{envoy.listener}"
    finally:
        await upstream.stop()


async def _get(url: str) -> int:
    async with ClientSession() as session, session.get(url) as answer:
        return answer.status


async def _allows_and_refuses(directory: Path, snippet: dict[str, Any], listen: str) -> None:
    async with _envoy(directory, snippet, listen) as url:
        assert await _get(f"{url}/healthz") == 200
        assert await _get(f"{url}/unknown") == 403


def _client_directory(tmp_path: Path, client: Leaf) -> Path:
    directory = tmp_path / "envoy"
    directory.mkdir()
    client.write(directory, authority().pem)
    return directory


def test_envoy_asks_over_mutual_tls_with_spiffe_ids(tmp_path: Path) -> None:
    ca = authority()
    files = ca.server().write(tmp_path, ca.pem)
    stranger = ca.leaf(uri(f"{ENVOY_ID}-of-another"), dns("envoy.edge.svc"), common_name=ENVOY_ID)

    async def exchange(directory: Path) -> None:
        async with service(
            tmp_path, PUBLIC_ONLY,
            "--tls-cert", str(files.certificate), "--tls-key", str(files.key),
            "--tls-client-ca", str(files.client_ca), "--tls-client-san", ENVOY_ID,
        ) as running:  # fmt: skip
            await _allows_and_refuses(directory, _in(directory, TLS), running.listen)
            stranger.write(directory)
            async with _envoy(directory, _in(directory, TLS), running.listen) as url:
                assert await _get(f"{url}/healthz") == 503
            told = await running.event("caller_not_trusted")
            assert told["names"] == f"URI:{ENVOY_ID}-of-another, DNS:envoy.edge.svc"
            check = await running.event("check", reason="untrusted_caller")
            assert check["decision"] == "deny"

    asyncio.run(exchange(_client_directory(tmp_path, ca.envoy())))


def test_envoy_asks_over_a_unix_socket(tmp_path: Path) -> None:
    async def exchange() -> None:
        listen = f"unix:{tmp_path}/authz.sock"
        async with service(tmp_path, PUBLIC_ONLY, listen=listen):
            await _allows_and_refuses(tmp_path, _in(tmp_path, PIPE), listen)

    asyncio.run(exchange())


def test_envoy_asks_over_an_abstract_socket(tmp_path: Path) -> None:
    async def exchange() -> None:
        listen = f"unix:@authz-{secrets.token_hex(45)}"
        assert len(listen) == len("unix:@") + 96
        async with service(tmp_path, PUBLIC_ONLY, listen=listen):
            snippet = _in(tmp_path, ABSTRACT, **{"@authz": listen.removeprefix("unix:")})
            await _allows_and_refuses(tmp_path, snippet, listen)

    asyncio.run(exchange())
