"""The admin port: is it alive, is it ready, what has it counted. It changes nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiohttp import web

from authz_service.server.listen import ListenError, TcpAddress, why_not

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.server.readiness import Readiness
    from authz_service.telemetry.metrics import Metrics

_STOP_SECONDS = 1.0
_EXPOSITION = "text/plain; version=0.0.4; charset=utf-8"


class AdminServer:
    """Plain HTTP on one address, for probes and Prometheus."""

    def __init__(self, readiness: Callable[[], Readiness], metrics: Metrics) -> None:
        """Not listening yet. *readiness* is asked anew for each request."""
        self._readiness = readiness
        self._metrics = metrics
        app = web.Application()
        app.on_response_prepare.append(_name_no_versions)
        app.router.add_get("/livez", self._livez)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/metrics", self._serve_metrics)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP_SECONDS)

    async def start(self, address: TcpAddress) -> TcpAddress:
        """Listen on *address*, and say where really. Raises ListenError."""
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
        await self._runner.cleanup()

    async def _livez(self, _request: web.Request) -> web.Response:
        return web.json_response({"status": "alive"})

    async def _readyz(self, _request: web.Request) -> web.Response:
        readiness = self._readiness()
        return web.json_response(readiness.as_json(), status=200 if readiness.ready else 503)

    async def _serve_metrics(self, _request: web.Request) -> web.Response:
        headers = {"content-type": _EXPOSITION}
        return web.Response(body=self._metrics.exposition(), headers=headers)


async def _name_no_versions(_request: web.Request, response: web.StreamResponse) -> None:
    response.headers["server"] = "authz-service"
