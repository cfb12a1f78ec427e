"""When keys are fetched, what becomes of the answer, and who waits for it.

Most of this runs in virtual time against a fetcher in memory, so that hours cost nothing and every
GET has an exact second. The rest talks to the development issuer.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import logging
from typing import TYPE_CHECKING, Final, Self

import pytest

from authz_service.core.errors import IssuerError
from authz_service.core.policy import RemoteKeys
from authz_service.core.refresh import RefreshSettings
from authz_service.demo.issuer import DevelopmentIssuer
from authz_service.keys import Refresher
from authz_service.keys.fetch import Fetched, HttpFetcher
from tests.support.event_loops import FakeClock, eventually, in_event_loop, in_virtual_time
from tests.support.keys import jwk_set, key_set, signing_key
from tests.support.memory_fetcher import MemoryFetcher
from tests.support.policies import LOGTO

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Mapping

    from authz_service.core.jwks import KeySet
    from authz_service.core.policy import Issuer
    from authz_service.keys.fetch import Fetcher

NAME: Final = "logto"
URI: Final = "https://auth.example.com/jwks"
DOWN: Final = IssuerError("no answer", url=URI)

INTERVAL: Final = 300.0
COOLDOWN: Final = 10.0
TIMEOUT: Final = 5.0
MAX_STALE: Final = 1000.0
SETTINGS: Final = RefreshSettings(INTERVAL, COOLDOWN, TIMEOUT, MAX_STALE)
LEAST: Final = 0.9  # of a wait is left after jitter


def keys(
    *kids: str, owner: str = "logto", etag: str | None = None, max_age: float | None = None
) -> Fetched:
    """Give the answer that publishes *owner*'s keys under *kids*."""
    document = jwk_set(*(signing_key(owner=owner, kid=kid).public for kid in kids))
    return Fetched(document, etag, max_age)


def remote(
    name: str = NAME, uri: str | None = URI, *, refresh: RefreshSettings = SETTINGS
) -> Issuer:
    """Give an issuer whose keys are at *uri*."""
    return dataclasses.replace(LOGTO, name=name, keys=RemoteKeys(uri, refresh=refresh))


def kids(key_sets: Mapping[str, KeySet], name: str = NAME) -> list[str | None] | None:
    """List the key ids of the issuer *name*, None where it has no key set."""
    return [key.kid for key in key_sets[name].keys] if name in key_sets else None


def missing(refresher: Refresher) -> list[str]:
    """List the issuers without a key set at the moment."""
    return list(refresher.missing)


class Watched(Refresher):
    """A refresher that counts how often it says that something has changed."""

    def __init__(
        self, issuers: tuple[Issuer, ...], fetcher: Fetcher, clock: Callable[[], float]
    ) -> None:
        self.changes = 0
        super().__init__(issuers, fetcher, on_change=self._count, clock=clock)

    def _count(self) -> None:
        self.changes += 1

    @property
    def kids(self) -> list[str | None] | None:
        """The key ids at the moment."""
        return kids(self.key_sets)


@contextlib.asynccontextmanager
async def refreshing(fetcher: Fetcher, *issuers: Issuer) -> AsyncIterator[Watched]:
    """Refresh from second 0 on, by the loop's own clock."""
    refresher = Watched(issuers or (remote(),), fetcher, asyncio.get_running_loop().time)
    refresher.start()
    try:
        yield refresher
    finally:
        await refresher.stop()


async def until(second: float) -> None:
    """Let virtual time pass up to *second*, and what is due in that second happen."""
    loop = asyncio.get_running_loop()
    assert second >= loop.time()
    await asyncio.sleep(second - loop.time())
    for _ in range(10):
        await asyncio.sleep(0)


def gaps(fetcher: MemoryFetcher) -> list[float]:
    """Give the seconds from each GET to the next."""
    return [later - earlier for earlier, later in itertools.pairwise(fetcher.times)]


# keeping fresh


