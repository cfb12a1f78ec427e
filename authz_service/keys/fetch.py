"""One bounded GET: for metadata and key sets, from servers that may be down, slow or hostile."""

from __future__ import annotations

import asyncio
import contextlib
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import h11

from authz_service.core.errors import IssuerError
from authz_service.core.urls import url_fault
from authz_service.keys.connect import connected_socket
from authz_service.keys.exchange import BUFFER_BYTES, Exchange, port_of
from authz_service.keys.no_answer import NOT_IN_TIME, CutShortError, why_no_answer
from authz_service.keys.resolver import BackgroundResolver
from authz_service.keys.trust import TrustStore

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType
    from typing import Self

    from authz_service.keys.background import InBackground
    from authz_service.keys.exchange import Head

MAX_DOCUMENT_BYTES: Final = 1024 * 1024

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_GZIP_OR_ZLIB: Final = 32 + zlib.MAX_WBITS
_ETAG: Final = re.compile(r'(?:W/)?"[!#-~]{0,512}"', re.ASCII)
_MAX_AGE: Final = re.compile(r"(?:^|,)\s*max-age\s*=\s*\"?([0-9]{1,10})", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A document, or None where it *etag* says that it has not changed (RFC 9110, 15.4.5).

    *max_age* is what `Cache-Control` states, in seconds.
    """

    document: bytes | None
    etag: str | None = None
    max_age: float | None = None


class FetchError(IssuerError):
    """No document was had. What it would have said is not known."""


class Fetcher(Protocol):
    """Something that gets a document by its URL."""

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        """Get *url* in *within* seconds at the most, or learn that it still has *etag*.

        Raises FetchError.
        """


class HttpFetcher:
    """Fetches over HTTP as a security decision asks for.

    No redirects: they would let one server hand our trust to another. No proxy, netrc or cookies
    from the environment. The time, and the size before and after decompression, are bounded. Each
    fetch has a connection of its own, which is closed after it.
    """

    def __init__(self, in_background: InBackground = asyncio.to_thread) -> None:
        """Open nothing yet. Host names are looked up *in_background*.

        Where a lookup must not hold up the end of the event loop, give another than the default.
        """
        self._resolver = BackgroundResolver(in_background)
        self._trust = TrustStore(in_background)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Leave the lookups that are under way to themselves."""
        await self._resolver.close()

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        """Get *url*; see Fetcher."""
        progress = _Progress()
        try:
            async with asyncio.timeout(within), self._connected(url, within, progress) as exchange:
                head = await exchange.get(urlsplit(url), _fields(etag))
                return await _read(exchange, head, url, conditional=etag is not None)
        except (OSError, EOFError, ValueError, CutShortError, h11.RemoteProtocolError) as error:
            raise FetchError(_why(error, progress), url=url) from None

    @contextlib.asynccontextmanager
    async def _connected(
        self, url: str, within: float, progress: _Progress
    ) -> AsyncIterator[Exchange]:
        """Connect to the host of *url*, in half of the time that there is for all."""
        if url_fault(url, allow_http=True) is not None:
            raise ValueError(url)
        parts = urlsplit(url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        addresses = await self._resolver.resolve(host, parts.port or port_of(parts.scheme))
        progress.stage = "while connecting"
        async with asyncio.timeout(within / 2):
            context = await self._trust.context() if secure else None
            reader, writer = await asyncio.open_connection(
                sock=await connected_socket(addresses),
                limit=BUFFER_BYTES,
                ssl=context,
                server_hostname=host.rstrip(".") if secure else None,
            )
        progress.stage = "while reading"
        try:
            yield Exchange(reader, writer)
        finally:
            writer.transport.abort()


@dataclass(slots=True)
class _Progress:
    """What a fetch is at."""

    stage: str = "while looking up the host name"


def _why(error: Exception, progress: _Progress) -> str:
    """Tell our own limits of time from the system's, which have a number."""
    if isinstance(error, TimeoutError) and error.errno is None:
        return f"{NOT_IN_TIME}, {progress.stage}"
    return why_no_answer(error)


def _fields(etag: str | None) -> list[tuple[str, str]]:
    """The field lines of a request that are our own choice."""
    conditional = [] if etag is None else [("if-none-match", etag)]
    return [
        ("accept", "application/json"),
        ("accept-encoding", "identity"),
        ("user-agent", "authz-service"),  # some firewalls refuse who has no name
        *conditional,
    ]


async def _read(exchange: Exchange, head: Head, url: str, *, conditional: bool) -> Fetched:
    etag = _sendable(head.field(b"etag") or "")
    age = _MAX_AGE.search(head.field(b"cache-control") or "")
    max_age = float(age[1]) if age else None
    if conditional and head.status == _NOT_MODIFIED:
        return Fetched(None, etag, max_age)
    if head.status in _REDIRECTS:
        message = "the answer is a redirect, which is not followed"
        raise FetchError(message, url=url, status=head.status)
    if head.status != _OK:
        raise FetchError("the answer is not 200", url=url, status=head.status)
    octets = bytearray()
    while (part := await exchange.next_part()) is not None:
        octets += part
        if len(octets) > MAX_DOCUMENT_BYTES:
            raise FetchError("the answer is too large", url=url, at_most=MAX_DOCUMENT_BYTES)
    encoding = head.field(b"content-encoding")
    decoded = _decoded(bytes(octets), "identity" if encoding is None else encoding.lower(), url)
    return Fetched(decoded, etag, max_age)


def _sendable(etag: str) -> str | None:
    """*etag* if it is one (RFC 9110, section 8.8.3) and can be sent back."""
    return etag if _ETAG.fullmatch(etag) else None


def _decoded(octets: bytes, encoding: str, url: str) -> bytes:
    """Undo the content coding that some servers apply though they were asked not to."""
    if encoding == "identity":
        return octets
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise FetchError("the answer has a content coding that was not asked for", url=url)
    try:
        stream = zlib.decompressobj(_GZIP_OR_ZLIB)
        decoded = stream.decompress(octets, MAX_DOCUMENT_BYTES + 1)
    except zlib.error:
        raise FetchError("the answer's content coding is broken", url=url) from None
    if len(decoded) > MAX_DOCUMENT_BYTES:
        raise FetchError("the answer is too large", url=url, at_most=MAX_DOCUMENT_BYTES)
    if not stream.eof:
        raise FetchError("the answer's content coding is broken", url=url)
    return decoded
