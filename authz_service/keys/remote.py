"""One issuer's key set, kept fresh by a task of its own; see keys.refresher for the theory."""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from authz_service.core.errors import IssuerError
from authz_service.core.refresh import RefreshSchedule
from authz_service.keys.source import KeySource
from authz_service.keys.status import NO_FETCHES, FetchResult, KeySetStatus
from authz_service.keys.stored import KeyPlace

if TYPE_CHECKING:
    from collections.abc import Callable

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer, RemoteKeys
    from authz_service.keys.fetch import Fetcher
    from authz_service.keys.source import CurrentKeys
    from authz_service.keys.stored import RestoredKeys, Storage

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Outside:
    """What is not ours and is needed: the network, a disk perhaps, and a clock.

    *clock* gives seconds and does not go back.
    """

    fetcher: Fetcher
    storage: Storage | None
    clock: Callable[[], float]


class RemoteKeySet:
    """The schedule of one issuer, and the task that follows it."""

    def __init__(
        self,
        issuer: Issuer,
        settings: RemoteKeys,
        outside: Outside,
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
        self._place = KeyPlace(issuer.identifiers, settings.jwks_uri, settings.allow_http)
        self._source = KeySource(issuer.identifiers[0], settings, outside.fetcher, outside.clock)
        self._storage = outside.storage
        self._clock = outside.clock
        self._publish = publish
        self._schedule = RefreshSchedule(settings.refresh, next_fetch_at=self._clock())
        self._fetches = dict(NO_FETCHES)
        self._nudges = 0
        self._problem: str | None = None
        self._without_keys_since = self._clock()
        self._wake = asyncio.Event()
        self._fetch_under_way: asyncio.Future[None] | None = None
        self._stale_timer: asyncio.TimerHandle | None = None
        self._tasks: tuple[asyncio.Task[None], ...] = ()
        self._closed = False
        self._fetching = False
        self._nudged_meanwhile = False

    def start(self) -> None:
        """Fetch now, and from then on when it is due. Does nothing the second time.

        What is stored serves until something has been fetched.
        """
        if self._tasks or self._closed:
            return
        self._tasks = (asyncio.create_task(self._run(), name=f"keys of {self._issuer}"),)
        if self._storage is not None:
            restoring = asyncio.create_task(
                self._restore(self._storage), name=f"stored keys of {self._issuer}"
            )
            self._tasks = (*self._tasks, restoring)

    def status(self, *, required: bool) -> KeySetStatus:
        """How it is now; the policy says whether it is *required*."""
        now = self._clock()
        key_set, fetched_at = self.key_set, self._schedule.fetched_at
        stale_at = self._schedule.stale_at
        return KeySetStatus(
            issuer=self._issuer,
            required=required,
            keys=0 if key_set is None else len(key_set.keys),
            dropped=0 if key_set is None else sum(key_set.dropped.values()),
            age=None if key_set is None or fetched_at is None else max(0.0, now - fetched_at),
            stale_in=None if key_set is None or stale_at is None else max(0.0, stale_at - now),
            fetches=MappingProxyType(dict(self._fetches)),
            nudges=self._nudges,
            problem=self._problem,
            without_keys_for=None if key_set is not None else now - self._without_keys_since,
            next_fetch_in=max(0.0, self._schedule.next_fetch_at - now),
        )

    def inherit(self, before: RemoteKeySet) -> None:
        """Serve the keys of *before*, if only the settings of the refresh are others than its own.

        How long they may serve is counted from when they were fetched, by the new settings. What
        has been counted of *before* goes on being counted.
        """
        (identifiers, settings), (its_identifiers, its_settings) = self.source, before.source
        same_source = identifiers == its_identifiers and settings == replace(
            its_settings, refresh=settings.refresh
        )
        if not same_source:
            return
        if before._source.found_at is not None:
            self._source.remember(before._source.found_at)
        self._nudges += before._nudges
        for result, times in before._fetches.items():
            self._fetches[result] += times
        self._without_keys_since = min(self._without_keys_since, before._without_keys_since)
        mine, its = self._schedule.fetched_at, before._schedule.fetched_at
        if before.key_set is None or its is None or (mine is not None and mine >= its):
            return
        now = self._clock()
        self.key_set = before.key_set
        self._schedule = self._schedule.restored(now, age=now - its)
        self._watch_staleness()

    def nudge(self) -> asyncio.Future[None] | None:
        """Ask for a fresher key set; see Refresher.nudge."""
        self._nudges += self.key_set is not None  # without keys, no key id is known
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

    async def _restore(self, storage: Storage) -> None:
        """Serve what is stored, unless there is something better by now."""
        max_stale = self._schedule.settings.max_stale
        restored = await storage.load(self._place, issuer=self._issuer, max_stale=max_stale)
        if restored is not None and self._schedule.fetched_at is None:
            self._restored(restored)

    def _restored(self, restored: RestoredKeys) -> None:
        self._schedule = self._schedule.restored(self._clock(), age=restored.age)
        self._source.remember(restored.jwks_uri)
        self.key_set = restored.key_set
        self._publish()
        _log.info(
            "key_set_restored",
            issuer=self._issuer,
            keys=len(restored.key_set.keys),
            dropped=dict(restored.key_set.dropped),
            age=round(restored.age),
        )
        self._watch_staleness()

    def close(self) -> tuple[asyncio.Task[None], ...]:
        """Let go of whoever waits, and keep nobody waiting from now on.

        Gives the tasks that are about to end.
        """
        self._closed = True
        self._end_of_fetch()
        if self._stale_timer is not None:
            self._stale_timer.cancel()
        tasks, self._tasks = self._tasks, ()
        for task in tasks:
            task.cancel()
        return tasks

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
            self._failed(fault)
        except Exception as error:  # noqa: BLE001 - a bug in here must not end the refreshing
            self._failed(IssuerError("unexpected error", error=type(error).__name__))
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
        self._count("changed" if changed else "unchanged", problem=None)
        self._store(current)
        self._watch_staleness()
        if changed:
            self._publish()
            _log.info(
                "key_set_changed",
                issuer=self._issuer,
                keys=len(current.key_set.keys),
                dropped=dict(current.key_set.dropped),
            )

    def _failed(self, fault: IssuerError) -> None:
        self._schedule = self._schedule.failed(self._clock(), random=_random())
        self._count("failed", problem=fault.problem)
        self._watch_staleness()
        _log.warning("key_set_not_fetched", issuer=self._issuer, why=fault.message, **fault.fields)

    def _count(self, result: FetchResult, *, problem: str | None) -> None:
        self._fetches[result] += 1
        self._problem = problem

    def _store(self, current: CurrentKeys) -> None:
        if self._storage is not None:
            self._storage.keep(self._place, current.jwks_uri, current.document)

    def _watch_staleness(self) -> None:
        """Withdraw the keys when they go stale, also while a fetch hangs."""
        if self._stale_timer is not None:
            self._stale_timer.cancel()
        if self.key_set is None or self._schedule.stale_at is None:
            return
        now = self._clock()
        if self._schedule.is_stale(now):
            self.key_set = None
            self._without_keys_since = now
            self._publish()
            _log.error("key_set_stale", issuer=self._issuer)
        else:
            self._stale_timer = asyncio.get_running_loop().call_later(
                self._schedule.stale_at - now, self._watch_staleness
            )


def _random() -> float:
    return random.random()  # noqa: S311 - spreads load, protects nothing
