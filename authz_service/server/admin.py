"""The admin port: is it alive, is it ready, what has it counted. It changes nothing."""

from __future__ import annotations

import asyncio
import json
from http import HTTPStatus
from typing import TYPE_CHECKING

import structlog

from authz_service.server.http_port import Answer, HttpPort
from authz_service.server.listen import ListenError, TcpAddress, why_not
from authz_service.telemetry.metrics import format_for

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from authz_service.server.http_port import Request
    from authz_service.server.readiness import Readiness
    from authz_service.telemetry.metrics import Metrics

_log = structlog.get_logger(__name__)


class AdminServer:
    """Plain HTTP on one address, for probes and Prometheus."""

    def __init__(self, readiness: Callable[[], Readiness], metrics: Metrics) -> None:
        """Not listening yet. *readiness* is asked anew for each request."""
        self._readiness = readiness
        self._metrics = metrics
        self._port = HttpPort(self._answer)
        self._scraping = asyncio.Lock()
        self._pages: dict[str, Callable[[Request], Awaitable[Answer]]] = {
            "/livez": self._livez,
            "/readyz": self._readyz,
            "/metrics": self._serve_metrics,
        }

    async def start(self, address: TcpAddress) -> TcpAddress:
        """Listen on *address*, and say where really. Raises ListenError."""
        try:
            port = await self._port.listen(address.host, address.port)
        except (OSError, UnicodeError):
            raise ListenError(f"cannot listen on {address}: {why_not(address)}") from None
        return TcpAddress(address.host, port)

    async def stop(self) -> None:
        """Close the port."""
        await self._port.close()

    async def _answer(self, request: Request) -> Answer:
        page = self._pages.get(request.path)
        if page is None:
            return Answer.refusal(HTTPStatus.NOT_FOUND)
        if request.method not in {"GET", "HEAD"}:
            return Answer.refusal(HTTPStatus.METHOD_NOT_ALLOWED, allow="GET, HEAD")
        try:
            return await page(request)
        except Exception as error:  # noqa: BLE001 - a bug in here, which is nobody's to know
            _log.error("admin_failed", error=type(error).__name__)
            return Answer.refusal(HTTPStatus.INTERNAL_SERVER_ERROR)

    async def _livez(self, _request: Request) -> Answer:
        return _json({"status": "alive"})

    async def _readyz(self, _request: Request) -> Answer:
        readiness = self._readiness()
        status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        return _json(readiness.as_json(), status)

    async def _serve_metrics(self, request: Request) -> Answer:
        form = format_for(request.accept)
        body = bytearray()
        async with self._scraping:  # of many at a time, each would have a part in every turn
            for part in self._metrics.parts(form):
                body += part
                await asyncio.sleep(0)  # Checks come first
        return Answer(HTTPStatus.OK, form.content_type, bytes(body))


def _json(value: dict[str, object], status: HTTPStatus = HTTPStatus.OK) -> Answer:
    return Answer(status, "application/json; charset=utf-8", json.dumps(value).encode())
