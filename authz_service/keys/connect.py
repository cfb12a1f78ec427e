"""A TCP connection to the first of a host's addresses that takes one (RFC 8305)."""

from __future__ import annotations

import asyncio
import itertools
import socket
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from authz_service.keys.resolver import Address

NEXT_AFTER: Final = 0.25
"""Seconds that an attempt has for itself (RFC 8305, section 5)."""


async def connected_socket(addresses: Sequence[Address]) -> socket.socket:
    """Connect to one of *addresses*, which are tried in their order, and not only one at a time.

    An address that does not answer, as of an IPv6 that leads nowhere, holds the others up for a
    moment only. Raises what was wrong with the first of them, an OSError, where all have failed.
    Is to be given a limit of time.
    """
    attempts: list[asyncio.Task[socket.socket]] = []
    connected = None
    try:
        connected = await _race(_interleaved(addresses), attempts)
    finally:
        await _call_off(attempts, connected)
    return connected


async def _race(
    waiting: Iterator[Address], attempts: list[asyncio.Task[socket.socket]]
) -> socket.socket:
    """Give the socket of the first of *attempts* to succeed, which is taken out of them."""
    pending: set[asyncio.Task[socket.socket]] = set()
    following = next(waiting, None)
    while following is not None or pending:
        if following is not None:
            attempts.append(asyncio.create_task(_connect(following), name="connect"))
            pending.add(attempts[-1])
            following = next(waiting, None)
        done, pending = await asyncio.wait(
            pending,
            timeout=None if following is None else NEXT_AFTER,
            return_when=asyncio.FIRST_COMPLETED,
        )
        for attempt in done:
            if attempt.exception() is None:
                attempts.remove(attempt)
                return attempt.result()
    if not attempts:
        raise OSError("no address")
    return attempts[0].result()  # raises


async def _call_off(
    attempts: Sequence[asyncio.Task[socket.socket]], connected: socket.socket | None
) -> None:
    """End *attempts*. Who is cancelled meanwhile has no use for what is *connected* either."""
    for attempt in attempts:
        attempt.cancel()
    try:
        outcomes = await asyncio.gather(*attempts, return_exceptions=True)
    except asyncio.CancelledError:
        if connected is not None:
            connected.close()
        raise
    for outcome in outcomes:
        if isinstance(outcome, socket.socket):
            outcome.close()


async def _connect(address: Address) -> socket.socket:
    connecting = socket.socket(address.family, socket.SOCK_STREAM)
    try:
        connecting.settimeout(0)
        await asyncio.get_running_loop().sock_connect(connecting, (address.host, address.port))
    except BaseException:
        connecting.close()
        raise
    return connecting


def _interleaved(addresses: Sequence[Address]) -> Iterator[Address]:
    """The families in turns (RFC 8305, section 4): the one that leads nowhere may have many."""
    families: dict[int, list[Address]] = {}
    for address in addresses:
        families.setdefault(address.family, []).append(address)
    turns = itertools.zip_longest(*families.values())
    return (address for turn in turns for address in turn if address is not None)
