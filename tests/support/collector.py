"""A collector of traces: it takes spans over OTLP, as the real ones do."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

import grpc.aio
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

from tests.edge.rig import PATIENCE
from tests.support.leaks import GUARD

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from opentelemetry.proto.trace.v1.trace_pb2 import Span

_SERVICE = "opentelemetry.proto.collector.trace.v1.TraceService"


class Collector:
    """What was exported. It answers while `gate` is open."""

    def __init__(self) -> None:
        self.endpoint = ""
        self.gate = asyncio.Event()
        self.gate.set()
        self.asked = asyncio.Event()
        self.exports: list[ExportTraceServiceRequest] = []
        self._exported = asyncio.Event()

    @property
    def spans(self) -> list[Span]:
        """Every span, in the order in which they came."""
        return [
            span
            for export in self.exports
            for of_resource in export.resource_spans
            for of_scope in of_resource.scope_spans
            for span in of_scope.spans
        ]

    @property
    def resource(self) -> dict[str, str]:
        """Who sent the first of them."""
        attributes = self.exports[0].resource_spans[0].resource.attributes
        return {attribute.key: attribute.value.string_value for attribute in attributes}

    async def received(self, count: int) -> list[Span]:
        """Wait until there are *count* spans."""
        async with asyncio.timeout(PATIENCE):
            while len(self.spans) < count:
                self._exported.clear()
                await self._exported.wait()
        return self.spans

    async def _export(self, octets: bytes, _context: object) -> ExportTraceServiceResponse:
        self.asked.set()
        await self.gate.wait()
        GUARD.look(octets, "spans")
        self.exports.append(ExportTraceServiceRequest.FromString(octets))
        self._exported.set()
        return ExportTraceServiceResponse()


def attributes_of(span: Span) -> dict[str, str]:
    """The attributes, all of which are strings."""
    return {attribute.key: attribute.value.string_value for attribute in span.attributes}


@contextlib.asynccontextmanager
async def collector() -> AsyncIterator[Collector]:
    """Serve OTLP over gRPC on a loopback port."""
    served = Collector()
    server = grpc.aio.server()
    export: grpc.RpcMethodHandler[bytes, ExportTraceServiceResponse]
    export = grpc.unary_unary_rpc_method_handler(
        served._export,
        response_serializer=ExportTraceServiceResponse.SerializeToString,
    )
    handler = grpc.method_handlers_generic_handler(_SERVICE, {"Export": export})
    server.add_generic_rpc_handlers((handler,))
    served.endpoint = f"http://127.0.0.1:{server.add_insecure_port('127.0.0.1:0')}"
    await server.start()
    try:
        yield served
    finally:
        served.gate.set()
        await server.stop(None)
