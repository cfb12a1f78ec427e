"""Checks are counted by labels from closed sets, and timed."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import pytest

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, Audited, Deny, DenyReason
from authz_service.core.forward import UpstreamHeaders
from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry.metrics import Metrics, Sources
from authz_service.telemetry.metrics import checks as checks_module
from authz_service.telemetry.metrics.checks import BUCKETS
from tests.edge.shop import (
    NOW,
    REFUSALS,
    SECRET,
    check_request,
    mint,
    policy_from,
    published,
    shop_policy,
)
from tests.support.measured import families, samples, value

if TYPE_CHECKING:
    from collections.abc import Iterator

    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from authz_service.core.decision import Decision

    Counted = dict[tuple[str, str, str, str], float]

NAME: Final = "authz_decisions_total"
DURATION: Final = "authz_check_duration_seconds"
LABELS: Final = ("decision", "reason", "mode", "resource")
TWO_RESOURCES: Final = """\
version: 1
resources:
  - {name: one, audience: https://one.api, routes: [{path: /one, methods: {GET: public}}]}
  - {name: other, audience: https://other.api, routes: [{path: /other, methods: {GET: public}}]}
"""


def _decide(request: CheckRequest) -> Decision:
    return authorize(to_http_request(request), policy=shop_policy(), keys=published(), now=NOW)


def _counted(metrics: Metrics) -> Counted:
    """Every series of the decisions that has a count."""
    found: Counted = {}
    for sample in samples(metrics):
        if sample.name == NAME and sample.value:
            decision, reason, mode, resource = (sample.labels[label] for label in LABELS)
            found[decision, reason, mode, resource] = sample.value
    return found


def test_nothing_is_counted_before_the_first_check() -> None:
    assert _counted(Metrics()) == {}


def test_an_allow_is_counted_with_its_resource_and_without_a_reason() -> None:
    metrics = Metrics()
    metrics.count(_decide(check_request("/healthz")), 0.001)
    metrics.count(_decide(check_request(token=mint())), 0.001)
    assert _counted(metrics) == {("allow", "", "enforce", "shopping"): 2}


@pytest.mark.parametrize("reason", DenyReason)
def test_a_refusal_before_a_route_is_counted_by_its_reason(reason: DenyReason) -> None:
    metrics = Metrics()
    metrics.count(Deny(reason), 0.001)
    assert _counted(metrics) == {("deny", reason.value, "enforce", ""): 1}


def test_a_refusal_at_a_route_is_counted_with_its_resource() -> None:
    metrics = Metrics()
    metrics.count(_decide(check_request("/products")), 0.001)
    assert _counted(metrics) == {("deny", "missing_token", "enforce", "shopping"): 1}


def test_a_refusal_that_is_not_enforced_is_counted_as_one_of_audit_mode() -> None:
    metrics = Metrics()
    deny = Deny(DenyReason.EXPIRED)
    metrics.count(Allow(None, Audited(deny), UpstreamHeaders((), ())), 0.001)
    assert _counted(metrics) == {("deny", "expired", "audit", ""): 1}


def test_our_own_faults_are_counted_from_zero_on_so_that_the_first_is_an_increase() -> None:
    labels = {"decision": "deny", "reason": "internal_error", "mode": "enforce", "resource": ""}
    metrics = Metrics()
    assert value(metrics, NAME, **labels) == 0
    metrics.count(Deny(), 0.001)
    assert value(metrics, NAME, **labels) == 1


def test_no_label_holds_anything_of_a_request_or_a_token() -> None:
    metrics = Metrics()
    for refusal in REFUSALS:
        metrics.count(_decide(refusal.request()), 0.001)
    request = check_request("/me", token=mint({"sub": SECRET, "client_id": SECRET}))
    metrics.count(_decide(request), 0.001)
    reasons = {reason.value for reason in DenyReason}
    for decision, reason, mode, resource in _counted(metrics):
        assert (decision == "allow") == (reason == "")
        assert reason in {"", *reasons}
        assert mode == "enforce"
        assert resource in {"", "shopping"}
    assert SECRET not in metrics.exposition().decode()
    for sample in samples(metrics):
        known = {*LABELS, "result", "le", "version", "python", "grpcio"}
        assert sample.labels.keys() <= known


def test_a_resource_that_has_gone_has_no_series_any_more_and_the_others_keep_theirs() -> None:
    policy = policy_from(TWO_RESOURCES)
    metrics = Metrics()
    for target in ("/one", "/other", "/nothing"):
        request = to_http_request(check_request(target))
        metrics.count(authorize(request, policy=policy, keys={}, now=NOW), 0.001)
    metrics.keep({"other"})
    assert _counted(metrics) == {
        ("allow", "", "enforce", "other"): 1,
        ("deny", "no_route", "enforce", ""): 1,
    }
    assert 'resource="one"' not in metrics.exposition().decode()


class _Names(list[str]):
    """Counts how often somebody goes through all of them."""

    times = 0

    def __iter__(self) -> Iterator[str]:
        self.times += 1
        return super().__iter__()


def test_the_names_of_thousands_of_resources_are_gone_through_once() -> None:
    """And not for each series: that took seconds, in which no Check was answered."""
    metrics = Metrics()
    for reason in DenyReason:
        metrics.count(Deny(reason), 0.001)
    names = _Names(["one", "other"])
    metrics.keep(names)
    assert names.times == 1
    assert len(_counted(metrics)) == len(DenyReason)


def test_thousands_of_series_are_one_family(monkeypatch: pytest.MonkeyPatch) -> None:
    """They are made in parts, of which each would begin with a type of its own."""
    monkeypatch.setattr(checks_module, "_SERIES_AT_ONCE", 3)
    metrics = Metrics()
    for reason in DenyReason:
        metrics.count(Deny(reason), 0.001)
    text = metrics.exposition().decode()
    assert text.count("# TYPE authz_decisions_total counter\n") == 1
    assert text.count("# HELP authz_decisions_total ") == 1
    assert len(_counted(metrics)) == len(DenyReason)


@pytest.mark.parametrize(
    ("seconds", "first"), [(0.0, 50e-6), (50e-6, 50e-6), (51e-6, 100e-6), (1.0, 1.0)]
)
def test_a_duration_is_in_the_first_bucket_that_it_is_not_above(
    seconds: float, first: float
) -> None:
    metrics = Metrics()
    metrics.count(Deny(DenyReason.EXPIRED), seconds)
    buckets = {
        float(sample.labels["le"]): sample.value
        for sample in samples(metrics)
        if sample.name == f"{DURATION}_bucket" and sample.labels["decision"] == "deny"
    }
    assert buckets == {bound: bound >= first for bound in (*BUCKETS, math.inf)}


def test_durations_beyond_all_buckets_are_counted_and_summed() -> None:
    metrics = Metrics()
    metrics.count(Deny(DenyReason.UNKNOWN_KEY), 2.0)
    metrics.count(Deny(DenyReason.UNKNOWN_KEY), 0.5)
    assert value(metrics, f"{DURATION}_bucket", decision="deny", le="1.0") == 1
    assert value(metrics, f"{DURATION}_bucket", decision="deny", le="+Inf") == 2
    assert value(metrics, f"{DURATION}_count", decision="deny") == 2
    assert value(metrics, f"{DURATION}_sum", decision="deny") == 2.5


def test_checks_in_flight_are_asked_for_at_each_scrape() -> None:
    under_way = [3]
    metrics = Metrics(Sources(in_flight=lambda: under_way[0]))
    assert value(metrics, "authz_checks_in_flight") == 3
    under_way[0] = 0
    assert value(metrics, "authz_checks_in_flight") == 0
    assert "authz_checks_in_flight" not in families(Metrics())


def test_two_services_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.count(Deny(), 0.001)
    assert len(_counted(one)) == 1
    assert _counted(other) == {}


def test_a_count_has_no_creation_time_beside_it() -> None:
    metrics = Metrics()
    metrics.count(Deny(), 0.001)
    assert b"_created" not in metrics.exposition()
