"""Counts with labels from closed sets, in a registry of their own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authz_service.core.authorize import authorize
from authz_service.core.decision import Allow, Audited, Deny, DenyReason
from authz_service.core.forward import UpstreamHeaders
from authz_service.ext_authz.convert import to_http_request
from authz_service.telemetry.metrics import Metrics
from tests.edge.shop import (
    NOW,
    REFUSALS,
    SECRET,
    check_request,
    mint,
    published,
    shop_policy,
)

if TYPE_CHECKING:
    from authz_service._proto.envoy.service.auth.v3.external_auth_pb2 import CheckRequest
    from authz_service.core.decision import Decision

NAME: Final = "authz_decisions_total"


def _decide(request: CheckRequest) -> Decision:
    return authorize(to_http_request(request), policy=shop_policy(), keys=published(), now=NOW)


def _decisions(metrics: Metrics) -> dict[tuple[str, str], float]:
    return {
        (sample.labels["decision"], sample.labels["reason"]): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
        if sample.name == NAME
    }


def test_nothing_is_counted_before_the_first_check() -> None:
    assert sum(_decisions(Metrics()).values()) == 0


def test_an_allow_is_counted_without_a_reason() -> None:
    metrics = Metrics()
    metrics.count(_decide(check_request("/healthz")))
    metrics.count(_decide(check_request(token=mint())))
    assert _decisions(metrics)["allow", ""] == 2


@pytest.mark.parametrize("reason", DenyReason)
def test_a_refusal_is_counted_by_its_reason(reason: DenyReason) -> None:
    metrics = Metrics()
    metrics.count(Deny(reason))
    counted = {labels for labels, value in _decisions(metrics).items() if value}
    assert counted == {("deny", reason.value)}


def test_a_refusal_that_is_not_enforced_is_counted_as_one_of_audit_mode() -> None:
    metrics = Metrics()
    deny = Deny(DenyReason.EXPIRED)
    metrics.count(Allow(None, Audited(deny), UpstreamHeaders((), ())))
    assert b'{decision="deny",mode="audit",reason="expired"} 1.0' in metrics.exposition()


def test_no_label_holds_anything_of_a_request_or_a_token() -> None:
    metrics = Metrics()
    for refusal in REFUSALS:
        metrics.count(_decide(refusal.request()))
    metrics.count(_decide(check_request("/me", token=mint({"sub": SECRET, "client_id": SECRET}))))
    possible = {("allow", ""), *(("deny", reason.value) for reason in DenyReason)}
    assert _decisions(metrics).keys() <= possible
    assert SECRET not in metrics.exposition().decode()
    for family in text_string_to_metric_families(metrics.exposition().decode()):
        for sample in family.samples:
            assert sample.labels.keys() <= {"decision", "mode", "reason", "result"}


def test_reloads_are_counted_by_result_and_the_last_one_is_told() -> None:
    def value(name: str, result: str | None = None) -> float | None:
        labels = {} if result is None else {"result": result}
        return metrics._registry.get_sample_value(f"authz_policy_{name}", labels)

    metrics = Metrics()
    assert [value("reloads_total", each) for each in ("changed", "unchanged", "failed")] == [0] * 3
    assert value("last_reload_successful") == 1
    metrics.count_reload("failed")
    assert value("last_reload_successful") == 0
    for result in ("changed", "unchanged"):
        metrics.count_reload("failed")
        metrics.count_reload(result)
        assert value("last_reload_successful") == 1
    assert [value("reloads_total", each) for each in ("changed", "unchanged", "failed")] == [
        1,
        1,
        3,
    ]


def test_two_services_count_apart() -> None:
    one, other = Metrics(), Metrics()
    one.count(Deny())
    assert sum(_decisions(one).values()) == 1
    assert sum(_decisions(other).values()) == 0


def test_a_count_has_no_creation_time_beside_it() -> None:
    metrics = Metrics()
    metrics.count(Deny())
    assert b"_created" not in metrics.exposition()
