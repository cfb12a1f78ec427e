"""Keeps the key sets of all issuers fresh in the background.

Theory of operation. Each issuer has one task, and only that task fetches, so an issuer never sees
two of our requests at once and an older answer can never replace a newer one. The task sleeps until
its schedule (`core.refresh`) says that a fetch is due. A fetch that succeeds replaces the issuer's
key set as a whole; one that fails changes nothing. A timer withdraws the last good set when it is
older than it may be, also while a fetch hangs. The current sets of all issuers are one immutable
mapping, replaced when one of them changes: a decision reads it once and lives in that moment.

A Check with an unknown key id calls `nudge`. Outside the cooldown that makes a fetch due now, and
all who ask share the one future of it; within the cooldown the fetch waits for its end, and the
Check gets no future to wait for.
"""

from __future__ import annotations

import asyncio
import random
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from authz_service.core.errors import IssuerError
from authz_service.core.jwks import KeySet
from authz_service.core.refresh import RefreshSchedule
from authz_service.keys.source import KeySource

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.policy import Issuer, RemoteKeys
    from authz_service.keys.fetch import Fetcher
    from authz_service.keys.source import CurrentKeys

_log = structlog.get_logger(__name__)


class Refresher:
    """Owns the current key set of each issuer."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        fetcher: Fetcher,
        *,
        on_change: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know the static key sets at once, and the others not yet.

        *on_change* is called whenever `key_sets` is another one; *clock* gives seconds.
        """
        self._on_change = on_change
        self._key_sets: Mapping[str, KeySet] = MappingProxyType({})
        self._remote: dict[str, _RemoteKeySet] = {}
        self._tasks: list[asyncio.Task[None]] = []
        for issuer in issuers:
            if isinstance(issuer.keys, KeySet):
                self._publish(issuer.name, issuer.keys)
            else:
                self._remote[issuer.name] = _RemoteKeySet(
                    issuer, issuer.keys, fetcher, clock, self._publish
                )

    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        """The usable key set of each issuer that has one, by name; never changes once read."""
        return self._key_sets

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the issuers that have no usable key set at the moment."""
        return tuple(name for name in self._remote if name not in self._key_sets)

    def start(self) -> None:
        """Fetch every remote key set now, and from then on when it is due."""
        self._tasks = [
            asyncio.create_task(remote.run(), name=f"keys of {name}")
            for name, remote in self._remote.items()
        ]

    async def stop(self) -> None:
        """End all fetching. The key sets stay as they are."""
        for remote in self._remote.values():
            remote.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks = []

    def nudge(self, issuer: str) -> asyncio.Future[None] | None:
        """Ask for a fresher key set of *issuer*.

        Gives the end of the fetch that is under way or starts now, shared by all who ask (shield
        it); None where the cooldown, or a static key set, says that none will come at once.
        """
        remote = self._remote.get(issuer)
        return remote.nudge() if remote is not None else None

    def _publish(self, issuer: str, key_set: KeySet | None) -> None:
        key_sets = {name: keys for name, keys in self._key_sets.items() if name != issuer}
        if key_set is not None:
            key_sets[issuer] = key_set
        self._key_sets = MappingProxyType(key_sets)
        self._on_change()


class _RemoteKeySet:
    """The schedule of one issuer, and the task that follows it."""

    def __init__(
        self,
        issuer: Issuer,
        settings: RemoteKeys,
        fetcher: Fetcher,
        clock: Callable[[], float],
        publish: Callable[[str, KeySet | None], None],
    ) -> None:
        self._issuer = issuer.name
        self._source = KeySource(issuer.identifiers[0], settings, fetcher, clock)
        self._clock = clock
        self._publish = publish
        self._schedule = RefreshSchedule(settings.refresh, next_fetch_at=clock())
        self._wake = asyncio.Event()
        self._fetch_under_way: asyncio.Future[None] | None = None
        self._key_set: KeySet | None = None
        self._stale_timer: asyncio.TimerHandle | None = None
        self._closed = False
        self._fetching = False
        self._nudged_meanwhile = False

    def nudge(self) -> asyncio.Future[None] | None:
        if self._fetching:
            self._nudged_meanwhile = True  # the answer may have been made before the new key was
        elif self._fetch_under_way is None and not self._closed:
            now = self._clock()
            self._schedule = self._schedule.nudged(now)
            self._wake.set()
            if self._schedule.next_fetch_at <= now:
                self._fetch_under_way = asyncio.get_running_loop().create_future()
        return self._fetch_under_way

    async def run(self) -> None:
        while True:
            self._wake.clear()
            seconds = self._schedule.next_fetch_at - self._clock()
            if seconds <= 0:
                await self._fetch()
            else:
                await self._sleep(seconds)

    def close(self) -> None:
        """Let go of whoever waits, and keep nobody waiting from now on."""
        self._closed = True
        self._end_of_fetch()
        if self._stale_timer is not None:
            self._stale_timer.cancel()

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
        changed, self._key_set = current.key_set != self._key_set, current.key_set
        self._watch_staleness()
        if changed:
            self._publish(self._issuer, current.key_set)
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
        if self._key_set is None or self._schedule.stale_at is None:
            return
        now = self._clock()
        if self._schedule.is_stale(now):
            self._key_set = None
            self._publish(self._issuer, None)
            _log.error("key_set_stale", issuer=self._issuer)
        else:
            self._stale_timer = asyncio.get_running_loop().call_later(
                self._schedule.stale_at - now, self._watch_staleness
            )


def _random() -> float:
    return random.random()  # noqa: S311 - spreads load, protects nothing
