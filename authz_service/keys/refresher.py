"""Keeps the key sets of all issuers fresh in the background.

Theory of operation. Each issuer has one task (`keys.remote`), and only that task fetches, so an
issuer never sees two of our requests at once and an older answer can never replace a newer one. The
task sleeps until its schedule (`core.refresh`) says that a fetch is due. A fetch that succeeds
replaces the issuer's key set as a whole; one that fails changes nothing. A timer withdraws the last
good set when it is older than it may be, also while a fetch hangs. The current sets of all issuers
are one immutable mapping, replaced when one of them changes: a decision reads it once and lives in
that moment.

Issuers come and go with the policy. `prepare` begins to fetch for those that are new or have
changed, while the others' keys serve on; `update` puts them in place in one step, so that the keys
and the policy of one moment belong together. An issuer whose keys come from where they came from
keeps its set, its schedule and its task.

Where there is a storage, what was fetched is kept there. At the start it is read while the first
fetch is under way, and serves if it is there first; from then on it is only written. How old keys
may get is counted from when they were fetched, by whichever process.

A Check with an unknown key id calls `nudge`. Outside the cooldown that makes a fetch due now, and
all who ask share the one future of it; within the cooldown the fetch waits for its end, and the
Check gets no future to wait for.
"""

from __future__ import annotations

import asyncio
import time
from types import MappingProxyType
from typing import TYPE_CHECKING

import structlog

from authz_service.core.jwks import KeySet
from authz_service.core.policy import RemoteKeys
from authz_service.keys.remote import Outside, RemoteKeySet
from authz_service.keys.status import NO_FETCHES, KeySetStatus

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authz_service.core.policy import Issuer
    from authz_service.keys.fetch import Fetcher
    from authz_service.keys.stored import Storage

_log = structlog.get_logger(__name__)


