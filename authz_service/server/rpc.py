"""The gRPC server: the Authorization service and the standard health service."""

from __future__ import annotations

import asyncio
import os
import socket
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import grpc.aio

from authz_service.ext_authz.servicer import SERVICE_NAME, AuthorizationServicer, generic_handler
from authz_service.server import health
from authz_service.server.calls import ServerCalls
from authz_service.server.drain import Drain
from authz_service.server.limits import HARD_BOUND, RpcLimits, channel_arguments
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
    from pathlib import Path

    from authz_service.server.listen import Address

_LAST_WORDS: Final = 0.5  # seconds, to close connections in order

# With it, a second server would share the port without a word.
_NOT_SHARED: Final = ("grpc.so_reuseport", 0)
_OWNER_AND_GROUP: Final = SocketAccess()


class RpcServer:
    """Listens on one address; its health is what `set_serving` says."""

    def __init__(self, servicer: AuthorizationServicer, limits: RpcLimits | None = None) -> None:
        """Not listening yet, and not serving. Needs a running event loop."""
        self._server = grpc.aio.server(
            options=(_NOT_SHARED, *channel_arguments(limits or RpcLimits())),
            maximum_concurrent_rpcs=HARD_BOUND * servicer.admission.most + health.MAX_WATCHES,
        )
        self._health = health.Health(("", SERVICE_NAME))
        self._server.add_generic_rpc_handlers(
            (generic_handler(servicer), health.generic_handler(self._health))
        )
        self._socket: UnixSocket | None = None
        self._admission = servicer.admission
        self._drain = Drain(servicer.admission)
        all_calls = ServerCalls()
        servicer.admission.watch(lambda: all_calls() - self._health.watches)

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
        self._health.set(serving=serving)

    async def drain(self, grace: float) -> None:
        """Say that this serves no longer, and answer what comes all the same, until no more does.

        Takes most of *grace* seconds at the most.
        """
        self._health.shut_down()
        await self._drain.until_quiet(grace)

    async def stop(self, grace: float) -> None:
        """Take no new Checks, and end when those under way have: within *grace* seconds.

        To be called once: gRPC crashes if a second call comes while the first one waits.
        """
        self._health.shut_down()
        self._health.end_watches()
        if self._socket is not None:
            self._socket.remove()
        if not self._admission.here:  # what gRPC waits for then are connections, perhaps dead ones
            grace = min(grace, _LAST_WORDS)
        await self._server.stop(grace)

    def hurry(self) -> None:
        """Have the drain end now."""
        self._drain.hurry()


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
