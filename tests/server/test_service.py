"""The whole service as a process: from its first log line to its exit status."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import time
import weakref
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_service.core.authorize import authorize
from authz_service.core.errors import IssuerError
from authz_service.core.policy import Policy
from authz_service.demo.signing_keys import SigningKeys
from authz_service.ext_authz.convert import to_http_request
from authz_service.ext_authz.servicer import DecidedCheck
from authz_service.policy.files import FilesRead
from authz_service.server import heap
from authz_service.server.listen import ListenError, TcpAddress, UnixAddress
from authz_service.server.loading import Loaded
from authz_service.server.service import _Service, serve
from authz_service.server.settings import ServeSettings
from tests.edge.rig import PATIENCE, edge, reason, servicer
from tests.edge.shop import check_request, policy_from
from tests.server.processes import (
    PUBLIC_ONLY,
    Service,
    bound_socket,
    issuer,
    policy_with,
    service,
)
from tests.support.event_loops import eventually

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.keys.fetch import Fetched
    from tests.edge.rig import Caller

ISSUER: Final = "https://auth.example.com/oidc"
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
HEALTH_NAMES: Final = ("", "envoy.service.auth.v3.Authorization")


def _token(keys: SigningKeys) -> str:
    now = int(time.time())
    return keys.sign(
        {
            "iss": ISSUER,
            "aud": "https://shopping.api",
            "sub": "user-1",
            "client_id": "app-1",
            "jti": "token-1",
            "iat": now,
            "exp": now + 600,
            "scope": "read:products",
        }
    )


async def _health(caller: Caller, name: str = "") -> int:
    stub = health_pb2_grpc.HealthStub(caller.channel)
    request = health_pb2.HealthCheckRequest(service=name)
    return int((await stub.Check(request, timeout=PATIENCE)).status)


async def _ready(running: Service) -> tuple[int, object]:
    """Ask whether it is ready, and what is missing; of the issuers, other tests tell."""
    status, body = await running.get("/readyz")
    return status, {name: told for name, told in json.loads(body).items() if name != "issuers"}


def test_the_service_is_ready_when_it_has_the_keys_and_not_before(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        async with issuer(keys) as held:
            held.gate.clear()
            async with (
                service(tmp_path, policy_with(ISSUER, held.jwks_uri)) as running,
                running.caller() as caller,
            ):
                await running.event("readiness", ready=False)
                for name in HEALTH_NAMES:
                    assert await _health(caller, name) == NOT_SERVING
                missing = {"ready": False, "missing": ["keys of issuer logto"], "warnings": []}
                assert await _ready(running) == (503, missing)
                assert (await caller.check(check_request("/healthz"))).status.code == 0
                response = await caller.check(check_request(token=_token(keys)))
                assert response.denied_response.status.code == 503

                held.gate.set()
                await running.event("readiness", ready=True)
                for name in HEALTH_NAMES:
                    assert await _health(caller, name) == SERVING
                assert await _ready(running) == (
                    200,
                    {"ready": True, "missing": [], "warnings": []},
                )
                response = await caller.check(check_request(token=_token(keys)))
                assert response.status.code == 0

    asyncio.run(exchange())


def test_the_service_starts_while_its_issuer_is_down_and_recovers(tmp_path: Path) -> None:
    async def exchange() -> None:
        keys = SigningKeys("ES384")
        reserved = bound_socket()
        uri = f"http://127.0.0.1:{reserved.getsockname()[1]}/jwks"
        async with (
            service(tmp_path, policy_with(ISSUER, uri)) as running,
            running.caller() as caller,
        ):
            failed = await running.event("key_set_not_fetched")
            assert failed["issuer"] == "logto"
            assert (await _ready(running))[0] == HTTPStatus.SERVICE_UNAVAILABLE
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            response = await caller.check(check_request(token=_token(keys)))
            assert (response.status.code, reason(response)) == (14, "keys_unavailable")
            async with issuer(keys, listener=reserved):
                await running.event("readiness", ready=True)
            response = await caller.check(check_request(token=_token(keys)))
            assert response.status.code == 0
            assert (await _ready(running))[0] == HTTPStatus.OK

    asyncio.run(exchange())


def test_sigterm_during_a_check_takes_the_service_out_and_the_check_is_answered(
    tmp_path: Path,
) -> None:
    async def exchange() -> None:
        old, new = SigningKeys("ES384"), SigningKeys("ES384")
        async with (
            issuer(old) as held,
            service(tmp_path, policy_with(ISSUER, held.jwks_uri)) as running,
            running.caller() as caller,
        ):
            await running.event("readiness", ready=True)
            stub = health_pb2_grpc.HealthStub(caller.channel)
            watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=PATIENCE)
            assert (await watch.read()).status == SERVING

            held.gate.clear()
            asked = asyncio.create_task(held.was_asked())
            check = asyncio.create_task(caller.check(check_request(token=_token(new))))
            await asked
            running.signal(signal.SIGTERM)
            assert (await watch.read()).status == NOT_SERVING
            watch.cancel()
            stopping = {"ready": False, "missing": ["the service is stopping"], "warnings": []}
            assert await _ready(running) == (503, stopping)
            running.signal(signal.SIGTERM)  # from somebody impatient
            assert not check.done()

            held.published = (old, new)
            held.gate.set()
            assert (await check).status.code == 0
            assert await running.exit_status() == 0
            events = [event["event"] for event in await running.rest_of_the_log()]
        assert events[0] == "stopping"
        assert "check" in events
        assert events[-1] == "stopped"
        assert running.errors.read_text() == ""

    asyncio.run(exchange())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_idle_service_stops_at_once_though_connections_are_open(
    tmp_path: Path, number: signal.Signals
) -> None:
    async def exchange() -> None:
        async with (
            service(tmp_path, PUBLIC_ONLY) as running,
            running.caller() as caller,
        ):
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            assert running.admin is not None
            host, _, port = running.admin.rpartition(":")
            _reader, writer = await asyncio.open_connection(host, int(port))
            writer.write(b"GET /livez HTTP/1.1\r\nhost: slow")
            await writer.drain()
            running.signal(number)
            running.signal(number)
            assert await running.exit_status() == 0
            writer.close()
            events = [event["event"] for event in await running.rest_of_the_log()]
        assert events[-2:] == ["stopping", "stopped"]
        assert running.errors.read_text() == ""

    asyncio.run(exchange())


def test_a_log_that_nobody_reads_any_more_does_not_stop_the_answers(tmp_path: Path) -> None:
    """A gRPC error in place of an answer is an allow to Envoy with `failure_mode_allow`."""

    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            await running.event("readiness")
            running.close_log()
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            assert reason(await caller.check(check_request("/nowhere"))) == "no_route"

    asyncio.run(exchange())


def test_a_log_that_nobody_reads_any_more_does_not_disturb_the_stop(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running:
            await running.event("readiness")
            running.close_log()
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0

    asyncio.run(exchange())


def test_every_check_is_one_log_line_and_counted_by_decision_and_reason(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY) as running, running.caller() as caller:
            headers = [("x-request-id", "4711")]
            await caller.check(check_request("/healthz", headers=headers))
            await caller.check(check_request("/nowhere"))
            await caller.check(check_request("/nowhere"))
            await caller.check(b"\xff")
            await running.event("check_unreadable", level="error")  # it does not wait for others
            allowed = await running.event("check", decision="allow")
            await running.event("check", decision="deny", reason="no_route")
            await running.event("check", decision="deny", reason="no_route")
            await running.event("check", decision="deny", reason="internal_error")
            _status, metrics = await running.get("/metrics")
        assert allowed["request_id"] == "4711"
        lines = metrics.splitlines()
        for sample in (
            'decision="allow",mode="enforce",reason="",resource="shopping"} 1.0',
            'decision="deny",mode="enforce",reason="no_route",resource=""} 2.0',
            'decision="deny",mode="enforce",reason="internal_error",resource=""} 1.0',
        ):
            assert f"authz_decisions_total{{{sample}" in lines
        assert "authz_ready 1.0" in lines

    asyncio.run(exchange())


def test_without_an_admin_port_there_is_none(tmp_path: Path) -> None:
    async def exchange() -> None:
        listen = f"unix:{tmp_path / 'authz.sock'}"
        async with (
            service(tmp_path, PUBLIC_ONLY, admin="off", listen=listen) as running,
            running.caller() as caller,
        ):
            assert running.admin is None
            assert running.listen == listen
            assert (await caller.check(check_request("/healthz"))).status.code == 0
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0
        assert not (tmp_path / "authz.sock").exists()

    asyncio.run(exchange())


# In this process


class _NoIssuer:
    """A network on which nobody answers."""

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        del within, etag
        raise IssuerError("no answer", url=url)


def test_a_service_whose_task_is_cancelled_stops_in_order(tmp_path: Path) -> None:
    path = tmp_path / "authz.sock"

    async def exchange() -> None:
        settings = ServeSettings((), UnixAddress(path), None)
        running = asyncio.create_task(
            _Service(settings, Loaded(Policy(), FilesRead()), _NoIssuer()).run()
        )
        async with grpc.aio.insecure_channel(f"unix:{path}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="")
            watch = stub.Watch(request, timeout=PATIENCE, wait_for_ready=True)
            while (await watch.read()).status != SERVING:
                pass
            running.cancel()
            assert (await watch.read()).status == NOT_SERVING
            watch.cancel()
            with pytest.raises(asyncio.CancelledError):
                await running
        assert not path.exists()

    asyncio.run(exchange())


def test_what_the_start_has_freed_is_given_back_before_checks_come(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, events = tmp_path / "authz.sock", list[str]()
    monkeypatch.setattr(heap, "give_back", lambda: events.append("given back"))

    async def exchange() -> None:
        settings = ServeSettings((), UnixAddress(path), None)
        service_ = _Service(settings, Loaded(Policy(), FilesRead()), _NoIssuer())
        set_serving = service_._rpc.set_serving

        async def noted(*, serving: bool) -> None:
            events.append(f"serving: {serving}")
            await set_serving(serving=serving)

        monkeypatch.setattr(service_._rpc, "set_serving", noted)
        running = asyncio.create_task(service_.run())
        await eventually(lambda: "serving: True" in events)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(exchange())
    assert events == ["given back", "serving: True"]


def test_the_first_policy_does_not_stay_once_another_has_its_place(tmp_path: Path) -> None:
    file, path = tmp_path / "policy.yaml", tmp_path / "authz.sock"

    async def exchange() -> None:
        file.write_text(PUBLIC_ONLY)
        loaded = Loaded(policy_from(PUBLIC_ONLY), FilesRead())
        loaded.files.read(file)
        first = weakref.ref(loaded.files)
        file.write_text("version: 1\n")
        settings = ServeSettings((file,), UnixAddress(path), None)
        running = asyncio.create_task(serve(settings, loaded))
        del loaded
        await eventually(path.exists)
        await eventually(lambda: first() is None)
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running

    asyncio.run(exchange())


def test_what_a_reload_has_taken_away_is_no_series_any_more(tmp_path: Path) -> None:
    """Or a policy that is rewritten every second would fill the memory."""
    policies = [policy_from(PUBLIC_ONLY.replace("shopping", name)) for name in ("one", "other")]

    async def exchange() -> None:
        settings = ServeSettings((), UnixAddress(tmp_path / "authz.sock"), None)
        running = _Service(settings, Loaded(policies[0], FilesRead()), _NoIssuer())
        request = to_http_request(check_request("/healthz"))
        decided = authorize(request, policy=policies[0], keys={}, now=0)
        running._observe(DecidedCheck(request, decided, 0.001))
        assert b'resource="one"' in running._metrics.exposition()
        await running._take(policies[1])
        assert b'resource="one"' not in running._metrics.exposition()

    asyncio.run(exchange())


def test_an_admin_port_that_is_taken_stops_the_rpc_server_too(tmp_path: Path) -> None:
    path = tmp_path / "authz.sock"
    loaded = Loaded(policy_from(PUBLIC_ONLY), FilesRead())

    async def exchange(port: int) -> None:
        admin = TcpAddress("127.0.0.1", port)
        with pytest.raises(ListenError, match=str(port)):
            await serve(ServeSettings((), UnixAddress(path), admin), loaded)
        async with edge(servicer(), UnixAddress(path)) as caller:
            assert (await caller.check(check_request("/healthz"))).status.code == 0

    with socket.create_server(("127.0.0.1", 0)) as taken:
        asyncio.run(exchange(taken.getsockname()[1]))