@in_virtual_time
async def test_every_key_set_is_fetched_at_once() -> None:
    fetcher = MemoryFetcher({f"{URI}/{name}": keys(name) for name in "abc"})
    async with refreshing(fetcher, *(remote(name, f"{URI}/{name}") for name in "abc")) as refresher:
        assert missing(refresher) == ["a", "b", "c"]
        assert refresher.key_sets == {}
        await until(0)
        assert missing(refresher) == []
        assert {name: kids(refresher.key_sets, name) for name in "abc"} == {n: [n] for n in "abc"}
        assert fetcher.times == [0, 0, 0]


@pytest.mark.parametrize(
    ("max_age", "wait"),
    [
        (None, INTERVAL),
        (0.0, INTERVAL),  # Logto's; to the letter, there would be no end of fetching
        (1.0, 60.0),
        (60.0, 60.0),
        (120.0, 120.0),
        (INTERVAL, INTERVAL),
        (86400.0, INTERVAL),
    ],
)
@in_virtual_time
async def test_the_next_fetch_comes_after_the_interval_or_the_stated_age_within_bounds(
    max_age: float | None, wait: float
) -> None:
    fetcher = MemoryFetcher({URI: keys("1", max_age=max_age)})
    async with refreshing(fetcher):
        await until(10 * wait)
    assert len(fetcher.times) in {10, 11, 12}
    assert all(LEAST * wait <= gap <= wait for gap in gaps(fetcher))


@in_virtual_time
async def test_instances_that_start_together_do_not_stay_together() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with contextlib.AsyncExitStack() as instances:
        for _ in range(20):
            await instances.enter_async_context(refreshing(fetcher))
        await until(INTERVAL)
    assert len(set(fetcher.times[20:])) > 10


@in_virtual_time
async def test_a_new_set_replaces_the_old_one_as_a_whole() -> None:
    fetcher = MemoryFetcher({URI: keys("1", "2")})
    async with refreshing(fetcher) as refresher:
        await until(0)
        assert refresher.kids == ["1", "2"]
        fetcher.answers[URI] = keys("2", "3")
        await until(INTERVAL)
        assert refresher.kids == ["2", "3"]
        assert refresher.changes == 2


@in_virtual_time
async def test_an_unchanged_set_stays_the_same_snapshot_and_counts_as_success() -> None:
    fetcher = MemoryFetcher({URI: keys("1", etag='"1"')})
    async with refreshing(fetcher) as refresher:
        await until(0)
        first = refresher.key_sets
        await until(3 * MAX_STALE)
        assert refresher.key_sets is first
        assert refresher.changes == 1
        assert {asked.etag for asked in fetcher.asked[1:]} == {'"1"'}
        assert all(LEAST * INTERVAL <= gap <= INTERVAL for gap in gaps(fetcher))


@in_virtual_time
async def test_the_same_keys_once_more_are_no_change_also_without_an_etag() -> None:
    fetcher = MemoryFetcher({URI: keys("1", "2")})
    async with refreshing(fetcher) as refresher:
        await until(0)
        first = refresher.key_sets
        await until(3 * INTERVAL)
        assert len(fetcher.times) > 3
        assert refresher.changes == 1
        assert refresher.key_sets is first


# failures


@in_virtual_time
async def test_failures_are_retried_with_twice_the_wait_up_to_the_interval() -> None:
    fetcher = MemoryFetcher({URI: DOWN})
    async with refreshing(fetcher) as refresher:
        await until(2000)
        assert missing(refresher) == [NAME]
        waits = [1, 2, 4, 8, 16, 32, 64, 128, 256, *[INTERVAL] * 4]
        assert len(gaps(fetcher)) >= len(waits)
        for gap, wait in zip(gaps(fetcher), waits, strict=False):
            assert LEAST * wait <= gap <= wait
        fetcher.answers[URI] = keys("1")
        await until(2000 + INTERVAL)
        assert missing(refresher) == []
        assert refresher.kids == ["1"]


