"""The first of a host's addresses that takes a connection, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.keys import connect
from authz_service.keys.connect import connected_socket
from authz_service.keys.resolver import Address
from tests.support.event_loops import in_event_loop

if TYPE_CHECKING:
    from collections.abc import Iterator

LATER: Final = 20.0


@contextlib.contextmanager
def listening() -> Iterator[Address]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield _at(listener)


@contextlib.contextmanager
def refusing() -> Iterator[Address]:
    """A port that is taken, and on which nobody listens."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield _at(bound)


@contextlib.contextmanager
def silent() -> Iterator[Address]:
    """A port at which connections are neither taken nor refused: its queue is full."""
    with contextlib.ExitStack() as stack:
        listener = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        for _ in range(4):
            waiting = stack.enter_context(socket.socket())
            waiting.settimeout(0)
            waiting.connect_ex(listener.getsockname())
        yield _at(listener)


def _at(bound: socket.socket) -> Address:
    return Address(socket.AF_INET, *bound.getsockname())


async def port_of_first(*addresses: Address) -> int:
    async with asyncio.timeout(LATER):
        with await connected_socket(addresses) as connected:
            port: int = connected.getpeername()[1]
            return port


@in_event_loop
async def test_the_first_address_is_taken() -> None:
    with listening() as first, listening() as second:
        assert await port_of_first(first, second) == first.port


@in_event_loop
async def test_an_address_that_refuses_is_followed_by_the_next_at_once() -> None:
    with pytest.MonkeyPatch.context() as patch, refusing() as first, listening() as second:
        patch.setattr(connect, "NEXT_AFTER", LATER * 2)
        assert await port_of_first(first, second) == second.port


@in_event_loop
async def test_an_address_that_leads_nowhere_holds_the_next_up_for_a_moment_only() -> None:
    with pytest.MonkeyPatch.context() as patch, silent() as first, listening() as second:
        patch.setattr(connect, "NEXT_AFTER", 0.01)
        assert await port_of_first(first, first, second) == second.port


@in_event_loop
async def test_families_are_tried_in_turns() -> None:
    with pytest.MonkeyPatch.context() as patch, listening() as there:
        tried: list[Address] = []

        async def refuse_ipv6(address: Address) -> socket.socket:
            tried.append(address)
            if address.family == socket.AF_INET6:
                raise ConnectionRefusedError
            return await attempt(address)

        attempt = connect._connect
        patch.setattr(connect, "_connect", refuse_ipv6)
        nowhere = [Address(socket.AF_INET6, f"2001:db8::{number}", 443) for number in range(9)]
        assert await port_of_first(*nowhere, there) == there.port
        assert tried == [nowhere[0], there]


@in_event_loop
async def test_where_none_takes_it_the_fault_of_the_first_is_told() -> None:
    with refusing() as first:
        wrong = Address(socket.AF_INET6, "127.0.0.1", first.port)
        with pytest.raises(ConnectionRefusedError):
            await port_of_first(first, wrong)
    with pytest.raises(OSError, match="no address"):
        await port_of_first()


@in_event_loop
async def test_who_is_cancelled_leaves_no_attempt_behind() -> None:
    with silent() as first, pytest.raises(TimeoutError):
        async with asyncio.timeout(0.05):
            await connected_socket([first, first])
    assert asyncio.all_tasks() == {asyncio.current_task()}
