"""A port that speaks HTTP/1.1 (RFC 9112) to whoever can reach it, who may be anybody.

A connection has one request, of a bounded size, and little time for it; a body is nothing that
anybody waits for. Of the connections there are not too many; and no answer repeats what was sent,
or says what it runs on. What is answered is somebody else's to say.
"""

from __future__ import annotations

import asyncio
import re
import time
from dataclasses import dataclass
from http import HTTPMethod, HTTPStatus
from typing import TYPE_CHECKING, Final, cast

import h11

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

MAX_CONNECTIONS: Final = 64
"""Of more, the oldest is cut off: a probe that has just come is answered."""

CONNECTION_SECONDS: Final = 10.0
"""From the first moment of a connection to its last, whoever is slow. A scrape takes far less."""

_MAX_HEAD: Final = 8192  # bytes of the request line and all field lines
_MAX_LINE: Final = 4096  # bytes of the request's target, and of a field's value
_MAX_FIELDS: Final = 64
_MAX_LINES: Final = _MAX_FIELDS + 2  # and the request line, and the empty one at the end
_STOP_SECONDS: Final = 1.0
_SERVER: Final = "authz-service"
_METHODS: Final = frozenset(method.value for method in HTTPMethod)
_ORIGIN: Final = re.compile(r"https?://[^/?]*")
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    *("Jan", "Feb", "Mar", "Apr", "May", "Jun"),
    *("Jul", "Aug", "Sep", "Oct", "Nov", "Dec"),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: *path* is as it was sent, without a query; *accept* may be empty."""

    method: str
    path: str
    accept: str = ""

    @classmethod
    def parse(cls, head: h11.Request) -> Request:
        """Take over what is wanted of *head*. Raises h11.RemoteProtocolError."""
        method, target = head.method.decode("ascii"), head.target.decode("ascii")
        values = [value for _name, value in head.headers]
        if method not in _METHODS or not head.http_version.startswith(b"1."):
            raise h11.RemoteProtocolError("not a method, or not a version, of HTTP/1.1")
        if len(values) > _MAX_FIELDS or max(map(len, (target, *values))) > _MAX_LINE:
            raise h11.RemoteProtocolError("too many field lines, or one that is too long")
        accept = [value for name, value in head.headers if name == b"accept"]
        path = _ORIGIN.sub("", target, count=1) if target[:4] == "http" else target
        return cls(method, path.partition("?")[0], b", ".join(accept).decode("latin-1"))


@dataclass(frozen=True, slots=True)
class Answer:
    """What is said to a request. *allow* are the methods that there are, where that is told."""

    status: HTTPStatus
    content_type: str
    body: bytes
    allow: str | None = None

    @classmethod
    def refusal(cls, status: HTTPStatus, *, allow: str | None = None) -> Answer:
        """Say no more than *status* does."""
        body = f"{status.value}: {status.phrase}".encode()
        return cls(status, "text/plain; charset=utf-8", body, allow)

    def head(self) -> h11.Response:
        """The status line and the field lines."""
        headers = [
            ("content-type", self.content_type),
            ("content-length", str(len(self.body))),
            ("cache-control", "no-store"),
            ("date", imf_fixdate(time.time())),
            ("server", _SERVER),
            ("connection", "close"),
        ]
        if self.allow is not None:
            headers.append(("allow", self.allow))
        return h11.Response(
            status_code=self.status.value, reason=self.status.phrase, headers=headers
        )


def imf_fixdate(seconds: float) -> str:
    """*seconds* since 1970 as `Date` has them, whatever the locale (RFC 9110, section 5.6.7)."""
    at = time.gmtime(seconds)
    clock = f"{at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"
    return (
        f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year:04} {clock} GMT"
    )


class HttpPort:
    """Listens, and has each request answered, by an *answer* that must not raise.

    An answer that is under way is cancelled when its client has gone.
    """

    def __init__(self, answer: Callable[[Request], Awaitable[Answer]]) -> None:
        """Not listening yet."""
        self._answer = answer
        self._server: asyncio.Server | None = None
        self._connections: dict[_Connection, None] = {}  # the oldest first

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._connections)

    async def listen(self, host: str, port: int) -> int:
        """Listen, and say on which port. Raises OSError and UnicodeError."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: _Connection(self._answer, self._connections), host, port
        )
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Take no more connections, let what is being answered end, and cut the others off."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        ends = [connection.end for connection in self._connections if connection.has_request]
        if ends:
            await asyncio.wait(ends, timeout=_STOP_SECONDS)
        for connection in list(self._connections):
            connection.cut_off()


class _Connection(asyncio.Protocol):
    """One client, for as long as it may take."""

    def __init__(
        self, answer: Callable[[Request], Awaitable[Answer]], all_: dict[_Connection, None]
    ) -> None:
        loop = asyncio.get_running_loop()
        self._answer = answer
        self._all = all_
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._lines = 0
        self._transport: asyncio.Transport | None = None
        self._answering: asyncio.Task[None] | None = None
        self._time_is_up = loop.call_later(CONNECTION_SECONDS, self.cut_off)
        self.end: asyncio.Future[None] = loop.create_future()

    @property
    def has_request(self) -> bool:
        """Whether its request has come, and is being answered or has been."""
        return self._answering is not None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Join the others, in the place of the oldest if there are too many."""
        self._transport = cast("asyncio.Transport", transport)  # which uvloop's is none of
        if len(self._all) >= MAX_CONNECTIONS:
            next(iter(self._all)).cut_off()
        self._all[self] = None

    def connection_lost(self, exc: BaseException | None) -> None:
        """Do nothing more for a client that has gone."""
        del exc
        self._leave()
        if self._answering is not None:
            self._answering.cancel()
        if not self.end.done():
            self.end.set_result(None)

    def data_received(self, data: bytes) -> None:
        """Read up to the end of the request's head, and nothing of what comes after it."""
        if self.has_request or self._transport is None or self._transport.is_closing():
            return
        try:
            event = self._event(data[: _MAX_HEAD + 1])
            if isinstance(event, h11.Request):
                request = Request.parse(event)
                self._answering = asyncio.create_task(self._serve(request), name="admin")
        except h11.RemoteProtocolError:
            self._send(Answer.refusal(HTTPStatus.BAD_REQUEST))

    def _event(self, data: bytes) -> object:
        """Have *data* parsed. Raises h11.RemoteProtocolError.

        Thousands of lines in a head take milliseconds, and dozens of clients may send them at once:
        they are counted first.
        """
        head, end, _body = data.partition(b"\r\n\r\n")
        self._lines += head.count(b"\n") + end.count(b"\n")
        if self._lines > _MAX_LINES:
            raise h11.RemoteProtocolError("too many field lines")
        self._http.receive_data(data)
        return self._http.next_event()

    def cut_off(self) -> None:
        """Let the client wait for nothing any more, and wait for nothing of it."""
        self._leave()
        if self._transport is not None:
            self._transport.abort()

    def _leave(self) -> None:
        self._time_is_up.cancel()
        self._all.pop(self, None)

    async def _serve(self, request: Request) -> None:
        self._send(await self._answer(request), body=request.method != HTTPMethod.HEAD)

    def _send(self, answer: Answer, *, body: bool = True) -> None:
        """Send *answer*, and with it the end of the connection."""
        assert self._transport is not None  # noqa: S101 - something has come
        octets = self._http.send(answer.head())
        self._transport.write(octets + answer.body if body else octets)
        self._transport.close()
