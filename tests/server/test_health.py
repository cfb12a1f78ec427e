"""The standard health service, as Envoy and Kubernetes ask it."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Final

import grpc.aio
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz_service.server.listen import TcpAddress
from authz_service.server.rpc import RpcServer
from tests.edge.rig import PATIENCE, servicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

NAMES: Final = ("", "envoy.service.auth.v3.Authorization")
SERVING: Final = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING: Final = health_pb2.HealthCheckResponse.NOT_SERVING
EACH_NAME: Final = pytest.mark.parametrize("name", NAMES)


@contextlib.asynccontextmanager
async def _server() -> AsyncIterator[tuple[RpcServer, health_pb2_grpc.HealthStub]]:
    server = RpcServer(servicer())
    bound = await server.start(TcpAddress("127.0.0.1", 0))
    try:
        async with grpc.aio.insecure_channel(str(bound)) as channel:
            yield server, health_pb2_grpc.HealthStub(channel)
    finally:
        await server.stop(0)


async def _status(stub: health_pb2_grpc.HealthStub, name: str) -> int:
    request = health_pb2.HealthCheckRequest(service=name)
    return int((await stub.Check(request, timeout=PATIENCE)).status)


@EACH_NAME
def test_a_server_that_has_started_does_not_serve_until_it_is_told_to(name: str) -> None:
    async def exchange() -> None:
        async with _server() as (server, stub):
            assert await _status(stub, name) == NOT_SERVING
            await server.set_serving(serving=True)
            assert await _status(stub, name) == SERVING
            await server.set_serving(serving=False)
            assert await _status(stub, name) == NOT_SERVING

    asyncio.run(exchange())


@pytest.mark.parametrize("name", ["unknown", "envoy.service.auth.v2.Authorization"])
def test_an_unknown_service_is_not_found(name: str) -> None:
    async def exchange() -> None:
        async with _server() as (server, stub):
            await server.set_serving(serving=True)
            with pytest.raises(grpc.aio.AioRpcError) as error:
                await _status(stub, name)
        assert error.value.code() is grpc.StatusCode.NOT_FOUND

    asyncio.run(exchange())


@EACH_NAME
def test_a_stop_is_announced_to_those_who_watch_and_does_not_wait_for_them(name: str) -> None:
    async def exchange() -> None:
        async with _server() as (server, stub):
            await server.set_serving(serving=True)
            request = health_pb2.HealthCheckRequest(service=name)
            watch = stub.Watch(request, timeout=PATIENCE)
            assert (await watch.read()).status == SERVING
            stop = asyncio.create_task(server.stop(0.1))
            assert (await watch.read()).status == NOT_SERVING
            await asyncio.wait_for(stop, PATIENCE)

    asyncio.run(exchange())


def test_a_server_that_stops_never_serves_again() -> None:
    """A key set that arrives during the stop must not bring the traffic back."""

    async def exchange() -> None:
        watched: list[int] = []
        watching = asyncio.Event()

        async def watch(stub: health_pb2_grpc.HealthStub) -> None:
            request = health_pb2.HealthCheckRequest(service="")
            with contextlib.suppress(grpc.aio.AioRpcError):
                async for update in stub.Watch(request, timeout=PATIENCE):
                    watched.append(update.status)
                    watching.set()

        async with _server() as (server, stub):
            watcher = asyncio.create_task(watch(stub))
            await asyncio.wait_for(watching.wait(), PATIENCE)
            stop = asyncio.create_task(server.stop(0.1))
            await server.set_serving(serving=True)
            await stop
            await watcher
        assert SERVING not in watched

    asyncio.run(exchange())