@in_virtual_time
async def test_a_success_makes_the_next_failure_the_first_again() -> None:
    fetcher = MemoryFetcher({URI: DOWN})
    async with refreshing(fetcher):
        await until(100)
        fetcher.answers[URI] = keys("1")
        await until(300)
        assert LEAST * INTERVAL + fetcher.times[-1] > 300
        fetcher.answers[URI] = DOWN
        successful = len(fetcher.times)
        await until(fetcher.times[-1] + INTERVAL + 3)
        first, second = fetcher.times[successful : successful + 2]
        assert LEAST <= second - first <= 1


@pytest.mark.parametrize(
    "useless",
    [
        pytest.param(DOWN, id="down"),
        pytest.param(Fetched(b""), id="empty"),
        pytest.param(Fetched(b"<html>"), id="html"),
        pytest.param(Fetched(b'{"keys": []}'), id="empty set"),
        pytest.param(Fetched(b'{"keys": [{"kty": "oct", "k": "AAAA"}]}'), id="nothing usable"),
        pytest.param(RuntimeError("a bug"), id="a bug"),
    ],
)
@in_virtual_time
async def test_the_last_good_set_serves_until_it_is_stale_and_a_later_success_brings_it_back(
    useless: Fetched | Exception,
) -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(0)
        good = refresher.key_sets
        fetcher.answers[URI] = useless
        await until(MAX_STALE - 0.1)
        assert len(fetcher.times) > 5
        assert refresher.key_sets is good
        assert missing(refresher) == []
        await until(MAX_STALE + 0.1)
        assert missing(refresher) == [NAME]
        assert refresher.key_sets == {}
        assert kids(good) == ["1"]
        assert refresher.changes == 2
        fetcher.answers[URI] = keys("2", etag='"2"')
        await until(MAX_STALE + INTERVAL + 1)
        assert missing(refresher) == []
        assert refresher.kids == ["2"]
        assert refresher.changes == 3


@in_virtual_time
async def test_a_stale_set_is_back_after_a_fetch_that_sets_no_condition() -> None:
    fetcher = MemoryFetcher({URI: keys("1", etag='"1"')})
    async with refreshing(fetcher) as refresher:
        await until(0)
        fetcher.answers[URI] = DOWN
        await until(MAX_STALE + 1)
        assert missing(refresher) == [NAME]
        fetcher.answers[URI] = keys("1", etag='"1"')
        asked = len(fetcher.asked)
        await until(MAX_STALE + INTERVAL + 1)
        assert refresher.kids == ["1"]
        assert fetcher.asked[asked].etag is None


@in_virtual_time
async def test_one_issuer_that_goes_stale_takes_no_other_along() -> None:
    fetcher = MemoryFetcher({f"{URI}/a": keys("a"), f"{URI}/b": keys("b")})
    issuers = (remote("a", f"{URI}/a"), remote("b", f"{URI}/b"))
    async with refreshing(fetcher, *issuers) as refresher:
        await until(0)
        fetcher.answers[f"{URI}/a"] = DOWN
        await until(MAX_STALE + 0.1)
        assert missing(refresher) == ["a"]
        assert kids(refresher.key_sets, "b") == ["b"]


@in_virtual_time
async def test_a_set_goes_stale_in_time_also_while_the_key_server_hangs() -> None:
    slow = RefreshSettings(interval=95.0, cooldown=10.0, timeout=60.0, max_stale=100.0)
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, remote(refresh=slow)) as refresher:
        await until(0)
        fetcher.takes = 3600.0
        await until(99.9)
        assert refresher.kids == ["1"]
        assert fetcher.most_at_once == 1
        assert len(fetcher.times) == 2
        await until(100.1)
        assert missing(refresher) == [NAME]


