"""One issuer's key set, kept fresh by a task of its own; see keys.refresher for the theory."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import structlog

from authz_service.core.errors import IssuerError
from authz_service.core.refresh import RefreshSchedule
from authz_service.keys.source import KeySource

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer, RemoteKeys
    from authz_service.keys.fetch import Fetcher
    from authz_service.keys.source import CurrentKeys

_log = structlog.get_logger(__name__)


class RemoteKeySet:
    """The schedule of one issuer, and the task that follows it."""

    def __init__(
        self,
        issuer: Issuer,
        settings: RemoteKeys,
        fetcher: Fetcher,
        clock: Callable[[], float],
        publish: Callable[[], None],
    ) -> None:
        """Nothing is fetched before `start`. *publish* is called when `key_set` is another one."""
        self.source = (issuer.identifiers, settings)
        """What the key set depends on: another source is another key set."""
        self.key_set: KeySet | None = None
        """The usable key set at the moment."""
        self.tried = asyncio.Event()
        """Set when the first fetch has ended, well or not."""
        self._issuer = issuer.name
        self._source = KeySource(issuer.identifiers[0], settings, fetcher, clock)
        self._clock = clock
        self._publish = publish
        self._schedule = RefreshSchedule(settings.refresh, next_fetch_at=clock())
        self._wake = asyncio.Event()
        self._fetch_under_way: asyncio.Future[None] | None = None
        self._stale_timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._fetching = False
        self._nudged_meanwhile = False

    def start(self) -> None:
        """Fetch now, and from then on when it is due. Does nothing the second time."""
        if self._task is None and not self._closed:
            self._task = asyncio.create_task(self._run(), name=f"keys of {self._issuer}")

    def inherit(self, before: RemoteKeySet) -> None:
        """Serve the keys of *before*, if only the settings of the refresh are others than its own.

        How long they may serve is counted from when they were fetched, by the new settings.
        """
        (identifiers, settings), (its_identifiers, its_settings) = self.source, before.source
        same_source = identifiers == its_identifiers and settings == replace(
            its_settings, refresh=settings.refresh
        )
        if not same_source or self.key_set is not None or before._schedule.stale_at is None:
            return
        fetched_at = before._schedule.stale_at - its_settings.refresh.max_stale
        self.key_set = before.key_set
        self._schedule = replace(self._schedule, stale_at=fetched_at + settings.refresh.max_stale)
        self._watch_staleness()

    def nudge(self) -> asyncio.Future[None] | None:
        """Ask for a fresher key set; see Refresher.nudge."""
        if self._fetching:
            self._nudged_meanwhile = True  # the answer may have been made before the new key was
        elif self._fetch_under_way is None and not self._closed:
            now = self._clock()
            self._schedule = self._schedule.nudged(now)
            self._wake.set()
            if self._schedule.next_fetch_at <= now:
                self._fetch_under_way = asyncio.get_running_loop().create_future()
        return self._fetch_under_way

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            seconds = self._schedule.next_fetch_at - self._clock()
            if seconds <= 0:
                await self._fetch()
            else:
                await self._sleep(seconds)

    def close(self) -> asyncio.Task[None] | None:
        """Let go of whoever waits, and keep nobody waiting from now on.

        Gives the task that is about to end, if there is one.
        """
        self._closed = True
        self._end_of_fetch()
        if self._stale_timer is not None:
            self._stale_timer.cancel()
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
        return task

    async def _sleep(self, seconds: float) -> None:
        try:
            async with asyncio.timeout(seconds):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _fetch(self) -> None:
        if self._fetch_under_way is None:
            self._fetch_under_way = asyncio.get_running_loop().create_future()
        self._schedule = self._schedule.attempted(self._clock())
        self._fetching, self._nudged_meanwhile = True, False
        try:
            self._succeeded(await self._source.fetch())
        except IssuerError as fault:
            self._failed(fault.message, **fault.fields)
        except Exception as error:  # noqa: BLE001 - a bug in here must not end the refreshing
            self._failed("unexpected error", error=type(error).__name__)
        finally:
            self._fetching = False
            self.tried.set()
            if self._nudged_meanwhile:
                self._schedule = self._schedule.nudged(self._clock())
            self._end_of_fetch()

    def _end_of_fetch(self) -> None:
        under_way, self._fetch_under_way = self._fetch_under_way, None
        if under_way is not None and not under_way.done():
            under_way.set_result(None)

    def _succeeded(self, current: CurrentKeys) -> None:
        self._schedule = self._schedule.succeeded(
            self._clock(), max_age=current.max_age, random=_random()
        )
        changed, self.key_set = current.key_set != self.key_set, current.key_set
        self._watch_staleness()
        if changed:
            self._publish()
            _log.info(
                "key_set_changed",
                issuer=self._issuer,
                keys=len(current.key_set.keys),
                dropped=dict(current.key_set.dropped),
            )

    def _failed(self, message: str, **fields: str | int) -> None:
        self._schedule = self._schedule.failed(self._clock(), random=_random())
        self._watch_staleness()
        _log.warning("key_set_not_fetched", issuer=self._issuer, why=message, **fields)

    def _watch_staleness(self) -> None:
        """Withdraw the keys when they go stale, also while a fetch hangs."""
        if self._stale_timer is not None:
            self._stale_timer.cancel()
        if self.key_set is None or self._schedule.stale_at is None:
            return
        now = self._clock()
        if self._schedule.is_stale(now):
            self.key_set = None
            self._publish()
            _log.error("key_set_stale", issuer=self._issuer)
        else:
            self._stale_timer = asyncio.get_running_loop().call_later(
                self._schedule.stale_at - now, self._watch_staleness
            )


def _random() -> float:
    return random.random()  # noqa: S311 - spreads load, protects nothing
