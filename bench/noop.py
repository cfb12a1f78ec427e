"""A server that allows every Check and looks at nothing: what gRPC in Python costs by itself.

Prints its port, and serves until it is told to stop.
"""

from __future__ import annotations

import grpc.aio
import uvloop

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)

_ALLOW = CheckResponse()


async def _check(
    _message: CheckRequest, _context: grpc.aio.ServicerContext[CheckRequest, CheckResponse]
) -> CheckResponse:
    return _ALLOW


async def _serve() -> None:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "envoy.service.auth.v3.Authorization",
                {
                    "Check": grpc.unary_unary_rpc_method_handler(
                        _check,
                        request_deserializer=CheckRequest.FromString,
                        response_serializer=CheckResponse.SerializeToString,
                    )
                },
            ),
        )
    )
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve())