@in_virtual_time
async def test_after_a_jump_of_the_clock_a_nudge_takes_the_stale_set_away() -> None:
    clock = FakeClock()
    fetcher = MemoryFetcher({URI: keys("1")})
    refresher = Watched((remote(),), fetcher, clock)
    refresher.start()
    await until(1)
    assert refresher.kids == ["1"]
    fetcher.answers[URI] = DOWN
    clock.advance(MAX_STALE)
    fetch = refresher.nudge(NAME)
    assert fetch is not None
    await fetch
    assert missing(refresher) == [NAME]
    await refresher.stop()


@in_virtual_time
async def test_an_unexpected_exception_does_not_end_the_refreshing() -> None:
    fetcher = MemoryFetcher({URI: RuntimeError("a bug")})
    async with refreshing(fetcher) as refresher:
        await until(0)
        assert missing(refresher) == [NAME]
        fetcher.answers[URI] = keys("1")
        await until(1)
        assert refresher.kids == ["1"]


# nudges


@in_virtual_time
async def test_a_nudge_outside_the_cooldown_starts_one_fetch_that_all_share() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(COOLDOWN)
        fetcher.answers[URI] = keys("1", "2")
        fetches = [refresher.nudge(NAME) for _ in range(10_000)]
        assert fetches[0] is not None
        assert all(fetch is fetches[0] for fetch in fetches)
        await fetches[0]
        assert refresher.kids == ["1", "2"]
        await until(2 * COOLDOWN - 1)
        assert fetcher.times == [0, COOLDOWN]


@in_virtual_time
async def test_nudges_within_the_cooldown_cause_one_fetch_at_its_end() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        for second in range(1, 10):
            await until(second)
            assert [refresher.nudge(NAME) for _ in range(100)] == [None] * 100
        assert fetcher.times == [0]
        await until(COOLDOWN + 9)
        assert fetcher.times == [0, COOLDOWN]


@in_virtual_time
async def test_nudges_without_end_cause_one_fetch_in_each_cooldown() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        for tenth in range(1, 1000):
            await until(tenth / 10)
            refresher.nudge(NAME)
    assert fetcher.times == pytest.approx([COOLDOWN * n for n in range(10)])


@in_virtual_time
async def test_a_failing_issuer_is_nudged_no_more_often_either() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(20)
        fetcher.answers[URI] = DOWN
        for tenth in range(201, 1200):
            await until(tenth / 10)
            refresher.nudge(NAME)
        nudged_and_retried = len(fetcher.times)
    assert nudged_and_retried <= 1 + 10 + len([1, 2, 4, 8, 16, 32, 64])
    assert fetcher.most_at_once == 1


@in_virtual_time
async def test_the_cooldown_counts_from_the_attempt_also_where_it_failed() -> None:
    patient = dataclasses.replace(SETTINGS, cooldown=60.0)
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher, remote(refresh=patient)) as refresher:
        await until(100)
        fetcher.answers[URI] = DOWN
        fetcher.takes = 4.0
        assert refresher.nudge(NAME) is not None
        await until(104)
        fetcher.takes = 0.0
        fetcher.answers[URI] = keys("2")
        assert refresher.nudge(NAME) is None
        await until(105)
        assert fetcher.times[:2] == [0, 100]
        assert LEAST <= fetcher.times[2] - 104 <= 1
        assert refresher.kids == ["2"]


@in_virtual_time
async def test_a_nudge_while_a_fetch_is_under_way_joins_it() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    fetcher.takes = 4.0
    async with refreshing(fetcher) as refresher:
        await until(1)
        first = refresher.nudge(NAME)
        await until(3)
        assert first is not None
        assert refresher.nudge(NAME) is first
        assert not first.done()
        await until(4)
        assert first.done()
        assert refresher.kids == ["1"]
        assert refresher.nudge(NAME) is None
        await until(COOLDOWN - 1)
        assert fetcher.times == [0]


