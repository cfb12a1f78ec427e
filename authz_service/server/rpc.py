"""The gRPC server: the Authorization service and the standard health service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from authz_service.ext_authz.servicer import SERVICE_NAME, AuthorizationServicer, generic_handler
from authz_service.server.listen import (
    ListenError,
    TcpAddress,
    UnixAddress,
    private_socket,
    why_not,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

_NO_LIMIT: Final = 2**31 - 1
_OPTIONS: Final[Sequence[tuple[str, int]]] = (
    # With it, a second server would share the port without a word.
    ("grpc.so_reuseport", 0),
    # gRPC would answer a larger Check with an error, which is not a refusal. Headers are at most
    # some 60 KiB with Envoy; a body, which nobody here looks at, may come along if so configured.
    ("grpc.max_receive_message_length", 16 * 1024 * 1024),
    # gRPC would cancel what waits beyond these, and a cancelled Check is not a refusal.
    ("grpc.server.max_pending_requests", _NO_LIMIT),
    ("grpc.server.max_pending_requests_hard_limit", _NO_LIMIT),
)


class RpcServer:
    """Listens on one address; its health is what `set_serving` says."""

    def __init__(self, servicer: AuthorizationServicer) -> None:
        """Not listening yet, and not serving. Needs a running event loop."""
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((generic_handler(servicer),))
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(self, address: TcpAddress | UnixAddress) -> TcpAddress | UnixAddress:
        """Listen on *address*, and say where really: port 0 becomes the one that was chosen.

        Raises ListenError.
        """
        await self.set_serving(serving=False)
        try:
            target = await _target(address)
            with _binding(address):
                port = self._server.add_insecure_port(target)
                await self._server.start()
        except (RuntimeError, OSError, UnicodeError):
            raise ListenError(f"cannot listen on {address}: {why_not(address)}") from None
        return TcpAddress(address.host, port) if isinstance(address, TcpAddress) else address

    async def set_serving(self, *, serving: bool) -> None:
        """Answer health checks with SERVING or NOT_SERVING."""
        status = health_pb2.HealthCheckResponse.ServingStatus.Value(
            "SERVING" if serving else "NOT_SERVING"
        )
        for name in ("", SERVICE_NAME):
            await self._health.set(name, status)

    async def stop(self, grace: float) -> None:
        """Take no new Checks, and give those under way *grace* seconds."""
        await self._health.enter_graceful_shutdown()
        await self._server.stop(grace)


async def _target(address: TcpAddress | UnixAddress) -> str:
    """The name that gRPC has for *address*, which it cannot take for one of another kind.

    A host is looked up here: to gRPC, `unix:9191` is no host. Raises OSError, UnicodeError.
    """
    if isinstance(address, UnixAddress):
        return f"unix:{quote(str(address.path))}"  # gRPC decodes it
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM
    )
    _, _, _, _, (ip_address, *_) = found[0]
    return str(TcpAddress(str(ip_address), address.port))


def _binding(address: TcpAddress | UnixAddress) -> contextlib.AbstractContextManager[None]:
    return private_socket(address) if isinstance(address, UnixAddress) else contextlib.nullcontext()
