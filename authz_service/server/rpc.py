"""The gRPC server: the Authorization service and the standard health service."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final
from urllib.parse import quote

import grpc.aio

from authz_service.ext_authz.servicer import SERVICE_NAME, AuthorizationServicer, generic_handler
from authz_service.server import health
from authz_service.server.calls import ServerCalls
from authz_service.server.drain import Drain
from authz_service.server.limits import HARD_BOUND, RpcLimits, channel_arguments
from authz_service.server.listen import (
    ListenError,
    TcpAddress,
    UnixAddress,
    private_socket,
    why_not,
)

_LAST_WORDS: Final = 0.5  # seconds, to close connections in order

# With it, a second server would share the port without a word.
_NOT_SHARED: Final = ("grpc.so_reuseport", 0)


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
        self._admission = servicer.admission
        self._drain = Drain(servicer.admission)
        all_calls = ServerCalls()
        servicer.admission.watch(lambda: all_calls() - self._health.watches)

    async def start(self, address: TcpAddress | UnixAddress) -> TcpAddress | UnixAddress:
        """Listen on *address*, and say where really: port 0 becomes the one that was chosen.

        Raises ListenError.
        """
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
        if not self._admission.here:  # what gRPC waits for then are connections, perhaps dead ones
            grace = min(grace, _LAST_WORDS)
        await self._server.stop(grace)

    def hurry(self) -> None:
        """Have the drain end now."""
        self._drain.hurry()


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
