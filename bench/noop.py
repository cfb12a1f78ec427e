"""A server that allows every Check and decides nothing: what gRPC in Python costs by itself.

`python -m bench.noop KIND ANSWER LISTEN`: every CheckRequest is deserialized, and the CheckResponse
in the file ANSWER serialized. Prints where it listens, and serves until it is told to stop. Of the
kind `aio`, everything else is as in the service: `grpc.aio` with the same limits, uvloop, one
process. `threads` has gRPC's other server, with four threads, and `asyncio` another event loop.
"""

from __future__ import annotations

import asyncio
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import grpc.aio
import uvloop

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.server.limits import RpcLimits, channel_arguments

if TYPE_CHECKING:
    from collections.abc import Callable

_THREADS: Final = 4
_SETTINGS: Final[dict[str, Any]] = {
    "options": channel_arguments(RpcLimits()),
    "maximum_concurrent_rpcs": 1000,  # one that is never reached costs what the service's does
}


def _handlers(check: Callable[..., object]) -> tuple[grpc.GenericRpcHandler]:
    method = grpc.unary_unary_rpc_method_handler(
        check,
        request_deserializer=CheckRequest.FromString,
        response_serializer=CheckResponse.SerializeToString,
    )
    service = "envoy.service.auth.v3.Authorization"
    return (grpc.method_handlers_generic_handler(service, {"Check": method}),)


def _tell(listen: str, port: int) -> None:
    print(listen if listen.startswith("unix:") else f"127.0.0.1:{port}", flush=True)


async def _on_event_loop(answer: CheckResponse, listen: str) -> None:
    async def check(_message: CheckRequest, _context: object) -> CheckResponse:
        return answer

    server = grpc.aio.server(**_SETTINGS)
    server.add_generic_rpc_handlers(_handlers(check))
    port = server.add_insecure_port(listen)
    await server.start()
    _tell(listen, port)
    await server.wait_for_termination()


def _in_threads(answer: CheckResponse, listen: str) -> None:
    server = grpc.server(ThreadPoolExecutor(_THREADS), **_SETTINGS)
    server.add_generic_rpc_handlers(_handlers(lambda _message, _context: answer))
    port = server.add_insecure_port(listen)
    server.start()
    _tell(listen, port)
    server.wait_for_termination()


def main(kind: str, answer: CheckResponse, listen: str) -> None:
    """Serve until the process is ended."""
    if kind == "threads":
        _in_threads(answer, listen)
    elif kind == "asyncio":
        asyncio.run(_on_event_loop(answer, listen))
    else:
        uvloop.run(_on_event_loop(answer, listen))


if __name__ == "__main__":
    main(sys.argv[1], CheckResponse.FromString(Path(sys.argv[2]).read_bytes()), sys.argv[3])
