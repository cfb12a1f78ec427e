"""One bounded GET: for metadata and key sets, from servers that may be down, slow or hostile."""

from __future__ import annotations

import asyncio
import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol
from urllib.parse import urlsplit

import aiohttp

from authz_service.core.errors import IssuerError
from authz_service.keys.no_answer import NOT_IN_TIME, why_no_answer
from authz_service.keys.resolver import BackgroundResolver

if TYPE_CHECKING:
    from types import SimpleNamespace, TracebackType
    from typing import Self

    from authz_service.keys.background import InBackground

MAX_DOCUMENT_BYTES: Final = 1024 * 1024

_OK: Final = 200
_NOT_MODIFIED: Final = 304
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_CHUNK_BYTES: Final = 64 * 1024
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
    from the environment. The time, and the size before and after decompression, are bounded.
    """

    def __init__(self, in_background: InBackground = asyncio.to_thread) -> None:
        """Open nothing yet; needs a running event loop. Host names are looked up *in_background*.

        Where a lookup must not hold up the end of the event loop, give another than the default.
        """
        self._resolver = BackgroundResolver(in_background)
        tracing = aiohttp.TraceConfig()
        tracing.on_connection_create_end.append(_note_connection)
        self._session = aiohttp.ClientSession(
            auto_decompress=False,  # its expansion is not bounded
            connector=aiohttp.TCPConnector(force_close=True, resolver=self._resolver),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            middlewares=(_once,),
            trace_configs=[tracing],
            trust_env=False,
        )

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
        """Close what connections there are."""
        await self._session.close()

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        """Get *url*; see Fetcher."""
        progress = _Progress()
        try:
            async with self._session.get(
                url,
                allow_redirects=False,
                trace_request_ctx=progress,
                headers={} if etag is None else {"if-none-match": etag},
                timeout=aiohttp.ClientTimeout(total=within, sock_connect=within / 2),
            ) as response:
                return await _read(response, conditional=etag is not None)
        except TimeoutError:
            raise FetchError(f"{NOT_IN_TIME}, {self._stage(url, progress)}", url=url) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise FetchError(why_no_answer(error), url=url) from None

    def _stage(self, url: str, progress: _Progress) -> str:
        """What took so long."""
        if progress.connected:
            return "while reading"
        if self._resolver.is_looking_up(urlsplit(url).hostname or ""):
            return "while looking up the host name"
        return "while connecting"


@dataclass(slots=True)
class _Progress:
    """How far a request has come."""

    connected: bool = False


async def _note_connection(
    _session: aiohttp.ClientSession, context: SimpleNamespace, _parameters: object
) -> None:
    context.trace_request_ctx.connected = True


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send *request* one time: aiohttp repeats a GET whose connection was lost."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise FetchError(why_no_answer(error), url=str(request.url)) from None


async def _read(response: aiohttp.ClientResponse, *, conditional: bool) -> Fetched:
    url = str(response.url)
    etag = response.headers.get("etag", "")
    age = _MAX_AGE.search(response.headers.get("cache-control", ""))
    max_age = float(age[1]) if age else None
    if conditional and response.status == _NOT_MODIFIED:
        return Fetched(None, _sendable(etag), max_age)
    if response.status in _REDIRECTS:
        message = "the answer is a redirect, which is not followed"
        raise FetchError(message, url=url, status=response.status)
    if response.status != _OK:
        raise FetchError("the answer is not 200", url=url, status=response.status)
    octets = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        octets += chunk
        if len(octets) > MAX_DOCUMENT_BYTES:
            raise FetchError("the answer is too large", url=url, at_most=MAX_DOCUMENT_BYTES)
    encoding = response.headers.get("content-encoding", "identity").lower()
    return Fetched(_decoded(bytes(octets), encoding, url), _sendable(etag), max_age)


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
