"""When keys are fetched: told of the time and of what happened, the schedule says what is due."""

from __future__ import annotations

import pytest

from authz_service.core.refresh import RefreshSchedule, RefreshSettings

SETTINGS = RefreshSettings(interval=300, cooldown=10, timeout=5, max_stale=3600)
START = RefreshSchedule(SETTINGS, next_fetch_at=0)
ALMOST_ONE = 1 - 2**-53


def test_a_new_schedule_is_due_at_once_and_has_nothing_to_go_stale() -> None:
    assert START.next_fetch_at == 0
    assert START.failures == 0
    assert not START.is_stale(1e9)


def test_an_attempt_is_remembered_and_changes_nothing_else() -> None:
    attempted = START.attempted(7)
    assert attempted == RefreshSchedule(SETTINGS, next_fetch_at=0, last_attempt_at=7)


@pytest.mark.parametrize(
    ("max_age", "interval"),
    [
        (None, 300),
        (0, 300),
        (0.0, 300),
        (0.5, 60),
        (1, 60),
        (59, 60),
        (60, 60),
        (61, 61),
        (299, 299),
        (300, 300),
        (301, 300),
        (1e12, 300),
        (float("inf"), 300),
    ],
)
def test_the_next_fetch_is_after_the_interval_or_sooner_if_the_issuer_says_so(
    max_age: float | None, interval: float
) -> None:
    assert START.succeeded(100, max_age=max_age, random=0).next_fetch_at == 100 + interval


@pytest.mark.parametrize("max_age", [None, 0, 1, 60, 1e6])
def test_an_interval_below_the_shortest_age_is_kept_all_the_same(max_age: float | None) -> None:
    hasty = RefreshSchedule(RefreshSettings(interval=5), next_fetch_at=0)
    assert hasty.succeeded(100, max_age=max_age, random=0).next_fetch_at == 105


def test_success_puts_off_the_day_of_going_stale_and_forgets_failures() -> None:
    schedule = START.failed(0, random=0).failed(1, random=0).succeeded(50, max_age=None, random=0)
    assert schedule.failures == 0
    assert schedule.stale_at == 50 + 3600
    assert schedule.failed(60, random=0).next_fetch_at == 61, "back-off starts anew"


def test_keys_go_stale_at_the_moment_stated_and_not_before() -> None:
    schedule = START.succeeded(50, max_age=None, random=0)
    assert not schedule.is_stale(3649)
    assert schedule.is_stale(3650)
    assert schedule.is_stale(3651)


def test_failures_and_nudges_do_not_change_when_keys_go_stale() -> None:
    schedule = START.succeeded(50, max_age=None, random=0)
    later = schedule.attempted(400).failed(405, random=0).nudged(410)
    assert later.stale_at == schedule.stale_at


def test_the_wait_doubles_with_each_failure_up_to_the_interval() -> None:
    schedule, waits = START, []
    for _attempt in range(12):
        schedule = schedule.failed(1000, random=0)
        waits.append(schedule.next_fetch_at - 1000)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]
    assert schedule.failures == 12


def test_failing_for_ever_does_not_overflow() -> None:
    schedule = RefreshSchedule(RefreshSettings(interval=1e9), next_fetch_at=0, failures=100_000)
    assert schedule.failed(0, random=0).next_fetch_at == 2**16


def test_an_interval_shorter_than_the_first_retry_bounds_it() -> None:
    hasty = RefreshSchedule(RefreshSettings(interval=0.2), next_fetch_at=0)
    assert hasty.failed(10, random=0).next_fetch_at == pytest.approx(10.2)


@pytest.mark.parametrize("random", [0.0, 0.25, 0.5, ALMOST_ONE])
def test_jitter_takes_away_up_to_a_tenth(random: float) -> None:
    good = START.succeeded(0, max_age=None, random=random).next_fetch_at
    assert good == pytest.approx(300 * (1 - random / 10))
    assert 270 <= good <= 300
    bad = START.failed(0, random=random).next_fetch_at
    assert 0.9 <= bad <= 1


def test_a_nudge_out_of_the_cooldown_is_due_at_once() -> None:
    schedule = START.attempted(100).succeeded(101, max_age=None, random=0)
    assert schedule.nudged(110).next_fetch_at == 110
    assert schedule.nudged(111).next_fetch_at == 111


@pytest.mark.parametrize("now", [101, 105, 109, 109.999])
def test_a_nudge_in_the_cooldown_is_due_when_it_is_over(now: float) -> None:
    schedule = START.attempted(100).succeeded(101, max_age=None, random=0)
    assert schedule.nudged(now).next_fetch_at == 110


def test_the_cooldown_counts_from_the_last_attempt_whether_it_failed_or_not() -> None:
    failed = START.attempted(100).failed(105, random=0).failed(105, random=0).failed(105, random=0)
    failed = failed.failed(105, random=0).failed(105, random=0)
    assert failed.next_fetch_at == 121
    assert failed.nudged(106).next_fetch_at == 110


def test_a_nudge_before_any_attempt_is_due_at_once() -> None:
    waiting = RefreshSchedule(SETTINGS, next_fetch_at=500)
    assert waiting.nudged(3).next_fetch_at == 3


def test_a_nudge_never_puts_a_fetch_off() -> None:
    assert START.attempted(100).nudged(101).next_fetch_at == 0
    soon = START.attempted(100).failed(100, random=0)
    assert soon.next_fetch_at == 101
    assert soon.nudged(100.5).next_fetch_at == 101


def test_however_many_nudge_the_fetch_comes_once_after_the_cooldown() -> None:
    schedule = START.attempted(100).succeeded(100, max_age=None, random=0)
    for step in range(1000):
        schedule = schedule.nudged(100 + step / 100)
    assert schedule.next_fetch_at == 110


def test_the_defaults_are_those_of_the_policy_file() -> None:
    assert RefreshSettings() == RefreshSettings(
        interval=300, cooldown=10, timeout=5, max_stale=86400
    )


def test_restored_keys_go_stale_as_long_after_their_fetch_as_any_and_are_fetched_no_later() -> None:
    restored = START.restored(1000, age=600)
    assert restored.fetched_at == 400
    assert restored.stale_at == 400 + 3600
    assert restored == RefreshSchedule(SETTINGS, next_fetch_at=0, stale_at=4000)


def test_when_the_last_good_fetch_was_is_known_once_there_was_one() -> None:
    assert START.attempted(1).failed(2, random=0).fetched_at is None
    schedule = START.succeeded(50, max_age=None, random=0).failed(60, random=0)
    assert schedule.fetched_at == 50