@in_virtual_time
async def test_a_nudge_while_a_fetch_is_under_way_makes_another_due_after_the_cooldown() -> None:
    fetcher = MemoryFetcher({URI: keys("old")})
    fetcher.takes = 4.0
    async with refreshing(fetcher) as refresher:
        await until(1)
        fetcher.answers[URI] = keys("new")  # the answer under way was made before
        refresher.nudge(NAME)
        await until(5)
        assert refresher.kids == ["old"]
        await until(COOLDOWN + 5)
        assert fetcher.times == [0, COOLDOWN]
        assert refresher.kids == ["new"]


@in_virtual_time
async def test_a_nudge_before_the_start_is_answered_by_the_first_fetch() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    refresher = Watched((remote(),), fetcher, asyncio.get_running_loop().time)
    first = refresher.nudge(NAME)
    refresher.start()
    assert first is not None
    await first
    assert refresher.kids == ["1"]
    assert fetcher.times == [0]
    await refresher.stop()


@in_virtual_time
async def test_a_nudged_fetch_puts_the_next_regular_one_off() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(200)
        refresher.nudge(NAME)
        await until(200 + LEAST * INTERVAL - 1)
        assert fetcher.times == [0, 200]


@in_virtual_time
async def test_a_nudge_of_one_issuer_fetches_no_other() -> None:
    fetcher = MemoryFetcher({f"{URI}/{name}": keys(name) for name in "ab"})
    issuers = [remote(name, f"{URI}/{name}") for name in "ab"]
    async with refreshing(fetcher, *issuers) as refresher:
        await until(20)
        refresher.nudge("b")
        await until(21)
        assert fetcher.urls[2:] == [f"{URI}/b"]


@in_virtual_time
async def test_the_end_of_a_failed_fetch_is_an_end_too() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(20)
        fetcher.answers[URI] = DOWN
        fetch = refresher.nudge(NAME)
        assert fetch is not None
        await fetch
        assert refresher.kids == ["1"]


@in_virtual_time
async def test_a_static_or_unknown_issuer_has_nothing_to_nudge() -> None:
    static = key_set(signing_key(kid="static"))
    fetcher = MemoryFetcher()
    refresher = Watched((dataclasses.replace(LOGTO, keys=static),), fetcher, lambda: 0.0)
    assert refresher.key_sets == {NAME: static}
    assert missing(refresher) == []
    assert refresher.nudge(NAME) is None
    assert refresher.nudge("nobody") is None
    refresher.start()
    await until(86400)
    assert refresher.key_sets[NAME] is static
    assert fetcher.asked == []
    await refresher.stop()


@in_virtual_time
async def test_a_waiter_that_gives_up_leaves_the_fetch_to_the_others() -> None:
    async def wait() -> list[str | None] | None:
        fetch = refresher.nudge(NAME)
        assert fetch is not None
        await asyncio.shield(fetch)
        return refresher.kids

    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(20)
        fetcher.takes = 4.0
        fetcher.answers[URI] = keys("2")
        hasty, patient = asyncio.create_task(wait()), asyncio.create_task(wait())
        await until(22)
        hasty.cancel()
        await until(23)
        assert hasty.cancelled()
        assert not patient.done()
        assert await patient == ["2"]
        assert fetcher.times == [0, 20]


@in_virtual_time
async def test_a_waiter_that_cancels_what_is_shared_does_not_cancel_the_fetch() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    async with refreshing(fetcher) as refresher:
        await until(20)
        fetcher.takes = 4.0
        fetcher.answers[URI] = keys("2")
        fetch = refresher.nudge(NAME)
        assert fetch is not None
        fetch.cancel()
        await until(24)
        assert refresher.kids == ["2"]
        await until(20 + COOLDOWN)
        assert refresher.nudge(NAME) not in {None, fetch}


# snapshots


