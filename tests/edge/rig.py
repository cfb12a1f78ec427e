"""A real server with the real servicer, a real channel to it, and fakes behind it."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import grpc.aio

from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import (
    CheckRequest,
    CheckResponse,
)
from authz_service.ext_authz.limits import CheckLimits
from authz_service.ext_authz.servicer import AuthorizationServicer, DecidedCheck
from authz_service.server.listen import TcpAddress
from authz_service.server.rpc import RpcServer
from tests.edge.shop import NOW, published, shop_policy

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Policy
    from authz_service.core.verified import VerifiedTokens
    from authz_service.server.limits import RpcLimits
    from authz_service.server.listen import UnixAddress

CHECK: Final = "/envoy.service.auth.v3.Authorization/Check"
PATIENCE: Final = 20.0
"""Seconds after which what should have happened did not."""

_ANY_PORT: Final = TcpAddress("127.0.0.1", 0)


class FakeKeys:
    """Key sets in memory. A nudge gives *fetch*, and sets `nudged`."""

    def __init__(
        self,
        key_sets: Mapping[str, KeySet] | None = None,
        fetch: asyncio.Future[None] | None = None,
    ) -> None:
        self.key_sets: Mapping[str, KeySet] = published() if key_sets is None else key_sets
        self.fetch = fetch
        self.nudged = asyncio.Event()
        self.nudges: list[str] = []

    def nudge(self, issuer: str) -> asyncio.Future[None] | None:
        self.nudges.append(issuer)
        self.nudged.set()
        return self.fetch


@dataclass
class Observer:
    """Remembers what it was told."""

    checks: list[DecidedCheck] = field(default_factory=list)

    def __call__(self, check: DecidedCheck) -> None:
        self.checks.append(check)


def servicer(
    *,
    policy: Policy | None = None,
    keys: FakeKeys | None = None,
    observe: Callable[[DecidedCheck], None] | None = None,
    clock: Callable[[], float] = lambda: NOW,
    max_key_wait: float = PATIENCE,
    trusts: Callable[[grpc.aio.ServicerContext[object, object]], bool] | None = None,
    limits: CheckLimits | None = None,
    verified: VerifiedTokens | None = None,
) -> AuthorizationServicer:
    """Make the real one, for the shop unless something else is given."""
    return AuthorizationServicer(
        policy or shop_policy(),
        keys or FakeKeys(),
        observe or Observer(),
        trusts=trusts,
        clock=clock,
        limits=limits or CheckLimits(key_wait=max_key_wait),
        verified=verified,
    )


@dataclass(frozen=True)
class Caller:
    """Envoy's side of the connection."""

    channel: grpc.aio.Channel
    address: str = ""

    def call(
        self, message: CheckRequest | bytes, *, deadline: float = PATIENCE
    ) -> grpc.aio.UnaryUnaryCall[bytes, bytes]:
        """Send *message*, or whatever octets it is."""
        octets = message if isinstance(message, bytes) else message.SerializeToString()
        method: grpc.aio.UnaryUnaryMultiCallable[bytes, bytes] = self.channel.unary_unary(
            CHECK, bytes, bytes
        )
        return method(octets, timeout=deadline)

    async def check(
        self, message: CheckRequest | bytes, *, deadline: float = PATIENCE
    ) -> CheckResponse:
        """Ask, and read the answer, which must be one that Envoy understands."""
        response = CheckResponse.FromString(await self.call(message, deadline=deadline))
        assert_is_an_answer(response)
        return response


@contextlib.asynccontextmanager
async def edge(
    served: AuthorizationServicer,
    address: TcpAddress | UnixAddress = _ANY_PORT,
    *,
    limits: RpcLimits | None = None,
) -> AsyncIterator[Caller]:
    """Serve, and connect."""
    server = RpcServer(served, limits)
    bound = await server.start(address)
    try:
        async with grpc.aio.insecure_channel(str(bound)) as channel:
            yield Caller(channel, str(bound))
    finally:
        await server.stop(PATIENCE)


def ask(
    *messages: CheckRequest | bytes, served: Callable[[], AuthorizationServicer] = servicer
) -> list[CheckResponse]:
    """Ask about *messages* in turn, on one connection."""

    async def exchange() -> list[CheckResponse]:
        async with edge(served()) as caller:
            return [await caller.check(message) for message in messages]

    return asyncio.run(exchange())


def answer(
    message: CheckRequest | bytes, *, served: Callable[[], AuthorizationServicer] = servicer
) -> CheckResponse:
    """Ask about *message*."""
    (response,) = ask(message, served=served)
    return response


def assert_is_an_answer(response: CheckResponse) -> None:
    """Whatever was decided: a status that is set, and the kind of response that goes with it.

    Envoy takes an unset status for OK, and a denied response with OK for an allow.
    """
    assert response.HasField("status")
    expected = "ok_response" if response.status.code == 0 else "denied_response"
    assert response.WhichOneof("http_response") == expected
    metadata = response.dynamic_metadata.fields
    if response.status.code == 0:
        refused = metadata["decision"].string_value == "deny"
        assert refused == ("mode" in metadata)
    else:
        assert response.denied_response.status.code >= 400
        assert metadata["decision"].string_value == "deny"
        assert metadata["reason"].string_value


def reason(response: CheckResponse) -> str:
    """The reason in the metadata; empty for an allow."""
    return response.dynamic_metadata.fields["reason"].string_value


def removed(response: CheckResponse) -> set[str]:
    """The names that Envoy is told to remove, each of them once."""
    names = list(response.ok_response.headers_to_remove)
    assert len(names) == len(set(names))
    return set(names)


def overwritten(response: CheckResponse) -> dict[str, str]:
    """The fields that Envoy is told to set, each of them once."""
    options = response.ok_response.headers
    fields = {option.header.key: option.header.value for option in options}
    assert len(fields) == len(options)
    return fields
