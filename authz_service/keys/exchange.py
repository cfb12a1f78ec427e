"""One GET and its answer in HTTP/1.1 (RFC 9112), on a connection that is for nothing else.

What a server may make us keep is bounded here, and how long it may keep the event loop from its
other work. How long it may take, and how long its answer may be, is for the caller to bound.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import quote

import h11

from authz_service.keys.no_answer import CutShortError

if TYPE_CHECKING:
    from urllib.parse import SplitResult

BUFFER_BYTES: Final = 64 * 1024
"""What a stream may hold that has not been read yet."""

_MAX_HEAD: Final = 16 * 1024  # bytes of all field lines, and of trailers or a chunk's extensions
_MAX_FIELD: Final = 8 * 1024
_MAX_FIELDS: Final = 128
_MAX_INFORMATIONAL: Final = 16  # answers before the answer, each of which may have a head to parse
_AT_ONCE: Final = 16 * 1024
_BEGINNING: Final = b"HTTP/1."
_SENT_AS_IT_IS: Final = "!$%&'()*+,-./:;=?@_~"  # RFC 3986, section 2, without `#`, `[` and `]`


@dataclass(frozen=True, slots=True)
class Head:
    """The status and the field lines of an answer."""

    status: int
    _fields: tuple[tuple[bytes, bytes], ...]

    @classmethod
    def of(cls, response: h11.Response) -> Head:
        """Take over what *response* says. Raises h11.RemoteProtocolError where it is too much."""
        fields = tuple(response.headers)
        names = {name for name, _ in fields}
        if len(fields) > _MAX_FIELDS or any(len(value) > _MAX_FIELD for _, value in fields):
            raise h11.RemoteProtocolError("too many field lines, or one that is too long")
        if {b"content-length", b"transfer-encoding"} <= names:  # RFC 9112, section 6.3, rule 3
            raise h11.RemoteProtocolError("the length is told twice")
        return cls(response.status_code, fields)

    def field(self, name: bytes) -> str | None:
        """The value of the field *name*, in lower case; of all its lines (RFC 9110, 5.3)."""
        values = [value for key, value in self._fields if key == name]
        return b", ".join(values).decode("latin-1") if values else None


class Exchange:
    """Sends one request on a connection, and reads what comes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Nothing is sent yet, and the connection stays the caller's to close."""
        self._reader = reader
        self._writer = writer
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD)

    async def get(self, url: SplitResult, fields: list[tuple[str, str]]) -> Head:
        """Ask for *url* and give the head of the answer; informational ones before it are nothing.

        Raises h11.RemoteProtocolError for what is no HTTP, EOFError where nothing comes, OSError.
        """
        headers = [("host", _host_of(url)), *fields, ("connection", "close")]
        request = h11.Request(method="GET", target=_target_of(url), headers=headers)
        self._writer.write(self._http.send(request) + self._http.send(h11.EndOfMessage()))
        await self._begin()
        for _ in range(_MAX_INFORMATIONAL + 1):
            if isinstance(event := await self._next_event(), h11.Response):
                return Head.of(event)
        raise h11.RemoteProtocolError("too many informational answers")

    async def next_part(self) -> bytes | None:
        """Give the next part of the body, None at its end; there is nothing after it.

        Raises h11.RemoteProtocolError, CutShortError, OSError.
        """
        event = await self._next_event()
        if isinstance(event, h11.Data):
            return event.data
        if self._http.trailing_data[0]:
            raise h11.RemoteProtocolError("more than was announced")
        return None

    async def _begin(self) -> None:
        """See at once what is no HTTP, and may be waiting for us to say something."""
        try:
            beginning = await self._reader.readexactly(len(_BEGINNING))
        except asyncio.IncompleteReadError as error:
            if not _BEGINNING.startswith(error.partial):
                raise h11.RemoteProtocolError("not HTTP") from None
            raise
        if beginning != _BEGINNING:
            raise h11.RemoteProtocolError("not HTTP")
        self._http.receive_data(beginning)

    async def _next_event(self) -> object:
        while (event := self._http.next_event()) is h11.NEED_DATA:
            octets = await self._reader.read(_AT_ONCE)
            if not octets:
                return self._event_at_the_end()
            self._http.receive_data(octets)
        await asyncio.sleep(0)  # or a flood of the smallest parts would have every turn
        return event

    def _event_at_the_end(self) -> object:
        """The end of a body that lasts until then; anything else ends too early."""
        if self._http.their_state is not h11.SEND_BODY:
            raise EOFError
        self._http.receive_data(b"")
        try:
            return self._http.next_event()
        except h11.RemoteProtocolError:
            raise CutShortError from None


def _host_of(url: SplitResult) -> str:
    """The value of Host (RFC 9112, section 3.2): without user, and without a port of its scheme."""
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname or ""
    return host if url.port in {None, port_of(url.scheme)} else f"{host}:{url.port}"


def _target_of(url: SplitResult) -> str:
    """The origin form (RFC 9112, section 3.2.1), with nothing in it that no URL may have."""
    query = f"?{url.query}" if url.query else ""
    return quote(f"{url.path or '/'}{query}", safe=_SENT_AS_IT_IS)


def port_of(scheme: str) -> int:
    """The default port of `http` or `https`."""
    return 443 if scheme == "https" else 80
