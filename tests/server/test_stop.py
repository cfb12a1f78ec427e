"""The stop: announced first, then no Check is lost, and it ends whatever hangs."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_service.demo.signing_keys import SigningKeys
from authz_service.ext_authz.admission import Admission
from authz_service.server.drain import Drain
from authz_service.server.health import MAX_WATCHES
from authz_service.server.last_resort import STATUS
from authz_service.server.listen import TcpAddress
from authz_service.server.rpc import RpcServer
from tests.edge.rig import PATIENCE, servicer
from tests.edge.shop import ISSUER, check_request, mint
from tests.server.processes import PUBLIC_ONLY, environment, issuer, policy_with, service

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from tests.edge.rig import Caller
    from tests.server.processes import Service

SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
FOR_EVER: Final = "3600"
"""Seconds of grace that no test waits for: what ends within `PATIENCE` did not need it."""


async def _watch(caller: Caller) -> Any:  # noqa: ANN401 - the stubs have no types
    stub = health_pb2_grpc.HealthStub(caller.channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=""), timeout=PATIENCE)
    while (await watch.read()).status != SERVING:
        pass
    return watch


@contextlib.asynccontextmanager
async def _with_a_hanging_check(directory: Path, *options: str) -> AsyncIterator[Service]:
    """Run a service with a Check that waits for keys that do not come."""
    old, new = SigningKeys("ES384"), SigningKeys("ES384")
    async with issuer(old) as held, contextlib.AsyncExitStack() as stack:
        policy = policy_with(ISSUER, held.jwks_uri)
        running = await stack.enter_async_context(
            service(directory, policy, "--max-key-wait", "60", *options)
        )
        caller = await stack.enter_async_context(running.caller())
        await running.event("readiness", ready=True)
        held.gate.clear()
        asked = asyncio.create_task(held.was_asked())
        call = caller.call(check_request(token=mint(keys=new)), deadline=3600)
        await asked
        yield running
        assert await call.code() is not grpc.StatusCode.OK


def test_those_who_watch_are_told_and_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with (
            service(tmp_path, PUBLIC_ONLY, "--grace", FOR_EVER) as running,
            running.caller() as caller,
        ):
            watches = [await _watch(caller) for _ in range(3)]
            running.signal(signal.SIGTERM)
            for watch in watches:
                assert (await watch.read()).status == NOT_SERVING
                assert await watch.read() == grpc.aio.EOF
                assert await watch.code() is grpc.StatusCode.OK
            assert await running.exit_status() == 0

    asyncio.run(exchange())


def test_connections_that_say_nothing_do_not_hold_up_the_stop(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with service(tmp_path, PUBLIC_ONLY, "--grace", FOR_EVER) as running:
            host, _, port = running.listen.rpartition(":")
            _reader, mute = await asyncio.open_connection(host, int(port))
            _reader, half = await asyncio.open_connection(host, int(port))
            half.write(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\4\0\0\0\0\0")
            await half.drain()
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0
            mute.close()
            half.close()

    asyncio.run(exchange())


def test_no_check_is_lost_by_callers_that_leave_when_they_are_told(tmp_path: Path) -> None:
    async def exchange() -> int:
        async with (
            service(tmp_path, PUBLIC_ONLY, "--grace", FOR_EVER) as running,
            running.caller() as caller,
        ):
            log = asyncio.create_task(running.rest_of_the_log())
            told, checks = asyncio.Event(), 0

            async def keep_asking() -> None:
                nonlocal checks
                while not told.is_set():
                    assert (await caller.check(check_request("/healthz"))).status.code == 0
                    checks += 1

            watch = await _watch(caller)
            asking = asyncio.gather(*(keep_asking() for _ in range(8)))
            await caller.check(check_request("/healthz"))
            running.signal(signal.SIGTERM)
            assert (await watch.read()).status == NOT_SERVING
            for _ in range(
                100
            ):  # a load balancer takes its time, and a new connection all the same
                async with running.caller() as another:
                    assert (await another.check(check_request("/healthz"))).status.code == 0
            told.set()
            await asking
            assert await running.exit_status() == 0
            assert (await log)[-1]["event"] == "stopped"
        return checks

    assert asyncio.run(exchange()) > 0


@pytest.mark.parametrize("grace", ["0", "0.5"])
def test_a_check_that_hangs_is_cut_off_at_the_end_of_the_grace(tmp_path: Path, grace: str) -> None:
    async def exchange() -> None:
        async with _with_a_hanging_check(tmp_path, "--grace", grace) as running:
            running.signal(signal.SIGTERM)
            assert await running.exit_status() == 0
            assert (await running.rest_of_the_log())[-1]["event"] == "stopped"

    asyncio.run(exchange())


def test_a_second_sigint_cuts_off_what_hangs(tmp_path: Path) -> None:
    async def exchange() -> None:
        async with _with_a_hanging_check(tmp_path, "--grace", FOR_EVER) as running:
            running.signal(signal.SIGINT)
            await running.event("stopping")
            running.signal(signal.SIGINT)
            assert await running.exit_status() == STATUS

    asyncio.run(exchange())


def test_a_process_that_hangs_is_ended_by_the_last_resort() -> None:
    """Nothing that is left may keep it: here the main thread hangs, and another one."""
    code = (
        "import threading; from authz_service.server.last_resort import end_within;"
        " end_within(0.1); hang = threading.Event().wait;"
        " threading.Thread(target=hang).start(); hang()"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), timeout=PATIENCE, check=False
    )
    assert done.returncode == STATUS


@pytest.mark.parametrize("somewhere", ["stop()", "weakref.finalize(Subject(), stop)"])
def test_a_stop_is_heard_while_the_service_starts(somewhere: str) -> None:
    """As the first process of a container it has no default action to be ended by.

    Also in code that lets no exception out, of which there is some in every import.
    """
    code = (
        "import os, signal, weakref; from authz_service.cli.main import main;"
        " main.get_command(None, 'serve');"
        " stop = lambda: os.kill(os.getpid(), signal.SIGTERM);"
        f" Subject = type('Subject', (), {{}}); {somewhere};"
        " raise AssertionError('not ended')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment(), timeout=PATIENCE, check=False
    )
    assert done.returncode == 0


# In this process


def test_a_drain_without_any_check_before_it_does_not_wait() -> None:
    asyncio.run(asyncio.wait_for(Drain(Admission(1)).until_quiet(4 * PATIENCE), 1))


def test_a_drain_waits_for_a_check_that_is_under_way() -> None:
    async def exchange() -> None:
        admission = Admission(1)
        admission.enter()
        draining = asyncio.create_task(Drain(admission).until_quiet(PATIENCE))
        done, _ = await asyncio.wait({draining}, timeout=1.5)
        assert not done
        admission.leave()
        await asyncio.wait_for(draining, PATIENCE)

    asyncio.run(exchange())


def test_a_drain_ends_though_checks_never_cease() -> None:
    async def exchange() -> None:
        admission = Admission(1)
        admission.enter()
        await asyncio.wait_for(Drain(admission).until_quiet(0.1), PATIENCE)

    asyncio.run(exchange())


def test_somebody_who_has_lost_patience_ends_a_drain() -> None:
    async def exchange() -> None:
        admission = Admission(1)
        admission.enter()
        drain = Drain(admission)
        draining = asyncio.create_task(drain.until_quiet(3600))
        drain.hurry()
        await asyncio.wait_for(draining, PATIENCE)

    asyncio.run(exchange())


def test_watches_are_limited_and_checks_of_health_are_not() -> None:
    async def exchange() -> None:
        server = RpcServer(servicer())
        bound = await server.start(TcpAddress("127.0.0.1", 0))
        async with grpc.aio.insecure_channel(str(bound)) as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            request = health_pb2.HealthCheckRequest(service="")
            watches = [stub.Watch(request, timeout=PATIENCE) for _ in range(MAX_WATCHES)]
            for watch in watches:
                await watch.read()
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await stub.Watch(request, timeout=PATIENCE).read()
            assert error.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
            assert (await stub.Check(request, timeout=PATIENCE)).status == NOT_SERVING
        await server.stop(PATIENCE)

    asyncio.run(exchange())