@in_virtual_time
async def test_a_snapshot_cannot_be_written_to_and_never_changes() -> None:
    fetcher = MemoryFetcher({f"{URI}/{name}": keys("1") for name in "ab"})
    issuers = [remote(name, f"{URI}/{name}") for name in "ab"]
    async with refreshing(fetcher, *issuers) as refresher:
        await until(0)
        snapshot = refresher.key_sets
        copy = dict(snapshot)
        with pytest.raises(TypeError):
            snapshot["a"] = snapshot["b"]  # type: ignore[index]
        fetcher.answers[f"{URI}/a"] = keys("2")
        fetcher.answers[f"{URI}/b"] = DOWN
        await until(MAX_STALE + 1)
        assert kids(refresher.key_sets, "a") == ["2"]
        assert missing(refresher) == ["b"]
        assert dict(snapshot) == copy
        assert kids(snapshot, "a") == ["1"]


@in_virtual_time
async def test_the_same_kid_at_two_issuers_stays_apart() -> None:
    owners = ("logto", "partner")
    fetcher = MemoryFetcher({f"{URI}/{owner}": keys("same", owner=owner) for owner in owners})
    async with refreshing(fetcher, *(remote(own, f"{URI}/{own}") for own in owners)) as refresher:
        await until(0)
        for owner in owners:
            key = refresher.key_sets[owner].select(alg="ES384", kid="same")
            assert key.thumbprint == signing_key(owner=owner).jwk.thumbprint()


@in_virtual_time
async def test_a_slow_old_answer_never_replaces_a_newer_set() -> None:
    fetcher = MemoryFetcher({URI: keys("old")})
    fetcher.takes = 4.9
    async with refreshing(fetcher, remote(refresh=dataclasses.replace(SETTINGS, cooldown=0))) as it:
        await until(1)
        fetcher.answers[URI] = keys("new")
        fetcher.takes = 0.1
        seen = []
        for tenth in range(11, 100):
            await until(tenth / 10)
            it.nudge(NAME)
            seen.append(it.kids)
        assert [kids for kids, _ in itertools.groupby(seen)] == [None, ["old"], ["new"]]
        assert fetcher.most_at_once == 1


@in_virtual_time
async def test_there_is_one_get_at_a_time_however_many_sides_nudge() -> None:
    async def nudge_on_and_on(pause: float) -> None:
        while asyncio.get_running_loop().time() < 100:
            refresher.nudge(NAME)
            await asyncio.sleep(pause)

    eager = RefreshSettings(interval=1.0, cooldown=0.0, timeout=5.0)
    fetcher = MemoryFetcher({URI: keys("1")})
    fetcher.takes = 3.0
    async with refreshing(fetcher, remote(refresh=eager)) as refresher:
        await asyncio.gather(*(nudge_on_and_on(0.1 + side / 7) for side in range(20)))
    assert fetcher.most_at_once == 1
    assert 20 <= len(fetcher.times) <= 34


# the end


@pytest.mark.parametrize("second", [0.0, 2.0, 4.0, 100.0])
@in_virtual_time
async def test_stop_ends_everything_whatever_is_going_on(second: float) -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    fetcher.takes = 4.0
    refresher = Watched((remote(), remote("other")), fetcher, asyncio.get_running_loop().time)
    refresher.start()
    await until(second)
    key_sets, fetches = refresher.key_sets, len(fetcher.times)
    await refresher.stop()
    assert asyncio.all_tasks() == {asyncio.current_task()}
    await until(second + 10 * INTERVAL)
    assert len(fetcher.times) == fetches
    assert refresher.key_sets is key_sets


@in_virtual_time
async def test_stop_before_any_start_and_a_second_stop_do_nothing() -> None:
    refresher = Watched((remote(),), MemoryFetcher(), lambda: 0.0)
    await refresher.stop()
    refresher.start()
    await refresher.stop()
    await refresher.stop()
    assert missing(refresher) == [NAME]


@in_virtual_time
async def test_who_waits_for_a_fetch_is_let_go_when_it_is_stopped() -> None:
    fetcher = MemoryFetcher({URI: keys("1")})
    fetcher.takes = 4.0
    async with refreshing(fetcher) as refresher:
        await until(1)
        fetch = refresher.nudge(NAME)
        assert fetch is not None
        assert not fetch.done()
    assert fetch.done()
    assert not fetch.cancelled()


