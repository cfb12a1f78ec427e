"""Whom a server's certificate must come from: the authorities that this system trusts.

They are read when the first https:// URL is fetched, since they take more memory than all keys do,
and once: a restart reads them anew.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from authz_service.keys.background import InBackground


class TrustStore:
    """The system's authorities, or those of `SSL_CERT_FILE` and `SSL_CERT_DIR`."""

    def __init__(self, in_background: InBackground) -> None:
        """Read nothing yet, and later *in_background*."""
        self._in_background = in_background
        self._reading = asyncio.Lock()
        self._context: ssl.SSLContext | None = None

    async def context(self) -> ssl.SSLContext:
        """What a connection needs: the host's name is checked, and so is every certificate."""
        async with self._reading:
            if self._context is None:
                self._context = await self._in_background(_context)
        return self._context


def _context() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])  # RFC 7301: or a server may speak HTTP/2
    return context
