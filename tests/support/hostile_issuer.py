"""A key server on a loopback port that does what a test tells it, also what no honest one would."""

from __future__ import annotations

import asyncio
import contextlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from tests.support.event_loops import HANGS_AFTER
from tests.support.keys import jwk_set

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping

    from tests.support.keys import SigningKey

JWKS: Final = "/jwks"
OPENID_METADATA: Final = "/.well-known/openid-configuration"
OAUTH_METADATA: Final = "/.well-known/oauth-authorization-server"


@dataclass(frozen=True)
class Request:
    """What was asked: *fields* has every header field line, names in lower case."""

    method: str
    path: str
    fields: tuple[tuple[str, str], ...]

    @classmethod
    def parse(cls, head: bytes) -> Request:
        """Read the request line and the field lines."""
        request_line, *lines = head.decode("latin-1").rstrip("\r\n").split("\r\n")
        method, path, _version = request_line.split(" ")
        pairs = (line.partition(":") for line in lines)
        return cls(method, path, tuple((name.lower(), value.strip()) for name, _, value in pairs))

    def field(self, name: str) -> str | None:
        """Give the value of a field that there is at most once."""
        values = [value for key, value in self.fields if key == name]
        assert len(values) <= 1
        return values[0] if values else None


@dataclass
class Exchange:
    """One request on one connection, for a behaviour to answer as it likes."""

    request: Request
    _writer: asyncio.StreamWriter
    _answered: Callable[[], None]

    async def send(self, octets: bytes, *, last: bool = True) -> None:
        """Send *octets*. With the *last* ones the request counts as answered."""
        if last:
            self._answered()
        self._writer.write(octets)
        await self._writer.drain()

    async def drip(self, octets: bytes, *, every: float) -> None:
        """Send one byte *every* so many seconds, and then the same again."""
        while True:
            for octet in octets:
                await self.send(bytes([octet]), last=False)
                await asyncio.sleep(every)

    def reset(self) -> None:
        """Break the connection off (RST instead of FIN, as far as the platform goes along)."""
        self._answered()
        self._writer.transport.abort()


if TYPE_CHECKING:
    Behaviour = Callable[[Exchange], Awaitable[None]]


def response(
    body: bytes | str = b"",
    *field_lines: str,
    status: str = "200 OK",
    length: int | None = None,
) -> bytes:
    """Write a response; its Content-Length is right unless *length* says something else."""
    content = body.encode() if isinstance(body, str) else body
    size = len(content) if length is None else length
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {size}", *field_lines]
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + content


