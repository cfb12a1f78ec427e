"""The admin port: is it alive, is it ready, what has it counted. It changes nothing.

Whoever can reach it may be anybody: a connection has one request, of a bounded size, and little
time for it; of the connections there are not too many; and no answer repeats what was sent, or says
what it runs on.
"""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

import structlog
from aiohttp import web

from authz_service.server.listen import ListenError, TcpAddress, why_not
from authz_service.telemetry.metrics import format_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_service.server.readiness import Readiness
    from authz_service.telemetry.metrics import Metrics

MAX_CONNECTIONS: Final = 64
"""Of more, the oldest is cut off: a probe that has just come is answered."""

CONNECTION_SECONDS: Final = 10.0
"""From the first moment of a connection to its last, whoever is slow. A scrape takes far less."""

_MAX_LINE: Final = 4096  # bytes of the request line, and of a header
_MAX_HEADERS: Final = 64
_STOP_SECONDS: Final = 1.0
_SERVER: Final = "authz-service"

_log = structlog.get_logger(__name__)


class AdminServer:
    """Plain HTTP on one address, for probes and Prometheus."""

    def __init__(self, readiness: Callable[[], Readiness], metrics: Metrics) -> None:
        """Not listening yet. *readiness* is asked anew for each request."""
        self._readiness = readiness
        self._metrics = metrics
        self._runner: web.ServerRunner | None = None
        self._scraping = asyncio.Lock()
        self._pages: dict[str, Callable[[web.BaseRequest], Awaitable[web.Response]]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._serve_metrics,
        }

    async def start(self, address: TcpAddress) -> TcpAddress:
        """Listen on *address*, and say where really. Raises ListenError."""
        server = _Server(self._answer, handler_cancellation=True)
        self._runner = web.ServerRunner(server, shutdown_timeout=_STOP_SECONDS)
        await self._runner.setup()
        site = web.TCPSite(self._runner, address.host, address.port)
        try:
            await site.start()
        except (OSError, UnicodeError):
            await self._runner.cleanup()
            raise ListenError(f"cannot listen on {address}: {why_not(address)}") from None
        return TcpAddress(address.host, self._runner.addresses[0][1])

    async def stop(self) -> None:
        """Close the port."""
        if self._runner is not None:
            await self._runner.cleanup()

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        page = self._pages.get(request.rel_url.raw_path)
        if page is None:
            return _refusal(HTTPStatus.NOT_FOUND)
        if request.method not in {"GET", "HEAD"}:
            return _refusal(HTTPStatus.METHOD_NOT_ALLOWED, allow="GET, HEAD")
        return await page(request)

    async def _livez(self, _request: web.BaseRequest) -> web.Response:
        return _json({"status": "alive"})

    async def _readyz(self, _request: web.BaseRequest) -> web.Response:
        readiness = self._readiness()
        status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(readiness.as_json(), status)

    async def _serve_metrics(self, request: web.BaseRequest) -> web.Response:
        form = format_for(request.headers.get("accept", ""))
        body = bytearray()
        async with self._scraping:  # of many at a time, each would have a part in every turn
            for part in self._metrics.parts(form):
                body += part
                await asyncio.sleep(0)  # Checks come first
        return _response(HTTPStatus.OK, form.content_type, bytes(body))


class _Server(web.Server):
    """Makes a connection of ours for each that comes, and cuts the oldest off for the newest."""

    def __call__(self) -> web.RequestHandler:
        return _Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # as aiohttp's own runners do
            max_line_size=_MAX_LINE,
            max_field_size=_MAX_LINE,
            max_headers=_MAX_HEADERS,
            lingering_time=0,  # a body is nothing that anybody waits for
        )

    def connection_made(self, handler: web.RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(handler, transport)
        oldest, *others = self.connections
        if len(others) >= MAX_CONNECTIONS and isinstance(oldest, _Connection):
            oldest.cut_off()


class _Connection(web.RequestHandler):
    """One client, for as long as it may take."""

    __slots__ = ("_end",)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._end = self._loop.call_later(CONNECTION_SECONDS, self.cut_off)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._end.cancel()
        super().connection_lost(exc)

    def cut_off(self) -> None:
        """Let the client wait for nothing any more, and wait for nothing of it."""
        if self.transport is not None:
            self.transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = HTTPStatus.INTERNAL_SERVER_ERROR,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """Answer what is no HTTP, or a fault of ours. *message* may have what was sent in it."""
        del message
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _log.error("admin_failed", error=type(exc).__name__)
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun")
        return _refusal(HTTPStatus(status))

    def log_exception(self, *_args: object, **_fields: object) -> None:
        """Say nothing: what clients send amiss, or how they go away, is no event."""


def _json(value: dict[str, object], status: HTTPStatus = HTTPStatus.OK) -> web.Response:
    body = json.dumps(value).encode()
    return _response(status, "application/json; charset=utf-8", body)


def _refusal(status: HTTPStatus, **headers: str) -> web.Response:
    body = f"{status.value}: {status.phrase}".encode()
    return _response(status, "text/plain; charset=utf-8", body, **headers)


def _response(status: HTTPStatus, content_type: str, body: bytes, **headers: str) -> web.Response:
    headers |= {"content-type": content_type, "server": _SERVER, "cache-control": "no-store"}
    response = web.Response(status=status, body=body, headers=headers)
    response.force_close()
    return response