@in_virtual_time
async def test_who_waits_for_a_fetch_that_has_not_begun_is_let_go_when_all_is_stopped() -> None:
    async with refreshing(MemoryFetcher({URI: keys("1")})) as refresher:
        await until(20)
        fetch = refresher.nudge(NAME)
        assert fetch is not None
    assert fetch.done()


@in_virtual_time
async def test_a_nudge_after_the_stop_gives_nothing_to_wait_for() -> None:
    async with refreshing(MemoryFetcher({URI: keys("1")})) as refresher:
        await until(20)
    fetch = refresher.nudge(NAME)
    assert fetch is None or fetch.done()


@in_event_loop
async def test_no_pending_task_is_destroyed_at_the_end(caplog: pytest.LogCaptureFixture) -> None:
    async with DevelopmentIssuers() as issuers, HttpFetcher() as fetcher:
        refresher = Refresher([issuers.policy], fetcher)
        refresher.start()
        await asyncio.sleep(0)
        await refresher.stop()
        assert missing(refresher) == [NAME]
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# with the development issuer


class CountingFetcher:
    """The real fetcher, counting."""

    def __init__(self, fetcher: Fetcher) -> None:
        self._fetcher = fetcher
        self.count = 0
        self.not_modified = 0

    async def get(self, url: str, *, within: float, etag: str | None = None) -> Fetched:
        """Get *url*; see Fetcher."""
        self.count += 1
        fetched = await self._fetcher.get(url, within=within, etag=etag)
        self.not_modified += fetched.document is None
        return fetched


class DevelopmentIssuers:
    """A running development issuer, and its entry in a policy: found by discovery, no cooldown."""

    def __init__(self) -> None:
        self.issuer = DevelopmentIssuer([])

    @property
    def policy(self) -> Issuer:
        """The issuer as a policy has it."""
        settings = RemoteKeys(refresh=RefreshSettings(cooldown=0.0))
        return dataclasses.replace(LOGTO, identifiers=(self.issuer.issuer,), keys=settings)

    async def __aenter__(self) -> Self:
        await self.issuer.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.issuer.stop()


@in_event_loop
async def test_a_rotation_at_the_development_issuer_arrives_with_the_next_nudge() -> None:
    async def nudged() -> set[str | None]:
        fetch = refresher.nudge(NAME)
        assert fetch is not None
        await fetch
        return set(refresher.kids or ())

    async with DevelopmentIssuers() as issuers, HttpFetcher() as http:
        issuer, fetcher = issuers.issuer, CountingFetcher(http)
        async with refreshing(fetcher, issuers.policy) as refresher:
            await eventually(lambda: not refresher.missing)
            first = issuer.kid
            unchanged = refresher.key_sets
            assert await nudged() == {first}
            assert refresher.key_sets is unchanged
            second = issuer.rotate()
            assert await nudged() == {first, second}
            third = issuer.rotate(drop_previous=True)
            assert await nudged() == {third}
            assert (fetcher.count, fetcher.not_modified) == (1 + 4, 1)
            assert refresher.changes == 3


@in_event_loop
async def test_a_development_issuer_that_was_away_is_found_again() -> None:
    async with DevelopmentIssuers() as issuers, HttpFetcher() as fetcher:
        await issuers.issuer.stop()
        settings = RemoteKeys(refresh=RefreshSettings(interval=0.02, cooldown=0.0))
        async with refreshing(
            fetcher, dataclasses.replace(issuers.policy, keys=settings)
        ) as refresher:
            fetch = refresher.nudge(NAME)
            assert fetch is not None
            await fetch
            assert missing(refresher) == [NAME]
            await issuers.issuer.start()
            await eventually(lambda: refresher.kids == [issuers.issuer.kid])