class Refresher:
    """Owns the current key set of each issuer."""

    def __init__(
        self,
        issuers: Iterable[Issuer],
        fetcher: Fetcher,
        *,
        storage: Storage | None = None,
        on_change: Callable[[], object] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Know the static key sets at once, and the others not yet.

        With *storage*, what is fetched is kept there, and serves after a start until something is
        fetched. *on_change* is called whenever `key_sets` is another one; *clock* gives seconds.
        """
        self._on_change = on_change
        self._outside = Outside(fetcher, storage, clock)
        self._started = False
        self._issuers: tuple[Issuer, ...] = ()
        self._static: dict[str, KeySet] = {}
        self._remote: dict[str, RemoteKeySet] = {}
        self._prepared: dict[str, RemoteKeySet] = {}
        self._stopped: set[asyncio.Task[None]] = set()
        self._key_sets: Mapping[str, KeySet] = MappingProxyType({})
        self.update(issuers)

    @property
    def key_sets(self) -> Mapping[str, KeySet]:
        """The usable key set of each issuer that has one, by name; never changes once read."""
        return self._key_sets

    @property
    def missing(self) -> tuple[str, ...]:
        """The names of the issuers that have no usable key set at the moment."""
        return tuple(name for name in self._remote if name not in self._key_sets)

    def statuses(self) -> tuple[KeySetStatus, ...]:
        """How the keys of each issuer are at the moment, in the order of the policy."""
        return tuple(self._status(issuer) for issuer in self._issuers)

    def _status(self, issuer: Issuer) -> KeySetStatus:
        if (remote := self._remote.get(issuer.name)) is not None:
            return remote.status(required=issuer.required)
        key_set = self._static[issuer.name]
        return KeySetStatus(
            issuer=issuer.name,
            required=issuer.required,
            keys=len(key_set.keys),
            dropped=sum(key_set.dropped.values()),
            age=None,
            stale_in=None,
            fetches=NO_FETCHES,
            nudges=0,
            problem=None,
        )

    @property
    def warnings(self) -> tuple[str, ...]:
        """What is wrong with the storage, for people."""
        storage = self._outside.storage
        if storage is None or storage.problem is None:
            return ()
        return (f"the key cache is not written: {storage.problem}",)

    def start(self) -> None:
        """Fetch every remote key set now, and from then on when it is due."""
        self._started = True
        for remote in self._remote.values():
            remote.start()

    async def stop(self) -> None:
        """End all fetching. The key sets stay as they are."""
        self._started = False
        for remote in (*self._remote.values(), *self._prepared.values()):
            self._close(remote)
        self._prepared = {}
        await asyncio.gather(*self._stopped, return_exceptions=True)
        if self._outside.storage is not None:
            await self._outside.storage.stop()

    async def prepare(self, issuers: Iterable[Issuer], *, within: float) -> None:
        """Fetch for those of *issuers* that `update` would have no keys for.

        Waits until each has been tried once, for *within* seconds at the most. Nothing that is
        visible changes.
        """
        if not self._started:
            return
        remotes = self._remotes(issuers).items()
        new = {name: remote for name, remote in remotes if self._remote.get(name) is not remote}
        for name, remote in self._prepared.items():
            if new.get(name) is not remote:
                self._close(remote)
        self._prepared = new
        for remote in new.values():
            remote.start()
        try:
            async with asyncio.timeout(within):
                for remote in new.values():
                    await remote.tried.wait()
        except TimeoutError:
            pass

    def update(self, issuers: Iterable[Issuer]) -> None:
        """Have the keys of *issuers*, and of no others, from now on; in one step, without waiting.

        Keys whose issuer is another one than before never serve the new one.
        """
        issuers = tuple(issuers)
        remotes = self._remotes(issuers)
        for name, remote in remotes.items():
            if (before := self._remote.get(name)) not in {None, remote}:
                remote.inherit(before)
        for remote in {*self._remote.values(), *self._prepared.values()} - {*remotes.values()}:
            self._close(remote)
        static = {issuer.name: issuer.keys for issuer in issuers if isinstance(issuer.keys, KeySet)}
        for name, key_set in static.items():
            if key_set != self._static.get(name):
                _log_static(name, key_set)
        self._static, self._issuers = static, issuers
        self._remote, self._prepared = remotes, {}
        self._publish()
        if self._started:
            self.start()

    def _remotes(self, issuers: Iterable[Issuer]) -> dict[str, RemoteKeySet]:
        """For each remote issuer the one that there is, or is prepared, or else a new one."""
        remotes = {}
        for issuer in issuers:
            if isinstance(issuer.keys, RemoteKeys):
                known = (self._remote.get(issuer.name), self._prepared.get(issuer.name))
                source = (issuer.identifiers, issuer.keys)
                remotes[issuer.name] = next(
                    (remote for remote in known if remote is not None and remote.source == source),
                    None,
                ) or RemoteKeySet(issuer, issuer.keys, self._outside, self._publish)
        return remotes

    def _close(self, remote: RemoteKeySet) -> None:
        for task in remote.close():
            self._stopped.add(task)
            task.add_done_callback(self._stopped.discard)

    def nudge(self, issuer: str) -> asyncio.Future[None] | None:
        """Ask for a fresher key set of *issuer*.

        Gives the end of the fetch that is under way or starts now, shared by all who ask (shield
        it); None where the cooldown, or a static key set, says that none will come at once.
        """
        remote = self._remote.get(issuer)
        return remote.nudge() if remote is not None else None

    def _publish(self) -> None:
        """Make the snapshot anew, and tell of it if it is another one."""
        key_sets = dict(self._static)
        for name, remote in self._remote.items():
            if remote.key_set is not None:
                key_sets[name] = remote.key_set
        if key_sets != self._key_sets:
            self._key_sets = MappingProxyType(key_sets)
            self._on_change()


def _log_static(name: str, key_set: KeySet) -> None:
    """Tell which keys of a file are of no use: nobody else will, as they come with the policy."""
    counts = {"keys": len(key_set.keys), "dropped": dict(key_set.dropped)}
    if key_set.dropped:
        _log.warning("key_set_read", issuer=name, **counts)
    else:
        _log.info("key_set_read", issuer=name, **counts)
