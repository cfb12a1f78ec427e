"""Reloads are counted, and the policy in use is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from authz_service.telemetry.metrics import Metrics, Sources
from authz_service.telemetry.metrics.policy import PolicyMetrics
from tests.support.measured import families, value

if TYPE_CHECKING:
    from authz_service.telemetry.metrics.policy import Result


def test_every_result_begins_with_zero_and_all_is_well() -> None:
    metrics = Metrics()
    for result in ("changed", "unchanged", "failed"):
        assert value(metrics, "authz_policy_reloads_total", result=result) == 0
    assert value(metrics, "authz_policy_last_reload_successful") == 1


@pytest.mark.parametrize("good", ["changed", "unchanged"])
def test_reloads_are_counted_by_result_and_the_last_one_is_told(good: Result) -> None:
    metrics = Metrics()
    metrics.count_reload("failed")
    metrics.count_reload("failed")
    assert value(metrics, "authz_policy_last_reload_successful") == 0
    metrics.count_reload(good)
    assert value(metrics, "authz_policy_last_reload_successful") == 1
    assert value(metrics, "authz_policy_reloads_total", result="failed") == 2
    assert value(metrics, "authz_policy_reloads_total", result=good) == 1


def test_the_time_of_the_last_good_one_is_told_and_a_bad_one_leaves_it() -> None:
    now = [1000.0]
    policy = PolicyMetrics(None, lambda: now[0])

    def succeeded_at() -> float:
        (family,) = (
            family
            for family in policy.collect()
            if family.name == "authz_policy_last_reload_success_timestamp_seconds"
        )
        return float(family.samples[0].value)

    assert succeeded_at() == 1000
    now[0] = 2000.0
    policy.count("failed")
    assert succeeded_at() == 1000
    policy.count("unchanged")
    assert succeeded_at() == 2000


def test_only_the_policy_in_use_has_a_series() -> None:
    in_use = ["a" * 64]
    metrics = Metrics(Sources(policy_hash=lambda: in_use[0]))
    assert value(metrics, "authz_policy_info", hash="a" * 64) == 1
    in_use[0] = "b" * 64
    (sample,) = families(metrics)["authz_policy_info"].samples
    assert (sample.labels, sample.value) == ({"hash": "b" * 64}, 1)
