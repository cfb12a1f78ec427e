"""The admin port, over real HTTP."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from authz_service.core.decision import Deny, DenyReason
from authz_service.server.admin import AdminServer
from authz_service.server.listen import ListenError, TcpAddress
from authz_service.server.readiness import Readiness
from authz_service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANY_PORT: Final = TcpAddress("127.0.0.1", 0)
READY: Final = Readiness(stopping=False, issuers_without_keys=())


@dataclass
class Admin:
    """A running admin server, of which a test may change what it reports."""

    metrics: Metrics
    readiness: Readiness = READY
    address: TcpAddress = ANY_PORT

    async def ask(self, path: str, method: str = "GET") -> tuple[int, str, str]:
        """Give status, content type and body."""
        async with (
            ClientSession() as session,
            session.request(method, f"http://{self.address}{path}") as answer,
        ):
            return answer.status, answer.headers["content-type"], await answer.text()


@contextlib.asynccontextmanager
async def _admin() -> AsyncIterator[Admin]:
    admin = Admin(Metrics())
    server = AdminServer(lambda: admin.readiness, admin.metrics)
    admin.address = await server.start(admin.address)
    try:
        yield admin
    finally:
        await server.stop()


def test_livez_says_that_the_process_answers_whatever_is_missing() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = Readiness(stopping=True, issuers_without_keys=("logto",))
            status, content_type, body = await admin.ask("/livez")
        assert (status, body) == (200, '{"status": "alive"}')
        assert content_type.startswith("application/json")

    asyncio.run(exchange())


@pytest.mark.parametrize(
    ("readiness", "status", "body"),
    [
        (READY, 200, '{"ready": true, "missing": [], "warnings": [], "issuers": {}}'),
        (
            Readiness(stopping=False, issuers_without_keys=("a", "b")),
            503,
            (
                '{"ready": false, "missing": ["keys of issuer a", "keys of issuer b"],'
                ' "warnings": [], "issuers": {}}'
            ),
        ),
        (
            Readiness(stopping=False, issuers_without_keys=(), warnings=("an old policy",)),
            200,
            '{"ready": true, "missing": [], "warnings": ["an old policy"], "issuers": {}}',
        ),
        (
            Readiness(stopping=True, issuers_without_keys=()),
            503,
            (
                '{"ready": false, "missing": ["the service is stopping"], "warnings": [],'
                ' "issuers": {}}'
            ),
        ),
    ],
    ids=["ready", "no_keys", "warning", "stopping"],
)
def test_readyz_says_what_is_missing(readiness: Readiness, status: int, body: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = readiness
            answer = await admin.ask("/readyz")
        assert (answer[0], answer[2]) == (status, body)
        assert answer[1].startswith("application/json")

    asyncio.run(exchange())


def test_readyz_is_asked_anew_each_time() -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            admin.readiness = Readiness(stopping=False, issuers_without_keys=("logto",))
            assert (await admin.ask("/readyz"))[0] == 503
            admin.readiness = READY
            assert (await admin.ask("/readyz"))[0] == 200

    asyncio.run(exchange())


def test_metrics_are_in_the_text_format_that_prometheus_reads() -> None:
    async def exchange() -> str:
        async with _admin() as admin:
            admin.metrics.count(Deny(DenyReason.EXPIRED))
            admin.metrics.count(Deny(DenyReason.EXPIRED))
            status, content_type, body = await admin.ask("/metrics")
        assert status == 200
        assert content_type == "text/plain; version=0.0.4; charset=utf-8"
        return body

    samples = {
        (sample.name, *sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(asyncio.run(exchange()))
        for sample in family.samples
    }
    counted = (
        "authz_decisions_total",
        ("decision", "deny"),
        ("mode", "enforce"),
        ("reason", "expired"),
    )
    assert samples[counted] == 2


@pytest.mark.parametrize("path", ["/", "/livez/", "/healthz", "/metrics/x", "/..%2freadyz", "//"])
def test_anything_else_is_not_found(path: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            assert (await admin.ask(path))[0] == 404

    asyncio.run(exchange())


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(path: str, method: str) -> None:
    async def exchange() -> None:
        async with _admin() as admin:
            assert (await admin.ask(path, method))[0] == 405

    asyncio.run(exchange())


def test_a_port_that_is_taken_is_refused() -> None:
    async def exchange(port: int) -> None:
        address = TcpAddress("127.0.0.1", port)
        with pytest.raises(ListenError, match=f"cannot listen on 127.0.0.1:{port}"):
            await AdminServer(lambda: READY, Metrics()).start(address)

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(exchange(taken.getsockname()[1]))


@pytest.mark.parametrize("host", ["192.0.2.1", "..", "x" * 70])
def test_an_address_that_is_not_ours_is_refused(host: str) -> None:
    async def exchange() -> None:
        with pytest.raises(ListenError, match="cannot listen on"):
            await AdminServer(lambda: READY, Metrics()).start(TcpAddress(host, 0))

    asyncio.run(exchange())


def test_ipv6_is_served_and_named_with_brackets() -> None:
    async def exchange() -> None:
        server = AdminServer(lambda: READY, Metrics())
        address = await server.start(TcpAddress("::1", 0))
        try:
            assert str(address).startswith("[::1]:")
            assert (await Admin(Metrics(), address=address).ask("/livez"))[0] == 200
        finally:
            await server.stop()

    asyncio.run(exchange())
