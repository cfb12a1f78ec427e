"""One bounded GET: for metadata and key sets, from servers that may be down, slow or hostile."""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import aiohttp

from authz_service.core.errors import IssuerError

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

MAX_DOCUMENT_BYTES: Final = 1024 * 1024

_OK: Final = 200
_NOT_MODIFIED: Final = 304
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

    def __init__(self) -> None:
        """Open nothing yet; needs a running event loop."""
        self._session = aiohttp.ClientSession(
            auto_decompress=False,  # its expansion is not bounded
            connector=aiohttp.TCPConnector(force_close=True),
            cookie_jar=aiohttp.DummyCookieJar(),
            headers={"accept": "application/json", "accept-encoding": "identity"},
            middlewares=(_once,),
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
        try:
            async with self._session.get(
                url,
                allow_redirects=False,
                headers={} if etag is None else {"if-none-match": etag},
                timeout=aiohttp.ClientTimeout(total=within, sock_connect=within / 2),
            ) as response:
                return await _read(response, conditional=etag is not None)
        except TimeoutError:
            raise FetchError("no answer in time", url=url) from None
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise _no_answer(url, error) from None


async def _once(
    request: aiohttp.ClientRequest, handler: aiohttp.ClientHandlerType
) -> aiohttp.ClientResponse:
    """Send *request* one time: aiohttp repeats a GET whose connection was lost."""
    try:
        return await handler(request)
    except (aiohttp.ClientOSError, aiohttp.ServerDisconnectedError) as error:
        raise _no_answer(str(request.url), error) from None


def _no_answer(url: str, error: Exception) -> FetchError:
    """What went wrong, by the name of the exception and what the system says, never the server."""
    cause = getattr(error, "os_error", error)
    why = getattr(cause, "strerror", None)
    return FetchError(
        "no answer", url=url, error=type(error).__name__, cause=str(why or type(cause).__name__)
    )


async def _read(response: aiohttp.ClientResponse, *, conditional: bool) -> Fetched:
    url = str(response.url)
    etag = response.headers.get("etag", "")
    age = _MAX_AGE.search(response.headers.get("cache-control", ""))
    max_age = float(age[1]) if age else None
    if conditional and response.status == _NOT_MODIFIED:
        return Fetched(None, _sendable(etag), max_age)
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
