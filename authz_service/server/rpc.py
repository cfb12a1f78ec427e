"""The gRPC server: the Authorization service and the standard health service."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import grpc.aio
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from authz_service.ext_authz.servicer import SERVICE_NAME, AuthorizationServicer, generic_handler
from authz_service.server.listen import (
    AbstractAddress,
    ListenError,
    TcpAddress,
    UnixAddress,
    is_loopback,
    why_not,
)
from authz_service.server.unix_socket import SocketAccess, UnixSocket, publish

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from authz_service.server.listen import Address

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
    # Who connects and then says nothing, in TLS or in HTTP/2, holds a descriptor no longer.
    ("grpc.server_handshake_timeout_ms", 10_000),
)
_OWNER_AND_GROUP: Final = SocketAccess()


class RpcServer:
    """Listens on one address; its health is what `set_serving` says."""

    def __init__(self, servicer: AuthorizationServicer) -> None:
        """Not listening yet, and not serving. Needs a running event loop."""
        self._server = grpc.aio.server(options=_OPTIONS)
        self._server.add_generic_rpc_handlers((generic_handler(servicer),))
        self._socket: UnixSocket | None = None
        self._health = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._health, self._server)

    async def start(
        self,
        address: Address,
        *,
        credentials: grpc.ServerCredentials | None = None,
        insecure: bool = False,
        access: SocketAccess = _OWNER_AND_GROUP,
    ) -> Address:
        """Listen on *address*, and say where really: port 0 becomes the one that was chosen.

        Without *credentials* there is no TLS, which is for this machine alone unless *insecure*.
        *access* says who may connect to a socket in the file system. Raises ListenError.
        """
        await self.set_serving(serving=False)
        try:
            bound = await self._bind(address, credentials, access, insecure=insecure)
            await self._server.start()
        except (RuntimeError, OSError, UnicodeError):
            raise ListenError(f"cannot listen on {address}: {why_not(address)}") from None
        return bound

    async def _bind(
        self,
        address: Address,
        credentials: grpc.ServerCredentials | None,
        access: SocketAccess,
        *,
        insecure: bool,
    ) -> Address:
        if isinstance(address, UnixAddress):
            self._socket = await publish(
                address.path, access, lambda path: self._add(_unix_target(path), credentials)
            )
            return address
        if isinstance(address, AbstractAddress):
            self._add(f"unix-abstract:{quote(address.name)}", credentials)
            return address
        found = await _look_up(address)
        if credentials is None and not insecure and not is_loopback(found.host):
            raise ListenError(_not_protected(address, found))
        return TcpAddress(address.host, self._add(str(found), credentials))

    def _add(self, target: str, credentials: grpc.ServerCredentials | None) -> int:
        if credentials is None:
            return self._server.add_insecure_port(target)
        return self._server.add_secure_port(target, credentials)

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
        if self._socket is not None:
            self._socket.remove()
        await self._server.stop(grace)


def _unix_target(path: Path) -> str:
    return f"unix:{quote(os.fsencode(path))}"  # gRPC decodes it


async def _look_up(address: TcpAddress) -> TcpAddress:
    """The IP address of *address*, which gRPC cannot take for one of another kind.

    To gRPC, `unix:9191` is no host, and what is found here is what is bound. Raises OSError,
    UnicodeError.
    """
    found = await asyncio.get_running_loop().getaddrinfo(
        address.host, address.port, type=socket.SOCK_STREAM
    )
    _, _, _, _, (ip_address, *_) = found[0]
    return TcpAddress(str(ip_address), address.port)


def _not_protected(address: TcpAddress, found: TcpAddress) -> str:
    resolved = "" if address == found else f" ({found.host})"
    return (
        f"cannot listen on {address}{resolved} without TLS, as it is not loopback: give --tls-cert"
        " and --tls-key, or --insecure-listen if the network itself keeps everybody but Envoy away"
    )
