"""Key sets that outlive the process: what serves from a storage, for how long, and what wins.

All of it runs in virtual time against a fetcher and a storage in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Final

from authz_service.core.jwks import parse_jwk_set
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.keys import Refresher
from authz_service.keys.fetch import Fetched, FetchError
from authz_service.keys.stored import RestoredKeys
from tests.support.event_loops import in_virtual_time
from tests.support.keys import jwk_set, signing_key
from tests.support.memory_fetcher import MemoryFetcher
from tests.support.policies import LOGTO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_service.core.policy import Issuer
    from authz_service.keys.stored import KeyPlace

URI: Final = "https://auth.example.com/jwks"
MOVED: Final = "https://auth.example.com/moved"
DOWN: Final = FetchError("no answer: connection refused", url=URI)
SETTINGS: Final = RefreshSettings(interval=300.0, cooldown=10.0, timeout=5.0, max_stale=1000.0)


def document(kid: str) -> bytes:
    return jwk_set(signing_key(kid=kid).public)


class MemoryStorage:
    """Has *stored* keys of some age for every place, and *takes* so many seconds to give them."""

    def __init__(self, kid: str | None = None, *, age: float = 0.0, uri: str = URI) -> None:
        self.stored = kid and RestoredKeys(parse_jwk_set(document(kid)), uri, age)
        self.takes = 0.0
        self.problem: str | None = None
        self.kept: list[tuple[str, bytes]] = []
        self.loaded: list[KeyPlace] = []
        self.stopped = False

    async def load(self, place: KeyPlace, *, issuer: str, max_stale: float) -> RestoredKeys | None:
        """Give what is stored, if it is not too old."""
        del issuer
        self.loaded.append(place)
        await asyncio.sleep(self.takes)
        if not self.stored or self.stored.age >= max_stale:
            return None
        return self.stored

    def keep(self, place: KeyPlace, jwks_uri: str, document: bytes) -> None:
        """Remember what was to be stored."""
        del place
        self.kept.append((jwks_uri, document))

    async def stop(self) -> None:
        """Remember that it is over."""
        self.stopped = True


def issuer(uri: str | None = URI, **changes: float) -> Issuer:
    refresh = dataclasses.replace(SETTINGS, **changes)
    return dataclasses.replace(LOGTO, keys=RemoteKeys(uri, refresh=refresh))


def kids(refresher: Refresher) -> list[str | None] | None:
    key_set = refresher.key_sets.get("logto")
    return None if key_set is None else [key.kid for key in key_set.keys]


@contextlib.asynccontextmanager
async def refreshing(
    fetcher: MemoryFetcher, storage: MemoryStorage, *issuers: Issuer
) -> AsyncIterator[Refresher]:
    """Refresh from second 0 on."""
    clock = asyncio.get_running_loop().time
    refresher = Refresher(issuers or (issuer(),), fetcher, storage=storage, clock=clock)
    refresher.start()
    try:
        yield refresher
    finally:
        await refresher.stop()
    assert storage.stopped


@in_virtual_time
async def test_stored_keys_serve_at_once_while_the_first_fetch_is_under_way() -> None:
    fetcher, storage = MemoryFetcher({URI: Fetched(document("new"))}), MemoryStorage("stored")
    fetcher.takes = 4.0
    async with refreshing(fetcher, storage) as refresher:
        await asyncio.sleep(0.1)
        assert kids(refresher) == ["stored"]
        assert fetcher.times == [0]
        assert storage.kept == []  # what comes from there is as old as it was
        await asyncio.sleep(4)
        assert kids(refresher) == ["new"]
        assert storage.kept == [(URI, document("new"))]


@in_virtual_time
async def test_a_key_that_was_revoked_meanwhile_is_gone_with_the_first_answer() -> None:
    fetcher = MemoryFetcher({URI: Fetched(document("new"))})
    storage = MemoryStorage("revoked")
    storage.takes = 1.0  # the disk is slower than the network
    async with refreshing(fetcher, storage) as refresher:
        await asyncio.sleep(0.5)
        assert kids(refresher) == ["new"]
        await asyncio.sleep(1)
        assert kids(refresher) == ["new"]


@in_virtual_time
async def test_stored_keys_serve_through_an_outage_until_max_stale_after_they_were_fetched() -> (
    None
):
    storage = MemoryStorage("stored", age=400.0)
    async with refreshing(MemoryFetcher({URI: DOWN}), storage) as refresher:
        await asyncio.sleep(599)
        assert kids(refresher) == ["stored"]
        [status] = refresher.statuses()
        assert (status.age, status.stale_in) == (999, 1)
        await asyncio.sleep(2)
        assert kids(refresher) is None
        assert storage.kept == []


@in_virtual_time
async def test_keys_that_are_stored_too_long_are_none() -> None:
    storage = MemoryStorage("stored", age=1000.0)
    async with refreshing(MemoryFetcher({URI: DOWN}), storage) as refresher:
        await asyncio.sleep(1)
        assert refresher.missing == ("logto",)


@in_virtual_time
async def test_a_storage_that_hangs_holds_up_neither_the_fetch_nor_the_stop() -> None:
    storage = MemoryStorage("stored")
    storage.takes = 1e9
    async with refreshing(MemoryFetcher({URI: Fetched(document("new"))}), storage) as refresher:
        await asyncio.sleep(1)
        assert kids(refresher) == ["new"]
    assert asyncio.get_running_loop().time() == 1


@in_virtual_time
async def test_the_first_fetch_sets_no_condition_so_that_it_overrules_whatever_was_stored() -> None:
    fetcher = MemoryFetcher({URI: Fetched(document("1"), '"1"')})
    async with refreshing(fetcher, MemoryStorage("1")):
        await asyncio.sleep(1)
    assert [asked.etag for asked in fetcher.asked] == [None]


@in_virtual_time
async def test_every_good_fetch_is_stored_also_one_that_says_that_nothing_has_changed() -> None:
    fetcher, storage = MemoryFetcher({URI: Fetched(document("1"), '"1"')}), MemoryStorage()
    async with refreshing(fetcher, storage) as refresher:
        await asyncio.sleep(301)
        assert fetcher.asked[1].etag == '"1"'
        assert storage.kept == [(URI, document("1"))] * 2
        fetcher.answers[URI] = DOWN
        await asyncio.sleep(301)
        assert len(storage.kept) == 2
        assert [status.fetches["unchanged"] for status in refresher.statuses()] == [1]


@in_virtual_time
async def test_where_metadata_is_down_keys_are_fetched_from_where_they_were_found_before() -> None:
    fetcher = MemoryFetcher({MOVED: Fetched(document("new"))})
    async with refreshing(fetcher, MemoryStorage("stored", uri=MOVED), issuer(None)) as refresher:
        await asyncio.sleep(1)
        assert kids(refresher) == ["new"]
        assert fetcher.urls[-1] == MOVED


@in_virtual_time
async def test_an_issuer_that_comes_with_a_reload_may_have_stored_keys_too() -> None:
    fetcher, storage = MemoryFetcher({MOVED: DOWN}), MemoryStorage("stored")
    async with refreshing(fetcher, storage, dataclasses.replace(issuer(), name="a")) as refresher:
        await refresher.prepare([issuer(MOVED)], within=5)
        refresher.update([issuer(MOVED)])
        assert kids(refresher) == ["stored"]
        assert storage.loaded[-1].jwks_uri == MOVED


@in_virtual_time
async def test_what_is_in_memory_is_not_replaced_by_what_is_stored_and_older() -> None:
    fetcher, storage = MemoryFetcher({URI: Fetched(document("memory"))}), MemoryStorage()
    async with refreshing(fetcher, storage) as refresher:
        await asyncio.sleep(100)
        fetcher.answers[URI] = DOWN
        storage.stored = MemoryStorage("stored", age=101.0).stored
        changed = [issuer(max_stale=500.0)]
        await refresher.prepare(changed, within=5)
        refresher.update(changed)
        assert kids(refresher) == ["memory"]
        await asyncio.sleep(399)
        assert kids(refresher) == ["memory"]
        await asyncio.sleep(2)
        assert kids(refresher) is None


@in_virtual_time
async def test_what_is_wrong_with_the_storage_is_a_warning() -> None:
    storage = MemoryStorage()
    async with refreshing(MemoryFetcher(), storage) as refresher:
        assert not refresher.warnings
        storage.problem = "No space left on device"
        assert refresher.warnings == ("the key cache is not written: No space left on device",)
    assert Refresher([], MemoryFetcher()).warnings == ()
