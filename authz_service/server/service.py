"""The composition root: builds the service from its settings and runs it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from typing import TYPE_CHECKING, Final, NoReturn

import structlog

from authz_service.core.verified import VerifiedTokens
from authz_service.ext_authz.servicer import AuthorizationServicer
from authz_service.keys import Refresher
from authz_service.keys.fetch import HttpFetcher
from authz_service.keys.storage import DirectoryStorage
from authz_service.server import heap, last_resort
from authz_service.server.admin import AdminServer
from authz_service.server.background import in_background
from authz_service.server.listen import ListenError
from authz_service.server.loading import load_apart
from authz_service.server.observer import CheckObserver
from authz_service.server.readiness import Readiness
from authz_service.server.reload import Reloader, warn_of_effects
from authz_service.server.rpc import RpcServer
from authz_service.server.tls.callers import TrustedCallers
from authz_service.server.tls.credentials import server_credentials
from authz_service.server.tls.rotation import RotatingIdentity
from authz_service.server.watch import FileWatch
from authz_service.telemetry import logs, traces
from authz_service.telemetry.logs.foreign import log_loop_error
from authz_service.telemetry.metrics import Metrics, Sources

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from authz_service.core.policy import Policy
    from authz_service.keys.fetch import Fetcher
    from authz_service.server.listen import Address
    from authz_service.server.loading import Loaded, Refused
    from authz_service.server.reload import Result
    from authz_service.server.settings import ServeSettings, TransportSettings

KEYS_WITHIN: Final = 5.0
"""Seconds that a policy waits at the most for the keys of issuers that are new in it.

