"""Metrics with everything behind them that there can be, and what a scrape of them says."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from prometheus_client.parser import text_string_to_metric_families

from authz_service.telemetry.metrics import Metrics, Sources

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from prometheus_client.core import Metric
    from prometheus_client.samples import Sample


@dataclass(frozen=True)
class Status:
    """What the refresher says of one issuer."""

    issuer: str = "logto"
    required: bool = True
    keys: int = 2
    dropped: int = 1
    age: float | None = 12.5
    stale_in: float | None = 86_387.5
    fetches: Mapping[str, int] = field(
        default_factory=lambda: {"changed": 1, "unchanged": 5, "failed": 0}
    )
    nudges: int = 3


@dataclass(frozen=True)
class Statistics:
    """What the cache says."""

    hits: int = 90
    misses: int = 10
    evictions: int = 4
    entries: int = 6
    bytes: int = 9000


def with_everything() -> Metrics:
    """Make metrics with every source."""
    return Metrics(
        Sources(
            ready=lambda: True,
            warnings=lambda: 0,
            policy_hash=lambda: "ab" * 32,
            key_sets=lambda: [Status()],
            token_cache=Statistics,
            in_flight=lambda: 7,
            abandoned=lambda: 6,
            log_events_lost=lambda: 8,
            certificate_validity=lambda: (1e9, 2e9),
        )
    )


def families(metrics: Metrics) -> dict[str, Metric]:
    """Every family as Prometheus reads it, by its name, which for a counter is without `_total`."""
    read = text_string_to_metric_families(metrics.exposition().decode())
    return {family.name: family for family in read}


def samples(metrics: Metrics) -> Iterator[Sample]:
    """Every series as Prometheus reads it."""
    for family in families(metrics).values():
        yield from family.samples


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """Give the value of one series, None where there is none."""
    found = [
        sample.value
        for sample in samples(metrics)
        if sample.name == name and sample.labels == labels
    ]
    assert len(found) < 2
    return found[0] if found else None
