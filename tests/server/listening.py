"""A server that listens for as long as a test needs it, and one that must not."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

import pytest

from authz_service.server.listen import ListenError
from authz_service.server.rpc import RpcServer
from tests.edge.rig import servicer

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_service.server.listen import Address


@contextlib.asynccontextmanager
async def serving(address: Address, **transport: Any) -> AsyncIterator[Address]:  # noqa: ANN401 - of RpcServer.start
    server = RpcServer(servicer())
    bound = await server.start(address, **transport)
    try:
        yield bound
    finally:
        await server.stop(0)


async def assert_refused(
    address: Address,
    why: str = "cannot listen on",
    **transport: Any,  # noqa: ANN401 - as above
) -> None:
    with pytest.raises(ListenError, match=why) as refusal:
        async with serving(address, **transport):
            pass
    assert str(address) in str(refusal.value)
    assert len(str(refusal.value).splitlines()) == 1
