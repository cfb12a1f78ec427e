"""The composition root: builds the service from its settings and runs it until told to stop."""

from __future__ import annotations

import asyncio
import os
import signal
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import structlog

from authz_service.ext_authz.servicer import AuthorizationServicer, DecidedCheck
from authz_service.keys import Refresher
from authz_service.keys.fetch import HttpFetcher
from authz_service.policy import load_policy
from authz_service.server.admin import AdminServer
from authz_service.server.listen import ListenError
from authz_service.server.readiness import Readiness
from authz_service.server.rpc import RpcServer
from authz_service.telemetry import logs
from authz_service.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from pathlib import Path

    from authz_service.core.policy import Policy
    from authz_service.keys.fetch import Fetcher
    from authz_service.server.listen import TcpAddress, UnixAddress

GRACE: Final = 20.0
"""Seconds that Checks under way are given to end when the service stops."""

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class ServeSettings:
    """What `serve` was told. *admin* is None where there is to be no admin port."""

    policy: tuple[Path, ...]
    listen: TcpAddress | UnixAddress
    admin: TcpAddress | None


async def serve(settings: ServeSettings) -> None:
    """Run the service until SIGTERM or SIGINT.

    Raises PolicyError and ListenError before anything is served.
    """
    policy = load_policy(settings.policy, environment=os.environ)
    async with HttpFetcher() as fetcher:
        await _Service(policy, fetcher).run(settings)


class _Service:
    """One policy, one refresher, and the two servers in front of them."""

    def __init__(self, policy: Policy, fetcher: Fetcher) -> None:
        self._policy = policy
        self._changed = asyncio.Event()
        self._stopping = False
        self._refresher = Refresher(policy.used_issuers, fetcher, on_change=self._changed.set)
        self._metrics = Metrics()
        self._rpc = RpcServer(AuthorizationServicer(policy, self._refresher, self._observe))
        self._admin = AdminServer(self._readiness, self._metrics)

    async def run(self, settings: ServeSettings) -> None:
        """Listen, serve, and stop in order when a signal asks for it. Raises ListenError."""
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._begin_to_stop)
        # Its default is to end the process at once; to reload is what it will mean.
        loop.add_signal_handler(signal.SIGHUP, _log.warning, "reload_not_supported_yet")
        listen = await self._rpc.start(settings.listen)
        try:
            admin = await self._admin.start(settings.admin) if settings.admin else None
        except ListenError:
            await self._rpc.stop(0)
            raise
        try:
            self._refresher.start()
            _log.info("listening", listen=str(listen), admin=str(admin) if admin else None)
            if not self._policy.hosts.values:
                _log.warning("policy_without_routes", effect="every request is denied")
            await self._announce_readiness()
        finally:
            await self._shut_down()

    async def _announce_readiness(self) -> None:
        """Keep the health service in step with readiness until the service is to stop."""
        announced: Readiness | None = None
        while not self._stopping:
            self._changed.clear()
            readiness = self._readiness()
            if readiness != announced:
                await self._rpc.set_serving(serving=readiness.ready)
                _log.info("readiness", **readiness.as_json())
                announced = readiness
            await self._changed.wait()

    def _begin_to_stop(self) -> None:
        self._stopping = True
        self._changed.set()

    async def _shut_down(self) -> None:
        """Not ready first; then the Checks under way end; only then what they need goes away."""
        self._begin_to_stop()
        _log.info("stopping")
        await self._rpc.stop(GRACE)
        await self._refresher.stop()
        await self._admin.stop()
        _log.info("stopped")

    def _readiness(self) -> Readiness:
        return Readiness(self._stopping, self._refresher.missing)

    def _observe(self, check: DecidedCheck) -> None:
        self._metrics.count(check.decision)
        logs.log_check(check.request, check.decision, check.seconds)
