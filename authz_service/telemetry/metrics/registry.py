"""All metrics of one service, in a registry of its own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from prometheus_client import CollectorRegistry, ProcessCollector

from authz_service.telemetry.metrics.cache import CacheMetrics
from authz_service.telemetry.metrics.checks import CheckMetrics
from authz_service.telemetry.metrics.exposition import TEXT
from authz_service.telemetry.metrics.keys import KeyMetrics
from authz_service.telemetry.metrics.policy import PolicyMetrics
from authz_service.telemetry.metrics.process import ProcessMetrics
from authz_service.telemetry.metrics.sources import Sources

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from prometheus_client.registry import Collector

    from authz_service.telemetry.metrics.exposition import Format
    from authz_service.telemetry.metrics.policy import Result


class Metrics:
    """What the service counts, and what it reads from *sources* when it is scraped."""

    def __init__(self, sources: Sources | None = None) -> None:
        """Start every count at zero."""
        sources = sources or Sources()
        self._registry = CollectorRegistry()
        self._checks = CheckMetrics(sources)
        self.count: Final = self._checks.count
        """Counts one Check: its decision, and the seconds until it was answered."""
        self._policy = PolicyMetrics(sources.policy_hash)
        collectors: list[Collector] = [self._checks, self._policy, ProcessMetrics(sources)]
        if sources.key_sets is not None:
            collectors.append(KeyMetrics(sources.key_sets))
        if sources.token_cache is not None:
            collectors.append(CacheMetrics(sources.token_cache))
        for collector in collectors:
            self._registry.register(collector)
        ProcessCollector(registry=self._registry)

    def keep(self, resources: Collection[str]) -> None:
        """Forget the decisions of every resource that is not among *resources*."""
        self._checks.keep(resources)

    def count_reload(self, result: Result) -> None:
        """Count one reload of the policy."""
        self._policy.count(result)

    def parts(self, form: Format) -> Iterator[bytes]:
        """The current values in *form*, in parts that take about a millisecond each."""
        return form.parts(self._registry.collect())

    def exposition(self) -> bytes:
        """The current values in the text format, at once."""
        return b"".join(self.parts(TEXT))
