"""Host names are looked up where a lookup that hangs holds up nothing but itself.

The system's lookup cannot be broken off, and may take minutes. An event loop does it in a pool of
threads that is waited for when the loop ends, and so would the end of the service be.
"""

from __future__ import annotations

import socket
from collections import Counter
from typing import TYPE_CHECKING, Final

from aiohttp.abc import AbstractResolver, ResolveResult

if TYPE_CHECKING:
    from authz_service.keys.background import InBackground

_NUMERIC: Final = socket.AI_NUMERICHOST | socket.AI_NUMERICSERV
_REACHABLE: Final = socket.AI_ADDRCONFIG & getattr(socket, "AI_MASK", socket.AI_ADDRCONFIG)


class BackgroundResolver(AbstractResolver):
    """Asks the system, in the background. aiohttp asks for each name once at a time."""

    def __init__(self, in_background: InBackground) -> None:
        """Look up by means of *in_background*."""
        self._in_background = in_background
        self._under_way: Counter[str] = Counter()

    def is_looking_up(self, host: str) -> bool:
        """Whether a lookup of *host* has not ended yet."""
        return self._under_way[host] > 0

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Give the addresses of *host*. Raises socket.gaierror."""
        self._under_way[host] += 1
        try:
            found = await self._in_background(
                socket.getaddrinfo,
                host,
                port,
                family=family,
                type=socket.SOCK_STREAM,
                flags=_REACHABLE,
            )
        finally:
            self._under_way[host] -= 1
        return [
            ResolveResult(
                hostname=host,
                host=_address(at, *sockaddr[2:]),
                port=port,
                family=kind,
                proto=proto,
                flags=_NUMERIC,
            )
            for kind, _, proto, _, sockaddr in found
            if isinstance(at := sockaddr[0], str)
        ]

    async def close(self) -> None:
        """Nothing to release: what is under way ends by itself, or with the process."""


def _address(at: str, *flow_and_scope: int | str | bytes) -> str:
    """An IPv6 address of a link is nothing without its scope (RFC 4007, section 11)."""
    match flow_and_scope:
        case (_, int(scope)) if scope and "%" not in at:
            return f"{at}%{scope}"
        case _:
            return at
