"""Host names are looked up where a lookup that hangs holds up nothing but itself.

The system's lookup cannot be broken off, and may take minutes. An event loop does it in a pool of
threads that is waited for when the loop ends, and so would the end of the service be.
"""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

    from authz_service.keys.background import InBackground

_REACHABLE: Final = socket.AI_ADDRCONFIG & getattr(socket, "AI_MASK", socket.AI_ADDRCONFIG)


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect to. *host* is an IP literal, with the scope of a link-local one."""

    family: int
    host: str
    port: int


class BackgroundResolver:
    """Asks the system, in the background, and for each host once at a time."""

    def __init__(self, in_background: InBackground) -> None:
        """Look up by means of *in_background*."""
        self._in_background = in_background
        self._under_way: dict[tuple[str, int], asyncio.Task[list[Address]]] = {}

    async def resolve(self, host: str, port: int) -> list[Address]:
        """Give the addresses of *host*, best first. Raises socket.gaierror and UnicodeError.

        Whoever is cancelled meanwhile leaves the lookup to the next who asks for the same.
        """
        with contextlib.suppress(ValueError):
            return [_literal(host, port)]
        lookup = self._under_way.get((host, port)) or self._begin(host, port)
        await asyncio.wait([lookup])  # which does not cancel it
        return lookup.result()

    def _begin(self, host: str, port: int) -> asyncio.Task[list[Address]]:
        def ended(lookup: asyncio.Task[list[Address]]) -> None:
            del self._under_way[host, port]
            if not lookup.cancelled():
                lookup.exception()  # nobody may be left to hear of it

        lookup = asyncio.create_task(self._look_up(host, port), name="lookup")
        lookup.add_done_callback(ended)
        self._under_way[host, port] = lookup
        return lookup

    async def _look_up(self, host: str, port: int) -> list[Address]:
        found = await self._in_background(
            socket.getaddrinfo,
            host,
            port,
            type=socket.SOCK_STREAM,
            flags=_REACHABLE,
        )
        return _addresses(found)

    async def close(self) -> None:
        """Wait for nothing any more: what is under way ends by itself, or with the process."""
        lookups = list(self._under_way.values())
        for lookup in lookups:
            lookup.cancel()
        await asyncio.gather(*lookups, return_exceptions=True)


def _literal(host: str, port: int) -> Address:
    """The address that *host* is. Raises ValueError where it is a name."""
    six = isinstance(ipaddress.ip_address(host), ipaddress.IPv6Address)
    return Address(socket.AF_INET6 if six else socket.AF_INET, host, port)


def _addresses(
    found: Sequence[tuple[int, int, int, str, tuple[int | str | bytes, ...]]],
) -> list[Address]:
    return [
        Address(family, _with_scope(at, *rest), port)
        for family, _, _, _, (at, port, *rest) in found
        if isinstance(at, str) and isinstance(port, int)
    ]


def _with_scope(at: str, *flow_and_scope: int | str | bytes) -> str:
    """An IPv6 address of a link is nothing without its scope (RFC 4007, section 11)."""
    match flow_and_scope:
        case (_, int(scope)) if scope and "%" not in at:
            return f"{at}%{scope}"
        case _:
            return at
