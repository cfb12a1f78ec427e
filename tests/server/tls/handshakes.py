"""A server with real certificates, and clients that come with theirs."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
from typing import TYPE_CHECKING, Any

import grpc.aio

from authz_service.server.listen import TcpAddress
from authz_service.server.rpc import RpcServer
from authz_service.server.tls.credentials import server_credentials
from tests.edge.rig import Caller, servicer
from tests.edge.shop import check_request
from tests.support.certificates import authority

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckResponse
    from authz_service.server.tls.rotation import RotatingIdentity
    from tests.support.certificates import Authority, Leaf

# Otherwise a channel may find another test's connection.
_OPTIONS = (("grpc.use_local_subchannel_pool", 1),)


@contextlib.asynccontextmanager
async def serving_tls(
    rotating: RotatingIdentity,
    trusts: Callable[[grpc.aio.ServicerContext[object, object]], bool] | None = None,
) -> AsyncIterator[int]:
    """Serve, following the files; gives the port."""
    server = RpcServer(servicer(trusts=trusts))
    await server.set_serving(serving=True)
    credentials = server_credentials(lambda: rotating.identity)
    bound = await server.start(TcpAddress("127.0.0.1", 0), credentials=credentials)
    following = asyncio.create_task(rotating.run())
    try:
        assert isinstance(bound, TcpAddress)
        yield bound.port
    finally:
        following.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await following
        await server.stop(0)


@contextlib.asynccontextmanager
async def connected(
    port: int,
    client: Leaf | None,
    *,
    ca: Authority | None = None,
    options: Sequence[tuple[str, Any]] = (),
) -> AsyncIterator[Caller]:
    """Connect with *client*'s certificate, trusting servers of *ca*."""
    credentials = grpc.ssl_channel_credentials(
        (ca or authority()).pem,
        client.key if client else None,
        client.certificate if client else None,
    )
    target = f"localhost:{port}"
    async with grpc.aio.secure_channel(
        target, credentials, options=(*_OPTIONS, *options)
    ) as channel:
        yield Caller(channel)


async def asked(port: int, client: Leaf | None, *, ca: Authority | None = None) -> CheckResponse:
    """Ask about a public route on a connection of its own. Raises grpc.aio.AioRpcError."""
    async with connected(port, client, ca=ca) as caller:
        return await caller.check(check_request("/healthz"))


async def is_let_in(port: int, client: Leaf | None, *, ca: Authority | None = None) -> bool:
    """Whether there is an answer at all, and then it is an allow."""
    try:
        response = await asked(port, client, ca=ca)
    except grpc.aio.AioRpcError as error:
        if error.code() is grpc.StatusCode.UNAVAILABLE:
            return False
        raise
    assert response.status.code == 0
    return True


def client_context(directory: Path, client: Leaf, **attributes: Any) -> ssl.SSLContext:  # noqa: ANN401 - of SSLContext
    """Make the client's side with Python's own TLS, which can do what no decent client does."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    certificate, key = directory / "client.crt", directory / "client.key"
    certificate.write_bytes(client.certificate)
    key.write_bytes(client.key)
    context.load_cert_chain(certificate, key)
    context.set_alpn_protocols(["h2"])
    for name, value in attributes.items():
        setattr(context, name, value)
    return context
