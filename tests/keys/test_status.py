"""How the keys of each issuer are: what metrics count and what `/readyz` tells.

All of it runs in virtual time against a fetcher in memory.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
from typing import TYPE_CHECKING, Any, Final

import pytest

from authz_service.core.errors import IssuerError
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.keys import Refresher
from authz_service.keys import refresher as refresher_module
from authz_service.keys.fetch import Fetched, FetchError
from authz_service.keys.status import KeySetStatus
from tests.support.event_loops import in_virtual_time
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.log_events import captured
from tests.support.memory_fetcher import MemoryFetcher
from tests.support.policies import LOGTO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from authz_service.core.policy import Issuer

URI: Final = "https://auth.example.com/jwks"
METADATA: Final = "https://auth.example.com/.well-known/openid-configuration"
SETTINGS: Final = RefreshSettings(interval=300.0, cooldown=10.0, timeout=5.0, max_stale=1000.0)
DOWN: Final = FetchError("no answer: connection refused", url=URI)
UNUSABLE: Final = {"kty": "oct", "k": "AAAA"}


def keys(*kids: str, unusable: int = 0, etag: str | None = None) -> Fetched:
    entries = [signing_key(kid=kid).public for kid in kids]
    return Fetched(jwk_set(*entries, *[UNUSABLE] * unusable), etag)


def issuer(name: str = "logto", uri: str | None = URI, **changes: float) -> Issuer:
    refresh = dataclasses.replace(SETTINGS, **changes)
    return dataclasses.replace(LOGTO, name=name, keys=RemoteKeys(uri, refresh=refresh))


@contextlib.asynccontextmanager
async def refreshing(fetcher: MemoryFetcher, *issuers: Issuer) -> AsyncIterator[Refresher]:
    """Refresh from second 0 on."""
    clock = asyncio.get_running_loop().time
    refresher = Refresher(issuers or (issuer(),), fetcher, clock=clock)
    refresher.start()
    await asyncio.sleep(1)
    try:
        yield refresher
    finally:
        await refresher.stop()


def counts(status: KeySetStatus) -> tuple[int, int, int]:
    """Give how many fetches changed something, changed nothing, and failed."""
    return (status.fetches["changed"], status.fetches["unchanged"], status.fetches["failed"])


@in_virtual_time
async def test_the_status_of_keys_that_serve() -> None:
    async with refreshing(MemoryFetcher({URI: keys("1", "2", unusable=3)})) as refresher:
        await asyncio.sleep(99)
        [status] = refresher.statuses()
        assert status.next_fetch_in is not None
        assert 170 <= status.next_fetch_in <= 200
        assert dataclasses.replace(status, next_fetch_in=None) == KeySetStatus(
            issuer="logto",
            required=True,
            keys=2,
            dropped=3,
            age=100,
            stale_in=900,
            fetches={"changed": 1, "unchanged": 0, "failed": 0},
            nudges=0,
            problem=None,
        )


@in_virtual_time
async def test_the_status_of_keys_that_could_not_be_had_says_since_when_and_why() -> None:
    async with refreshing(MemoryFetcher({URI: DOWN})) as refresher:
        await asyncio.sleep(1)
        [status] = refresher.statuses()
        assert (status.keys, status.age, status.stale_in) == (0, None, None)
        assert status.without_keys_for == 2
        assert status.problem == "no answer: connection refused"
        assert status.next_fetch_in is not None
        assert 0 < status.next_fetch_in < 2
        assert counts(status) == (0, 0, 2)


@in_virtual_time
async def test_keys_that_went_stale_are_missing_from_then_on() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        fetcher.answers[URI] = DOWN
        await asyncio.sleep(1009)
        [status] = refresher.statuses()
        assert (status.keys, status.age, status.stale_in) == (0, None, None)
        assert status.without_keys_for == 10
        assert status.problem == "no answer: connection refused"


@in_virtual_time
async def test_fetches_are_counted_by_result_and_a_success_ends_the_problem() -> None:
    fetcher = MemoryFetcher({URI: keys("1", etag='"1"')})
    async with refreshing(fetcher) as refresher:
        await asyncio.sleep(300)
        assert [counts(status) for status in refresher.statuses()] == [(1, 1, 0)]
        fetcher.answers[URI] = DOWN
        await asyncio.sleep(301)
        [status] = refresher.statuses()
        assert counts(status)[:2] == (1, 1)
        assert status.fetches["failed"] >= 1
        assert status.problem == "no answer: connection refused"
        assert status.keys == 1  # which serve on
        fetcher.answers[URI] = keys("2")
        await asyncio.sleep(300)
        [status] = refresher.statuses()
        assert status.fetches["changed"] == 2
        assert status.problem is None


@in_virtual_time
async def test_asks_for_an_unknown_key_id_are_counted_also_within_the_cooldown() -> None:
    fetcher = MemoryFetcher({URI: DOWN})
    async with refreshing(fetcher) as refresher:
        refresher.nudge("logto")  # there are no keys, so that no key id is known
        assert [status.nudges for status in refresher.statuses()] == [0]
        fetcher.answers[URI] = keys("1")
        await asyncio.sleep(20)
        for _ in range(5):
            refresher.nudge("logto")
        assert [status.nudges for status in refresher.statuses()] == [5]


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        (FetchError("the answer is not 200", url=URI, status=503), "not 200 (status 503)"),
        (Fetched(b"\x1b[31m<html>"), "the key set is not a JSON object"),
        (keys(unusable=2), "the key set has no usable key"),
        (IssuerError("constant words", url="\x1b[31m", named="\x1b[31m"), "constant words"),
        (RuntimeError("\x1b[31m"), "unexpected error"),
    ],
)
@in_virtual_time
async def test_a_problem_is_told_in_words_that_hold_nothing_of_what_a_server_sent(
    answer: Fetched | Exception, problem: str
) -> None:
    async with refreshing(MemoryFetcher({URI: answer})) as refresher:
        [status] = refresher.statuses()
        assert status.problem is not None
        assert status.problem.endswith(problem)
        assert status.problem.isprintable()


@in_virtual_time
async def test_a_problem_with_metadata_says_so() -> None:
    fetcher = MemoryFetcher({METADATA: DOWN})
    only = dataclasses.replace(issuer(uri=None), identifiers=("https://auth.example.com",))
    async with refreshing(fetcher, only) as refresher:
        assert [status.problem for status in refresher.statuses()] == [
            "metadata: no answer: connection refused"
        ]
        other = b'{"issuer": "https://evil.example"}'
        fetcher.answers[METADATA] = Fetched(other)
        await asyncio.sleep(5)
        assert [status.problem for status in refresher.statuses()] == [
            "the metadata names another issuer"
        ]


@in_virtual_time
async def test_counts_survive_a_reload_where_the_source_is_the_same() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await asyncio.sleep(20)
        refresher.nudge("logto")
        await asyncio.sleep(1)
        refresher.update([dataclasses.replace(issuer(), leeway=60, required=False)])
        [status] = refresher.statuses()
        assert (counts(status), status.nudges, status.required) == ((1, 1, 0), 1, False)
        slower = [issuer(interval=400.0)]
        await refresher.prepare(slower, within=5)
        refresher.update(slower)
        [status] = refresher.statuses()
        assert (sum(counts(status)), status.nudges, status.age) == (3, 1, 0)
        moved = [issuer(uri=f"{URI}/moved")]
        refresher.update(moved)
        [status] = refresher.statuses()
        assert (counts(status), status.nudges) == ((0, 0, 0), 0)
        assert status.without_keys_for == 0


@in_virtual_time
async def test_statuses_are_in_the_order_of_the_policy_and_static_sets_are_among_them() -> None:
    static = dataclasses.replace(
        LOGTO, name="static", required=False, keys=key_set(signing_key(kid="1"))
    )
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, issuer("b"), static, issuer("a", f"{URI}/a")) as refresher:
        statuses = refresher.statuses()
        assert [(status.issuer, status.keys) for status in statuses] == [
            ("b", 1),
            ("static", 1),
            ("a", 0),
        ]
        assert statuses[1] == KeySetStatus(
            issuer="static",
            required=False,
            keys=1,
            dropped=0,
            age=None,
            stale_in=None,
            fetches={"changed": 0, "unchanged": 0, "failed": 0},
            nudges=0,
            problem=None,
        )
        refresher.update([static])
        assert [status.issuer for status in refresher.statuses()] == ["static"]


def test_a_file_whose_keys_are_dropped_is_told_of_when_it_is_read_and_once(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = captured(monkeypatch, refresher_module)
    good = signing_key(kid="1")
    whole, partly = (
        dataclasses.replace(LOGTO, keys=dataclasses.replace(key_set(good), dropped=dropped))
        for dropped in ({}, {"rsa_size": 2})
    )
    refresher = Refresher([whole], MemoryFetcher())
    for each in (whole, partly, partly):
        refresher.update([each])
    told: list[dict[str, Any]] = [
        {"event": "key_set_read", "issuer": "logto", "keys": 1, "dropped": {}, "log_level": "info"},
        {
            "event": "key_set_read", "issuer": "logto", "keys": 1, "dropped": {"rsa_size": 2},
            "log_level": "warning",
        },
    ]  # fmt: skip
    assert log == told
