"""What becomes of the key sets when the policy names other issuers.

All of it runs in virtual time against a fetcher in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.errors import IssuerError
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.keys import Refresher
from authz_service.keys.fetch import Fetched
from tests.support.event_loops import in_virtual_time
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.memory_fetcher import MemoryFetcher
from tests.support.policies import LOGTO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_service.core.policy import Issuer
    from authz_service.keys.fetch import Fetcher

URI: Final = "https://auth.example.com/jwks"
OTHER_URI: Final = "https://auth.example.com/other"
DOWN: Final = IssuerError("no answer", url=URI)
SETTINGS: Final = RefreshSettings(interval=300.0, cooldown=10.0, timeout=5.0, max_stale=1000.0)


def keys(kid: str, etag: str | None = None) -> Fetched:
    """Give the answer that publishes one key under *kid*."""
    return Fetched(jwk_set(signing_key(kid=kid).public), etag, None)


def issuer(name: str = "logto", uri: str | None = URI, **changes: object) -> Issuer:
    """Give an issuer whose keys are at *uri*; *changes* are to the settings of the refresh."""
    refresh = dataclasses.replace(SETTINGS, **changes)  # type: ignore[arg-type]
    return dataclasses.replace(LOGTO, name=name, keys=RemoteKeys(uri, refresh=refresh))


def kids(refresher: Refresher) -> dict[str, list[str | None]]:
    """List the key ids of each issuer that has keys."""
    return {name: [key.kid for key in keys.keys] for name, keys in refresher.key_sets.items()}


@contextlib.asynccontextmanager
async def refreshing(fetcher: Fetcher, *issuers: Issuer) -> AsyncIterator[Refresher]:
    """Refresh from second 0 on, and have what is there at once."""
    refresher = Refresher(issuers, fetcher, clock=asyncio.get_running_loop().time)
    refresher.start()
    await asyncio.sleep(1)
    try:
        yield refresher
    finally:
        await refresher.stop()


@in_virtual_time
async def test_an_issuer_that_did_not_change_keeps_keys_schedule_and_etag() -> None:
    fetcher = MemoryFetcher({URI: keys("1", "etag"), OTHER_URI: keys("2")})
    async with refreshing(fetcher, issuer()) as refresher:
        snapshot = refresher.key_sets["logto"]
        for _ in range(3):
            issuers = (issuer("partner", OTHER_URI), issuer())
            await refresher.prepare(issuers, within=5)
            refresher.update(issuers)
        assert refresher.key_sets["logto"] is snapshot
        await asyncio.sleep(100)
        assert fetcher.urls == [URI, OTHER_URI]
        await asyncio.sleep(250)
        asked = [asked for asked in fetcher.asked if asked.url == URI]
        assert [(ask.etag, 270 <= ask.at <= 300) for ask in asked[1:]] == [("etag", True)]


@in_virtual_time
async def test_what_does_not_concern_the_keys_is_no_change() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, issuer()) as refresher:
        refresher.update([dataclasses.replace(issuer(), leeway=60, algorithms=frozenset())])
        await asyncio.sleep(100)
        assert fetcher.urls == [URI]
        assert kids(refresher) == {"logto": ["1"]}


@in_virtual_time
async def test_preparing_changes_nothing_that_is_visible_and_updating_all_of_it_at_once() -> None:
    fetcher = MemoryFetcher({URI: keys("1"), OTHER_URI: keys("2")})
    async with refreshing(fetcher, issuer()) as refresher:
        fetcher.takes = 3.0
        changed = [issuer(uri=OTHER_URI), issuer("partner", OTHER_URI)]
        preparation = asyncio.create_task(refresher.prepare(changed, within=5))
        await asyncio.sleep(2)
        assert not preparation.done()
        await preparation
        assert kids(refresher) == {"logto": ["1"]}
        assert refresher.missing == ()
        refresher.update(changed)
        assert kids(refresher) == {"logto": ["2"], "partner": ["2"]}
        await asyncio.sleep(100)
        assert fetcher.urls == [URI, OTHER_URI, OTHER_URI]


@in_virtual_time
async def test_an_issuer_that_does_not_answer_is_waited_for_no_longer_than_agreed() -> None:
    fetcher = MemoryFetcher({URI: keys("1"), OTHER_URI: keys("2")})
    async with refreshing(fetcher, issuer()) as refresher:
        fetcher.takes = 4.0
        loop = asyncio.get_running_loop()
        began = loop.time()
        changed = [issuer(), issuer("partner", OTHER_URI)]
        await refresher.prepare(changed, within=2)
        assert loop.time() - began == 2
        refresher.update(changed)
        assert refresher.missing == ("partner",)
        await asyncio.sleep(2)
        assert kids(refresher) == {"logto": ["1"], "partner": ["2"]}
        assert fetcher.urls == [URI, OTHER_URI]


@in_virtual_time
async def test_an_issuer_that_fails_is_not_waited_for_any_longer() -> None:
    fetcher = MemoryFetcher({URI: keys("1"), OTHER_URI: DOWN})
    async with refreshing(fetcher, issuer()) as refresher:
        loop = asyncio.get_running_loop()
        began = loop.time()
        await refresher.prepare([issuer(uri=OTHER_URI)], within=5)
        assert loop.time() == began
        refresher.update([issuer(uri=OTHER_URI)])
        assert refresher.missing == ("logto",)


@pytest.mark.parametrize(
    "other",
    [
        issuer(uri=OTHER_URI),
        dataclasses.replace(issuer(), identifiers=("https://evil.example",)),
        dataclasses.replace(issuer(), keys=RemoteKeys(URI, allow_http=True, refresh=SETTINGS)),
    ],
    ids=["jwks_uri", "identifiers", "allow_http"],
)
@in_virtual_time
async def test_the_keys_of_another_source_never_serve_the_new_one(other: Issuer) -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, issuer()) as refresher:
        fetcher.answers.clear()
        await refresher.prepare([other], within=5)
        refresher.update([other])
        assert kids(refresher) == {}
        assert refresher.missing == ("logto",)


@in_virtual_time
async def test_with_other_settings_of_the_refresh_the_keys_serve_on_while_the_issuer_is_down() -> (
    None
):
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, issuer()) as refresher:
        await asyncio.sleep(99)
        fetcher.answers[URI] = DOWN
        changed = [issuer(max_stale=500.0)]
        await refresher.prepare(changed, within=5)
        refresher.update(changed)
        assert kids(refresher) == {"logto": ["1"]}
        await asyncio.sleep(399)
        assert kids(refresher) == {"logto": ["1"]}
        await asyncio.sleep(2)
        assert kids(refresher) == {}


@in_virtual_time
async def test_with_other_settings_keys_are_fetched_from_where_metadata_said_while_it_is_down() -> (
    None
):
    (identifier, *_) = LOGTO.identifiers
    where = f"{identifier}/.well-known/openid-configuration"
    metadata = json.dumps({"issuer": identifier, "jwks_uri": URI}).encode()
    fetcher = MemoryFetcher({where: Fetched(metadata), URI: keys("1")})
    async with refreshing(fetcher, issuer(uri=None)) as refresher:
        fetcher.answers = {URI: keys("2")}
        changed = [issuer(uri=None, interval=100.0)]
        await refresher.prepare(changed, within=5)
        refresher.update(changed)
        await asyncio.sleep(5)
        assert kids(refresher) == {"logto": ["2"]}


@in_virtual_time
async def test_keys_that_are_too_old_for_the_new_settings_are_withdrawn_at_once() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, issuer()) as refresher:
        await asyncio.sleep(99)
        fetcher.answers[URI] = DOWN
        refresher.update([issuer(max_stale=50.0)])
        assert kids(refresher) == {}


@in_virtual_time
async def test_an_issuer_that_has_gone_is_asked_no_more_and_its_keys_are_gone() -> None:
    fetcher = MemoryFetcher({URI: keys("1"), OTHER_URI: keys("2")})
    async with refreshing(fetcher, issuer(), issuer("partner", OTHER_URI)) as refresher:
        refresher.update([issuer()])
        assert kids(refresher) == {"logto": ["1"]}
        assert refresher.nudge("partner") is None
        await asyncio.sleep(1000)
        assert fetcher.urls.count(OTHER_URI) == 1


@in_virtual_time
async def test_an_answer_that_comes_after_its_issuer_has_gone_is_not_used() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, issuer()) as refresher:
        await asyncio.sleep(20)
        fetcher.takes = 4.0
        fetch = refresher.nudge("logto")
        await asyncio.sleep(1)
        refresher.update([])
        assert fetch is not None
        assert fetch.done()  # nobody is kept waiting
        await asyncio.sleep(10)
        assert kids(refresher) == {}


@in_virtual_time
async def test_what_was_prepared_in_vain_is_let_go() -> None:
    fetcher = MemoryFetcher({URI: keys("1"), OTHER_URI: keys("2")})
    async with refreshing(fetcher, issuer()) as refresher:
        await refresher.prepare([issuer("partner", OTHER_URI)], within=5)
        await refresher.prepare([issuer()], within=5)
        refresher.update([issuer()])
        await asyncio.sleep(1000)
        assert fetcher.urls.count(OTHER_URI) == 1
        assert kids(refresher) == {"logto": ["1"]}


@in_virtual_time
async def test_static_and_remote_keys_take_each_others_place() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    static = dataclasses.replace(issuer(), keys=key_set(signing_key(kid="static")))
    other = dataclasses.replace(issuer(), keys=key_set(signing_key(kid="other")))
    async with refreshing(fetcher, static) as refresher:
        assert kids(refresher) == {"logto": ["static"]}
        refresher.update([other])
        assert kids(refresher) == {"logto": ["other"]}
        refresher.update([issuer()])
        assert kids(refresher) == {}
        await asyncio.sleep(1)
        assert kids(refresher) == {"logto": ["1"]}
        refresher.update([static])
        assert kids(refresher) == {"logto": ["static"]}
        await asyncio.sleep(1000)
        assert fetcher.urls == [URI]


@in_virtual_time
async def test_nothing_is_prepared_by_a_refresher_that_is_stopped() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    refresher = Refresher([], fetcher)
    await refresher.prepare([issuer()], within=5)
    refresher.update([issuer()])
    await asyncio.sleep(10)
    assert fetcher.asked == []


@in_virtual_time
async def test_stop_ends_what_is_being_prepared() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    fetcher.takes = 4.0
    refresher = Refresher([], fetcher, clock=asyncio.get_running_loop().time)
    refresher.start()
    preparation = asyncio.create_task(refresher.prepare([issuer()], within=60))
    await asyncio.sleep(1)
    await refresher.stop()
    await preparation
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert asyncio.get_running_loop().time() == 1