Without keys, tokens of theirs would be refused that a moment later are fine; and who waits for an
issuer that is down does without everything else that has changed.
"""

_LEFT_FOR_SPANS: Final = last_resort.SPARE / 2  # seconds, where Checks took all of the grace

_log = structlog.get_logger(__name__)


async def serve(settings: ServeSettings, loaded: Loaded) -> None:
    """Run the service, with the policy that was *loaded*, until SIGTERM or SIGINT.

    Raises ListenError before anything is served.
    """
    async with HttpFetcher(in_background) as fetcher:
        service = _Service(settings, loaded, fetcher)
        del loaded  # or the first policy would stay for as long as the process
        await service.run()


class _Service:
    """One policy at a time, one refresher, and the two servers in front of them."""

    def __init__(self, settings: ServeSettings, loaded: Loaded, fetcher: Fetcher) -> None:
        self._settings = settings
        self._policy = policy = loaded.policy
        self._changed = asyncio.Event()
        self._stopping = False
        limits, transport = settings.limits, settings.transport
        self._verified = VerifiedTokens(settings.token_cache)
        self._refresher = Refresher(
            (), fetcher, storage=_storage(settings.key_cache), on_change=self._keys_changed
        )
        self._refresher.update(policy.used_issuers)
        self._tls = RotatingIdentity(transport.tls) if transport.tls else None
        self._metrics = Metrics(self._sources())
        self._observe = CheckObserver(self._metrics, settings.log, traces.start(os.environ))
        self._servicer = AuthorizationServicer(
            policy,
            self._refresher,
            self._observe,
            trusts=_trusts(transport),
            limits=limits.checks,
            verified=self._verified,
        )
        self._rpc = RpcServer(self._servicer, limits.rpc)
        self._admin = AdminServer(self._readiness, self._metrics)
        self._reloader = Reloader(loaded, self._load, self._take, self._observe_reload)
        self._watch = FileWatch(lambda: self._reloader.paths, self._reloader.ask)
        self._watched = loaded.files.paths
        self._background: list[asyncio.Task[NoReturn]] = []

    async def run(self) -> None:
        """Listen, serve, and stop in order when a signal asks for it. Raises ListenError."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(log_loop_error)
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._hear, number)
        with _hangup(self._look_at_files):
            await self._serve()

    async def _serve(self) -> None:
        settings = self._settings
        listen = await self._listen(settings.listen, settings.transport)
        try:
            admin = await self._admin.start(settings.admin) if settings.admin else None
        except ListenError:
            await self._rpc.stop(0)
            raise
        try:
            self._refresher.start()
            _log.info(
                "listening",
                listen=str(listen),
                admin=str(admin) if admin else None,
                tls=self._tls is not None,
            )
            self._observe.announce()
            warn_of_effects(self._policy)
            self._background = [
                asyncio.create_task(self._reloader.run(), name="reload"),
                asyncio.create_task(self._watch.run(), name="watch"),
            ]
            if self._tls is not None:
                self._background.append(asyncio.create_task(self._tls.run(), name="tls"))
            await self._announce_readiness()
        finally:
            await self._shut_down()

    async def _listen(self, address: Address, transport: TransportSettings) -> Address:
        credentials = None
        if self._tls is not None:
            tls = self._tls
            credentials = server_credentials(lambda: tls.identity)
        return await self._rpc.start(
            address,
            credentials=credentials,
            insecure=transport.insecure_listen,
            access=transport.socket,
        )

    def _look_at_files(self) -> None:
        self._reloader.insist()
        if self._tls is not None:
            self._tls.ask()

    async def _load(self, in_use: Loaded) -> Loaded | Refused:
        return await load_apart(self._settings.policy, in_use.parcel)

    async def _take(self, policy: Policy) -> None:
        """Bring *policy* into use, with the keys that belong to it, in one step."""
        resources = await in_background(lambda: policy.resources)  # of thousands of routes
        await self._refresher.prepare(policy.used_issuers, within=KEYS_WITHIN)
        self._refresher.update(policy.used_issuers)
        self._servicer.use(policy)
        self._policy = policy
        self._metrics.keep(resources)

    def _keys_changed(self) -> None:
        """Let go at once of the tokens whose keys have gone."""
        self._verified.retain(self._refresher.key_sets)
        self._changed.set()

    async def _announce_readiness(self) -> None:
        """Keep the health service in step with readiness until the service is to stop."""
        announced: Readiness | None = None
        while not self._stopping:
            self._changed.clear()
            readiness = self._readiness()
            if readiness != announced:
                if readiness.ready and (announced is None or not announced.ready):
                    heap.give_back()  # what it took to get there, before Checks come
                await self._rpc.set_serving(serving=readiness.ready)
                _log.info("readiness", **readiness.as_fields())
                announced = readiness
            await self._changed.wait()

    def _hear(self, number: signal.Signals) -> None:
        """Begin to stop, and have it end in time. A second SIGINT leaves it a second.

        A second SIGTERM changes nothing: a supervisor that has lost patience sends SIGKILL.
        """
        if not self._stopping:
            last_resort.end_within(self._settings.limits.grace + last_resort.SPARE)
        elif number == signal.SIGINT:
            last_resort.end_within(last_resort.SPARE)
            self._rpc.hurry()
        self._begin_to_stop()

    def _begin_to_stop(self) -> None:
        self._stopping = True
        self._changed.set()

    async def _shut_down(self) -> None:
        """Not ready first; then the Checks under way end; only then what they need goes away."""
        self._begin_to_stop()
        self._observe.flush()
        _log.info("stopping")
        for task in self._background:
            task.cancel()
        now, grace = asyncio.get_running_loop().time, self._settings.limits.grace
        ends = now() + grace
        await self._rpc.drain(grace)
        await self._rpc.stop(max(0.0, ends - now()))
        await asyncio.gather(*self._background, return_exceptions=True)
        await self._refresher.stop()
        await self._observe.stop(within=max(ends - now(), _LEFT_FOR_SPANS))
        await self._admin.stop()
        _log.info("stopped")

    def _readiness(self) -> Readiness:
        return Readiness.of(
            self._refresher.statuses(),
            stopping=self._stopping,
            warnings=(
                *self._reloader.warnings,
                *self._refresher.warnings,
                *(self._tls.warnings if self._tls else ()),
            ),
        )

    def _sources(self) -> Sources:
        tls = self._tls
        return Sources(
            ready=lambda: self._readiness().ready,
            warnings=lambda: len(self._readiness().warnings),
            policy_hash=lambda: self._reloader.policy_hash,
            key_sets=self._refresher.statuses,
            token_cache=self._verified.statistics,
            in_flight=lambda: self._servicer.in_flight,
            abandoned=lambda: self._servicer.abandoned,
            log_events_lost=logs.lost,
            certificate_validity=(lambda: tls.validity) if tls else None,
        )

    def _observe_reload(self, result: Result) -> None:
        self._metrics.count_reload(result)
        if self._watched != (watched := self._reloader.paths):  # or what fails would fail at once
            self._watched = watched
            self._watch.move()
        self._changed.set()


def _trusts(transport: TransportSettings) -> TrustedCallers | None:
    """None where clients are not asked for a certificate."""
    if transport.tls is None or transport.tls.client_ca is None:
        return None
    return TrustedCallers(transport.callers)


def _storage(directory: Path | None) -> DirectoryStorage | None:
    return None if directory is None else DirectoryStorage(directory, in_background)


@contextlib.contextmanager
def _hangup(ask: Callable[[], None]) -> Iterator[None]:
    """While the service runs, SIGHUP asks; its default is to end the process at once.

    A handler of the event loop would leave that default behind when the loop is closed.
    """
    loop = asyncio.get_running_loop()

    def hear(_number: int, _frame: object) -> None:
        loop.call_soon_threadsafe(ask)

    previous = signal.signal(signal.SIGHUP, hear)
    try:
        yield
    finally:
        signal.signal(signal.SIGHUP, previous)
