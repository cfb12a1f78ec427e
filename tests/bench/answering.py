"""A gRPC server of this process that gives each Check the answer that a test wants."""

from __future__ import annotations

import contextlib
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

import grpc

from bench.processes import Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


@contextlib.contextmanager
def answering(answer: Callable[[bytes], bytes], directory: Path) -> Iterator[Server]:
    """Run it on a unix socket; an exception of *answer* is a gRPC error."""
    listen = f"unix:{directory}/socket"
    server = grpc.server(ThreadPoolExecutor(1))
    handler: grpc.RpcMethodHandler[bytes, bytes] = grpc.unary_unary_rpc_method_handler(
        lambda octets, _context: answer(octets)
    )
    methods = grpc.method_handlers_generic_handler(
        "envoy.service.auth.v3.Authorization", {"Check": handler}
    )
    server.add_generic_rpc_handlers((methods,))
    server.add_insecure_port(listen)
    server.start()
    try:
        yield Server("a server", 1, listen)
    finally:
        server.stop(None).wait()
