"""A server that allows every Check and decides nothing: what gRPC in Python costs by itself.

`python -m bench.noop ANSWER LISTEN`: every CheckRequest is deserialized, and the CheckResponse in
the file ANSWER serialized. Prints where it listens, and serves until it is told to stop. Everything
else is as in the service: `grpc.aio` with the same limits, uvloop, one process.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

import grpc.aio
import uvloop

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.server.limits import RpcLimits, channel_arguments

_MOST_AT_A_TIME: Final = 1000  # a limit that is never reached costs what one of the service does


async def _serve(answer: CheckResponse, listen: str) -> None:
    async def check(
        _message: CheckRequest, _context: grpc.aio.ServicerContext[CheckRequest, CheckResponse]
    ) -> CheckResponse:
        return answer

    server = grpc.aio.server(
        options=channel_arguments(RpcLimits()), maximum_concurrent_rpcs=_MOST_AT_A_TIME
    )
    server.add_generic_rpc_handlers(
        (
            grpc.method_handlers_generic_handler(
                "envoy.service.auth.v3.Authorization",
                {
                    "Check": grpc.unary_unary_rpc_method_handler(
                        check,
                        request_deserializer=CheckRequest.FromString,
                        response_serializer=CheckResponse.SerializeToString,
                    )
                },
            ),
        )
    )
    port = server.add_insecure_port(listen)
    await server.start()
    print(listen if listen.startswith("unix:") else f"127.0.0.1:{port}", flush=True)
    await server.wait_for_termination()


if __name__ == "__main__":
    uvloop.run(_serve(CheckResponse.FromString(Path(sys.argv[1]).read_bytes()), sys.argv[2]))
