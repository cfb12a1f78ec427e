"""The standard health service (grpc.health.v1), whose watches do not hold up a stop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

import grpc
from grpc_health.v1 import health_pb2

if TYPE_CHECKING:
    from collections.abc import Iterable

    from grpc.aio import ServicerContext

MAX_WATCHES: Final = 100
"""Watches at a time; each of them holds a stream for ever."""

_NAME: Final = "grpc.health.v1.Health"
_STATUS: Final = health_pb2.HealthCheckResponse


class Health:
    """Says of some services, all alike, whether they serve."""

    def __init__(self, services: Iterable[str]) -> None:
        """Nothing serves yet."""
        self._services = frozenset(services)
        self._serving = False
        self._final = False
        self._ended = False
        self._watches = 0
        self._changed = asyncio.Event()

    @property
    def watches(self) -> int:
        """How many watch at the moment."""
        return self._watches

    def set(self, *, serving: bool) -> None:
        """Answer SERVING or NOT_SERVING from now on."""
        if not self._final:
            self._serving = serving
            self._tell()

    def shut_down(self) -> None:
        """Answer NOT_SERVING from now on, whatever `set` says."""
        self.set(serving=False)
        self._final = True

    def end_watches(self) -> None:
        """End every watch as soon as it has told the status of now."""
        self._ended = True
        self._tell()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def check(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext[object, object]
    ) -> health_pb2.HealthCheckResponse:
        """Answer once. A service that there is not is an error of the RPC."""
        if request.service not in self._services:
            await context.abort(grpc.StatusCode.NOT_FOUND)
        return self._response(request.service)

    async def watch(
        self, request: health_pb2.HealthCheckRequest, context: ServicerContext[object, object]
    ) -> None:
        """Answer now and whenever it has changed."""
        if self._watches >= MAX_WATCHES:
            await context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "too many watches")
        self._watches += 1
        try:
            await self._watch(request.service, context)
        finally:
            self._watches -= 1

    async def _watch(self, service: str, context: ServicerContext[object, object]) -> None:
        told = None
        while True:
            ended, changed = self._ended, self._changed  # read before the status
            response = self._response(service)
            if response != told:
                await context.write(response)
            told = response
            if ended:
                return
            await changed.wait()

    def _response(self, service: str) -> health_pb2.HealthCheckResponse:
        if service not in self._services:
            return _STATUS(status=_STATUS.SERVICE_UNKNOWN)
        return _STATUS(status=_STATUS.SERVING if self._serving else _STATUS.NOT_SERVING)


def generic_handler(health: Health) -> grpc.GenericRpcHandler:
    """Register *health* under the API's name."""
    parse = health_pb2.HealthCheckRequest.FromString
    serialize = _STATUS.SerializeToString
    return grpc.method_handlers_generic_handler(
        _NAME,
        {
            "Check": grpc.unary_unary_rpc_method_handler(health.check, parse, serialize),
            "Watch": grpc.unary_stream_rpc_method_handler(health.watch, parse, serialize),
        },
    )
