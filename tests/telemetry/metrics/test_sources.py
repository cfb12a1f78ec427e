"""What is read from others at each scrape: keys, cache, readiness, log; and what is not there."""

from __future__ import annotations

from importlib.metadata import version
from platform import python_version

import grpc

from authz_service.telemetry.metrics import Metrics, Sources
from tests.support.measured import Statistics, Status, families, samples, value, with_everything


def test_each_issuer_has_its_figures() -> None:
    statuses = [Status(), Status(issuer="partner", required=False, keys=0, nudges=0)]
    metrics = Metrics(Sources(key_sets=lambda: statuses))
    assert value(metrics, "authz_key_set_keys", issuer="logto") == 2
    assert value(metrics, "authz_key_set_keys", issuer="partner") == 0
    assert value(metrics, "authz_key_set_dropped_keys", issuer="logto") == 1
    assert value(metrics, "authz_key_set_required", issuer="logto") == 1
    assert value(metrics, "authz_key_set_required", issuer="partner") == 0
    assert value(metrics, "authz_key_set_age_seconds", issuer="logto") == 12.5
    assert value(metrics, "authz_key_set_stale_in_seconds", issuer="logto") == 86_387.5
    fetches = "authz_key_fetches_total"
    assert value(metrics, fetches, issuer="logto", result="unchanged") == 5
    assert value(metrics, fetches, issuer="logto", result="failed") == 0
    assert value(metrics, "authz_key_nudges_total", issuer="logto") == 3


def test_an_issuer_without_keys_or_with_keys_from_a_file_has_no_age() -> None:
    metrics = Metrics(Sources(key_sets=lambda: [Status(age=None, stale_in=None)]))
    for name in ("authz_key_set_age_seconds", "authz_key_set_stale_in_seconds"):
        assert value(metrics, name, issuer="logto") is None
    assert value(metrics, "authz_key_set_keys", issuer="logto") == 2


def test_an_issuer_that_has_gone_has_no_series_any_more() -> None:
    statuses = [Status("a"), Status("b")]
    metrics = Metrics(Sources(key_sets=lambda: statuses))
    del statuses[0]
    issuers = {sample.labels["issuer"] for sample in samples(metrics) if "issuer" in sample.labels}
    assert issuers == {"b"}


def test_the_cache_says_what_it_counts() -> None:
    metrics = Metrics(Sources(token_cache=Statistics))
    figures = {
        name.removeprefix("authz_token_cache_"): family.samples[0].value
        for name, family in families(metrics).items()
        if name.startswith("authz_token_cache_")
    }
    assert figures == {"hits": 90, "misses": 10, "evictions": 4, "entries": 6, "bytes": 9000}


def test_readiness_and_the_lost_events_are_asked_for_at_each_scrape() -> None:
    ready, lost = [False], [0]
    metrics = Metrics(Sources(ready=lambda: ready[0], log_events_lost=lambda: lost[0]))
    assert value(metrics, "authz_ready") == 0
    assert value(metrics, "authz_log_events_lost_total") == 0
    ready[0], lost[0] = True, 5
    assert value(metrics, "authz_ready") == 1
    assert value(metrics, "authz_log_events_lost_total") == 5


def test_the_build_is_told() -> None:
    built = {
        "version": version("authz-service"),
        "python": python_version(),
        "grpcio": grpc.__version__,
    }
    assert value(Metrics(), "authz_build_info", **built) == 1


def test_of_what_is_not_there_nothing_is_said() -> None:
    alone, all_of_it = families(Metrics()).keys(), families(with_everything()).keys()
    assert alone < all_of_it
    assert all_of_it - alone == {
        "authz_ready", "authz_policy_info", "authz_checks_in_flight", "authz_checks_abandoned",
        "authz_log_events_lost", "authz_tls_certificate_not_before_seconds",
            "authz_tls_certificate_not_after_seconds", "authz_warnings",
        "authz_key_set_keys", "authz_key_set_dropped_keys", "authz_key_set_required",
        "authz_key_set_age_seconds", "authz_key_set_stale_in_seconds", "authz_key_fetches",
        "authz_key_nudges", "authz_token_cache_hits", "authz_token_cache_misses",
        "authz_token_cache_evictions", "authz_token_cache_entries", "authz_token_cache_bytes",
    }  # fmt: skip