def says(octets: bytes) -> Behaviour:
    """Answer every request with *octets*, whatever they are."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.send(octets)

    return behaviour


def sends_endlessly(head: bytes, again: bytes) -> Behaviour:
    """Answer with *head* and then *again*, again and again, as fast as they are taken."""

    async def behaviour(exchange: Exchange) -> None:
        await exchange.send(head, last=False)
        while True:
            await exchange.send(again, last=False)
            await asyncio.sleep(0)

    return behaviour


def publishes(
    *keys: SigningKey, etag: str | None = None, cache_control: str | None = None
) -> Behaviour:
    """Answer as an honest key server that has *keys*."""
    return has(jwk_set(*(key.public for key in keys)), etag=etag, cache_control=cache_control)


def has(document: bytes, *, etag: str | None = None, cache_control: str | None = None) -> Behaviour:
    """Answer with *document*, or with 304 to who knows its *etag*."""
    lines = [] if etag is None else [f"ETag: {etag}"]
    lines += [] if cache_control is None else [f"Cache-Control: {cache_control}"]

    async def behaviour(exchange: Exchange) -> None:
        if etag is not None and exchange.request.field("if-none-match") == etag:
            head = "\r\n".join(["HTTP/1.1 304 Not Modified", *lines, "", ""])
            await exchange.send(head.encode())
        else:
            await exchange.send(response(document, *lines))

    return behaviour


@dataclass
class Gate:
    """A behaviour that answers as *behind* does, but only once the gate is opened."""

    behind: Behaviour
    opened: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, exchange: Exchange) -> None:
        """Hold the request back until the gate is open."""
        await self.opened.wait()
        await self.behind(exchange)


async def hangs(_exchange: Exchange) -> None:
    """Take the request and never answer."""
    await asyncio.Event().wait()


class FakeIssuer:
    """A server whose *behaviours* by path may be changed at any time; it notes every request."""

    def __init__(self) -> None:
        self.behaviours: dict[str, Behaviour] = {}
        self.requests: list[Request] = []
        self.most_at_once = 0
        self.under_way = 0
        self._port = 0
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._faults: list[Exception] = []

    @property
    def origin(self) -> str:
        """Scheme, host and port; also the issuer identifier. Known from the first start on."""
        assert self._port
        return f"http://127.0.0.1:{self._port}"

    @property
    def jwks_uri(self) -> str:
        """Where the key set is, unless a test puts it elsewhere."""
        return self.origin + JWKS

    def count(self, path: str | None = None) -> int:
        """Count the requests for *path*, or all."""
        return len(self.requests_for(path))

    def requests_for(self, path: str | None = None) -> list[Request]:
        """Give the requests for *path*, or all, in order."""
        return [request for request in self.requests if path in {None, request.path}]

    def serve(self, behaviour: Behaviour, *, at: str = JWKS) -> None:
        """Behave like that from now on."""
        self.behaviours[at] = behaviour

    def describe_itself(self, **members: object) -> None:
        """Serve metadata at both well-known places, in which *members* replace the right ones."""
        metadata = {"issuer": self.origin, "jwks_uri": self.jwks_uri, **members}
        for path in (OPENID_METADATA, OAUTH_METADATA):
            self.serve(has(json.dumps(metadata).encode()), at=path)

    async def start(self) -> None:
        """Listen, at the same port as before where there was one."""
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", self._port)
        self._port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Listen no more and break off what is under way; raises what went wrong in here."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for writer in tuple(self._writers):
            writer.transport.abort()
        async with asyncio.timeout(HANGS_AFTER):
            await server.wait_closed()
        for fault in self._faults:
            raise fault

    def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.get_running_loop().create_task(self._serve(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            request = Request.parse(await reader.readuntil(b"\r\n\r\n"))
            self.requests.append(request)
            behaviour = self.behaviours.get(request.path, says(response(status="404 Not Found")))
            with self._counted() as answered:
                await _while_connected(reader, behaviour(Exchange(request, writer, answered)))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass  # the other side had enough
        except Exception as fault:  # noqa: BLE001 - kept for the test
            self._faults.append(fault)
        finally:
            writer.close()
            self._writers.discard(writer)

    @contextlib.contextmanager
    def _counted(self) -> Iterator[Callable[[], None]]:
        """Count a request as under way until it is answered or given up."""
        self.under_way += 1
        self.most_at_once = max(self.most_at_once, self.under_way)
        counts = True

        def answered() -> None:
            nonlocal counts
            self.under_way -= counts
            counts = False

        try:
            yield answered
        finally:
            answered()


async def _while_connected(reader: asyncio.StreamReader, behaving: Awaitable[None]) -> None:
    """Behave until the other side has gone."""
    tasks = [asyncio.ensure_future(behaving), asyncio.create_task(reader.read())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in tasks:
            task.cancel()
        results = await asyncio.gather(*tasks, return_exceptions=True)
    for result in results:
        if isinstance(result, Exception):
            raise result


@contextlib.asynccontextmanager
async def fake_issuer(
    behaviours: Mapping[str, Behaviour] | None = None,
) -> AsyncIterator[FakeIssuer]:
    """Run an issuer."""
    issuer = FakeIssuer()
    issuer.behaviours.update(behaviours or {})
    await issuer.start()
    try:
        yield issuer
    finally:
        await issuer.stop()
